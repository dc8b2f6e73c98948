"""Where AWS credentials come from: the usual chain.

Settings, environment, shared files with profiles, web identity, container, instance.  The first
place that is configured at all is the one: if it fails, the error comes up, and no other identity
is taken in its stead.  Source: "Standardized credential providers", AWS SDKs and Tools Reference
Guide.
"""

from __future__ import annotations

from bleepstore.remote.aws_metadata import (
    container_credentials,
    has_container,
    instance_credentials,
)
from bleepstore.remote.aws_profiles import Profile, parse_profiles
from bleepstore.remote.aws_signing import AwsAuthorizer, AwsCredentials
from bleepstore.remote.aws_sts import assume_role, assume_role_with_web_identity
from bleepstore.remote.failures import CredentialsUnavailable, Unreachable
from bleepstore.remote.refreshing import Lease
from bleepstore.remote.surroundings import Surroundings


class AwsChain:
    """Finds credentials anew each time it is asked.

    :param access_key: of the settings; ``""`` for what follows in the chain.
    """

    def __init__(
        self, near: Surroundings, region: str, access_key: str = "", secret_key: str = ""
    ) -> None:
        self._near = near
        self._region = region
        self._access_key = access_key
        self._secret_key = secret_key

    async def find(self) -> Lease[AwsCredentials]:
        """Credentials, from the first place that has any.

        :raises CredentialsUnavailable: no place has; the message says what was tried.
        :raises RemoteFailure: the place that is configured does not give them.
        """
        if self._access_key or self._secret_key:
            if not (self._access_key and self._secret_key):
                raise CredentialsUnavailable(
                    "storage.aws has only one of access_key_id and secret_access_key"
                )
            return Lease(AwsCredentials(self._access_key, self._secret_key))
        environ = self._near.environ
        if environ.get("AWS_ACCESS_KEY_ID"):
            return Lease(self._of_environment())
        profiles = await self._profiles()
        name = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or ""
        if name and name not in profiles:
            raise CredentialsUnavailable(f"AWS's shared files have no profile {name!r}")
        profile = profiles.get(name or "default", {})
        if _has_credentials(profile):
            return await self._of_profile(name or "default", profiles, ())
        if kind := _UNSUPPORTED.intersection(profile):
            raise CredentialsUnavailable(
                f"AWS profile {name or 'default'!r} has {min(kind)}, which is not supported; "
                "export keys into the environment or the credentials file"
            )
        if name:
            raise CredentialsUnavailable(f"AWS profile {name!r} has no credentials we can use")
        if path := environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
            return await self._by_web_identity(
                path, environ.get("AWS_ROLE_ARN", ""), environ.get("AWS_ROLE_SESSION_NAME", "")
            )
        if has_container(environ):
            return await container_credentials(self._near)
        try:
            return await instance_credentials(self._near)
        except Unreachable as failure:
            raise CredentialsUnavailable(
                "neither the settings nor the environment nor the shared files have any of AWS, "
                f"and no metadata service of this machine answers ({failure})"
            ) from failure

    def _of_environment(self) -> AwsCredentials:
        environ = self._near.environ
        secret = environ.get("AWS_SECRET_ACCESS_KEY", "")
        if not (environ.get("AWS_ACCESS_KEY_ID") and secret):
            raise CredentialsUnavailable(
                "the environment has only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        return AwsCredentials(
            environ["AWS_ACCESS_KEY_ID"], secret, environ.get("AWS_SESSION_TOKEN", "")
        )

    async def _profiles(self) -> dict[str, Profile]:
        near = self._near
        credentials = near.environ.get("AWS_SHARED_CREDENTIALS_FILE") or near.home(
            ".aws", "credentials"
        )
        config = near.environ.get("AWS_CONFIG_FILE") or near.home(".aws", "config")
        return parse_profiles(await near.text_if_any(credentials), await near.text_if_any(config))

    async def _of_profile(
        self, name: str, profiles: dict[str, Profile], on_the_way: tuple[str, ...]
    ) -> Lease[AwsCredentials]:
        """Those of a profile, by way of the profiles it takes its role from.

        :param on_the_way: the profiles that led here.
        """
        profile = profiles.get(name)
        if profile is None:
            raise CredentialsUnavailable(f"AWS's shared files have no profile {name!r}")
        # A profile that names itself as its source has both a role and keys.
        if (role := profile.get("role_arn")) and name not in on_the_way[-1:]:
            if name in on_the_way:
                raise CredentialsUnavailable(f"AWS profile {name!r} is its own source")
            if path := profile.get("web_identity_token_file"):
                return await self._by_web_identity(path, role, profile.get("role_session_name", ""))
            if "mfa_serial" in profile:
                raise CredentialsUnavailable(f"AWS profile {name!r} wants a code of a device")
            source = await self._source(name, profile, profiles, (*on_the_way, name))
            return await assume_role(
                self._near,
                self._region,
                source,
                role_arn=role,
                session_name=profile.get("role_session_name", ""),
                external_id=profile.get("external_id", ""),
                duration=profile.get("duration_seconds", ""),
            )
        access, secret = profile.get("aws_access_key_id"), profile.get("aws_secret_access_key")
        if not access or not secret:
            raise CredentialsUnavailable(f"AWS profile {name!r} has no credentials we can use")
        return Lease(AwsCredentials(access, secret, profile.get("aws_session_token", "")))

    async def _source(
        self,
        name: str,
        profile: Profile,
        profiles: dict[str, Profile],
        on_the_way: tuple[str, ...],
    ) -> Lease[AwsCredentials]:
        """Those of whoever takes a profile's role."""
        if other := profile.get("source_profile"):
            return await self._of_profile(other, profiles, on_the_way)
        kind = profile.get("credential_source", "")
        if kind == "Environment":
            return Lease(self._of_environment())
        if kind == "Ec2InstanceMetadata":
            return await instance_credentials(self._near)
        if kind == "EcsContainer" and has_container(self._near.environ):
            return await container_credentials(self._near)
        raise CredentialsUnavailable(f"AWS profile {name!r} has a role and no source")

    async def _by_web_identity(
        self, path: str, role: str, session_name: str
    ) -> Lease[AwsCredentials]:
        if not role:
            raise CredentialsUnavailable("AWS_WEB_IDENTITY_TOKEN_FILE is set, AWS_ROLE_ARN is not")
        return await assume_role_with_web_identity(
            self._near,
            self._region,
            role_arn=role,
            token=await self._near.text(path),  # read each time: it is replaced before it expires
            session_name=session_name,
        )


def aws_authorizer(
    near: Surroundings, region: str, access_key: str = "", secret_key: str = ""
) -> AwsAuthorizer:
    """Signs for S3 in a region with the credentials of the usual chain."""
    chain = AwsChain(near, region, access_key, secret_key)
    return AwsAuthorizer(near.held("AWS", chain.find), region, near.now)


_UNSUPPORTED = frozenset(("credential_process", "login_session", "sso_session", "sso_start_url"))
"""Settings of a profile by which other tools find credentials, and we do not.  They are said to be
there, rather than passed over for another identity, which is hardly meant."""


def _has_credentials(profile: Profile) -> bool:
    return bool(profile.get("aws_access_key_id") or profile.get("role_arn"))

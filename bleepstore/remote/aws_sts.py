"""Temporary credentials from AWS's Security Token Service.

Source: AssumeRole and AssumeRoleWithWebIdentity, AWS Security Token Service API Reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from bleepstore.remote.aws_regions import domain_of
from bleepstore.remote.aws_signing import AwsAuthorizer, AwsCredentials
from bleepstore.remote.failures import CredentialsUnavailable
from bleepstore.remote.refreshing import Lease, Refreshing
from bleepstore.remote.refusals import element_text
from bleepstore.remote.service import Anonymous, Authorizer
from bleepstore.remote.surroundings import FORM, Surroundings, request_to, with_secrets
from bleepstore.wire.dates import parse_iso_date

_VERSION = "2011-06-15"

SESSION_NAME = "bleepstore"
"""The name of a session where nothing else is asked for; it is seen in CloudTrail."""


async def assume_role(
    near: Surroundings,
    region: str,
    source: Lease[AwsCredentials],
    *,
    role_arn: str,
    session_name: str = "",
    external_id: str = "",
    duration: str = "",
) -> Lease[AwsCredentials]:
    """Credentials of a role that the holder of others may take.

    :param source: of whoever takes the role.
    :param duration: seconds, ``""`` for the hour that is usual.
    :raises RemoteFailure: STS refuses, or cannot be reached.
    """
    fields = {"Action": "AssumeRole", "RoleArn": role_arn}
    fields["RoleSessionName"] = session_name or SESSION_NAME
    if duration:
        fields["DurationSeconds"] = duration
    if external_id:
        fields["ExternalId"] = external_id

    async def found() -> Lease[AwsCredentials]:
        return source

    keys = Refreshing("the source of a role", found, near.now)
    authorizer = AwsAuthorizer(keys, region, near.now, service="sts")
    return await _ask(near, region, authorizer, fields)


async def assume_role_with_web_identity(
    near: Surroundings, region: str, *, role_arn: str, token: str, session_name: str = ""
) -> Lease[AwsCredentials]:
    """Credentials of a role that whoever a token speaks for may take; the request is not signed.

    :raises RemoteFailure: STS refuses, or cannot be reached.
    """
    fields = {
        "Action": "AssumeRoleWithWebIdentity",
        "RoleArn": role_arn,
        "RoleSessionName": session_name or SESSION_NAME,
        "WebIdentityToken": token,
    }
    return await _ask(near, region, Anonymous(), fields)


async def _ask(
    near: Surroundings, region: str, authorizer: Authorizer, fields: Mapping[str, str]
) -> Lease[AwsCredentials]:
    body = urlencode({**fields, "Version": _VERSION}).encode()
    request = with_secrets(request_to("POST", sts_endpoint(near.environ, region), (FORM,), body))
    _, answer = await near.sts(authorizer).fetch(request)
    text = answer.decode("utf-8", "replace")
    keys = AwsCredentials(
        element_text(text, "AccessKeyId"),
        element_text(text, "SecretAccessKey"),
        element_text(text, "SessionToken"),
    )
    expires = parse_iso_date(element_text(text, "Expiration"))
    if not (keys.access_key and keys.secret_key and keys.session_token) or expires is None:
        raise CredentialsUnavailable("STS gave an answer without credentials")
    return Lease(keys, expires)


def sts_endpoint(environ: Mapping[str, str], region: str) -> str:
    """The URL of STS in a region, or as the environment has it."""
    for name in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"):
        if url := environ.get(name):
            return url.rstrip("/") + "/"
    return f"https://sts.{region}.{domain_of(region)}/"

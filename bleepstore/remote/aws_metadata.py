"""AWS credentials that the machine has: of its container, or of its instance (IMDSv2).

Sources: "Container credential provider" and "IMDS credential provider", AWS SDKs and Tools
Reference Guide; "Use the Instance Metadata Service", Amazon EC2 User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from bleepstore.remote.aws_signing import AwsCredentials
from bleepstore.remote.failures import CredentialsUnavailable
from bleepstore.remote.refreshing import Lease
from bleepstore.remote.refusals import json_object
from bleepstore.remote.requests import Header, Origin, is_loopback
from bleepstore.remote.surroundings import Surroundings, request_to
from bleepstore.wire.dates import parse_iso_date

_ECS = "http://169.254.170.2"

_TRUSTED_HOSTS = frozenset(("169.254.170.2", "169.254.170.23", "fd00:ec2::23"))
"""Addresses of ECS and EKS, to which a token may be sent without TLS."""

_IMDS = "http://169.254.169.254"
_IMDS_TOKEN_SECONDS = b"21600"
_ROLES = "/latest/meta-data/iam/security-credentials/"


def has_container(environ: Mapping[str, str]) -> bool:
    """Whether this process runs where a container's credentials are served."""
    return bool(
        environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        or environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    )


async def container_credentials(near: Surroundings) -> Lease[AwsCredentials]:
    """Those of the container's task or pod.

    :raises CredentialsUnavailable: the environment names a place they must not be asked from.
    :raises RemoteFailure: it refuses, or is not there.
    """
    environ = near.environ
    if relative := environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        url = _ECS + relative
    else:
        url = environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    headers: tuple[Header, ...] = ()
    if path := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        headers = ((b"authorization", _token(await near.text(path))),)
    elif token := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"):
        headers = ((b"authorization", _token(token)),)
    request = request_to("GET", url, headers)
    if not _may_be_asked(request.origin):
        raise CredentialsUnavailable(
            f"{request.origin} is neither https nor an address of this machine"
        )
    _, answer = await near.metadata.fetch(request)
    return _lease(json_object(answer), "the container's credentials")


async def instance_credentials(near: Surroundings) -> Lease[AwsCredentials]:
    """Those of the instance's role, by IMDSv2 alone.

    :raises CredentialsUnavailable: it has none, or asking is switched off.
    :raises RemoteFailure: there is no such service.
    """
    if near.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise CredentialsUnavailable("AWS_EC2_METADATA_DISABLED is set")
    base = near.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", _IMDS).rstrip("/")
    lifetime: Header = (b"x-aws-ec2-metadata-token-ttl-seconds", _IMDS_TOKEN_SECONDS)
    _, token = await near.metadata.fetch(request_to("PUT", base + "/latest/api/token", (lifetime,)))
    proof: Header = (b"x-aws-ec2-metadata-token", _token(token.decode("latin-1")))
    _, roles = await near.metadata.fetch(request_to("GET", base + _ROLES, (proof,)))
    role = roles.decode("utf-8", "replace").split("\n")[0].strip()
    if not role:
        raise CredentialsUnavailable("the instance has no role")
    url = base + _ROLES + quote(role, safe="")
    _, answer = await near.metadata.fetch(request_to("GET", url, (proof,)))
    return _lease(json_object(answer), "the instance's credentials")


def _may_be_asked(origin: Origin) -> bool:
    return origin.scheme == "https" or origin.host in _TRUSTED_HOSTS or is_loopback(origin)


def _token(text: str) -> bytes:
    """A token as a header's value.

    :raises CredentialsUnavailable: it holds a line break or the like, which would end the header.
    """
    text = text.strip()
    if not text.isascii() or not text.isprintable():
        raise CredentialsUnavailable("a token has characters that cannot be sent")
    return text.encode()


def _lease(said: dict[str, Any], name: str) -> Lease[AwsCredentials]:
    access, secret, token = (
        said.get(field) for field in ("AccessKeyId", "SecretAccessKey", "Token")
    )
    code = said.get("Code", "Success")
    if code != "Success" or not isinstance(access, str) or not isinstance(secret, str):
        raise CredentialsUnavailable(f"{name} are not served: {code}")
    expiration = said.get("Expiration")
    expires = parse_iso_date(expiration) if isinstance(expiration, str) else None
    return Lease(AwsCredentials(access, secret, token if isinstance(token, str) else ""), expires)

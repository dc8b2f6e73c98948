"""AWS's places of credentials: STS, the instance's metadata (version 2), a container's endpoint.

From the AWS Security Token Service API Reference, the EC2 User Guide ("Use the Instance Metadata
Service") and the SDKs and Tools Reference Guide ("Container credential provider").  Each request
is checked as the real service would; what it would refuse is refused.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from klein import Klein
from twisted.web.iweb import IRequest

from bleepstore.wire.dates import iso_date
from tests.fakes.network import Strict


class AwsTokens:
    """The three of them.

    :ivar keys: access key → secret key, of those who may call STS.
    :ivar web_tokens: the tokens of web identity that are good.
    :ivar issued: how many credentials were given out.
    :ivar refused: why requests were refused.
    """

    app = Klein()

    def __init__(self, region: str, now: Any) -> None:
        self.region = region
        self.now = now
        self.lifetime = 3_600_000
        self.keys: dict[str, str] = {}
        self.session_tokens: dict[str, str] = {}
        self.roles = {"arn:aws:iam::1:role/app", "arn:aws:iam::1:role/other"}
        self.external_id = ""
        self.web_tokens: set[str] = set()
        self.instance_role = "instance-role"
        self.imds_token = "imds-token"
        self.container_token = ""
        self.issued = 0
        self.calls: list[dict[str, str]] = []
        self.refused: list[str] = []

    # STS

    @app.route("/", methods=["POST"])
    def sts(self, request: IRequest) -> bytes:
        try:
            fields = self._form(request)
            if fields.get("Version") != "2011-06-15":
                raise Strict("Version")
            if fields.get("RoleArn") not in self.roles:
                raise Strict("RoleArn")
            name = fields.get("RoleSessionName", "")
            if not 2 <= len(name) <= 64:
                raise Strict("RoleSessionName")
            if fields["Action"] == "AssumeRole":
                self._verify(request)
                if fields.get("ExternalId", "") != self.external_id:
                    raise Strict("ExternalId")
            elif fields["Action"] == "AssumeRoleWithWebIdentity":
                if request.getHeader("authorization"):
                    raise Strict("it is not signed")
                if fields.get("WebIdentityToken") not in self.web_tokens:
                    raise Strict("WebIdentityToken")
            else:
                raise Strict("Action")
        except Strict as why:
            return self._refuse(request, 403, str(why))
        self.calls.append(fields)
        access, secret, token = self._issue()
        action = fields["Action"]
        return (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
            f"<Credentials><AccessKeyId>{access}</AccessKeyId>"
            f"<SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>"
            f"<Expiration>{self._expiration()}</Expiration></Credentials>"
            f"</{action}Result></{action}Response>"
        ).encode()

    def _form(self, request: IRequest) -> dict[str, str]:
        if request.getHeader("content-type") != "application/x-www-form-urlencoded":
            raise Strict("Content-Type")
        fields = parse_qs(request.content.read().decode(), strict_parsing=True)
        request.content.seek(0)
        if any(len(values) != 1 for values in fields.values()):
            raise Strict("a parameter is given twice")
        return {name: values[0] for name, values in fields.items()}

    def _verify(self, request: IRequest) -> None:
        """The signature, computed anew by botocore from what has arrived."""
        authorization = request.getHeader("authorization") or ""
        fields = dict(
            part.strip().split("=", 1)
            for part in authorization.removeprefix("AWS4-HMAC-SHA256 ").split(",")
        )
        access, date, region, service, terminator = fields["Credential"].split("/")
        if (region, service, terminator) != (self.region, "sts", "aws4_request"):
            raise Strict(f"scope {region}/{service}")
        if access not in self.keys:
            raise Strict(f"access key {access}")
        if request.getHeader("x-amz-security-token") != self.session_tokens.get(access):
            raise Strict("session token")
        names = fields["SignedHeaders"].split(";")
        for needed in ("host", "x-amz-date"):
            if needed not in names:
                raise Strict(f"{needed} is not signed")
        timestamp = request.getHeader("x-amz-date")
        if not timestamp.startswith(date):
            raise Strict("date")
        signed = AWSRequest(
            method="POST",
            url=f"https://{request.getHeader('host')}/",
            headers={name: request.getHeader(name) for name in names},
            data=request.content.read(),
        )
        signed.context["timestamp"] = timestamp
        auth = SigV4Auth(Credentials(access, self.keys[access]), "sts", region)
        text = auth.string_to_sign(signed, auth.canonical_request(signed))
        if auth.signature(text, signed) != fields["Signature"]:
            raise Strict("signature")

    # The instance's metadata

    @app.route("/latest/api/token", methods=["PUT"])
    def imds_session(self, request: IRequest) -> bytes:
        seconds = request.getHeader("x-aws-ec2-metadata-token-ttl-seconds") or ""
        if not seconds.isdigit() or not 1 <= int(seconds) <= 21600:
            return self._refuse(request, 400, "ttl")
        if request.getHeader("x-forwarded-for"):
            return self._refuse(request, 403, "forwarded")
        return self.imds_token.encode()

    @app.route("/latest/meta-data/iam/security-credentials/")
    def imds_roles(self, request: IRequest) -> bytes:
        if not self._has_session(request):
            return self._refuse(request, 401, "session")
        return self.instance_role.encode()

    @app.route("/latest/meta-data/iam/security-credentials/<role>")
    def imds_role(self, request: IRequest, role: str) -> bytes:
        if not self._has_session(request):
            return self._refuse(request, 401, "session")
        if role != self.instance_role:
            return self._refuse(request, 404, "role")
        return self._document(Code="Success", Type="AWS-HMAC")

    def _has_session(self, request: IRequest) -> bool:
        return bool(request.getHeader("x-aws-ec2-metadata-token") == self.imds_token)

    # The container's

    @app.route("/v2/credentials/task")
    @app.route("/v1/credentials")
    def container(self, request: IRequest) -> bytes:
        if (request.getHeader("authorization") or "") != self.container_token:
            return self._refuse(request, 401, "authorization")
        return self._document(RoleArn="arn:aws:iam::1:role/task")

    def _document(self, **more: str) -> bytes:
        access, secret, token = self._issue()
        return json.dumps(
            {
                "AccessKeyId": access,
                "SecretAccessKey": secret,
                "Token": token,
                "Expiration": self._expiration(),
                **more,
            }
        ).encode()

    def _issue(self) -> tuple[str, str, str]:
        self.issued += 1
        access = f"ASIA{self.issued:016}"
        self.keys[access] = f"secret-{self.issued}"
        self.session_tokens[access] = f"token-{self.issued}"
        return access, self.keys[access], self.session_tokens[access]

    def _expiration(self) -> str:
        return iso_date(self.now() + self.lifetime).replace(".000Z", "Z")

    def _refuse(self, request: IRequest, status: int, why: str) -> bytes:
        self.refused.append(why)
        request.setResponseCode(status)
        return (
            f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{why}</Message></Error>"
            "<RequestId>R</RequestId></ErrorResponse>"
        ).encode()

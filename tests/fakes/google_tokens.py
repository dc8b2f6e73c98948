"""Google's places of tokens: the token endpoint, the token exchange, impersonation, metadata.

From "Using OAuth 2.0 for Server to Server Applications", RFC 7523, RFC 8693, the IAM Service
Account Credentials API and "View and query VM metadata".  Each request is checked strictly.
"""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64decode
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from klein import Klein
from twisted.web.iweb import IRequest

from bleepstore.wire.dates import iso_date
from tests.fakes.network import Strict

_JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class ServiceAccount:
    """A service account with a key of its own."""

    def __init__(self, email: str, token_uri: str) -> None:
        self.email = email
        self.token_uri = token_uri
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def credentials_file(self, **more: Any) -> str:
        """What the console gives for download."""
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return json.dumps(
            {
                "type": "service_account",
                "client_email": self.email,
                "private_key": pem.decode(),
                "private_key_id": "key-1",
                "token_uri": self.token_uri,
                **more,
            }
        )


class GoogleTokens:
    """All of them.

    :ivar accounts: that may ask for tokens with an assertion.
    :ivar tokens: those that were given out, and their scopes.
    :ivar refused: why requests were refused.
    """

    app = Klein()

    def __init__(self, now: Any) -> None:
        self.now = now
        self.lifetime = 3600
        self.accounts: dict[str, ServiceAccount] = {}
        self.users = {"refresh-1": ("client-1", "client-secret-1")}
        self.subjects: set[str] = set()
        self.audience = "//iam.googleapis.com/projects/1/locations/global/pools/p/providers/q"
        self.basic = ""
        self.tokens: dict[str, str] = {}
        self.refused: list[str] = []
        self.flavor = "Google"

    @app.route("/token", methods=["POST"])
    def token(self, request: IRequest) -> bytes:
        try:
            fields = _form(request)
            if fields.get("grant_type") == _JWT:
                scope = self._verify(fields["assertion"], request.getHeader("host") or "")
            elif fields.get("grant_type") == "refresh_token":
                client = self.users.get(fields.get("refresh_token", ""))
                if client != (fields.get("client_id"), fields.get("client_secret")):
                    raise Strict("invalid_grant")
                scope = "of the user"
            else:
                raise Strict("unsupported_grant_type")
        except Strict as why:
            return self._refuse(request, 400, str(why))
        return self._give(scope)

    def _verify(self, assertion: str, host: str) -> str:
        header, claims, signature = assertion.split(".")
        if _part(header) != {"alg": "RS256", "typ": "JWT", "kid": "key-1"}:
            raise Strict("header")
        said = _part(claims)
        account = self.accounts.get(said.get("iss", ""))
        if account is None:
            raise Strict("iss")
        try:
            account.key.public_key().verify(
                _decoded(signature),
                f"{header}.{claims}".encode(),
                padding.PKCS1v15(),
                SHA256(),
            )
        except InvalidSignature:
            raise Strict("Invalid JWT Signature.") from None
        if said["aud"] != account.token_uri or f"://{host}/" not in said["aud"]:
            raise Strict("aud")
        now = self.now() // 1000
        if not (said["iat"] <= now < said["exp"] <= said["iat"] + 3600):
            raise Strict("Token must be a short-lived token")
        if not said.get("scope"):
            raise Strict("scope")
        return str(said["scope"])

    @app.route("/v1/token", methods=["POST"])
    def exchange(self, request: IRequest) -> bytes:
        try:
            fields = _form(request)
            wanted = {
                "grant_type": _EXCHANGE,
                "audience": self.audience,
                "requested_token_type": _ACCESS_TOKEN,
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            }
            for name, value in wanted.items():
                if fields.get(name) != value:
                    raise Strict(name)
            if fields.get("subject_token") not in self.subjects:
                raise Strict("subject_token")
            authorization = request.getHeader("authorization") or ""
            given = b64decode(authorization.removeprefix("Basic ")).decode()
            if given != self.basic:
                raise Strict("client")
        except Strict as why:
            return self._refuse(request, 400, str(why))
        return self._give(fields["scope"], issued_token_type=_ACCESS_TOKEN)

    @app.route("/v1/projects/-/serviceAccounts/<account>:generateAccessToken", methods=["POST"])
    def impersonate(self, request: IRequest, account: str) -> bytes:
        token = (request.getHeader("authorization") or "").removeprefix("Bearer ")
        if self.tokens.get(token) != "https://www.googleapis.com/auth/cloud-platform":
            return self._refuse(request, 403, "the source's scope")
        if request.getHeader("content-type") != "application/json":
            return self._refuse(request, 400, "Content-Type")
        asked = json.loads(request.content.read())
        lifetime = int(asked["lifetime"].removesuffix("s"))
        if not asked["lifetime"].endswith("s") or not 1 <= lifetime <= 3600:
            return self._refuse(request, 400, "lifetime")
        given = self._issue(" ".join(asked["scope"]))
        expires = iso_date(self.now() + lifetime * 1000)
        return json.dumps({"accessToken": given, "expireTime": expires}).encode()

    @app.route("/computeMetadata/v1/instance/service-accounts/default/token")
    def metadata(self, request: IRequest) -> bytes:
        if request.getHeader("metadata-flavor") != "Google":
            return self._refuse(request, 403, "Metadata-Flavor")
        request.setHeader("metadata-flavor", self.flavor)
        return self._give("of the machine")

    @app.route("/subject")
    def subject(self, request: IRequest) -> bytes:
        if request.getHeader("x-proof") != "proof":
            return self._refuse(request, 403, "X-Proof")
        return json.dumps({"id_token": next(iter(self.subjects))}).encode()

    def _give(self, scope: str, **more: str) -> bytes:
        token = self._issue(scope)
        said = {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"}
        return json.dumps({**said, **more}).encode()

    def _issue(self, scope: str) -> str:
        token = f"ya29.{len(self.tokens) + 1}"
        self.tokens[token] = scope
        return token

    def _refuse(self, request: IRequest, status: int, why: str) -> bytes:
        self.refused.append(why)
        request.setResponseCode(status)
        return json.dumps({"error": "invalid_grant", "error_description": why}).encode()


def _form(request: IRequest) -> dict[str, str]:
    if request.getHeader("content-type") != "application/x-www-form-urlencoded":
        raise Strict("Content-Type")
    fields = parse_qs(request.content.read().decode(), strict_parsing=True)
    if any(len(values) != 1 for values in fields.values()):
        raise Strict("a parameter is given twice")
    return {name: values[0] for name, values in fields.items()}


def _decoded(text: str) -> bytes:
    if "=" in text or "+" in text or "/" in text:
        raise Strict("base64url has no padding")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _part(text: str) -> dict[str, Any]:
    part: dict[str, Any] = json.loads(_decoded(text))
    return part

"""Microsoft's places of tokens: the tenant's token endpoint, IMDS, App Service.

From "OAuth 2.0 client credentials flow", "How to use managed identities for Azure resources on an
Azure VM" and "How to use managed identities for App Service".  Each request is checked strictly.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from klein import Klein
from twisted.web.iweb import IRequest

_RESOURCE = "https://storage.azure.com/"


class AzureTokens:
    """The three of them.

    :ivar secrets: client → its secret.
    :ivar assertions: client → the token that speaks for it.
    :ivar refused: why requests were refused.
    """

    app = Klein()

    def __init__(self, now: Any) -> None:
        self.now = now
        self.lifetime = 3600
        self.secrets: dict[str, str] = {}
        self.assertions: dict[str, str] = {}
        self.identity_header = "identity-header"
        self.user_assigned = ""
        self.issued = 0
        self.refused: list[str] = []

    @app.route("/<tenant>/oauth2/v2.0/token", methods=["POST"])
    def token(self, request: IRequest, tenant: str) -> bytes:
        if tenant != "tenant-1":
            return self._refuse(request, 400, "AADSTS90002: tenant")
        if request.getHeader("content-type") != "application/x-www-form-urlencoded":
            return self._refuse(request, 400, "AADSTS900144: Content-Type")
        raw = parse_qs(request.content.read().decode(), strict_parsing=True)
        fields = {name: values[0] for name, values in raw.items() if len(values) == 1}
        client = fields.get("client_id", "")
        if fields.get("grant_type") != "client_credentials":
            return self._refuse(request, 400, "AADSTS70003: grant_type")
        if fields.get("scope") != _RESOURCE + ".default":
            return self._refuse(request, 400, "AADSTS70011: scope")
        if "client_secret" in fields:
            good = fields["client_secret"] == self.secrets.get(client)
        else:
            good = fields.get(
                "client_assertion_type"
            ) == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" and fields.get(
                "client_assertion"
            ) == self.assertions.get(client)
        if not good:
            return self._refuse(request, 401, "AADSTS7000215: proof")
        return self._give(expires_in=self.lifetime)

    @app.route("/metadata/identity/oauth2/token")
    def imds(self, request: IRequest) -> bytes:
        wanted = {b"api-version": [b"2018-02-01"], b"resource": [_RESOURCE.encode()]}
        if self.user_assigned:
            wanted[b"client_id"] = [self.user_assigned.encode()]
        if request.getHeader("metadata") != "true":
            return self._refuse(request, 400, "Metadata")
        if request.args != wanted:
            return self._refuse(request, 400, f"query {request.args}")
        return self._give(expires_in=str(self.lifetime))

    @app.route("/msi/token")
    def app_service(self, request: IRequest) -> bytes:
        if request.getHeader("x-identity-header") != self.identity_header:
            return self._refuse(request, 401, "X-IDENTITY-HEADER")
        wanted = {b"api-version": [b"2019-08-01"], b"resource": [_RESOURCE.encode()]}
        if request.args != wanted:
            return self._refuse(request, 400, f"query {request.args}")
        return self._give(expires_on=str(self.now() // 1000 + self.lifetime))

    def _give(self, **more: Any) -> bytes:
        self.issued += 1
        token = f"eyJ.{self.issued}"
        return json.dumps({"access_token": token, "token_type": "Bearer", **more}).encode()

    def _refuse(self, request: IRequest, status: int, why: str) -> bytes:
        self.refused.append(why)
        request.setResponseCode(status)
        request.setHeader("x-ms-request-id", "request-1")
        return json.dumps(
            {"error": "invalid_request", "error_description": f"{why}\r\nTrace ID: t"}
        ).encode()

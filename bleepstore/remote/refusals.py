"""Reading the error answers of the providers: a code, a sentence and a request id.  Pure.

Sources: "Error responses" (Amazon S3 API Reference), "HTTP status and error codes for JSON" (Cloud
Storage), "Status and error codes" (Azure Storage REST API), RFC 6749 section 5.2 (token
endpoints).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from bleepstore.remote.failures import ProviderError

LONGEST_MESSAGE = 300
"""Characters of a provider's sentence that are kept for the log."""

ReadRefusal = Callable[[int, Mapping[bytes, bytes], bytes], ProviderError]
"""(status, headers by lower-case name, body) → what the provider says."""

_OF_TIME = ("Signature not valid in the specified time frame", "Request date header too old")
"""How details of Azure's begin that quote nothing but times."""

_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}
_ENTITY = re.compile("|".join(_ENTITIES))


def read_aws_refusal(status: int, headers: Mapping[bytes, bytes], body: bytes) -> ProviderError:
    """S3 and STS: XML.  An answer to HEAD has no body, and so no code.

    A bucket in another region is a redirect, or a refusal of the signature's region; where it is
    is told in words, since redirects are not followed ("Virtual hosting of general purpose
    buckets", S3 User Guide).
    """
    text = body.decode("utf-8", "replace")
    code = element_text(text, "Code")
    message = element_text(text, "Message")
    if status in (301, 307) or (status == 400 and code in ("", "AuthorizationHeaderMalformed")):
        region = _header(headers, b"x-amz-bucket-region") or element_text(text, "Region")
        if region and region not in message:
            message = f"{message} The bucket is in the region {region}.".lstrip()
    return ProviderError(
        status=status,
        code=code,
        message=message[:LONGEST_MESSAGE],
        request_id=_header(headers, b"x-amz-request-id", b"x-amzn-requestid")
        or element_text(text, "RequestId"),
    )


def read_azure_refusal(status: int, headers: Mapping[bytes, bytes], body: bytes) -> ProviderError:
    """Blob Storage: a header with the code, and XML.

    AuthenticationErrorDetail, which quotes what was signed, is left out, unless it is about time: a
    signature that has expired, or a clock that is wrong.
    """
    text = body.decode("utf-8", "replace")
    message = element_text(text, "Message").split("\n")[0]
    detail = element_text(text, "AuthenticationErrorDetail").split("\n")[0]
    if detail.startswith(_OF_TIME):
        message = detail
    return ProviderError(
        status=status,
        code=_header(headers, b"x-ms-error-code") or element_text(text, "Code"),
        message=message[:LONGEST_MESSAGE],
        request_id=_header(headers, b"x-ms-request-id"),
    )


def read_google_refusal(status: int, headers: Mapping[bytes, bytes], body: bytes) -> ProviderError:
    """Cloud Storage: JSON, ``{"error": {"code", "message", "errors": [{"reason"}]}}``."""
    error = json_object(body).get("error")
    code = message = ""
    if isinstance(error, dict):
        message = _text(error.get("message"))
        reasons = error.get("errors")
        if isinstance(reasons, list) and reasons and isinstance(reasons[0], dict):
            code = _text(reasons[0].get("reason"))
        code = code or _text(error.get("status"))
    return ProviderError(
        status=status,
        code=code,
        message=message[:LONGEST_MESSAGE],
        request_id=_header(headers, b"x-guploader-uploadid", b"x-cloud-trace-context"),
    )


def read_token_refusal(status: int, headers: Mapping[bytes, bytes], body: bytes) -> ProviderError:
    """Token endpoints: JSON, ``{"error", "error_description"}`` (RFC 6749, 5.2), or Google's."""
    said = json_object(body)
    if isinstance(said.get("error"), dict):
        return read_google_refusal(status, headers, body)
    return ProviderError(
        status=status,
        code=_text(said.get("error")) or _text(said.get("code")) or _text(said.get("Code")),
        message=(
            _text(said.get("error_description"))
            or _text(said.get("message"))
            or _text(said.get("Message"))
        ).split("\r\n")[0][:LONGEST_MESSAGE],
        request_id=_header(headers, b"x-ms-request-id", b"x-amzn-requestid"),
    )


def element_text(text: str, name: str) -> str:
    """The text of the first element of that name, ``""`` without one.

    For the flat answers of STS and of errors, which may be cut off.
    """
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    if found is None:
        return ""
    return _ENTITY.sub(lambda match: _ENTITIES[match[0]], found[1]).strip()


def _header(headers: Mapping[bytes, bytes], *names: bytes) -> str:
    for name in names:
        if value := headers.get(name):
            return value.decode("latin-1")
    return ""


def json_object(body: bytes) -> dict[str, Any]:
    """A JSON object; empty if it is anything else."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

"""What a client says about an object, between headers and :class:`Description`."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache

from bleepstore.errors import InvalidArgument, InvalidStorageClass, MetadataTooLarge
from bleepstore.model.names import MAX_METADATA_BYTES, STORAGE_CLASSES
from bleepstore.model.objects import Description
from bleepstore.wire.headers import Header, Headers, text_of

DEFAULT_CONTENT_TYPE = "binary/octet-stream"
"""What S3 answers for an object that was stored without a Content-Type."""

_META = b"x-amz-meta-"
_KEPT = {
    b"content-type": "content-type",
    b"content-encoding": "content-encoding",
    b"content-disposition": "content-disposition",
    b"content-language": "content-language",
    b"cache-control": "cache-control",
    b"expires": "expires",
}
_SENT = {
    "content-type": b"Content-Type",
    "content-encoding": b"Content-Encoding",
    "content-disposition": b"Content-Disposition",
    "content-language": b"Content-Language",
    "cache-control": b"Cache-Control",
    "expires": b"Expires",
}
_OVERRIDES = {"response-" + name: name for name in _SENT}
_UNSENDABLE = re.compile(r"[^ -~\x80-\xff]")


def read_description(headers: Headers) -> Description:
    """The content headers, user metadata and storage class of a write.

    ``aws-chunked`` is a coding of the transfer, not of the object, and is not kept.

    :raises MetadataTooLarge: over 2 KiB of names and values, with ``Size`` and ``MaxSizeAllowed``
        ("Working with object metadata", S3 User Guide).
    :raises InvalidStorageClass:
    """
    kept: dict[str, str] = {}
    metadata: dict[str, str] = {}
    size = 0
    for name in _describing(tuple(headers)):
        value = headers[name]
        if name in _KEPT:
            if name == b"content-encoding":
                value = _without_aws_chunked(value)
            if value:
                kept[_KEPT[name]] = text_of(value)
        else:
            size += len(name) - 11 + len(value)
            metadata[text_of(name[11:])] = text_of(value)
    if size > MAX_METADATA_BYTES:
        raise MetadataTooLarge(Size=str(size), MaxSizeAllowed=str(MAX_METADATA_BYTES))
    storage_class = headers.get(b"x-amz-storage-class")
    if storage_class is None:
        return Description(kept, metadata)
    name_of_class = text_of(storage_class)
    if name_of_class not in STORAGE_CLASSES:
        raise InvalidStorageClass(StorageClassRequested=name_of_class)
    return Description(kept, metadata, name_of_class)


@lru_cache(maxsize=64)  # a client sends the same names again and again
def _describing(names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Those of a request's header names that say something of the object."""
    return tuple([name for name in names if name in _KEPT or name[:11] == _META])


def _without_aws_chunked(value: bytes) -> bytes:
    if b"aws-chunked" not in value.lower():
        return value
    codings = (coding.strip() for coding in value.split(b","))
    return b", ".join(c for c in codings if c and c.lower() != b"aws-chunked")


def response_overrides(query: Mapping[str, str]) -> dict[str, str]:
    """The ``response-*`` parameters of a read: lower-case header name → value; empty if none.

    :raises InvalidArgument: a control character, which could end the header and begin another, or
        one that ISO-8859-1 does not have, in which S3 sends them; or a header that cannot be
        overridden.
    """
    sent = [name for name in query if name.startswith("response-")]
    if not sent:
        return {}
    for name in sent:
        if name not in _OVERRIDES:
            raise InvalidArgument(
                f"{name} is not in the set of overridable response headers. Please refer to the "
                "S3 API documentation for a complete list of overridable response headers.",
                ArgumentName=name,
                ArgumentValue=query[name],
            )
    overrides = {}
    for parameter, name in _OVERRIDES.items():
        value = query.get(parameter)
        if value:
            if _UNSENDABLE.search(value):
                raise InvalidArgument(
                    "Header value cannot be represented using ISO-8859-1.",
                    ArgumentName=parameter,
                    ArgumentValue=value,
                )
            overrides[name] = value
    return overrides


def description_headers(
    description: Description, overrides: Mapping[str, str] | None = None
) -> list[Header]:
    """The headers of GetObject and HeadObject that come from the description: content headers
    (Content-Type always), ``x-amz-meta-*``, and ``x-amz-storage-class`` unless STANDARD.

    :param overrides: of :func:`response_overrides`.
    """
    kept = {name: value.encode() for name, value in description.headers.items()}
    if overrides:
        kept.update({name: value.encode("latin-1") for name, value in overrides.items()})
    headers = [(_SENT[name], value) for name, value in kept.items()]
    if "content-type" not in kept:
        headers.append((b"Content-Type", DEFAULT_CONTENT_TYPE.encode()))
    for name, value in description.metadata.items():
        headers.append((_META + name.encode(), _mail_safe(value)))
    if description.storage_class != "STANDARD":
        headers.append((b"x-amz-storage-class", description.storage_class.encode()))
    return headers


def _mail_safe(value: str) -> bytes:
    """User metadata beyond ASCII is sent as an encoded word of RFC 2047, as S3 does
    ("Working with object metadata": "encoded as per RFC 2047 to make them mail-safe")."""
    raw = value.encode()
    return raw if value.isascii() else b"=?UTF-8?B?" + b64encode(raw) + b"?="

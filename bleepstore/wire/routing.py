"""Request target, Host and method → the operation, bucket and key that are meant.

The path is decoded once and byte for byte: ``//``, ``..``, ``%2F`` and a trailing ``.`` are
part of the key.  A query name that S3 knows as a sub-resource always decides, served or not, so
that ``DELETE /b/k?tagging`` can never delete the object.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from bleepstore.errors import (
    AccessForbidden,
    BadRequest,
    InvalidArgument,
    InvalidBucketName,
    InvalidRequest,
    InvalidURI,
    MethodNotAllowed,
)
from bleepstore.model.names import require_key
from bleepstore.wire.headers import Headers, invalid_header
from bleepstore.wire.operations import OPERATIONS, Level, Operation, resource_type
from bleepstore.wire.presigned import with_hoisted
from bleepstore.wire.urls import decode_bytes, decode_query, decode_text

UNKNOWN = Operation(
    "UnknownOperation", "", Level.SERVICE, "", "", note="a sub-resource that S3 does not have here"
)
"""Stands for whatever the table does not have; never served."""


class Route(Struct, frozen=True):
    """What a request is about.

    :ivar operation: may be one that is not ``served``: answer NotImplemented, touch nothing.
    :ivar bucket: empty at service level.
    :ivar key: empty at service and bucket level.
    :ivar by_host: whether the host names the bucket, not the path.
    :ivar query: parameters by name, decoded; of repeated ones the first.
    :ivar headers: as sent, and for a presigned request also those that its query carries
        (``presigned``).  The signature is checked against what was sent; whatever reads the
        request's meaning reads these.
    """

    operation: Operation
    bucket: str
    key: str
    query: dict[str, str]
    headers: Headers
    by_host: bool = False


_Selector = tuple[Level, str, str]


def _by_selector(copies: bool) -> dict[_Selector, tuple[Operation, ...]]:
    """(level, sub-resource, method) → its operations, those with a parameter first."""
    table: dict[_Selector, list[Operation]] = {}
    for row in OPERATIONS:
        if row.routable and row.copies is copies:
            table.setdefault((row.level, row.subresource, row.method), []).append(row)
    return {
        selector: tuple(sorted(rows, key=lambda row: not row.parameter))
        for selector, rows in table.items()
    }


_SELECTED = _by_selector(copies=False)
_COPIES = _by_selector(copies=True)
_PLAIN = {
    level: {
        row.method.encode(): row
        for row in OPERATIONS
        if row.routable and row.level is level and not row.subresource and not row.copies
    }
    for level in Level
}
_SUBRESOURCES = frozenset(row.subresource for row in OPERATIONS if row.subresource)
_SERVED = frozenset((row.level, row.subresource) for row in OPERATIONS if row.served)
_COPY_OF = {_SELECTED[selector][0].name: rows[0] for selector, rows in _COPIES.items()}

_NEVER_COPIES = frozenset(
    {"GetObject", "HeadObject", "DeleteObject", "CompleteMultipartUpload", "AbortMultipartUpload"}
)
"""Operations at which S3 refuses ``x-amz-copy-source``; the others pass over it."""

_WRITES = frozenset({b"PUT", b"POST", b"DELETE"})
_HARMLESS = frozenset({"versionId", "partNumber", "x-id"})
"""Names that may stand in a write's query without a value and select nothing."""

_MAX_CACHED_HOSTS = 1024


class Router:
    """Routes requests.

    :param domains: ``bucket.DOMAIN`` is virtual-host style; any other Host is path style.
    """

    def __init__(self, domains: Iterable[str] = ()) -> None:
        self._suffixes = tuple(
            sorted(
                ("." + domain.lower().strip(".") for domain in domains if domain),
                key=len,
                reverse=True,
            )
        )
        self._hosts: dict[bytes, str] = {}

    def route(self, method: bytes, target: bytes, headers: Headers) -> Route:
        """Route one request.

        :param target: the request target as sent.
        :raises InvalidURI: bad percent-encoding, not UTF-8, or no target of HTTP.
        :raises KeyTooLongError: the key is over 1,024 bytes.
        :raises InvalidBucketName: path style with an empty bucket before a key.
        :raises InvalidArgument: conflicting sub-resources, a part number without an upload, a
            version id without a key, or a copy source where nothing is copied.
        :raises InvalidRequest: a part number without a key.
        :raises MethodNotAllowed: with ``Method`` and ``ResourceType``.
        :raises AccessForbidden: a CORS preflight; no bucket has CORS here.
        :raises BadRequest: OPTIONS that is no preflight.
        """
        host = headers.get(b"host", b"")
        if target[:1] != b"/":
            host, target = _absolute_form(target)
        path, _, raw_query = target.partition(b"?")
        bucket = self._hosts.get(host)
        if bucket is None:
            bucket = self._bucket_of_host(host)
        by_host = bucket != ""
        if by_host:
            raw_key = path[1:]
        else:
            raw_bucket, _, raw_key = path[1:].partition(b"/")
            bucket = decode_text(raw_bucket)
            if not bucket and raw_key:
                raise InvalidBucketName(BucketName="")
        key = require_key(decode_bytes(raw_key)) if raw_key else ""
        level = Level.OBJECT if key else Level.BUCKET if bucket else Level.SERVICE
        query = decode_query(raw_query) if raw_query else {}
        if query:
            if "X-Amz-Signature" in query or "AWSAccessKeyId" in query:
                headers = with_hoisted(headers, query)
            operation = _select(level, method, query)
            if level is Level.BUCKET:
                _refuse_object_parameters(operation, query)
        else:
            operation = _PLAIN[level].get(method)
        if operation is None:
            raise _refused_method(level, _subresource(query), method, headers)
        if b"x-amz-copy-source" in headers:
            if operation.name in _NEVER_COPIES:
                raise invalid_header(
                    b"x-amz-copy-source",
                    headers[b"x-amz-copy-source"],
                    "You can only specify a copy source header for copy requests.",
                )
            operation = _COPY_OF.get(operation.name, operation)
        return Route(operation, bucket, key, query, headers, by_host)

    def _bucket_of_host(self, host: bytes) -> str:
        """The bucket that a Host names, empty for path style; remembered for a bounded number."""
        name = host.decode("latin-1").lower()
        if not name.endswith("]"):  # an IPv6 address without a port
            name = name.rpartition(":")[0] or name
        bucket = ""
        for suffix in self._suffixes:
            if name.endswith(suffix):
                bucket = name[: -len(suffix)]
                break
            if name == suffix[1:]:
                break
        if len(self._hosts) < _MAX_CACHED_HOSTS:
            self._hosts[host] = bucket
        return bucket


def _absolute_form(target: bytes) -> tuple[bytes, bytes]:
    """Authority and the rest of an absolute-form target; it overrides Host (RFC 9112, 3.2.2).

    :raises InvalidURI: authority form, asterisk form, or no target at all.
    """
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise InvalidURI(URI=target.decode("latin-1"))
    end = min(at for at in (rest.find(b"/"), rest.find(b"?"), len(rest)) if at >= 0)
    origin = rest[end:]
    return rest[:end], origin if origin[:1] == b"/" else b"/" + origin


def _subresource(query: dict[str, str]) -> str:
    """The one sub-resource of a query, or empty.

    :raises InvalidArgument: more than one; S3 does not guess either.
    """
    found = [name for name in query if name in _SUBRESOURCES]
    if len(found) > 1:
        names = sorted(found)
        raise InvalidArgument(
            f"Conflicting query string parameters: {', '.join(names)}",
            ArgumentName="ResourceType",
            ArgumentValue=names[0],
        )
    return found[0] if found else ""


def _select(level: Level, method: bytes, query: dict[str, str]) -> Operation | None:
    """The operation of a request with a query; None if the method is not allowed there.

    :raises InvalidArgument: conflicting or incomplete parameters.
    """
    subresource = _subresource(query)
    if not subresource:
        operation = _PLAIN[level].get(method)
        if operation is not None and method in _WRITES:
            return _checked_write(operation, query)
        return operation
    rows = _SELECTED.get((level, subresource, method.decode("latin-1")), ())
    for row in rows:
        if not row.parameter or row.parameter in query:
            if row.subresource == "list-type" and query["list-type"] != "2":
                return _PLAIN[level][method]  # any other type is the first, as in S3
            return row
    if (level, subresource) not in _SERVED:
        return rows[0] if rows else UNKNOWN
    return None  # no such method here, or UploadPart without its partNumber


def _checked_write(operation: Operation, query: dict[str, str]) -> Operation:
    """A plain write whose query may yet mean something else.

    S3 ignores parameters that it does not know.  A *bare* unknown name on a write is taken for a
    sub-resource of a newer S3 than this: better refused than done to the object itself.

    :raises InvalidArgument: a part number without an upload: the part of a broken client must
        not become the object.
    """
    if "partNumber" in query and operation.level is Level.OBJECT:
        raise InvalidArgument(
            "This operation does not accept partNumber without uploadId",
            ArgumentName="partNumber",
            ArgumentValue="partNumber",  # the name once more, as S3 has it
        )
    for name, value in query.items():
        if not value and name not in _HARMLESS and not name.lower().startswith("x-amz-"):
            return UNKNOWN
    return operation


def _refuse_object_parameters(operation: Operation | None, query: dict[str, str]) -> None:
    """Refuse what names a part or a version of an object where there is none.

    :raises InvalidRequest: partNumber.
    :raises InvalidArgument: versionId.
    """
    if "partNumber" in query:
        raise InvalidRequest("Object must have a valid key name.")
    if "versionId" in query:
        of_acl = operation is not None and operation.subresource == "acl"
        raise InvalidArgument(
            "Invalid version id specified"
            if of_acl
            else "This operation does not accept a version-id.",
            ArgumentName="versionId",
            ArgumentValue=query["versionId"],
        )


def _refused_method(
    level: Level, subresource: str, method: bytes, headers: Headers
) -> AccessForbidden | BadRequest | MethodNotAllowed:
    """Why no operation has this method."""
    resource = resource_type(level, subresource)
    if method == b"OPTIONS" and level is not Level.SERVICE:
        asked = headers.get(b"access-control-request-method")
        if b"origin" not in headers:
            return BadRequest("Insufficient information. Origin request header needed.")
        if asked is None:
            return BadRequest("Invalid Access-Control-Request-Method: null")
        return AccessForbidden(Method=asked.decode("latin-1"), ResourceType=resource)
    return MethodNotAllowed(Method=method.decode("latin-1"), ResourceType=resource)

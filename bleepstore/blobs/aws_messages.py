"""What is said to S3, and what it answers: headers and documents.  Pure.

Source: Amazon S3 API Reference, the pages of the operations named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from msgspec import Struct

from bleepstore.auth.canonical import encode_component, encode_path
from bleepstore.blobs.encoded_words import encoded_word, plain
from bleepstore.errors import InternalError, MalformedXML
from bleepstore.interfaces.in_place import ListedName, NativeObject
from bleepstore.model.names import MAX_METADATA_BYTES
from bleepstore.model.objects import Description
from bleepstore.remote.requests import Header
from bleepstore.wire.dates import parse_http_date, parse_iso_date
from bleepstore.wire.xml_reader import Element, parse_xml
from bleepstore.wire.xml_text import escaped

BLOB = "bleepstore-blob"
"""The user metadata by which an object of ours is recognised: the id of its blob."""

_META = b"x-amz-meta-"
_KEPT = (
    "content-type",
    "content-encoding",
    "content-disposition",
    "content-language",
    "cache-control",
    "expires",
)


def description_headers(description: Description, blob_id: str) -> list[Header]:
    """The headers of an object that is written: its description's, and the blob's id.

    User metadata that leaves no room for the id is left out as a whole: the index has it
    ("Working with object metadata": 2 KB).
    """
    headers = [(name.encode(), value.encode()) for name, value in description.headers.items()]
    ours = (_META + BLOB.encode(), blob_id.encode())
    theirs = [
        (_META + name.encode(), _mail_safe(value))
        for name, value in description.metadata.items()
        if name != BLOB
    ]
    size = sum(len(name) - len(_META) + len(value) for name, value in (ours, *theirs))
    if size <= MAX_METADATA_BYTES:
        headers += theirs
    headers.append(ours)
    return headers


def _mail_safe(value: str) -> bytes:
    return (value if value.isascii() else encoded_word(value)).encode()


def expectation(tag: str) -> Header:
    """The precondition of a write: what lies there has the tag, or (empty) nothing does."""
    return (b"if-match", b'"%b"' % tag.encode()) if tag else (b"if-none-match", b"*")


def native_object(name: str, headers: Mapping[bytes, bytes], length: int | None) -> NativeObject:
    """What HeadObject says."""
    texts = {key.decode("latin-1"): _text(value) for key, value in headers.items()}
    meta = _META.decode()
    metadata = {
        key.removeprefix(meta): plain(value) for key, value in texts.items() if key.startswith(meta)
    }
    etag = texts.get("etag", "").strip('"')
    return NativeObject(
        name=name,
        tag=etag,
        size=length or 0,
        etag=etag,
        blob_id=metadata.pop(BLOB, ""),
        last_modified=parse_http_date(headers.get(b"last-modified", b"")) or 0,
        description=Description(
            {key: texts[key] for key in _KEPT if texts.get(key)},
            metadata,
        ),
    )


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def copy_source(bucket: str, name: str) -> bytes:
    """``x-amz-copy-source``."""
    return encode_path(f"{bucket}/{name}".encode())


def query(**pairs: str) -> bytes:
    """A query; a pair with an empty value is a bare name."""
    return b"&".join(
        encode_component(name.replace("_", "-").encode())
        + (b"=" + encode_component(value.encode()) if value else b"=")
        for name, value in pairs.items()
    )


def complete_document(parts: Sequence[tuple[int, str]]) -> bytes:
    """CompleteMultipartUpload, of numbers and ETags."""
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escaped(etag)}&quot;</ETag></Part>"
        for number, etag in parts
    )
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


def element_of(document: bytes, root: str, name: str) -> str:
    """The text of an element just below the root.

    :raises InternalError: there is no such document, or element.
    """
    try:
        found = [child.text for child in parse_xml(document, root).children if child.name == name]
    except MalformedXML:
        found = []
    if not found:
        raise InternalError(f"the cloud answered without a {root} with {name}")
    return found[0]


def etag_of(document: bytes, root: str) -> str:
    """The ETag of CompleteMultipartUploadResult, CopyObjectResult or CopyPartResult."""
    return element_of(document, root, "ETag").strip('"')


class ListedPage(Struct, frozen=True):
    """:ivar token: of the next page; empty: this is the last."""

    names: tuple[ListedName, ...]
    token: str


def listed_page(document: bytes) -> ListedPage:
    """ListBucketResult of ListObjectsV2, with ``encoding-type=url``.

    :raises InternalError: it is none.
    """
    try:
        root = parse_xml(document, "ListBucketResult")
    except MalformedXML:
        raise InternalError("the cloud answered without a ListBucketResult") from None
    names = []
    token = ""
    for child in root.children:
        if child.name == "Contents":
            names.append(_listed(child))
        elif child.name == "NextContinuationToken":
            token = child.text
    return ListedPage(tuple(names), token)


def _listed(contents: Element) -> ListedName:
    texts = {child.name: child.text for child in contents.children}
    etag = texts.get("ETag", "").strip('"')
    size = texts.get("Size", "0")
    return ListedName(
        unquote(texts.get("Key", "").replace("+", " ")),
        etag,
        int(size) if size.isdigit() else 0,
        etag,
        parse_iso_date(texts.get("LastModified", "")) or 0,
    )

"""What is said to Azure Blob Storage, and what it answers: names, headers and documents.  Pure.

Source: Azure Storage REST API, the pages of the operations named, and "Naming and referencing
containers, blobs, and metadata".
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from urllib.parse import unquote

from msgspec import Struct

from bleepstore.auth.canonical import encode_component, encode_path
from bleepstore.blobs.encoded_words import encoded_word, plain
from bleepstore.errors import EntityTooLarge, InternalError, MalformedXML
from bleepstore.interfaces.in_place import ListedName, NativeObject
from bleepstore.model.objects import Description
from bleepstore.remote.requests import Header
from bleepstore.wire.dates import parse_http_date
from bleepstore.wire.xml_reader import Element, parse_xml

BLOB = "bleepstore_blob"
"""The metadata by which an object of ours is recognised: the id of its blob.  No name of a client's
is encoded like it: an underscore of its own is ``_5f``."""

_OURS = "bleepstore_header_"
"""Begins the metadata for a header that Azure cannot keep as such."""

MOST_METADATA = 8192
"""Bytes of all metadata, names and values ("Set Blob Metadata")."""

MOST_BLOCKS = 50_000
"""Of one blob ("Scalability and performance targets for Blob storage")."""

LARGEST_BLOCK = 4000 * 1024 * 1024
"""Bytes ("Put Block From URL", from version 2019-12-12)."""

RUN = 256 * 1024 * 1024
"""Bytes that one request copies, unless that makes too many blocks."""

LONGEST_NAME = 1024
"""Characters, in UTF-16 ("Blob names")."""

MOST_SEGMENTS = 254
"""Between slashes ("Blob names")."""

LONGEST_ENCODED = 1400
"""Bytes of a name in a URL.  One of a source of a copy has 2 KiB ("Put Block From URL"), and the
host, the container and a signature want their share."""

_PROPERTIES = {
    "content-type": b"x-ms-blob-content-type",
    "content-encoding": b"x-ms-blob-content-encoding",
    "content-disposition": b"x-ms-blob-content-disposition",
    "content-language": b"x-ms-blob-content-language",
    "cache-control": b"x-ms-blob-cache-control",
}
_META = b"x-ms-meta-"
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ufffe\uffff\ud800-\udfff]")
_SENDABLE = re.compile(r"[!-~]+(?: [!-~]+)*")
"""Values that stay as they are on their way: signing them makes one blank of several."""

_ESCAPED = re.compile("_([0-9a-f]{2})")


def allowed_name(name: str) -> bool:
    """Whether a blob can have a name, and keeps it: Azure takes dots off the ends of segments,
    and makes slashes of backslashes."""
    segments = name.split("/")
    return (
        0 < len(name.encode("utf-16-le", "surrogatepass")) // 2 <= LONGEST_NAME
        and _UNFIT.search(name) is None
        and len(segments) <= MOST_SEGMENTS
        and not any(segment.endswith(".") for segment in segments)
        and segments[-1] != ""
        and len(encode_path(name.encode())) <= LONGEST_ENCODED
    )


# Descriptions


def metadata_name(name: str) -> str:
    """The name of user metadata in Azure, which wants an identifier of C#: what is no letter
    or digit is ``_`` and two hex digits, and so is a digit at the beginning."""
    encoded = "".join(
        character if character.isascii() and character.isalnum() else f"_{ord(character):02x}"
        for character in name
    )
    return f"_{ord(encoded[0]):02x}{encoded[1:]}" if encoded[:1].isdigit() else encoded


def user_name(name: str) -> str:
    """The inverse; a name that another program gave stays as it is."""
    name = name.lower()  # Azure keeps the case, and takes names for equal that differ in it only
    decoded = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name)
    return decoded if metadata_name(decoded) == name else name


def _value(value: str) -> bytes:
    fits = _SENDABLE.fullmatch(value) is not None and not value.startswith("=?")
    return (value if fits else encoded_word(value)).encode()


def description_headers(description: Description, blob_id: str) -> list[Header]:
    """The headers of a blob that is written: its description's, and the blob's id.

    User metadata that leaves no room for our own is left out as a whole: the index has it.
    """
    headers: list[Header] = []
    ours: list[Header] = [(_META + BLOB.encode(), blob_id.encode())]
    for name, value in description.headers.items():
        if name in _PROPERTIES and _SENDABLE.fullmatch(value):
            headers.append((_PROPERTIES[name], value.encode()))
        elif value:
            kept = _OURS + name.replace("-", "_")
            ours.append((_META + kept.encode(), _value(value)))
    theirs = [
        (_META + metadata_name(name).encode(), _value(value))
        for name, value in description.metadata.items()
    ]
    size = sum(len(name) - len(_META) + len(value) for name, value in (*ours, *theirs))
    return [*headers, *ours, *(theirs if size <= MOST_METADATA else ())]


def native_object(name: str, headers: Mapping[bytes, bytes], length: int | None) -> NativeObject:
    """What Get Blob Properties says."""
    texts = {key.decode("latin-1"): _text(value) for key, value in headers.items()}
    described = {key: texts[key] for key in _PROPERTIES if texts.get(key)}
    metadata: dict[str, str] = {}
    blob_id = ""
    meta = _META.decode()
    for key, value in texts.items():
        given = key.removeprefix(meta).lower()
        if not key.startswith(meta):
            continue
        if given == BLOB:
            blob_id = value
        elif given.startswith(_OURS):
            described[given.removeprefix(_OURS).replace("_", "-")] = plain(value)
        else:
            metadata[user_name(given)] = plain(value)
    tag = tag_of(headers)
    return NativeObject(
        name=name,
        tag=tag,
        size=length or 0,
        etag=_md5(texts.get("content-md5", "")) or tag,
        blob_id=blob_id,
        last_modified=parse_http_date(headers.get(b"last-modified", b"")) or 0,
        description=Description(described, metadata),
    )


def tag_of(headers: Mapping[bytes, bytes]) -> str:
    """The ETag of an answer, without its quotes; empty without one."""
    return headers.get(b"etag", b"").decode("latin-1").strip('"')


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _md5(encoded: str) -> str:
    """In hex; empty if there is none."""
    try:
        raw = b64decode(encoded, validate=True)
    except (Error, ValueError):
        return ""
    return raw.hex() if len(raw) == 16 else ""


def expectation(tag: str) -> Header:
    """The precondition of a write: what lies there has the tag, or (empty) nothing does."""
    return (b"if-match", quoted(tag)) if tag else (b"if-none-match", b"*")


def quoted(tag: str) -> bytes:
    """A tag as headers have it."""
    return b'"%b"' % tag.encode()


def crc64_text(value: int) -> bytes:
    """A CRC64 as ``x-ms-content-crc64`` has it: that of NVMe, base64 of eight bytes, the lowest
    first."""
    return b64encode(value.to_bytes(8, "little"))


def query(**pairs: str) -> bytes:
    """A query of the pairs that are not empty."""
    return b"&".join(
        name.encode() + b"=" + encode_component(value.encode())
        for name, value in pairs.items()
        if value
    )


# Blocks


def block_id(blob_id: str, index: int) -> str:
    """The name of a block: base64, of one length for all blocks of all blobs, and different for
    different blobs, since all who write a name share its uncommitted blocks.

    :raises EntityTooLarge: a blob has no more blocks.
    """
    if index >= MOST_BLOCKS:
        raise EntityTooLarge(f"The storage behind this server has {MOST_BLOCKS} blocks a blob.")
    digest = sha256(blob_id.encode()).hexdigest()[:40]
    return b64encode(f"{digest}{index:05}".encode()).decode()


def block_list(ids: Iterable[str]) -> bytes:
    """The document of Put Block List: the blocks sent last under these names, in order."""
    latest = "".join(f"<Latest>{each}</Latest>" for each in ids)
    return f'<?xml version="1.0" encoding="utf-8"?><BlockList>{latest}</BlockList>'.encode()


class Run(Struct, frozen=True):
    """Bytes of a blob in the container that are to be copied.

    :ivar tag: which the blob must have.
    """

    name: str
    tag: str
    offset: int
    length: int


def cut(runs: Sequence[Run]) -> list[Run]:
    """The same bytes in runs that can each be a block, and are not too many.

    :raises EntityTooLarge: no blob can have so many bytes.
    """
    most = RUN
    while sum(-(-run.length // most) for run in runs) > MOST_BLOCKS:
        if most == LARGEST_BLOCK:
            raise EntityTooLarge(
                f"The storage behind this server has {MOST_BLOCKS} blocks a blob, of "
                f"{LARGEST_BLOCK} bytes."
            )
        most = min(most * 2, LARGEST_BLOCK)
    return [
        Run(run.name, run.tag, run.offset + at, min(most, run.length - at))
        for run in runs
        for at in range(0, run.length, most)
    ]


# Listings


class ListedPage(Struct, frozen=True):
    """A page of a listing.

    :ivar marker: of the next page; empty: this is the last.
    """

    names: tuple[ListedName, ...]
    prefixes: tuple[str, ...]
    marker: str


def listed_page(document: bytes) -> ListedPage:
    """The EnumerationResults of List Blobs.

    :raises InternalError: it is none.
    """
    try:
        root = parse_xml(document, "EnumerationResults")
    except MalformedXML:
        raise InternalError("the cloud answered without EnumerationResults") from None
    names: list[ListedName] = []
    prefixes: list[str] = []
    marker = ""
    for child in root.children:
        if child.name == "NextMarker":
            marker = child.text
        elif child.name == "Blobs":
            for each in child.children:
                if each.name == "Blob":
                    names.append(_listed(each))
                elif each.name == "BlobPrefix":
                    prefixes.append(_name(each))
    return ListedPage(tuple(names), tuple(prefixes), marker)


def _name(element: Element) -> str:
    for child in element.children:
        if child.name == "Name":
            # What XML cannot hold comes percent-encoded (from version 2021-02-12).
            encoded = child.attributes.get("Encoded", "").lower() == "true"
            return unquote(child.text) if encoded else child.text
    raise InternalError("the cloud listed a blob without a name")


def _listed(blob: Element) -> ListedName:
    texts = {
        each.name: each.text
        for child in blob.children
        if child.name == "Properties"
        for each in child.children
    }
    tag = texts.get("Etag", "").strip('"')
    size = texts.get("Content-Length", "0")
    return ListedName(
        _name(blob),
        tag,
        int(size) if size.isdigit() else 0,
        _md5(texts.get("Content-MD5", "")) or tag,
        parse_http_date(texts.get("Last-Modified", "").encode()) or 0,
    )

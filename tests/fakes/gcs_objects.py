"""What lies in a bucket of Cloud Storage: objects with generations, uploads in progress, rewrites.

From the JSON API's reference (Objects: insert, get, list, delete, compose, rewrite), "Resumable
uploads", "Composite objects", "Request preconditions" and "Objects, Naming guidelines" of Google's
documentation.  Knows no HTTP; what the service refuses is a :class:`Refused`.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

from awscrt.checksums import crc32c

from bleepstore.wire.dates import iso_date

UNIT = 256 * 1024
"""Chunks of a resumable upload are multiples of it, but the last one."""

MOST_SOURCES = 32
"""Of one composition."""

Resource = dict[str, Any]

_SETTABLE = frozenset(
    (
        "name",
        "bucket",
        "contentType",
        "contentEncoding",
        "contentDisposition",
        "contentLanguage",
        "cacheControl",
        "customTime",
        "metadata",
        "storageClass",
        "crc32c",
        "md5Hash",
    )
)
"""What a client may say of an object that it makes."""


class Refused(Exception):
    """What the service answers instead: a status, a reason and a sentence."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.status = status
        self.reason = reason
        self.message = message or reason


@dataclass
class Stored:
    """One object.

    :ivar digests: its CRC32C and its MD5, as the API writes them.  The service keeps them beside
        an object, so that to show or to rewrite one reads none of its bytes.
    """

    name: str
    data: bytes
    generation: int
    described: Resource
    time: int
    digests: tuple[str, str]
    components: int = 0

    def resource(self, bucket: str) -> Resource:
        """As the API shows it."""
        shown: Resource = {
            "kind": "storage#object",
            "id": f"{bucket}/{self.name}/{self.generation}",
            "name": self.name,
            "bucket": bucket,
            "generation": str(self.generation),
            "metageneration": "1",
            "storageClass": "STANDARD",
            "size": str(len(self.data)),
            "crc32c": self.digests[0],
            "etag": b64encode(str(self.generation).encode()).decode(),
            "timeCreated": iso_date(self.time),
            "updated": iso_date(self.time),
            **{name: value for name, value in self.described.items() if name in _SETTABLE},
        }
        shown.setdefault("contentType", "application/octet-stream")
        if self.components:
            shown["componentCount"] = self.components
        else:
            shown["md5Hash"] = self.digests[1]
        return shown


@dataclass
class Session:
    """A resumable upload."""

    name: str
    described: Resource
    conditions: Mapping[str, int]
    data: bytearray = field(default_factory=bytearray)
    finished: Stored | None = None
    cancelled: bool = False


def crc_of(data: bytes) -> str:
    """CRC32C as the API writes it: base64 of four bytes, the highest first."""
    return b64encode(struct.pack(">I", crc32c(data))).decode()


def md5_of(data: bytes) -> str:
    """MD5 as the API writes it: base64."""
    return b64encode(md5(data).digest()).decode()


class Bucket:
    """One bucket, without object versioning.

    :ivar rewrite_size: bytes that one call of rewrite moves at most.
    """

    def __init__(self, name: str, now: Callable[[], int]) -> None:
        self.name = name
        self.objects: dict[str, Stored] = {}
        self.sessions: dict[str, Session] = {}
        self.rewrite_size = 1 << 40
        self._now = now
        self._generation = now() * 1000
        self._rewrites: dict[str, tuple[object, int]] = {}
        self._serial = 0

    # Objects

    def get(self, name: str, conditions: Mapping[str, int]) -> Stored:
        """The object of that name.

        A generation that is not the live one is not there.
        """
        found = self.objects.get(name)
        if found is None or conditions.get("generation", found.generation) != found.generation:
            raise Refused(404, "notFound", f"No such object: {self.name}/{name}")
        self.check(found, conditions, reading=True)
        return found

    def check(
        self, found: Stored | None, conditions: Mapping[str, int], reading: bool = False
    ) -> None:
        """Preconditions; a generation of 0 is that of no object."""
        generation = 0 if found is None else found.generation
        wanted = conditions.get("ifGenerationMatch")
        if wanted is not None and wanted != generation:
            raise Refused(412, "conditionNotMet", "At least one of the pre-conditions did not hold")
        unwanted = conditions.get("ifGenerationNotMatch")
        if unwanted is not None and unwanted == generation:
            status = 304 if reading else 412
            raise Refused(status, "conditionNotMet", "At least one of the pre-conditions did not")

    def insert(
        self,
        name: str,
        data: bytes,
        described: Resource,
        conditions: Mapping[str, int],
        components: int = 0,
        digests: tuple[str, str] | None = None,
    ) -> Stored:
        """Make an object, in the place of the one that is there.

        :param digests: of the bytes, if they are known.
        """
        check_name(name)
        check_described(described)
        if digests is None:
            digests = crc_of(data), md5_of(data)
        for given, computed in zip(("crc32c", "md5Hash"), digests, strict=True):
            if given in described and described[given] != computed:
                raise Refused(400, "invalid", f"Provided {given} does not match the data")
        self.check(self.objects.get(name), conditions)
        self._generation += 1
        kept = {key: value for key, value in described.items() if key not in ("crc32c", "md5Hash")}
        stored = Stored(name, data, self._generation, kept, self._now(), digests, components)
        self.objects[name] = stored
        return stored

    def delete(self, name: str, conditions: Mapping[str, int]) -> None:
        """Remove the object."""
        self.get(name, conditions)
        del self.objects[name]

    def listed(
        self, prefix: str, delimiter: str, start: str, end: str, most: int, token: str
    ) -> tuple[list[Stored], list[str], str]:
        """Objects and prefixes in the order of their names, and the token of what follows."""
        items: list[Stored] = []
        prefixes: list[str] = []
        last = ""
        for name in sorted(self.objects, key=str.encode):
            if not name.startswith(prefix) or name.encode() < start.encode():
                continue
            if end and name.encode() >= end.encode():
                continue
            if token and name.encode() <= token.encode():
                continue
            rest = name[len(prefix) :]
            folded = delimiter and delimiter in rest
            shown = prefix + rest.split(delimiter)[0] + delimiter if folded else name
            if folded and (shown in prefixes or (token and token.startswith(shown))):
                continue
            if len(items) + len(prefixes) == most:
                return items, prefixes, last
            if folded:
                prefixes.append(shown)
                last = max(
                    filter(lambda each: each.startswith(shown), self.objects), key=str.encode
                )
            else:
                items.append(self.objects[name])
                last = name
        return items, prefixes, ""

    # Compositions and copies

    def compose(
        self,
        name: str,
        sources: Sequence[Mapping[str, Any]],
        described: Resource,
        conditions: Mapping[str, int],
    ) -> Stored:
        """One object of several, in order."""
        if not 1 <= len(sources) <= MOST_SOURCES:
            raise Refused(
                400,
                "invalid",
                f"The number of source components provided ({len(sources)}) exceeds the maximum "
                f"({MOST_SOURCES})",
            )
        found = []
        for source in sources:
            unknown = set(source) - {"name", "generation", "objectPreconditions"}
            if unknown:
                raise Refused(400, "invalid", f"Unknown fields of a source: {unknown}")
            wanted: dict[str, int] = {}
            if "generation" in source:
                wanted["generation"] = int(source["generation"])
            if "ifGenerationMatch" in source.get("objectPreconditions", {}):
                wanted["ifGenerationMatch"] = int(
                    source["objectPreconditions"]["ifGenerationMatch"]
                )
            found.append(self.get(str(source["name"]), wanted))
        data = b"".join([each.data for each in found])
        components = sum(max(1, each.components) for each in found)
        return self.insert(name, data, described, conditions, components)

    def rewrite(
        self,
        source: str,
        name: str,
        described: Resource | None,
        source_conditions: Mapping[str, int],
        conditions: Mapping[str, int],
        token: str,
    ) -> tuple[Stored | None, int, int, str]:
        """A copy, or a part of the work: the object or None, bytes done, bytes in all, a token."""
        found = self.get(source, source_conditions)
        check_name(name)
        self.check(self.objects.get(name), conditions)
        call = (source, name, str(described), str(source_conditions), str(conditions))
        done = 0
        if token:
            began, done = self._rewrites.pop(token, (None, 0))
            if began != call:
                raise Refused(400, "invalid", "The rewrite token does not fit the request")
        done = min(len(found.data), done + self.rewrite_size)
        if done < len(found.data):
            self._serial += 1
            token = f"rewrite-{self._serial}"
            self._rewrites[token] = call, done
            return None, done, len(found.data), token
        made = self.insert(
            name,
            found.data,
            found.described if described is None else described,
            conditions,
            found.components,
            found.digests,
        )
        return made, done, done, ""

    # Resumable uploads

    def begin(self, name: str, described: Resource, conditions: Mapping[str, int]) -> str:
        """Begin an upload; gives its id."""
        check_name(name)
        check_described(described)
        self.check(self.objects.get(name), conditions)
        self._serial += 1
        session_id = f"session-{self._serial}"
        self.sessions[session_id] = Session(name, described, conditions)
        return session_id

    def session(self, session_id: str) -> Session:
        """An upload in progress, or one that is finished."""
        session = self.sessions.get(session_id)
        if session is None:
            raise Refused(404, "notFound", "No such upload")
        if session.cancelled:
            raise Refused(410, "gone", "The upload was cancelled")
        return session

    def append(self, session: Session, start: int, data: bytes, total: int | None) -> None:
        """Take a chunk, of which what is there already counts for nothing."""
        if session.finished is not None:
            return
        if start > len(session.data):
            raise Refused(503, "backendError", "A chunk does not follow the one before")
        if total is None and len(data) % UNIT:
            raise Refused(400, "invalid", f"A chunk must be a multiple of {UNIT} bytes")
        if total is not None and start + len(data) > total:
            raise Refused(400, "invalid", "A chunk ends after the total")
        session.data += data[len(session.data) - start :]

    def finish(self, session: Session) -> Stored:
        """The upload is whole."""
        if session.finished is None:
            session.finished = self.insert(
                session.name, bytes(session.data), session.described, session.conditions
            )
        return session.finished


def check_name(name: str) -> None:
    """Which names an object can have."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Refused(400, "invalid", "The name is not Unicode") from None
    if not 1 <= size <= 1024:
        raise Refused(400, "invalid", "The name must have 1 to 1024 bytes")
    if "\r" in name or "\n" in name or name in (".", ".."):
        raise Refused(400, "invalid", "The name is not allowed")
    if name.startswith(".well-known/acme-challenge/"):
        raise Refused(400, "invalid", "The name is reserved")


def check_described(described: Resource) -> None:
    """What may be said of an object."""
    unknown = set(described) - _SETTABLE
    if unknown:
        raise Refused(400, "invalid", f"Unknown or read-only fields: {sorted(unknown)}")
    metadata = described.get("metadata", {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise Refused(400, "invalid", "metadata must have text alone")
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > 8192:
        raise Refused(400, "invalid", "metadata has at most 8 KiB")

"""Who asks, and what for: the values that a front gives to the use cases.

They are S3's words without their spelling: no header, no XML, no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from bleepstore.model.accounts import Account
from bleepstore.model.checksums import ChecksumAlgorithm, ChecksumType
from bleepstore.model.commands import CompletedPart
from bleepstore.model.conditions import ReadConditions, WriteConditions
from bleepstore.model.objects import Description, ObjectVersion
from bleepstore.wire.checksums import ClaimedChecksum, ExpectedWhole
from bleepstore.wire.copying import CopySource
from bleepstore.wire.grants import RequestedAcl

ANONYMOUS_ID = "65a011a29cdf8ec533ec3d1ccaae921c"
"""The canonical id under which S3 keeps what anonymous callers upload (an object's owner in a
bucket that lets everybody write)."""

ANONYMOUS = Account(ANONYMOUS_ID, "anonymous")


class Caller(Struct, frozen=True):
    """Who asks, and when the request was accepted.

    :ivar account: None for an anonymous request.
    :ivar at: milliseconds since the epoch; becomes the time of the change.
    :ivar expected_bucket_owner: ``x-amz-expected-bucket-owner``; empty when not sent.  Every use
        case refuses with AccessDenied when the bucket belongs to another account.
    """

    account: Account | None
    request_id: str
    at: int
    expected_bucket_owner: str = ""

    @property
    def owner_id(self) -> str:
        """The canonical id that what this caller creates belongs to."""
        return ANONYMOUS_ID if self.account is None else self.account.id


Span = tuple[int, int]
"""Offset and length in bytes."""

ChooseSpan = Callable[[ObjectVersion], Span | None]
"""Decides which bytes of a version a read sends, once it is known: Range against its size, If-Range
against its validators.  None: all of it.

:raises InvalidRange: no byte of the range exists.
"""


class ReadRequest(Struct, frozen=True):
    """What GetObject and HeadObject ask for.

    :ivar version_id: empty for the current version.
    :ivar choose_span: None when no Range was sent; exclusive with ``part_number``.
    :ivar part_number: from 1; None when not sent.
    """

    bucket: str
    key: str
    version_id: str = ""
    conditions: ReadConditions | None = None
    choose_span: ChooseSpan | None = None
    part_number: int | None = None


class Claims(Struct, frozen=True):
    """What a client says of a body that it sends; a body that is another one is refused.

    :ivar md5: the 16 bytes of Content-MD5.
    :ivar checksum: its value may be yet to come in the trailer.
    :ivar sha256: the signed payload hash, 64 lower-case hex digits; None for UNSIGNED-PAYLOAD and
        the streaming forms (the payload itself checks those).  Becomes ``Expectations.sha256``.
    """

    md5: bytes | None = None
    checksum: ClaimedChecksum | None = None
    sha256: str | None = None


class PutRequest(Struct, frozen=True):
    """What PutObject asks for, apart from the bytes."""

    bucket: str
    key: str
    description: Description
    acl: RequestedAcl | None = None
    claims: Claims = Claims()
    conditions: WriteConditions | None = None


class CopyRequest(Struct, frozen=True):
    """What CopyObject asks for.

    :ivar source_expected_owner: ``x-amz-source-expected-bucket-owner``; empty when not sent.
    :ivar replace: the description by ``x-amz-metadata-directive: REPLACE``; None keeps the
        source's.
    :ivar storage_class: of the copy; it is not taken from the source.
    :ivar chooses_class: whether the client named it: then a copy onto itself changes something,
        even if it is the class that the object has.
    :ivar checksum_algorithm: None to keep the source's.
    """

    source: CopySource
    bucket: str
    key: str
    source_conditions: ReadConditions | None = None
    source_expected_owner: str = ""
    replace: Description | None = None
    storage_class: str = "STANDARD"
    chooses_class: bool = False
    acl: RequestedAcl | None = None
    checksum_algorithm: ChecksumAlgorithm | None = None
    conditions: WriteConditions | None = None


class UploadRequest(Struct, frozen=True):
    """What CreateMultipartUpload asks for.

    :ivar checksum_type: one that the algorithm has; None without an algorithm.
    """

    bucket: str
    key: str
    description: Description
    acl: RequestedAcl | None = None
    checksum_algorithm: ChecksumAlgorithm | None = None
    checksum_type: ChecksumType | None = None


class UploadName(Struct, frozen=True):
    """Which upload."""

    bucket: str
    key: str
    upload_id: str


class PartCopyRequest(Struct, frozen=True):
    """What UploadPartCopy asks for.

    :ivar first_last: the inclusive bounds of ``x-amz-copy-source-range``; None for all of it.
    """

    upload: UploadName
    number: int
    source: CopySource
    source_conditions: ReadConditions | None = None
    source_expected_owner: str = ""
    first_last: tuple[int, int] | None = None


class CompleteRequest(Struct, frozen=True):
    """What CompleteMultipartUpload asks for; the parts as the client listed them."""

    upload: UploadName
    parts: tuple[CompletedPart, ...]
    whole: ExpectedWhole = ExpectedWhole()
    conditions: WriteConditions | None = None


class PageRequest(Struct, frozen=True):
    """What a listing of keys asks for.

    :ivar after: only what is greater than this.
    :ivar limit: 0 to 1,000.
    """

    bucket: str
    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 1000


class UploadsPageRequest(Struct, frozen=True):
    """What ListMultipartUploads asks for; the markers as in ``IMetadataReader.list_uploads``."""

    bucket: str
    prefix: str = ""
    delimiter: str = ""
    after_key: str = ""
    after_upload_id: str = ""
    limit: int = 1000

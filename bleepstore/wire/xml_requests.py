"""XML bodies of requests → values.  The caller bounds their size (``xml_reader.MAX_BODY``)."""

from __future__ import annotations

from msgspec import Struct

from bleepstore import errors
from bleepstore.errors import (
    InvalidArgument,
    InvalidLocationConstraint,
    InvalidRequest,
    MalformedACLError,
    MalformedXML,
    MissingRequestBodyError,
    UserKeyMustBeSpecified,
)
from bleepstore.model.acl import Permission
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.model.commands import CompletedPart, DeleteTarget
from bleepstore.model.names import MAX_PARTS
from bleepstore.wire.dates import parse_http_date, parse_iso_date
from bleepstore.wire.grants import (
    MAX_GRANTS,
    RequestedAcl,
    RequestedGrant,
    require_account_id,
    require_email,
    require_group,
)
from bleepstore.wire.xml_reader import (
    Element,
    members,
    parse_xml,
    require_no_text,
    text_content,
)

MAX_DELETES = 1000

_FEW = 1000
"""Elements of a document that has no long lists."""

_CHECKSUMS = {"Checksum" + algorithm.value: algorithm for algorithm in ChecksumAlgorithm}
_PERMISSIONS = {permission.value: permission for permission in Permission}

_BUCKET = frozenset({"LocationConstraint", "Location", "Bucket", "Tags"})
_DELETED = frozenset({"Key", "VersionId", "ETag", "LastModifiedTime", "Size"})
_PART = frozenset({"PartNumber", "ETag", *_CHECKSUMS})
_POLICY = frozenset({"Owner", "AccessControlList"})
_OWNER = frozenset({"ID", "DisplayName"})
_GRANT = frozenset({"Grantee", "Permission"})
_GRANTEE = frozenset({"ID", "DisplayName", "EmailAddress", "URI"})


class DeleteRequest(Struct, frozen=True):
    """The body of DeleteObjects.

    :ivar targets: 1 to 1,000; version ids are empty or as sent.
    """

    targets: tuple[DeleteTarget, ...]
    quiet: bool = False


def parse_create_bucket(body: bytes) -> str:
    """CreateBucketConfiguration: the LocationConstraint; empty if there is none or no body.

    :raises MalformedXML:
    :raises InvalidLocationConstraint: there is one, and it is empty.
    :raises NotImplemented: directory buckets or tags.
    """
    if not body:
        return ""
    found = members(parse_xml(body, "CreateBucketConfiguration", _FEW), _BUCKET)
    for name in ("Location", "Bucket", "Tags"):
        if name in found:
            raise errors.NotImplemented(
                "The bucket configuration you provided implies functionality that is not "
                f"implemented: {name}"
            )
    location = found.get("LocationConstraint")
    if location is None:
        return ""
    name = text_content(location).strip()
    if not name:
        raise InvalidLocationConstraint(LocationConstraint="")
    return name


def parse_delete(body: bytes) -> DeleteRequest:
    """Delete: 1 to 1,000 objects.

    :raises MalformedXML: also for none or more than 1,000.
    :raises UserKeyMustBeSpecified: an empty key.
    :raises MissingRequestBodyError: an empty body.
    """
    if not body:
        raise MissingRequestBodyError
    root = parse_xml(body, "Delete", _FEW + MAX_DELETES * (1 + len(_DELETED)))
    require_no_text(root)
    targets = []
    quiet: bool | None = None
    for child in root.children:
        if child.name == "Object":
            targets.append(_delete_target(child))
        elif child.name == "Quiet" and quiet is None:
            quiet = text_content(child).strip().lower() == "true"  # S3 takes any other for false
        else:
            raise MalformedXML
    if not 1 <= len(targets) <= MAX_DELETES:
        raise MalformedXML
    return DeleteRequest(tuple(targets), bool(quiet))


def _delete_target(element: Element) -> DeleteTarget:
    texts = {name: text_content(child) for name, child in members(element, _DELETED).items()}
    key = texts.get("Key")
    if key is None:
        raise MalformedXML
    if not key:
        raise UserKeyMustBeSpecified
    etag = texts.get("ETag")
    modified = texts.get("LastModifiedTime")
    size = texts.get("Size")
    return DeleteTarget(
        key=key,
        version_id=texts.get("VersionId", "").strip(),
        if_match=None if etag is None else _unquoted(etag),
        if_last_modified=None if modified is None else _time(modified.strip()),
        if_size=None if size is None else _integer(size),
    )


def parse_complete_upload(body: bytes) -> tuple[CompletedPart, ...]:
    """CompleteMultipartUpload: the parts in the order given.

    :raises MalformedXML: also for no part at all, or more than 10,000.
    :raises InvalidRequest: an empty body ("You must specify at least one part").
    :raises InvalidArgument: a part number below 1.  One above 10,000 is that of no part.
    """
    if not body:
        raise InvalidRequest("You must specify at least one part")
    root = parse_xml(body, "CompleteMultipartUpload")
    require_no_text(root)
    if not 1 <= len(root.children) <= MAX_PARTS:
        raise MalformedXML
    return tuple(_completed_part(child) for child in root.children)


def _completed_part(element: Element) -> CompletedPart:
    if element.name != "Part":
        raise MalformedXML
    number = etag = None
    checksums: dict[ChecksumAlgorithm, str] = {}
    for name, child in members(element, _PART).items():
        text = text_content(child).strip()
        if name == "PartNumber":
            number = _part_number(text)
        elif name == "ETag":
            etag = _unquoted(text)
        else:
            checksums[_CHECKSUMS[name]] = text
    if number is None or not etag:
        raise MalformedXML
    return CompletedPart(number, etag, checksums)


def _part_number(text: str) -> int:
    number = _integer(text.removeprefix("-"))
    if number < 1 or text.startswith("-"):
        raise InvalidArgument(
            "PartNumber must be >= 1", ArgumentName="PartNumber", ArgumentValue=text
        )
    return number


def parse_access_control_policy(body: bytes) -> RequestedAcl:
    """AccessControlPolicy: owner, which S3 insists on, and at most 100 grants.

    :raises MalformedACLError: not well-formed or not of the schema.
    :raises InvalidArgument: an unknown group.
    :raises UnresolvableGrantByEmailAddress: an empty e-mail address.
    """
    try:
        found = members(parse_xml(body, "AccessControlPolicy", _FEW), _POLICY)
        granted = found.get("AccessControlList")
        owner = found.get("Owner")
        if granted is None or owner is None or len(granted.children) > MAX_GRANTS:
            raise MalformedXML
        require_no_text(granted)
        owner_id = _text(members(owner, _OWNER), "ID")
        return RequestedAcl(
            grants=tuple(_grant(child) for child in granted.children), owner_id=owner_id
        )
    except MalformedXML:
        raise MalformedACLError from None


def _grant(element: Element) -> RequestedGrant:
    if element.name != "Grant":
        raise MalformedXML
    found = members(element, _GRANT)
    permission = _PERMISSIONS.get(_text(found, "Permission"))
    grantee = found.get("Grantee")
    if permission is None or grantee is None:
        raise MalformedXML
    named = members(grantee, _GRANTEE)
    match grantee.attributes.get("type"):
        case "CanonicalUser":
            return RequestedGrant(permission, account_id=require_account_id(_text(named, "ID")))
        case "Group":
            return RequestedGrant(permission, group=require_group(_text(named, "URI")))
        case "AmazonCustomerByEmail":
            return RequestedGrant(permission, email=require_email(_text(named, "EmailAddress")))
    raise MalformedXML


def _text(found: dict[str, Element], name: str) -> str:
    """The text of a member that must be there."""
    element = found.get(name)
    if element is None:
        raise MalformedXML
    return text_content(element).strip()


def _integer(text: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise MalformedXML
    return int(text)


def _time(text: str) -> int:
    """An HTTP date or ISO 8601; SDKs send either."""
    time = parse_iso_date(text)
    if time is None:
        time = parse_http_date(text.encode())
    if time is None:
        raise MalformedXML
    return time


def _unquoted(etag: str) -> str:
    return etag.strip().removeprefix('"').removesuffix('"')

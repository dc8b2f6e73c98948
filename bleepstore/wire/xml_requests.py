"""XML bodies of requests → values.  The caller bounds their size (1 MiB)."""

from __future__ import annotations

from msgspec import Struct

from bleepstore.model.commands import CompletedPart, DeleteTarget
from bleepstore.wire.grants import RequestedAcl


class DeleteRequest(Struct, frozen=True):
    """The body of DeleteObjects.

    :ivar targets: 1 to 1,000; version ids are empty or as sent.
    """

    targets: tuple[DeleteTarget, ...]
    quiet: bool = False


def parse_create_bucket(body: bytes) -> str:
    """CreateBucketConfiguration: the LocationConstraint; empty if there is none or no body.

    :raises MalformedXML:
    :raises NotImplemented: directory buckets or tags.
    """
    ...


def parse_delete(body: bytes) -> DeleteRequest:
    """Delete: 1 to 1,000 objects.

    :raises MalformedXML: also for none or more than 1,000.
    :raises MissingRequestBodyError: an empty body.
    """
    ...


def parse_complete_upload(body: bytes) -> tuple[CompletedPart, ...]:
    """CompleteMultipartUpload: the parts in the order given.

    :raises MalformedXML: also for no part at all, or more than 10,000.
    :raises InvalidRequest: an empty body ("You must specify at least one part").
    :raises InvalidArgument: a part number outside 1 to 10,000.
    """
    ...


def parse_access_control_policy(body: bytes) -> RequestedAcl:
    """AccessControlPolicy: owner and at most 100 grants.

    :raises MalformedACLError: not well-formed or not of the schema.
    :raises InvalidArgument: an unknown group.
    """
    ...

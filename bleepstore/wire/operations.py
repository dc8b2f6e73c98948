"""The one table of S3's operations: routing, permissions, metrics and the documents come from it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from bleepstore.model.acl import Permission


class Level(StrEnum):
    """What a request is about."""

    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


class Body(StrEnum):
    """What the body of a request holds."""

    NONE = "none"
    XML = "xml"
    OBJECT = "object"


class Operation(Struct, frozen=True):
    """One operation of the S3 API.

    :ivar name: as in botocore's service model (``GetObject``).
    :ivar method: ``GET``, ``HEAD``, ``PUT``, ``POST``, ``DELETE``.
    :ivar subresource: the query name that selects it; empty for a plain target.
    :ivar parameter: another query name that must be there too, to tell it from its siblings.
    :ivar copies: selected by x-amz-copy-source; then GetObject's READ on the source is needed as well.
    :ivar action: its IAM action, ``s3:GetObject``.
    :ivar permission: what an ACL must grant; None: no ACL can, only the owner may
        (on SERVICE: every account may, anonymous callers may not).
    :ivar permission_on: whose ACL decides.
    :ivar body: what the request's body holds.
    :ivar versioned: whether ``versionId`` may select a version.
    :ivar served: whether this server does it; the others answer 501 NotImplemented.
    :ivar routable: False for names that another one of the same selector stands for.
    :ivar note: a line for the compatibility table.
    """

    name: str
    method: str
    level: Level
    subresource: str = ""
    parameter: str = ""
    copies: bool = False
    action: str = ""
    permission: Permission | None = None
    permission_on: Level = Level.BUCKET
    body: Body = Body.NONE
    versioned: bool = False
    served: bool = False
    routable: bool = True
    note: str = ""


OPERATIONS: tuple[Operation, ...] = ()
"""Every operation, served or not, in the order of their names."""

BY_NAME: dict[str, Operation] = {}

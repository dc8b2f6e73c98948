"""CopyObject: a new object with the bytes of another one, of which none is moved."""

from __future__ import annotations

from bleepstore.model.commands import Written
from bleepstore.objectstore.requests import Caller, CopyRequest


class Copies:
    """The use case of copying."""

    async def copy(self, caller: Caller, request: CopyRequest) -> Written:
        """CopyObject.

        :raises NoSuchBucket: source or destination.
        :raises NoSuchKey: the source.
        :raises NoSuchVersion: the source.
        :raises AccessDenied: source or destination.
        :raises PreconditionFailed: of the source, or of the destination.
        :raises InvalidRequest: onto itself without a change, or a source over 5 GiB.
        :raises OperationAborted: the source changed again and again meanwhile.
        :raises StoreError: as :meth:`Acls.resolve`.
        """
        ...

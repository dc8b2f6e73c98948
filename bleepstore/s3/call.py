"""One S3 request on its way through the front: what is known of it so far, and its answer.

The pipeline (``front``) fills it in; the endpoints read it and answer through it, so that every
response carries the request's ids.  Knows no operation and no store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bleepstore.auth.chunks import ChunkSignatures
from bleepstore.auth.payload import UNSIGNED, Payload
from bleepstore.errors import NotModified, StoreError
from bleepstore.interfaces.http import Header, IHttpRequest
from bleepstore.objectstore.requests import Caller
from bleepstore.wire.errors import error_body, error_headers, status_of

XML: Header = (b"Content-Type", b"application/xml")


def region_header(region: str) -> Header:
    """Where a bucket is."""
    return (b"x-amz-bucket-region", region.encode())


class Identity:
    """What every response of this process says of it: ``x-amz-id-2``, and in a cluster who leads.

    :ivar headers: of every response.
    """

    __slots__ = ("headers", "host_id")

    def __init__(self, host_id: str) -> None:
        self.host_id = host_id
        self.headers: tuple[Header, ...] = ((b"x-amz-id-2", host_id.encode()),)

    def name_leader(self, node_id: str) -> None:
        """Have every response from now on name the leader; empty: that none is known."""
        self.headers = (self.headers[0], (b"X-BleepStore-Leader", node_id.encode()))


class Call:
    """A request, what it was found to mean, and its response.

    :ivar at: milliseconds since the epoch at which it was accepted.
    :ivar headers: by lower-case name, repeated ones joined; once it was routed, with those that a
        presigned request carries in its query.
    :ivar operation: name for log and metrics; empty until it was routed.
    :ivar template: of the path, for metrics.
    :ivar by_host: whether the host names the bucket, not the path.
    :ivar query: parameters by name, decoded.
    :ivar access_key: whose key the request names, verified or not; empty for none.
    :ivar caller: who asks; there is nobody before the request was authenticated.
    :ivar payload: what the request says of its body.
    :ivar chunk_signatures: follows the signatures of the body's chunks, where they are signed.
    :ivar status: of the response; 0 while there is none.
    :ivar error: S3 error code of the response; empty for none.
    """

    caller: Caller

    __slots__ = (
        "_identity",
        "access_key",
        "at",
        "bucket",
        "by_host",
        "caller",
        "chunk_signatures",
        "error",
        "headers",
        "key",
        "operation",
        "payload",
        "query",
        "request",
        "request_id",
        "status",
        "template",
    )

    def __init__(self, request: IHttpRequest, request_id: str, identity: Identity, at: int) -> None:
        self.request = request
        self.request_id = request_id
        self.at = at
        self.headers: Mapping[bytes, bytes] = request.fields
        self.operation = ""
        self.template = "/"
        self.bucket = ""
        self.key = ""
        self.by_host = False
        self.query: Mapping[str, str] = {}
        self.access_key = ""
        self.payload: Payload = UNSIGNED
        self.chunk_signatures: ChunkSignatures | None = None
        self.status = 0
        self.error = ""
        self._identity = identity

    @property
    def resource(self) -> str:
        """What was asked for, as error bodies and the log show it; as it was sent, if what it names
        is not known."""
        if self.key:
            return f"/{self.bucket}/{self.key}"
        if self.bucket:
            return f"/{self.bucket}"
        path: bytes = self.request.uri.partition(b"?")[0]
        return path.decode("latin-1")

    @property
    def _id_header(self) -> Header:
        return (b"x-amz-request-id", self.request_id.encode())

    def respond(self, status: int, headers: Sequence[Header] = (), body: bytes = b"") -> None:
        """Send a whole response."""
        self.status = status
        self.request.respond(status, (self._id_header, *self._identity.headers, *headers), body)

    def xml(self, body: bytes, headers: Sequence[Header] = ()) -> None:
        """Send a result: 200 and an XML document."""
        self.respond(200, (XML, *headers), body)

    def start(self, status: int, headers: Sequence[Header]) -> None:
        """Write the head of a streamed response."""
        self.status = status
        self.request.start(status, (self._id_header, *self._identity.headers, *headers))

    def refuse(self, error: StoreError, headers: Sequence[Header] = ()) -> None:
        """Send an error, or cut the connection if the head of another answer is out already.

        :param headers: that the operation adds to its errors.
        """
        if isinstance(error, NotModified):
            self.respond(304, headers)  # an answer like others, and no error in log or metrics
            return
        self.error = error.code
        if self.request.started:
            self.request.abort()
            return
        more = (XML, *error_headers(error), *headers)
        self.respond(status_of(error), more, self.error_document(error))

    def error_document(self, error: StoreError) -> bytes:
        """The ``<Error>`` body."""
        return error_body(error, self.resource, self.request_id, self._identity.host_id)

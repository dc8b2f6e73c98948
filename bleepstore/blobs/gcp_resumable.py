"""A resumable upload to Cloud Storage: chunk after chunk, and on from where it broke off.

Source: "Resumable uploads" and "Perform resumable uploads", Google Cloud.  A chunk is a multiple
of 256 KiB, but the last one.  The service may keep less of a chunk than was sent, and says how
much in the Range of its 308; the rest is sent again.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from bleepstore.blobs import chunked_writer
from bleepstore.blobs.gcp_calls import JSON, GcpCalls, translated
from bleepstore.blobs.gcp_messages import Resource, query, upload_path
from bleepstore.errors import InternalError, ServiceUnavailable
from bleepstore.remote.failures import Fault, Refusal, RemoteFailure, Unreachable
from bleepstore.remote.refusals import json_object
from bleepstore.remote.requests import RemoteRequest
from bleepstore.remote.retries import worth_retrying

UNIT = 256 * 1024

_WHOLE = (200, 201)
_INCOMPLETE = 308
_ENDED = (404, 410)
"""The session is no more; it has to be begun again ("Handling errors")."""

_KEPT = re.compile(r"bytes=0-(\d+)")


class ResumableUpload:
    """One upload to one object, made by :func:`begin_resumable`.

    :param target: of its session.
    """

    def __init__(self, calls: GcpCalls, target: bytes) -> None:
        self._calls = calls
        self._target = target
        self._kept = 0

    async def send(self, data: bytes, last: bool) -> Resource | None:
        """Send the next chunk; gives the object's resource after the last one.

        :raises StoreError: it cannot be sent, after all attempts; the upload is of no more use.
        """
        try:
            return await self._send(data, last)
        except RemoteFailure as failure:
            if isinstance(failure, Refusal) and failure.status in _ENDED:
                raise ServiceUnavailable("The upload was broken off. Please send it again.") from (
                    failure
                )
            raise translated(failure) from failure

    async def _send(self, data: bytes, last: bool) -> Resource | None:
        service = self._calls.service
        start, end = self._kept, self._kept + len(data)
        total = f"{end}" if last else "*"
        attempt, began = 0, service.seconds()
        while True:
            before = self._kept
            request = self._chunk(data[before - start :], total)
            failure: RemoteFailure = Unreachable(Fault.BROKEN, "nothing of a chunk was kept")
            try:
                made = await self._answered(request, once=True)
            except RemoteFailure as error:
                if not worth_retrying(error, True):
                    raise
                failure = error
                made = await self._answered(self._chunk(b"", total))  # what has it kept?
            if made is not None:
                return made
            if not start <= self._kept <= end:
                raise InternalError("Cloud Storage has lost a part of an upload")
            if self._kept == end and not last:
                return None
            attempt = attempt + 1 if self._kept == before else 1
            await service.back_off(request, failure, attempt, began)

    async def cancel(self) -> None:
        """Give it up.  Never fails: an upload that is forgotten expires after a week."""
        request = self._calls.session_request("DELETE", self._target)
        try:
            answer = await self._calls.service.call(request, (204, 404, 410, 499), once=True)
        except RemoteFailure:
            return
        answer.body.close()

    def _chunk(self, data: bytes, total: str) -> RemoteRequest:
        if data:
            place = f"bytes {self._kept}-{self._kept + len(data) - 1}/{total}"
        else:
            place = f"bytes */{total}"
        return self._calls.session_request(
            "PUT", self._target, ((b"content-range", place.encode()),), data
        )

    async def _answered(self, request: RemoteRequest, once: bool = False) -> Resource | None:
        """The resource if the upload is whole; else None, and what is kept is known."""
        answer = await self._calls.service.call(request, (*_WHOLE, _INCOMPLETE), once=once)
        text = await answer.body.read_all()
        if answer.status in _WHOLE:
            return json_object(text)
        kept = _KEPT.fullmatch(answer.header(b"range"))
        self._kept = int(kept[1]) + 1 if kept else 0
        return None


async def begin_resumable(
    calls: GcpCalls, bucket: str, name: str, resource: Resource
) -> ResumableUpload:
    """Begin to make an object that is not there yet.

    :raises StoreError: it cannot be begun.
    """
    target = upload_path(bucket) + query(uploadType="resumable", name=name, ifGenerationMatch="0")
    body = msgspec.json.encode(resource)
    try:
        answer, _ = await calls.service.fetch(calls.request("POST", target, (JSON,), body))
    except RemoteFailure as failure:
        raise translated(failure) from failure
    place = urlsplit(answer.header(b"location"))
    if not place.query:
        raise InternalError("Cloud Storage began an upload without saying where")
    # The server stays the configured one, whatever host it calls itself.
    return ResumableUpload(calls, f"{place.path}?{place.query}".encode())


assert chunked_writer.UNIT % UNIT == 0, "chunks are what the service takes"

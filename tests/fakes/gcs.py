"""Cloud Storage's JSON API, as an application that checks every request strictly.

As a process: ``python -m tests.fakes.gcs BUCKET`` says ``listening on PORT``, with the key file of
a service account, and serves until it is ended.  Tokens are those of ``/token`` for that account
(see ``google_tokens``); ``/inside`` shows what lies in the bucket.

An unknown parameter, a missing token, a chunk of the wrong length, a Content-Range that does not
follow: all are refused, since the real service would refuse them, or do something else than meant.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from klein import Klein
from twisted.web.iweb import IRequest

from tests.fakes.gcs_objects import UNIT, Bucket, Refused, Resource, Session
from tests.fakes.google_tokens import GoogleTokens, ServiceAccount

_CONDITIONS = frozenset(("ifGenerationMatch", "ifGenerationNotMatch"))
_USUAL = frozenset(("alt", "fields", "prettyPrint"))
_ALLOWED = {
    "get": _CONDITIONS | {"generation"},
    "delete": _CONDITIONS | {"generation"},
    "list": {"prefix", "delimiter", "pageToken", "maxResults", "startOffset", "endOffset"},
    "insert": _CONDITIONS | {"uploadType", "name"},
    "session": {"uploadType", "name", "upload_id", *_CONDITIONS},
    "compose": _CONDITIONS,
    "rewrite": _CONDITIONS
    | {
        "sourceGeneration",
        "ifSourceGenerationMatch",
        "ifSourceGenerationNotMatch",
        "rewriteToken",
        "maxBytesRewrittenPerCall",
    },
}
_OBJECT = re.compile(rb"/(?:download/)?storage/v1/b/([^/]+)/o/([^/]+)")
_COMPOSE = re.compile(rb"/storage/v1/b/([^/]+)/o/([^/]+)/compose")
_REWRITE = re.compile(rb"/storage/v1/b/([^/]+)/o/([^/]+)/rewriteTo/b/([^/]+)/o/([^/]+)")
_OBJECTS = re.compile(rb"/storage/v1/b/([^/]+)/o")
_UPLOADS = re.compile(rb"/(?:resumable/)?upload/storage/v1/b/([^/]+)/o")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class FakeGcs:
    """The service.

    :ivar tokens: gives out the tokens that are taken; None: none is asked for.
    :ivar interruptions: what happens to the next chunks of resumable uploads: (units of 256 KiB
        that are kept of it, status of the answer: 308 or an error).
    :ivar failures: statuses with which the next requests, whatever they are, are answered.
    :ivar log: method and path with its parameters of each request that was answered well.
    :ivar refused: why requests were refused.
    :ivar billed: the projects that requests were to be billed to.
    """

    app = Klein()

    def __init__(
        self, *buckets: str, now: Callable[[], int], tokens: GoogleTokens | None = None
    ) -> None:
        self.buckets = {name: Bucket(name, now) for name in buckets}
        self.tokens = tokens
        self.interruptions: list[tuple[int, int]] = []
        self.failures: list[int] = []
        self.log: list[str] = []
        self.refused: list[str] = []
        self.billed: list[str | None] = []

    @app.route("/", branch=True)
    def serve(self, request: IRequest) -> bytes:
        """Every request; names of objects are no matter for a router of paths."""
        path, _, raw = request.uri.partition(b"?")
        try:
            if self.failures:
                raise Refused(self.failures.pop(0), "backendError")
            query = _query(raw)
            answer = self._dispatch(request, path, query)
        except Refused as refusal:
            return self._refuse(request, refusal)
        self.billed.append(request.getHeader("x-goog-user-project"))
        self.log.append(f"{request.method.decode()} {request.uri.decode()}")
        return answer

    def _dispatch(self, request: IRequest, path: bytes, query: dict[str, str]) -> bytes:
        method = request.method
        if found := _UPLOADS.fullmatch(path):
            if "upload_id" in query:
                return self._session(request, self._bucket(found[1]), query)
            if method == b"POST":
                self._authorize(request)
                return self._insert(request, self._bucket(found[1]), query)
        self._authorize(request)
        if found := _COMPOSE.fullmatch(path):
            if method == b"POST":
                return self._compose(request, self._bucket(found[1]), _text(found[2]), query)
        elif found := _REWRITE.fullmatch(path):
            if method == b"POST":
                names = _text(found[2]), _text(found[4])
                if found[1] != found[3]:
                    raise Refused(400, "invalid", "this fake has one bucket")
                return self._rewrite(request, self._bucket(found[1]), *names, query)
        elif found := _OBJECT.fullmatch(path):
            bucket, name = self._bucket(found[1]), _text(found[2])
            if method == b"GET":
                return self._get(request, bucket, name, query)
            if method == b"DELETE":
                conditions = _conditions(query, "delete")
                bucket.delete(name, conditions)
                request.setResponseCode(204)
                return b""
        elif (found := _OBJECTS.fullmatch(path)) and method == b"GET":
            return self._list(request, self._bucket(found[1]), query)
        raise Refused(405, "methodNotAllowed", f"{method!r} {path!r}")

    def _authorize(self, request: IRequest) -> None:
        if self.tokens is not None:
            given = request.getHeader("authorization") or ""
            if given.removeprefix("Bearer ") not in self.tokens.tokens or " " not in given:
                raise Refused(401, "authError", "Invalid Credentials")

    def _bucket(self, name: bytes) -> Bucket:
        bucket = self.buckets.get(_text(name))
        if bucket is None:
            raise Refused(404, "notFound", "The specified bucket does not exist.")
        return bucket

    # Reading

    def _get(self, request: IRequest, bucket: Bucket, name: str, query: dict[str, str]) -> bytes:
        conditions = _conditions(query, "get")
        stored = bucket.get(name, conditions)
        if query.get("alt") != "media":
            return _json(request, _chosen(stored.resource(bucket.name), query.get("fields", "")))
        encoding = stored.described.get("contentEncoding", "")
        if encoding == "gzip" and "gzip" not in (request.getHeader("accept-encoding") or ""):
            return b"decompressed by the service"  # decompressive transcoding
        data = stored.data
        request.setHeader("x-goog-generation", str(stored.generation))
        request.setHeader("x-goog-hash", "crc32c={},md5={}".format(*stored.digests))
        if encoding:
            request.setHeader("content-encoding", encoding)
        request.setHeader(
            "content-type", stored.described.get("contentType", "application/octet-stream")
        )
        if asked := request.getHeader("range"):
            data = _ranged(request, data, asked)
        return data

    def _list(self, request: IRequest, bucket: Bucket, query: dict[str, str]) -> bytes:
        _conditions(query, "list")
        items, prefixes, token = bucket.listed(
            query.get("prefix", ""),
            query.get("delimiter", ""),
            query.get("startOffset", ""),
            query.get("endOffset", ""),
            min(1000, int(query.get("maxResults", "1000"))),
            bytes.fromhex(query.get("pageToken", "")).decode(),
        )
        said: Resource = {"kind": "storage#objects"}
        if items:
            said["items"] = [stored.resource(bucket.name) for stored in items]
        if prefixes:
            said["prefixes"] = prefixes
        if token:
            said["nextPageToken"] = token.encode().hex()
        return _json(request, _chosen(said, query.get("fields", "")))

    # Writing

    def _insert(self, request: IRequest, bucket: Bucket, query: dict[str, str]) -> bytes:
        conditions = _conditions(query, "insert")
        kind = query.get("uploadType")
        content_type = request.getHeader("content-type") or ""
        body = request.content.read()
        if kind == "multipart":
            described, data = _related(content_type, body)
        elif kind == "resumable":
            if body and not content_type.startswith("application/json"):
                raise Refused(400, "badContent", "Content-Type")
            described, data = (json.loads(body) if body else {}), b""
        elif kind == "media":
            described, data = {"contentType": content_type}, body
        else:
            raise Refused(400, "invalid", "uploadType")
        name = query.get("name") or described.get("name", "")
        described.pop("name", None)
        if kind == "resumable":
            session_id = bucket.begin(name, described, conditions)
            place = f"http://{request.getHeader('host')}{request.uri.decode()}"
            request.setHeader("location", f"{place}&upload_id={session_id}")
            return b""
        return _json(
            request, bucket.insert(name, data, described, conditions).resource(bucket.name)
        )

    def _session(self, request: IRequest, bucket: Bucket, query: dict[str, str]) -> bytes:
        _conditions(query, "session")
        session = bucket.session(query["upload_id"])
        if request.method == b"DELETE":
            session.cancelled = True
            raise Refused(499, "clientClosedRequest")
        if request.method != b"PUT":
            raise Refused(405, "methodNotAllowed")
        body = request.content.read()
        given = request.getHeader("content-range")
        if given is None:
            given = f"bytes 0-{len(body) - 1}/{len(body)}" if body else "bytes */0"
        found = _CONTENT_RANGE.fullmatch(given)
        if found is None:
            raise Refused(400, "invalid", f"Content-Range {given}")
        total = None if found[3] == "*" else int(found[3])
        if session.finished is None and found[1] is not None:
            start, end = int(found[1]), int(found[2])
            if end - start + 1 != len(body):
                raise Refused(400, "invalid", "Content-Range does not fit the body")
            if self.interruptions:
                units, status = self.interruptions.pop(0)
                kept = min(units, len(body) // UNIT) * UNIT
                bucket.append(session, start, body[:kept], None)
                if status != 308:
                    raise Refused(status, "backendError")
                return _incomplete(request, session)
            bucket.append(session, start, body, total)
        elif body:
            raise Refused(400, "invalid", "a body without its range")
        if session.finished is None and (total is None or len(session.data) < total):
            return _incomplete(request, session)
        if session.finished is None and len(session.data) > (total or 0):
            raise Refused(400, "invalid", "more than the total is there")
        return _json(request, bucket.finish(session).resource(bucket.name))

    def _compose(
        self, request: IRequest, bucket: Bucket, name: str, query: dict[str, str]
    ) -> bytes:
        conditions = _conditions(query, "compose")
        asked = _body(request)
        unknown = set(asked) - {"kind", "sourceObjects", "destination"}
        if unknown:
            raise Refused(400, "invalid", f"unknown fields {unknown}")
        stored = bucket.compose(
            name, asked.get("sourceObjects", []), asked.get("destination", {}), conditions
        )
        return _json(request, stored.resource(bucket.name))

    def _rewrite(
        self, request: IRequest, bucket: Bucket, source: str, name: str, query: dict[str, str]
    ) -> bytes:
        conditions = _conditions(query, "rewrite")
        of_source = {
            wanted: conditions.pop(given)
            for given, wanted in (
                ("sourceGeneration", "generation"),
                ("ifSourceGenerationMatch", "ifGenerationMatch"),
                ("ifSourceGenerationNotMatch", "ifGenerationNotMatch"),
            )
            if given in conditions
        }
        described = _body(request) if request.getHeader("content-length") != "0" else None
        made, done, size, token = bucket.rewrite(
            source, name, described, of_source, conditions, query.get("rewriteToken", "")
        )
        said: Resource = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(done),
            "objectSize": str(size),
            "done": made is not None,
        }
        if made is None:
            said["rewriteToken"] = token
        else:
            said["resource"] = made.resource(bucket.name)
        return _json(request, said)

    def _refuse(self, request: IRequest, refusal: Refused) -> bytes:
        self.refused.append(f"{request.method.decode()} {refusal.status} {refusal.message}")
        request.setResponseCode(refusal.status)
        request.setHeader("x-guploader-uploadid", f"request-{len(self.refused)}")
        if request.method == b"GET" and b"alt=media" in request.uri:
            return refusal.message.encode()
        error = {
            "code": refusal.status,
            "message": refusal.message,
            "errors": [{"message": refusal.message, "domain": "global", "reason": refusal.reason}],
        }
        return _json(request, {"error": error})


def _query(raw: bytes) -> dict[str, str]:
    pairs = parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=bool(raw))
    query = dict(pairs)
    if len(query) != len(pairs):
        raise Refused(400, "invalid", "a parameter is given twice")
    return query


def _conditions(query: Mapping[str, str], operation: str) -> dict[str, int]:
    """The conditions among the parameters, none of which may be unknown."""
    unknown = set(query) - _ALLOWED[operation] - _USUAL
    if unknown:
        raise Refused(400, "invalidParameter", f"unknown parameters {sorted(unknown)}")
    return {
        name: int(value)
        for name, value in query.items()
        if "Generation" in name or name == "generation"
    }


def _text(raw: bytes) -> str:
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise Refused(400, "invalid", "the name is not UTF-8") from None


def _body(request: IRequest) -> Resource:
    if not (request.getHeader("content-type") or "").startswith("application/json"):
        raise Refused(400, "badContent", "Content-Type")
    asked: Resource = json.loads(request.content.read())
    return asked


def _related(content_type: str, body: bytes) -> tuple[Resource, bytes]:
    """Metadata and media of a multipart/related body (RFC 2387)."""
    found = re.fullmatch(r'multipart/related; boundary="?([^"]+)"?', content_type)
    if found is None:
        raise Refused(400, "badContent", "Content-Type")
    mark = b"--" + found[1].encode()
    if not body.startswith(mark + b"\r\n") or not body.endswith(b"\r\n" + mark + b"--\r\n"):
        raise Refused(400, "badContent", "the boundaries")
    inner = body[len(mark) + 2 : -len(mark) - 6]
    first, separator, second = inner.partition(b"\r\n" + mark + b"\r\n")
    head, _, text = first.partition(b"\r\n\r\n")
    if not separator or b"application/json" not in head.lower():
        raise Refused(400, "badContent", "the metadata")
    head, _, data = second.partition(b"\r\n\r\n")
    described: Resource = json.loads(text)
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-type":
            described.setdefault("contentType", value.strip().decode())
    return described, data


def _ranged(request: IRequest, data: bytes, asked: str) -> bytes:
    found = _RANGE.fullmatch(asked)
    if found is None or not (found[1] or found[2]):
        return data
    if found[1]:
        start, end = int(found[1]), min(len(data) - 1, int(found[2] or len(data)))
    else:
        start, end = max(0, len(data) - int(found[2])), len(data) - 1
    if start >= len(data):
        request.setHeader("content-range", f"bytes */{len(data)}")
        raise Refused(416, "requestedRangeNotSatisfiable")
    request.setResponseCode(206)
    request.setHeader("content-range", f"bytes {start}-{end}/{len(data)}")
    return data[start : end + 1]


def _incomplete(request: IRequest, session: Session) -> bytes:
    request.setResponseCode(308)
    if session.data:
        request.setHeader("range", f"bytes=0-{len(session.data) - 1}")
    return b""


def _chosen(said: Resource, fields: str) -> Resource:
    """The fields of a partial response: names, and ``items(names)``."""
    if not fields:
        return said
    chosen: Resource = {}
    for name, _, inner in re.findall(r"(\w+)(\(([^)]*)\))?", fields):
        if name in said:
            value = said[name]
            if inner:
                value = [_chosen(each, inner) for each in value]
            chosen[name] = value
    return chosen


def _json(request: IRequest, said: Any) -> bytes:
    request.setHeader("content-type", "application/json; charset=UTF-8")
    return json.dumps(said).encode()


def main() -> None:
    """See the module."""
    from twisted.internet import reactor
    from twisted.internet.endpoints import TCP4ServerEndpoint
    from twisted.web.resource import Resource as WebResource
    from twisted.web.server import Site

    def now() -> int:
        return int(time.time() * 1000)

    tokens = GoogleTokens(now)
    gcs = FakeGcs(*sys.argv[1:], now=now, tokens=tokens)

    class Inside(WebResource):
        """What lies in the buckets, for tests: bucket → name → resource."""

        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            return json.dumps(
                {
                    bucket.name: {
                        name: stored.resource(bucket.name)
                        for name, stored in bucket.objects.items()
                    }
                    for bucket in gcs.buckets.values()
                }
            ).encode()

    class Root(WebResource):
        def getChild(self, name: bytes, request: Any) -> Any:
            if name == b"inside":
                return Inside()
            request.postpath.insert(0, request.prepath.pop())
            return tokens.app.resource() if name == b"token" else gcs.app.resource()

    def listening(port: Any) -> None:
        number = port.getHost().port
        account = ServiceAccount("gateway@test.example", f"http://127.0.0.1:{number}/token")
        tokens.accounts[account.email] = account
        print(f"listening on {number} {account.credentials_file()}", flush=True)

    TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(Root())).addCallback(
        listening
    )
    reactor.run()


if __name__ == "__main__":
    main()

"""What treq is given where it wants something that an exchange has no use for.

treq's client parses and respells the URL of every request, copies its headers, looks through a jar
of cookies before and after, and takes encodings off the answer.  None of that may happen to a
request that is signed, and all of it together takes longer than to send one and to read its
answer.  treq takes these in the place of what it would make itself; each keeps to the interface and
does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from http.cookiejar import Cookie
from typing import Any

from hyperlink import EncodedURL
from treq.cookies import IndexableCookieJar
from twisted.internet.interfaces import IProtocol
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import implementer

_NO_URL = "http://origin.invalid/"
"""RFC 6761, section 6.4."""


class _Nowhere(EncodedURL):
    """A URL that need not be parsed again for each request."""

    def to_uri(self) -> EncodedURL:
        return self

    def to_text(self, with_password: bool = False) -> str:
        return _NO_URL


class _NoCookies(IndexableCookieJar):
    """A jar that stays empty: no cloud's API has cookies."""

    def __iter__(self) -> Iterator[Cookie]:
        return iter(())

    def add_cookie_header(self, request: Any) -> None:
        pass

    def extract_cookies(self, response: Any, request: Any) -> None:
        pass


class _NoHeaders(Headers):
    """Headers that stay empty, whatever is put into them."""

    def copy(self) -> Headers:
        return self

    def hasHeader(self, name: Any) -> bool:
        return False

    def removeHeader(self, name: Any) -> None:
        pass

    def setRawHeaders(self, name: Any, values: Any) -> None:
        pass

    def addRawHeader(self, name: Any, value: Any) -> None:
        pass

    def getRawHeaders(self, name: Any, default: Any = None) -> Any:
        return default


NOWHERE = _Nowhere.from_text(_NO_URL)
NO_COOKIES = _NoCookies()
NO_HEADERS = _NoHeaders()


@implementer(IResponse)
class Unseen:
    """An answer of which treq sees the status, and nothing that it could decode or follow."""

    version = (b"HTTP", 1, 1)
    phrase = b""
    headers: Headers = NO_HEADERS
    length = UNKNOWN_LENGTH
    request: IClientRequest | None = None
    previousResponse: IResponse | None = None

    def __init__(self, code: int) -> None:
        self.code = code

    def deliverBody(self, protocol: IProtocol) -> None:
        """Not to be called, unlike ``IResponse``'s: the body goes another way."""
        raise RuntimeError("the body is the answer's own")

    def setPreviousResponse(self, response: IResponse) -> None:
        """See ``IResponse``: there are no redirects."""
        self.previousResponse = response

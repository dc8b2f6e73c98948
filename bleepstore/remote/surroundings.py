"""What sources of credentials look at: environment, files, clock, and the endpoints of tokens.

All of it is given, so that tests own it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from bleepstore.auth.canonical import split_target
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.threads import Dice, Now
from bleepstore.remote.client import RemoteClient
from bleepstore.remote.connections import EndpointFor, Limits
from bleepstore.remote.failures import CredentialsUnavailable
from bleepstore.remote.refreshing import Fetch, Refreshing
from bleepstore.remote.refusals import json_object, read_aws_refusal, read_token_refusal
from bleepstore.remote.requests import Header, RemoteRequest, is_loopback, parse_endpoint
from bleepstore.remote.retries import Policy
from bleepstore.remote.service import Anonymous, Authorizer, Service

T = TypeVar("T")

ReadFile = Callable[[str], Awaitable[bytes]]
"""The content of a small file; raises OSError."""

TOKEN_LIMITS = Limits(connect=10, head=20, stall=10, turn=20, connections=8, idle=2, idle_for=15)

METADATA_LIMITS = Limits(connect=1, head=5, stall=5, turn=20, connections=4, idle=1, idle_for=15)
"""A metadata service answers from the same machine, or there is none."""

METADATA_POLICY = Policy(attempts=3, base=0.1, cap=1.0, total=15.0)

FORM: Header = (b"content-type", b"application/x-www-form-urlencoded")
JSON: Header = (b"content-type", b"application/json")


@implementer(IPart)
class Surroundings:
    """The machine and its network, as sources of credentials see them.

    :ivar environ: the environment of the process.
    :ivar now: the wall clock.
    :ivar tokens: calls token endpoints on the network.
    :ivar metadata: calls metadata services of this machine, with little patience.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        read_file: ReadFile,
        now: Now,
        clock: IReactorTime,
        endpoint_for: EndpointFor,
        dice: Dice,
    ) -> None:
        self.environ = environ
        self.now = now
        self._read_file = read_file
        self._clock = clock
        self._dice = dice
        self._held: list[Refreshing[Any]] = []
        self._far = RemoteClient(clock, endpoint_for, TOKEN_LIMITS)
        self._near = RemoteClient(clock, endpoint_for, METADATA_LIMITS)
        self.tokens = Service(
            "token endpoint", self._far, Anonymous(), read_token_refusal, clock, now, dice
        )
        self.metadata = Service(
            "metadata service",
            self._near,
            Anonymous(),
            read_token_refusal,
            clock,
            now,
            dice,
            METADATA_POLICY,
        )

    async def start(self) -> None:
        """Nothing is asked before credentials are needed."""

    async def stop(self) -> None:
        """Give up fetches under way, and close idle connections."""
        for held in self._held:
            held.stop()
        await self._far.stop()
        await self._near.stop()

    def held(self, name: str, fetch: Fetch[T]) -> Refreshing[T]:
        """Credentials that are fetched when they are needed, until :meth:`stop`.

        :param name: for the log: where they come from.
        """
        held = Refreshing(name, fetch, self.now)
        self._held.append(held)
        return held

    def sts(self, authorizer: Authorizer) -> Service:
        """AWS's Security Token Service, as the holder of some credentials."""
        return Service(
            "sts", self._far, authorizer, read_aws_refusal, self._clock, self.now, self._dice
        )

    def home(self, *path: str) -> str:
        """A path in the home directory."""
        return posixpath.join(self.environ.get("HOME", "/"), *path)

    async def text(self, path: str) -> str:
        """The content of a file that must be there, without white space around it.

        :raises CredentialsUnavailable: it cannot be read.
        """
        try:
            return (await self._read_file(path)).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsUnavailable(f"{path} cannot be read: {_why(error)}") from None

    async def text_if_any(self, path: str) -> str | None:
        """The content of a file, or None if it is not there.

        :raises CredentialsUnavailable: it is there, and cannot be read.
        """
        try:
            return (await self._read_file(path)).decode()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsUnavailable(f"{path} cannot be read: {_why(error)}") from None

    async def post_form(
        self, url: str, fields: Mapping[str, str], headers: tuple[Header, ...] = ()
    ) -> dict[str, Any]:
        """What a token endpoint answers to a form.

        :raises CredentialsUnavailable: the URL is none that secrets may be sent to.
        :raises RemoteFailure: it refuses, or is not there.
        """
        body = urlencode(fields).encode()
        request = with_secrets(request_to("POST", url, (FORM, *headers), body))
        _, text = await self.tokens.fetch(request)
        return json_object(text)


def request_to(
    method: str, url: str, headers: tuple[Header, ...] = (), body: bytes | None = None
) -> RemoteRequest:
    """A request to a URL that a file or the environment names, with its query.

    :raises CredentialsUnavailable: it is no URL that can be asked.
    """
    place, _, query = url.partition("?")
    try:
        origin, _ = parse_endpoint(place)
        path, _ = split_target(place.encode("ascii"))
        target = path + (b"?" + query.encode("ascii") if query else b"")
    except ValueError:
        raise CredentialsUnavailable("a URL in the credentials is none") from None
    return RemoteRequest(method=method, origin=origin, target=target, headers=headers, body=body)


def with_secrets(request: RemoteRequest) -> RemoteRequest:
    """The same request, which holds secrets.

    :raises CredentialsUnavailable: it would go to another machine in the clear.
    """
    if request.origin.scheme != "https" and not is_loopback(request.origin):
        raise CredentialsUnavailable(f"no secret is sent to {request.origin} in the clear")
    return request


def _why(error: OSError | UnicodeDecodeError) -> str:
    """The reason without the content."""
    return error.strerror or "error" if isinstance(error, OSError) else "it is not UTF-8"

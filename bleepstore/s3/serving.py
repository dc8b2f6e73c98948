"""Which endpoint serves which operation: groups of endpoints, each a class with its Klein app.

An endpoint's name is the name of its operation in ``wire.operations``; the table chooses, and
Klein's ``execute_endpoint`` runs it.  Klein makes a Deferred of every coroutine; what it is given
here is none, but awaitable (``streams.coroutines``), so that an answer that is at hand costs no
Deferred.  The route that Klein is given is what the table says, for
its own sake and for who reads it; it is never matched, since no pattern can hold an object key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from klein import Klein

from bleepstore.interfaces.http import IHttpRequest
from bleepstore.s3.call import Call
from bleepstore.streams.coroutines import pending
from bleepstore.wire.operations import BY_NAME, OPERATIONS, Level

_RULES = {
    Level.SERVICE: "/",
    Level.BUCKET: "/<bucket>",
    Level.OBJECT: "/<bucket>/<path:key>",
}

Decorated = TypeVar("Decorated", bound=Callable[..., Coroutine[Any, Any, None]])
Endpoint = Callable[[IHttpRequest, Call], Awaitable[None]]
"""Answers through the call, or raises a StoreError having sent nothing."""


class Endpoints(Protocol):
    """A group of endpoints: methods ``async def name(self, request, call) -> None``."""

    @property
    def app(self) -> Klein:
        """The routes, bound to the group."""


def serves(app: Klein, operation: str) -> Callable[[Decorated], Decorated]:
    """Declare the endpoint of an operation."""
    row = BY_NAME[operation]
    route = app.route(_RULES[row.level], methods=[row.method], endpoint=row.name)

    def declare(endpoint: Decorated) -> Decorated:
        route(pending(endpoint))
        return endpoint

    return declare


def endpoint_of(app: Klein, name: str) -> Endpoint:
    """The named endpoint of a bound app, as ``execute_endpoint`` runs it.  It keeps the app, which
    Klein itself holds by a weak reference only."""
    return cast(Endpoint, partial(app.execute_endpoint, name))


def endpoint_table(groups: Iterable[Endpoints]) -> dict[str, Endpoint]:
    """Operation name → its endpoint.

    :raises ValueError: an operation that is served has no endpoint, one that is not has one, or
        one has two.
    """
    table: dict[str, Endpoint] = {}
    for group in groups:
        app = group.app
        for name in app.endpoints:
            if name in table:
                raise ValueError(f"two endpoints for {name}")
            table[name] = endpoint_of(app, name)
    served = {row.name for row in OPERATIONS if row.served}
    if wrong := served ^ table.keys():
        raise ValueError(f"the operations table and the endpoints differ in {sorted(wrong)}")
    return table

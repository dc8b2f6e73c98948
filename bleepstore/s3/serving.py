"""Which endpoint serves which operation: groups of endpoints, each a class with its Klein app.

An endpoint's name is the name of its operation in ``wire.operations``; the table chooses, and
Klein's ``execute_endpoint`` runs it.  The route that Klein is given is what the table says, for
its own sake and for who reads it; it is never matched, since no pattern can hold an object key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from klein import Klein

from bleepstore.wire.operations import BY_NAME, OPERATIONS, Level

TEMPLATES = {
    Level.SERVICE: "/",
    Level.BUCKET: "/{bucket}",
    Level.OBJECT: "/{bucket}/{key}",
}
"""The path templates of metrics and documents."""

_RULES = {
    Level.SERVICE: "/",
    Level.BUCKET: "/<bucket>",
    Level.OBJECT: "/<bucket>/<path:key>",
}

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Endpoints(Protocol):
    """A group of endpoints: ``async def name(self, request, call) -> None``, each of which
    answers through the call, or raises a StoreError having sent nothing."""

    app: Klein


def serves(app: Klein, operation: str) -> Callable[[Endpoint], Endpoint]:
    """Declare the endpoint of an operation."""
    row = BY_NAME[operation]
    return app.route(_RULES[row.level], methods=[row.method], endpoint=row.name)


def endpoint_table(groups: Iterable[Endpoints]) -> dict[str, Klein]:
    """Operation name → the app, bound to its group, that has its endpoint.

    :raises ValueError: an operation that is served has no endpoint, one that is not has one, or
        one has two.
    """
    table: dict[str, Klein] = {}
    for group in groups:
        app = group.app
        for name in app.endpoints:
            if name in table:
                raise ValueError(f"two endpoints for {name}")
            table[name] = app
    served = {row.name for row in OPERATIONS if row.served}
    if wrong := served ^ table.keys():
        raise ValueError(f"the operations table and the endpoints differ in {sorted(wrong)}")
    return table

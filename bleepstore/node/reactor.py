"""The roles of the reactor that a node needs; Twisted's reactors have them all."""

from __future__ import annotations

from twisted.internet.interfaces import (
    IReactorCore,
    IReactorFromThreads,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IReactorUNIX,
)


class INodeReactor(
    IReactorTime,
    IReactorTCP,
    IReactorUNIX,
    IReactorPluggableNameResolver,
    IReactorFromThreads,
    IReactorCore,
):
    """For clocks, sockets, names, threads and the start."""

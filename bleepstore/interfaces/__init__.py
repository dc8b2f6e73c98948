"""The contracts between the parts of BleepStore, one module per group of roles.

An implementation declares ``@implementer`` and proves it with ``verifyObject`` and
the contract suite in ``tests/contract``.

Methods that may suspend return an ``Awaitable``; implementations write ``async def``.
Awaiting one that has its answer at hand (a point read from SQLite, say) must not
suspend: no Deferred, no thread, no turn of the reactor.
"""

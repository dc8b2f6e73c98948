"""Whether the parts that every request needs can be used: the answer behind ``/health``.

A probe runs every check at the same time, each within a bound.  Probes that come while one is
under way share it, so that a load balancer's impatience costs the stores nothing.

Knows no HTTP and no store: a check is a name and something to await.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

CHECK_SECONDS = 5.0
"""How long a check may take before it counts as failed."""

Check = Callable[[], Awaitable[object]]
"""Proves that a part can be used, or raises.  If it gives a mapping of names to text, the report
shows that too."""

_log = Logger()
_encode = msgspec.json.Encoder().encode


class Unusable(Exception):
    """A part cannot be used for now, as is known and said elsewhere: no defect, and nothing for
    the log.

    :ivar details: for the report.
    """

    def __init__(self, **details: str) -> None:
        self.details = details
        super().__init__(", ".join(f"{name}: {text}" for name, text in details.items()))


class CheckOutcome(Struct, frozen=True):
    """:ivar status: ``ok`` or ``error``.
    :ivar latency_ms: how long the check took.
    :ivar details: what the part says of itself, beside the other two.
    """

    status: str
    latency_ms: float
    details: Mapping[str, str] = {}


class HealthReport(Struct, frozen=True):
    """:ivar status: ``ok``, or ``degraded`` when any check failed."""

    status: str
    checks: dict[str, CheckOutcome]

    @property
    def healthy(self) -> bool:
        return self.status == "ok"

    def json(self) -> bytes:
        """The body of ``/health``."""
        checks = {
            name: {"status": outcome.status, "latency_ms": outcome.latency_ms, **outcome.details}
            for name, outcome in self.checks.items()
        }
        return _encode({"status": self.status, "checks": checks})


STATIC_JSON = b'{"status":"ok"}'
"""The body of ``/health`` when health checks are switched off."""


class Health:
    """The checks of this node.

    :param checks: name in the report → check, e.g. ``metadata`` and ``storage``.
    :param seconds: bound on each check.
    """

    def __init__(
        self, clock: IReactorTime, checks: Mapping[str, Check], seconds: float = CHECK_SECONDS
    ) -> None:
        self._clock = clock
        self._checks = dict(checks)
        self._seconds = seconds
        self._waiting: list[Deferred[HealthReport]] | None = None

    async def probe(self) -> HealthReport:
        """Run the checks, or join the probe under way.  Never fails; ends within the bound.

        A cancelled wait leaves the probe to the others.
        """
        mine: Deferred[HealthReport] = Deferred()
        if self._waiting is not None:
            self._waiting.append(mine)
            return await mine
        self._waiting = [mine]
        Deferred.fromCoroutine(self._run()).addCallback(self._tell)
        return await mine

    def _tell(self, report: HealthReport) -> None:
        waiting, self._waiting = self._waiting or [], None
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(report)

    async def _run(self) -> HealthReport:
        running = [
            (name, Deferred.fromCoroutine(self._outcome(name, check)))
            for name, check in self._checks.items()
        ]
        outcomes = {name: await outcome for name, outcome in running}
        healthy = all(outcome.status == "ok" for outcome in outcomes.values())
        return HealthReport("ok" if healthy else "degraded", outcomes)

    async def _outcome(self, name: str, check: Check) -> CheckOutcome:
        seconds: Callable[[], float] = self._clock.seconds
        began = seconds()
        status = "ok"
        details: Mapping[str, str] = {}
        try:
            asking = Deferred.fromCoroutine(_awaited(check))
            said = await asking.addTimeout(self._seconds, self._clock)
            if isinstance(said, Mapping):
                details = said
        except Unusable as error:
            status, details = "error", error.details
        except TimeoutError:
            status = "error"
            _log.error(
                "Health check {name} gave no answer within {bound} s.",
                name=name,
                bound=self._seconds,
            )
        except Exception:
            status = "error"
            _log.failure("Health check {name} failed.", name=name)
        return CheckOutcome(status, round((seconds() - began) * 1000, 3), details)


async def _awaited(check: Check) -> object:
    return await check()

"""What a gateway counts: for Prometheus, for `/health`, and for the card of a live play."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, partial
from pathlib import Path

import prometheus_client as prometheus

from distill_tui.serving import routing
from distill_tui.serving.routing import Routing
from distill_tui.store.gateway import amount_of
from distill_tui.terms import Route

NOW = "now.json"  # next to the segments: how the gateway stands, for screens
FRAMES, ENOUGH = 200, 50  # different instructions that are counted, and requests before they are judged
RECENT = 1_000  # latencies that the p95 is of
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Meters:
    """The Prometheus metrics of one gateway process."""

    def __init__(self) -> None:
        self.registry = registry = prometheus.CollectorRegistry()
        names = ("play",)
        self.requests = prometheus.Counter(
            "distill_requests", "Requests by who answered and how", (*names, "route", "status"), registry=registry
        )
        self.seconds = prometheus.Histogram(
            "distill_request_seconds", "Seconds of a request", (*names, "route"), buckets=BUCKETS, registry=registry
        )
        self.passed = prometheus.Counter(
            "distill_not_for_student", "Requests that the student cannot answer as asked", (*names, "why"),
            registry=registry,
        )  # fmt: skip
        self.faults = prometheus.Counter(
            "distill_teacher_faults", "Failures of the teacher", (*names, "kind"), registry=registry
        )
        self.audits = prometheus.Counter(
            "distill_audits", "Requests of the student that the teacher answered too", (*names, "outcome"),
            registry=registry,
        )  # fmt: skip
        self.confidence = prometheus.Histogram(
            "distill_student_confidence", "Confidence of the student", names, registry=registry,
            buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
        )  # fmt: skip
        self.refused = prometheus.Counter(
            "distill_refused", "Requests that reached no play", ("why",), registry=registry
        )
        self.errors = prometheus.Counter("distill_errors", "Requests on which the gateway failed", registry=registry)
        self.unlogged = prometheus.Counter(
            "distill_unlogged", "Requests that the served log could not take", names, registry=registry
        )
        self.log_bytes = prometheus.Gauge(
            "distill_served_log_bytes", "Size of the served log", names, registry=registry
        )
        self.removed = prometheus.Counter(
            "distill_served_log_removed", "Segments of the served log that were deleted", names, registry=registry
        )
        self.cost = prometheus.Counter(
            "distill_teacher_cost", "Cost of the teacher's answers, by the worksheet", names, registry=registry
        )
        self.saved = prometheus.Counter(
            "distill_saved", "Cost of the teacher's answers that the student gave instead", names, registry=registry
        )
        self.spans = prometheus.Counter(
            "distill_spans", "OpenTelemetry spans of requests", ("outcome",), registry=registry
        )
        self.mode = prometheus.Gauge("distill_mode", "1 for the mode in force", (*names, "mode"), registry=registry)
        self.fell_back = prometheus.Gauge(
            "distill_fell_back", "1 while the student does not answer although a person set so", names,
            registry=registry,
        )  # fmt: skip
        self.waiting = prometheus.Gauge(
            "distill_waiting", "Requests that wait for the student", names, registry=registry
        )

    def refuse(self, kind: str) -> None:
        self.refused.labels(kind).inc()

    def of(self, code: str) -> Counts:
        return Counts(self, code)

    def text(self) -> bytes:
        return prometheus.generate_latest(self.registry)


class Counts:
    """What each request of a play is counted in: its labels are looked up once, not for every request."""

    def __init__(self, meters: Meters, code: str) -> None:
        self._requests = cache(partial(meters.requests.labels, code))
        self._seconds = cache(partial(meters.seconds.labels, code))
        self._money = {route: meters.saved.labels(code) for route in Route}
        self._money[Route.TEACHER] = meters.cost.labels(code)
        self._confidence = meters.confidence.labels(code)

    def request(self, route: Route, status: int, seconds: float) -> None:
        self._requests(route.value, str(status)).inc()
        self._seconds(route.value).observe(seconds)

    def money(self, route: Route, cost: Decimal) -> None:
        self._money[route].inc(float(cost))

    def confidence(self, value: float) -> None:
        self._confidence.observe(value)


@dataclass
class Figures:
    """A play's figures since its launch, kept over restarts, and of the last minute."""

    since: str = ""
    routes: Counter[str] = field(default_factory=Counter)  # since launch
    saved: Decimal | None = None  # None, like the cost, where no price was known
    day: str = ""  # UTC, that the cost is of
    cost_today: Decimal | None = None
    routing: Routing = field(default_factory=Routing)
    frames: Counter[str] = field(default_factory=Counter)  # instructions around the input, of captured requests
    _times: deque[float] = field(default_factory=deque)  # of the last minute's requests
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def count(self, route: Route, seconds: float, cost: Decimal | None) -> None:
        """Count a request that was answered; `cost` is what the teacher takes for one."""
        self.routes[route.value] += 1
        self._latencies.append(seconds)
        self._times.append(time.monotonic())
        if cost is not None:
            self.saved = (self.saved or Decimal(0)) + (0 if route is Route.TEACHER else cost)
            self.paid(cost if route is Route.TEACHER else Decimal(0))

    def captured(self, frame: str) -> None:
        """Count the instructions of a request that the teacher answered before any student did."""
        if frame in self.frames or len(self.frames) < FRAMES:
            self.frames[frame] += 1

    def knows(self, frame: str) -> bool:
        """Whether instructions belong to this play: a hundredth of what was captured had them, or too little was."""
        whole = self.frames.total()
        return whole < ENOUGH or self.frames[frame] * 100 >= whole

    def paid(self, cost: Decimal | None) -> None:
        """Count what an answer of the teacher cost; by itself, one that no client waited for."""
        self._turn_day()
        if cost is not None:
            self.cost_today = (self.cost_today or Decimal(0)) + cost

    def _turn_day(self) -> None:
        today = datetime.now(UTC).date().isoformat()
        if today != self.day:
            self.day, self.cost_today = today, None if self.cost_today is None else Decimal(0)

    @property
    def per_minute(self) -> int:
        start = time.monotonic() - 60
        while self._times and self._times[0] < start:
            self._times.popleft()
        return len(self._times)

    @property
    def p95_ms(self) -> float | None:
        if not self._latencies:
            return None
        ranked = sorted(self._latencies)
        return round(1000 * ranked[min(len(ranked) - 1, math.ceil(0.95 * len(ranked)) - 1)], 2)

    def values(self) -> dict[str, object]:
        self._turn_day()
        return {
            "since": self.since,
            "routes": dict(self.routes),
            "saved": None if self.saved is None else str(self.saved),
            "day": self.day,
            "cost_today": None if self.cost_today is None else str(self.cost_today),
            "per_minute": self.per_minute,
            "p95_ms": self.p95_ms,
            "frames": dict(self.frames),
            "routing": asdict(self.routing.routes()),
        }


def restored(folder: Path) -> Figures:
    """Read the figures of the gateway that served before; new ones where there was none."""
    found = Figures(since=datetime.now(UTC).isoformat(timespec="seconds"))
    with suppress(OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
        kept = json.loads((folder / NOW).read_text(encoding="utf-8"))["figures"]
        found.since, found.day = str(kept["since"]), str(kept["day"])
        found.routes = Counter({str(name): int(count) for name, count in kept["routes"].items()})
        found.frames = Counter({str(name): int(count) for name, count in kept["frames"].items()})
        found.saved, found.cost_today = amount_of(kept["saved"]), amount_of(kept["cost_today"])
        found.routing = routing.restored(kept["routing"])
    return found


def keep(folder: Path, state: dict[str, object]) -> None:
    """Write how the gateway stands; a reader sees the old file or the new one."""
    making = folder / f".{NOW}.{os.getpid()}"
    making.write_text(json.dumps(state), encoding="utf-8")
    making.replace(folder / NOW)

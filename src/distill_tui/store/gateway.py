"""How a play's gateway stands, as it wrote it last: for screens and commands (standard library only)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

FRESH = 15.0  # seconds after which a gateway that writes nothing is taken for stopped
IMPORT, OBSERVE = "import", "observe"  # what takes records out of a served log
TAKEN = "taken.json"  # next to the segments: the place up to which each use has read
Place = tuple[int, int]  # in a served log: segment, byte

EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # of confidence, that routes are counted by
CELLS, WORST = 50, 5  # segments and answers that are counted apart; disagreements that are kept to show


@dataclass(frozen=True)
class Cell:
    """Requests of one segment that the student gave one answer to, and of them those that it was unsure of."""

    segment: str
    answer: str
    requests: int
    unsure: int


@dataclass(frozen=True)
class Differs:
    """A request to which student and teacher gave different answers."""

    sure: float
    day: str
    segment: str
    answer: str
    teacher: str
    text: str


@dataclass(frozen=True)
class Routes:
    """What a gateway counted of one bundle, by classes of confidence."""

    bundle: str
    threshold: float  # in force; 0: the student answers everything
    line: float  # below it an answer counts as unsure
    edges: tuple[float, ...]  # where each class begins
    computed: tuple[int, ...]  # requests in each class
    pairs: tuple[int, ...]  # of them, those that the teacher answered too, whatever the routing
    agreed: tuple[int, ...]  # of those, those with the same answer
    cells: tuple[Cell, ...] = ()
    worst: tuple[Differs, ...] = ()  # the surest last


def read_routes(values: Mapping[str, object]) -> Routes:
    """Read what `asdict` wrote. Raises ValueError, TypeError, KeyError."""
    found: dict[str, Any] = dict(values)
    columns = {name: tuple(map(int, found[name])) for name in ("computed", "pairs", "agreed")}
    edges = tuple(map(float, found["edges"]))
    if any(len(each) != len(edges) for each in columns.values()):
        raise ValueError("the classes of confidence do not fit their counts")
    return Routes(
        bundle=str(found["bundle"]),
        threshold=float(found["threshold"]),
        line=float(found["line"]),
        edges=edges,
        **columns,
        cells=tuple(Cell(**each) for each in found["cells"]),
        worst=tuple(Differs(**each) for each in found["worst"]),
    )


@dataclass(frozen=True)
class GatewayNow:
    """The figures of a gateway."""

    running: bool
    mode: str
    wrong: tuple[str, ...]
    per_minute: int
    routes: tuple[tuple[str, int], ...]  # since the launch, by who answered
    p95_ms: float | None
    cost_today: Decimal | None  # None, like what is saved, where no price is known
    saved: Decimal | None
    since: str
    unlogged: int
    waits: int = 0  # segments of the served log that it would delete, were they taken
    routing: Routes | None = None  # of the bundle that answers, or is computed in a shadow

    @property
    def student_share(self) -> float | None:
        """The share of requests that the student answered since the launch."""
        whole = sum(count for _, count in self.routes)
        return dict(self.routes).get("student", 0) / whole if whole else None

    @property
    def words(self) -> str:
        """The figures for a card, the shortest first: who answers, how quickly, what it costs and saves."""
        share, p95 = self.student_share, self.p95_ms
        found = [] if share is None else [f"{100 * share:.0f}% student"]
        found = [f"{self.unlogged:,} unlogged", *found] if self.unlogged else found
        found += [] if p95 is None else [f"p95 {p95:,.0f} ms"]
        found += [] if self.cost_today is None else [f"{self.cost_today:,.2f} today"]
        return ", ".join([*found, *([] if self.saved is None else [f"{self.saved:,.2f} saved"])])


def amount_of(written: object) -> Decimal | None:
    """Read an amount of a gateway's figures. Raises ArithmeticError."""
    return None if written is None else Decimal(str(written))


def folder_of(project: Path, code: str) -> Path:
    """Return where a play's served log lies: next to its project file."""
    return project.with_name(f"{project.name}.served") / code


def segments(folder: Path) -> list[Path]:
    """List the segments of a served log, oldest first."""
    return sorted(path for path in folder.glob("*.jsonl") if path.stem.isdecimal())


def place(folder: Path, use: str) -> Place:
    """Return up to where a use has taken a served log; (0, 0) where it has taken nothing."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        segment, at = json.loads((folder / TAKEN).read_text(encoding="utf-8"))[use]
        return int(segment), int(at)
    return 0, 0


def any_served(project: Path) -> bool:
    """Whether any play of a project was ever served from this machine."""
    return project.with_name(f"{project.name}.served").is_dir()


def _of_today(figures: Mapping[str, object]) -> Decimal | None:
    """Read the cost of this day, also where the gateway stopped on another one."""
    cost = amount_of(figures["cost_today"])
    return cost if cost is None or figures["day"] == datetime.now(UTC).date().isoformat() else Decimal(0)


def read(project: Path, code: str) -> GatewayNow | None:
    """Read how a play's gateway stands; None where none has served it, or what it wrote cannot be read."""
    path = folder_of(project, code) / "now.json"
    try:
        written = path.stat().st_mtime
        found = json.loads(path.read_bytes())
        figures = found["figures"]
        return GatewayNow(
            running=time.time() - written < FRESH,
            mode=str(found["mode"]),
            wrong=tuple(map(str, found["wrong"])),
            per_minute=int(figures["per_minute"]),
            routes=tuple((str(name), int(count)) for name, count in figures["routes"].items()),
            p95_ms=None if figures["p95_ms"] is None else float(figures["p95_ms"]),
            cost_today=_of_today(figures),
            saved=amount_of(figures["saved"]),
            since=str(figures["since"]),
            unlogged=int(found["unlogged"]),
            waits=int(found["log"]["waits"]) if "log" in found else 0,
            routing=read_routes(figures["routing"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, InvalidOperation):
        return None

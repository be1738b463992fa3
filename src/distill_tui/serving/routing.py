"""Where a student is unsure, and what other thresholds would do: counted as requests pass, of one bundle.

Shares count every request that the student computed. Agreement counts pairs that no routing chose: the audit channel's,
and in a shadow every request. Texts of disagreements are kept of open rows only, as the play's policy keeps them.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from distill_tui.dataset.row_identity import input_digest, sealed
from distill_tui.store.gateway import CELLS, EDGES, WORST, Cell, Differs, Routes, read_routes

LONGEST = 300  # characters of a text that is kept to show


@dataclass
class Routing:
    """The counts of one bundle, from the first request that it computed."""

    bundle: str = ""
    threshold: float = 0.0
    edges: tuple[float, ...] = EDGES  # confidence at which the next class begins
    computed: list[int] = field(default_factory=lambda: [0] * len(EDGES))
    pairs: list[int] = field(default_factory=lambda: [0] * len(EDGES))
    agreed: list[int] = field(default_factory=lambda: [0] * len(EDGES))
    cells: dict[tuple[str, str], list[int]] = field(default_factory=dict)  # segment, answer → requests, unsure
    worst: list[Differs] = field(default_factory=list)  # the surest last

    def compute(self, confidence: float, answer: str, segment: str) -> None:
        """Count an answer of the student, whether it left the gateway or not."""
        self.computed[self._class(confidence)] += 1
        cell = (segment, answer[:LONGEST])
        if cell not in self.cells and len(self.cells) >= CELLS:
            cell = ("", "")  # the rest together
        counts = self.cells.setdefault(cell, [0, 0])
        counts[0] += 1
        counts[1] += confidence < self.line

    def pair(
        self, confidence: float, answer: str, teacher: str, *, agrees: bool, text: str | None, segment: str
    ) -> None:
        """Count an answer that the teacher gave too, whatever the routing."""
        at = self._class(confidence)
        self.pairs[at] += 1
        self.agreed[at] += agrees
        if agrees or text is None or sealed(input_digest(text)):
            return
        day = datetime.now(UTC).date().isoformat()
        found = Differs(round(confidence, 4), day, segment, answer[:LONGEST], teacher[:LONGEST], text[:LONGEST])
        insort(self.worst, found, key=lambda each: each.sure)
        del self.worst[:-WORST]

    @property
    def line(self) -> float:
        """The confidence below which an answer counts as unsure."""
        return self.threshold or 0.8

    def _class(self, confidence: float) -> int:
        return max(0, bisect_right(self.edges, confidence) - 1)

    def routes(self) -> Routes:
        cells = tuple(Cell(*name, *counts) for name, counts in self.cells.items())
        computed, pairs, agreed = (tuple(each) for each in (self.computed, self.pairs, self.agreed))
        worst = tuple(self.worst)
        return Routes(self.bundle, self.threshold, self.line, self.edges, computed, pairs, agreed, cells, worst)


def begun(bundle: str, threshold: float) -> Routing:
    """Return the counts of a bundle that nothing was asked yet."""
    edges = tuple(sorted({*EDGES, threshold}))
    computed, pairs, agreed = ([0] * len(edges) for _ in range(3))
    return Routing(bundle, threshold, edges, computed, pairs, agreed)


def restored(values: Mapping[str, object]) -> Routing:
    """Read the counts of the gateway that served before. Raises ValueError, TypeError, KeyError."""
    found = read_routes(values)
    computed, pairs, agreed = (list(each) for each in (found.computed, found.pairs, found.agreed))
    cells = {(each.segment, each.answer): [each.requests, each.unsure] for each in found.cells}
    worst = list(found.worst)
    return Routing(found.bundle, found.threshold, found.edges, computed, pairs, agreed, cells, worst)

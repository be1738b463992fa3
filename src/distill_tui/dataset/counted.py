"""Counts over rows of traffic: the names that gold and the teacher use, and the rows that a criterion can use."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from distill_tui.gates.label_sets import likely, members
from distill_tui.gates.usable import SegmentRows
from distill_tui.tasks.label_map import LONGEST, Vocabulary

EVERYTHING = "all"  # the segment of a row without one
MOST_NAMES = 1_000  # that are listed
MOST_SEGMENTS = 1_000


@dataclass
class Names:
    """The names in gold and in answers, with their rows; of sets of labels, each name in a set."""

    several: bool = False
    gold: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    named: dict[str, None] = field(default_factory=dict)
    more_gold: int = 0
    more_answers: int = 0

    def add(self, gold: str | None, answer: str | None, shares: Mapping[str, float] | Sequence[float] | None) -> None:
        if isinstance(shares, Mapping):
            if len(self.named) < MOST_NAMES:
                self.named.update(dict.fromkeys(shares))
            answer = answer or self._likely(shares)
        for name in self._names(gold):
            self.more_gold += not _listed(self.gold, name)
        for name in self._names(answer):
            self.more_answers += not _listed(self.answers, name)

    def _likely(self, shares: Mapping[str, float]) -> str | None:
        if self.several:
            return likely(shares, shares.values())
        return max(shares, key=lambda name: shares[name], default=None)

    def _names(self, answer: str | None) -> tuple[str, ...]:
        if answer is None:
            return ()
        return members(answer) if self.several else (answer,)

    def vocabulary(self) -> Vocabulary:
        gold, answers = dict(self.gold.most_common()), dict(self.answers.most_common())
        return Vocabulary(gold, answers, (), tuple(self.named), self.more_gold, self.more_answers)


def _listed(counts: Counter[str], name: str) -> bool:
    if name not in counts and (len(counts) >= MOST_NAMES or len(name) > LONGEST):
        return False
    counts[name] += 1
    return True


@dataclass
class Usable:
    """The rows of each segment that have gold, an answer, and probabilities."""

    counts: dict[str, list[int]] = field(default_factory=dict)

    def add(self, segment: str | None, *, gold: bool, teacher: bool, soft: bool) -> None:
        name = segment or EVERYTHING
        if name not in self.counts and len(self.counts) >= MOST_SEGMENTS:
            name = EVERYTHING
        here = self.counts.setdefault(name, [0] * 5)
        for at, has in enumerate((True, gold, teacher, gold and teacher, gold and soft)):
            here[at] += has

    def segments(self) -> tuple[SegmentRows, ...]:
        return tuple(SegmentRows(name, *counts) for name, counts in sorted(self.counts.items()))


def p95(latencies: Sequence[float]) -> float | None:
    """Return the smallest latency that at least 95% of the calls did not exceed."""
    if not latencies:
        return None
    return sorted(latencies)[math.ceil(0.95 * len(latencies)) - 1]

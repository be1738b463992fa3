"""The blind spot check: which held-out answers a validator judges, in which order, with what result. Pure.

The evaluation's digest and the validator determine the draw, so it cannot be repeated until it suits. Half of the rows
are ones on which student and teacher differ, as far as there are so many; the others are spread over the segments.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill_tui.digests import canonical, digest_of
from distill_tui.gates.record import Record
from distill_tui.terms import Judged

FORMAT = "distill-tui spot check 1"


@dataclass(frozen=True)
class Item:
    """Two answers, `a` and `b`, to one held-out input; which is the student's is hidden from the judge."""

    row: int  # its number in the data set
    segment: str
    a: str
    b: str
    student_first: bool  # hidden from the judge, and recorded

    @property
    def choices(self) -> tuple[Judged, ...]:
        """Return the possible judgements: both or neither, where the answers are equal."""
        return tuple(Judged) if self.a != self.b else (Judged.BOTH, Judged.NEITHER)


def draw(record: Record, person: str, count: int) -> tuple[Item, ...]:
    """Draw `count` items of an evaluation for one validator, or all that can be judged if there are fewer."""
    seed = f"{record.digest()} {person}"

    def chance(*words: object) -> bytes:
        return hashlib.sha256(" ".join(map(str, (seed, *words))).encode()).digest()

    usable = [at for at, teacher in enumerate(record.teacher) if teacher >= 0]
    differ = [at for at in usable if record.teacher[at] != record.student[at]]
    agree = [at for at in usable if record.teacher[at] == record.student[at]]
    first = _round_robin(record, differ, chance)[: max((count + 1) // 2, count - len(agree))]
    chosen = first + _round_robin(record, agree, chance)[: count - len(first)]
    chosen.sort(key=lambda at: chance("order", record.rows[at]))
    return tuple(_item(record, at, student_first=bool(chance("side", record.rows[at])[0] & 1)) for at in chosen)


def _round_robin(record: Record, places: Sequence[int], chance: Callable[..., bytes]) -> list[int]:
    """Order rows so that the segments alternate."""
    turns: Counter[int] = Counter()
    ranked = []
    for at in sorted(places, key=lambda at: chance("pick", record.rows[at])):
        ranked.append((turns[record.segment[at]], chance("turn", record.segment[at]), at))
        turns[record.segment[at]] += 1
    return [at for *_, at in sorted(ranked)]


def _item(record: Record, at: int, *, student_first: bool) -> Item:
    student, teacher = record.labels[record.student[at]], record.labels[record.teacher[at]]
    a, b = (student, teacher) if student_first else (teacher, student)
    segment = record.segments[record.segment[at]] if record.segment[at] >= 0 else ""
    return Item(record.rows[at], segment, a, b, student_first)


def content(record: Record, items: Sequence[Item], said: Sequence[Judged]) -> str:
    """Write the judgements with the order in which each pair was shown, as canonical JSON."""
    judged = [
        {"row": item.row, "student_first": item.student_first, "said": one.value}
        for item, one in zip(items, said, strict=True)
    ]
    return canonical({"format": FORMAT, "evaluation": record.digest(), "judged": judged}).decode()


def trouble(record: Record, person: str, text: str) -> str:
    """Return what is wrong with a recorded check: its evaluation, its draw or its choices; empty if nothing."""
    try:
        value = json.loads(text)
        judged = value["judged"]
        items = draw(record, person, len(judged))
        said = [Judged(one["said"]) for one in judged]
        whole = len(items) == len(said) and content(record, items, said) == text
        choices = whole and all(one in item.choices for item, one in zip(items, said, strict=True))
    except (ValueError, TypeError, KeyError, RecursionError):
        return "The spot check cannot be read."
    if not whole:
        return "The spot check belongs to another evaluation, or judges other answers than those drawn."
    return "" if choices else "The spot check prefers one of two equal answers."


def result(text: str) -> dict[str, int]:
    """Count the judgements of a recorded check, in total and by who was right."""
    counts = {"judged": 0, "both right": 0, "only student right": 0, "only teacher right": 0, "neither right": 0}
    for one in json.loads(text)["judged"]:
        counts["judged"] += 1
        counts[_whose(one)] += 1
    return counts


def _whose(one: Mapping[str, object]) -> str:
    if one["said"] in (Judged.BOTH, Judged.NEITHER):
        return f"{one['said']} right"
    return "only student right" if (one["said"] == Judged.A) == one["student_first"] else "only teacher right"


def summary(text: str | None) -> dict[str, Any]:
    """Return a check's digest and counts for a statement; without a check the digest is empty."""
    if text is None:
        return {"digest": "", "judged": 0}
    return {"digest": digest_of(text.encode()), **result(text)}

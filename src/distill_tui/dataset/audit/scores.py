"""Audit scores: levels that are never used, scores that are all alike, a judge that is off gold on average."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

from distill_tui.dataset.build import Rows
from distill_tui.gates import statistics
from distill_tui.gates.scale import Scale
from distill_tui.rules.results import Finding
from distill_tui.terms import FindingLevel

ALWAYS = 0.95  # share of the scores from which on one of them says next to nothing
MOST_UNUSED = 0.5  # share of a range's points from which on unused ones are worth a finding
LEAST = 30  # rows with both
SHIFT = 0.05  # of the scale: a mean difference from which on a judge is off
ALPHA = 0.025


def findings(rows: Rows, labels: Sequence[str]) -> Iterator[Finding]:
    """Report unused levels, one score for nearly all rows, and a mean difference of the teacher from gold."""
    scale = Scale.of(labels)
    for who, scores in (("Gold", (row.gold for row in rows)), ("The teacher", (row.answer for row in rows))):
        counted = Counter(scale.nearest(each) for each in map(scale.known, scores) if each is not None)
        known = counted.total()
        if not known:
            continue
        unused = [label for at, label in enumerate(scale.labels) if not counted[at]]
        if unused and (not scale.ranged or len(unused) >= MOST_UNUSED * len(scale.labels)):
            named = f"{', '.join(unused[:10])}{' and more' if len(unused) > 10 else ''}"
            yield _note("unused", who.lower(), f"{who} never gives {named}, in {known:,} rows with a score.")
        commonest, most = counted.most_common(1)[0]
        if most >= ALWAYS * known:
            yield Finding.of(
                "constant", FindingLevel.MUST, who.lower(),
                f"{who} gives {scale.labels[commonest]} to {most:,} of {known:,} rows: such scores tell nothing "
                "apart. Check the column and the scale, or import other traffic.",
            )  # fmt: skip
    yield from _off(rows, scale)


def _off(rows: Rows, scale: Scale) -> Iterator[Finding]:
    """Report where the teacher's mean differs from gold's by more than a twentieth of the scale, beyond chance."""
    pairs = (row.compared for row in rows if row.compared is not None)
    both = ((scale.known(gold), scale.known(said)) for gold, said in pairs)
    apart = array("d", (float(said) - float(gold) for gold, said in both if gold is not None and said is not None))
    if len(apart) < LEAST:
        return
    mean = math.fsum(apart) / len(apart)
    spread = math.sqrt(math.fsum((each - mean) ** 2 for each in apart) / (len(apart) - 1) / len(apart))
    reach = statistics.t_quantile(1 - ALPHA, len(apart) - 1) * spread
    if abs(mean) - reach > 0 and abs(mean) >= SHIFT * float(scale.span):
        side = "higher" if mean > 0 else "lower"
        yield _note(
            "shift", "teacher",
            f"The teacher scores {abs(mean):.2f} {side} than gold on average (95% CI {abs(mean) - reach:.2f} to "
            f"{abs(mean) + reach:.2f}, {len(apart):,} rows): a student learns that too.",
        )  # fmt: skip


def _note(kind: str, about: str, says: str) -> Finding:
    return Finding.of(kind, FindingLevel.NOTE, about, says)

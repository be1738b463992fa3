"""The teacher before the student: how good it is against gold, and whether it knows more than a baseline of words.

Teacher quality is the ceiling: a student that is held to a floor above it, or that could be replaced by a bag of
words, is not worth training. What is found here is said when the data set is built, and must be accepted before it is
frozen. Held-out rows are not looked at.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from distill_tui import gates, statistics
from distill_tui.dataset.findings import MUST, NOTE, Finding
from distill_tui.gates.gate import ALL
from distill_tui.terms import Metric, Reference, Split

LEAST = 50  # rows with gold below which a share says next to nothing
MOST = 2_000  # rows that the baseline learns on: a second or two
ALPHA = 0.025  # on each side


def measure(rows: Sequence[Any], labels: Sequence[str], seed: int) -> dict[str, int] | None:
    """Compare teacher and baseline on the rows outside the held-out split that have both; None where too few do."""
    index = {label: at for at, label in enumerate(labels)}
    known = [r for r in rows if r.split is not Split.HELD_OUT and r.gold in index and r.teacher_output in index]
    known = sorted(known, key=lambda row: row.input_digest)[:MOST]
    if len(known) < LEAST:
        return None
    given = {
        "texts": [row.input for row in known],
        "gold": [index[row.gold] for row in known],
        "teacher": [index[row.teacher_output] for row in known],
        "seed": seed,
    }
    counts: dict[str, int] = json.loads(_compared(json.dumps(given)))
    return counts


@lru_cache(maxsize=4)
def _compared(given: str) -> str:
    """Ask the process that may import what trains; the same rows are not asked about again."""
    command = [sys.executable, "-m", "distill_tui.training.headroom"]
    env = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # two threads would only spin
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True, env=env).stdout


def told(counts: dict[str, int]) -> str:
    """Say how good the teacher is, with its interval, and the baseline beside it."""
    rows = counts["rows"]
    low, high = statistics.wilson_interval(counts["teacher"], rows, ALPHA)
    return (
        f"The teacher is right on {counts['teacher'] / rows:.1%} ({low:.1%} to {high:.1%}) of {rows:,} rows with gold; "
        f"TF-IDF, learning on the same gold, on {counts['baseline'] / rows:.1%}."
    )


def findings(counts: dict[str, int] | None, gate: gates.Gate) -> Iterator[Finding]:
    """Say what of it whoever freezes has to know."""
    if counts is None:
        yield Finding.of(
            "teacher", NOTE, "unknown",
            f"Fewer than {LEAST} rows have both gold and a teacher's label: nobody knows how good the teacher is.",
        )  # fmt: skip
        return
    yield from _below_the_gate(counts, gate)
    rows, losses, wins = counts["rows"], counts["only_baseline"], counts["only_teacher"]
    least = statistics.difference_at_least(losses, wins, rows, ALPHA)
    most = statistics.difference_at_most(losses, wins, rows, ALPHA)
    if least <= 0:
        what = "is behind" if most < 0 else "is not shown to be ahead of"
        yield Finding.of(
            "teacher", NOTE, "headroom",
            f"No headroom: the teacher {what} TF-IDF ({least * 100:+.1f} to {most * 100:+.1f} points). {told(counts)} "
            "Label more gold, or find a better teacher, before a student is trained.",
        )  # fmt: skip


def _below_the_gate(counts: dict[str, int], gate: gates.Gate) -> Iterator[Finding]:
    _, high = statistics.wilson_interval(counts["teacher"], counts["rows"], ALPHA)
    for criterion in gate.criteria:
        floor = criterion.threshold
        absolute = criterion.metric is Metric.ACCURACY and criterion.reference is Reference.NONE
        if absolute and criterion.scope == ALL and criterion.counts and floor is not None and high < float(floor):
            yield Finding.of(
                "teacher", MUST, "floor",
                f"The teacher is below the gate: {told(counts)} The gate asks the student for {floor:.1%}, and a "
                "student seldom knows more than its teacher.",
            )  # fmt: skip

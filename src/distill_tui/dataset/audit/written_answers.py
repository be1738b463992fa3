"""Findings about answers that are texts: broken JSON among JSON, and what a tagger can learn of each field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from distill_tui.dataset.build import Rows
from distill_tui.rules.results import Finding
from distill_tui.tasks import answer_text
from distill_tui.terms import FindingLevel, Split


def findings(rows: Rows) -> Iterator[Finding]:
    """Name answers that are not whole JSON where most of the answers are JSON."""
    found, held_out = Counter[str](), 0
    for row in rows:
        if row.teacher_output is not None:
            trouble = answer_text.trouble(row.teacher_output)
            found[trouble] += 1
            held_out += bool(trouble) and row.split is Split.HELD_OUT
    answered, as_json = found.total(), sum(found[each] for each in ("", answer_text.FENCED, answer_text.TWICE))
    wrong = Counter({trouble: count for trouble, count in found.items() if trouble})
    if not wrong or 2 * as_json <= answered:
        return
    listed = ", ".join(f"{count:,} {trouble}" for trouble, count in wrong.most_common())
    yield Finding.of(
        "json",
        FindingLevel.MUST,
        "answers",
        f"{wrong.total():,} of {answered:,} answers of the teacher are not whole JSON objects as the others are: "
        f"{listed}; {held_out:,} of them are held out. A student would learn them, and be judged by them. Raise the "
        "limit of the answer's tokens, fix the prompt, or import without them.",
    )

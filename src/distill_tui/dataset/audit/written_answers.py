"""Findings about answers that are texts: broken JSON among JSON, and what a tagger can learn of each field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from distill_tui.dataset.build import Row
from distill_tui.rules.results import Finding
from distill_tui.tasks import answer_text
from distill_tui.terms import FindingLevel, Split


def findings(rows: Sequence[Row]) -> Iterator[Finding]:
    """Name answers that are not whole JSON where most of the answers are JSON."""
    answered = [(row, answer_text.trouble(row.teacher_output)) for row in rows if row.teacher_output is not None]
    as_json = sum(trouble in ("", answer_text.FENCED, answer_text.TWICE) for _, trouble in answered)
    wrong = Counter(trouble for _, trouble in answered if trouble)
    if not wrong or 2 * as_json <= len(answered):
        return
    held_out = sum(bool(trouble) and row.split is Split.HELD_OUT for row, trouble in answered)
    listed = ", ".join(f"{count:,} {trouble}" for trouble, count in wrong.most_common())
    yield Finding.of(
        "json",
        FindingLevel.MUST,
        "answers",
        f"{wrong.total():,} of {len(answered):,} answers of the teacher are not whole JSON objects as the others are: "
        f"{listed}; {held_out:,} of them are held out. A student would learn them, and be judged by them. Raise the "
        "limit of the answer's tokens, fix the prompt, or import without them.",
    )

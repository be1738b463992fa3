"""What a bundle consists of: the names of its files, and the parts that are written and checked alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distill_tui.gates.judgement import Judgement
from distill_tui.gates.judging import passed

FORMAT = "distill-tui bundle 1"
MANIFEST = "manifest.json"
ROSTER = "roster.json"
SPOT_CHECK = "spot_checks.json"
SUMS = "SHA256SUMS"
SHIP, SHIP_SIGNATURE, SHIP_SIGNERS = "ship.json", "ship.sig", "ship_signers"


def evaluation(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Write the judgements for people and programs, numbers as text."""
    return {
        "verdict": "passed" if passed(judgements) else "missed",
        "criteria": [
            {
                "criterion": judgement.criterion.words,
                "scope": judgement.scope,
                "verdict": judgement.verdict.value,
                "rows": judgement.n,
                "estimate": _text(judgement.estimate),
                "lower": _text(judgement.lower),
                "upper": _text(judgement.upper),
                "sentence": judgement.sentence,
            }
            for judgement in judgements
        ],
    }


def _text(number: float | None) -> str:
    return "" if number is None else repr(number)

"""Sentences that never repeat."""

from __future__ import annotations

import random

WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("alo", "emi", "irun", "otesk", "uvan")]


def sentence(number: int) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=10))

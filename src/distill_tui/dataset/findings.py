"""A finding about a data set: what whoever freezes it should know, under a name by which it can be accepted (pure)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from distill_tui.terms import FindingLevel


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    id: str  # like thin-3fa2b1: the same thing has the same name in every build
    level: FindingLevel
    says: str  # one sentence, with its figures: an acceptance holds while they stay as they are

    @classmethod
    def of(cls, kind: str, level: FindingLevel, about: str, says: str) -> Finding:
        """Name a finding by its kind and by what it is about."""
        return cls(f"{kind}-{hashlib.sha256(about.encode()).hexdigest()[:6]}", level, says)

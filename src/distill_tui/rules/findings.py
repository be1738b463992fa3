"""The order of audit findings, by what they cost the verdict, and findings of one kind folded into one line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill_tui.rules.results import Finding
from distill_tui.terms import FindingLevel

# What findings of each kind have in common, the kind that costs the verdict most first.
KINDS = {
    "ungraded": "kinds of held-out rows that a criterion cannot use",
    "gate": "criteria of single segments with too few held-out rows",
    "answer": "kinds of teacher outputs that are not labels",
    "gold": "kinds of gold labels that are not labels of the task",
    "silent": "kinds of rows without a teacher output",
    "lacking": "kinds of columns or labels that some files lack",
    "teacher": "findings about the teacher",
    "unproven": "values with too few held-out rows for a rate",
    "conflict": "kinds of conflicts between gold labels",
    "close": "kinds of rows too close to held-out rows",
    "period": "kinds of rows in the held-out period",
    "missing": "values without a training row",
    "thin": "values with few training rows",
    "hot": "cells where the teacher is wrong significantly more often",
    "written": "kinds of rows that a teacher wrote",
    "private": "kinds of personal data",
}
_RANK = {kind: place for place, kind in enumerate(KINDS)}


def kind_of(finding: Finding) -> str:
    return finding.id.rpartition("-")[0]


def by_cost(found: Sequence[Finding]) -> list[Finding]:
    """Sort by what a finding costs the verdict: what must be accepted first, then by kind; else the order stays."""

    def cost(finding: Finding) -> tuple[bool, bool, int]:
        must = finding.level is FindingLevel.MUST
        return bool(finding.accepted), not must, _RANK.get(kind_of(finding), -1)

    return sorted(found, key=cost)


@dataclass(frozen=True)
class Fold:
    """Findings of one kind and level, all open or accepted with one reason, in one line."""

    kind: str
    findings: tuple[Finding, ...]

    @property
    def level(self) -> FindingLevel:
        return self.findings[0].level

    @property
    def accepted(self) -> str:
        """The reason with which all of them were accepted."""
        return self.findings[0].accepted

    @property
    def says(self) -> str:
        """One finding as it is; several as their number, what they have in common, and the first of them."""
        first = self.findings[0].says
        if len(self.findings) == 1:
            return first
        return f"{len(self.findings):,} {KINDS.get(self.kind, f'findings “{self.kind}”')}. The first: {first}"

    @property
    def name(self) -> str:
        """How it is accepted: by its ID, or by its kind."""
        return self.findings[0].id if len(self.findings) == 1 else self.kind


def folded(found: Sequence[Finding]) -> list[Fold]:
    """Fold notes of one kind into one line; what must be accepted stays one by one."""
    folds: dict[tuple[str, str], list[Finding]] = {}
    for each in by_cost(found):
        kind = each.id if each.level is FindingLevel.MUST else kind_of(each)
        folds.setdefault((kind, each.accepted), []).append(each)
    return [Fold(kind_of(each[0]), tuple(each)) for each in folds.values()]


def by_name(still: Sequence[Finding], names: Sequence[str]) -> list[Finding]:
    """Return the open findings with these IDs, and the notes of these kinds; without names all notes.

    What must be accepted is only ever accepted by its ID.
    """

    def named(each: Finding) -> bool:
        return each.id in names or (each.level is FindingLevel.NOTE and (not names or kind_of(each) in names))

    return [each for each in still if named(each)]

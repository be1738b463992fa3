"""What a play measured, judged when it is first looked at: most commands look at no record."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from distill_tui.gates import written
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.record import Record
from distill_tui.rules import entities
from distill_tui.rules.dossier import Looked, PlayDossier
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.records import judged, read_record


@dataclass(frozen=True)
class Stored:
    """Verdicts that were computed before, under the digests of what they were computed from."""

    record: str
    gate: str
    judgements: tuple[Judgement, ...]


def look(
    artifacts: Artifacts, dossier: PlayDossier, evaluations: Sequence[entities.Evaluation], stored: Stored | None = None
) -> Looked:
    """Look at the last of these evaluations. A record that cannot be used is none; `verify` reports it."""
    gate = dossier.gate
    if gate is None or not evaluations:
        return Looked()
    digest = evaluations[-1].record

    @cache
    def read() -> Record | None:
        with suppress(OSError, ValueError):
            return read_record(artifacts, digest)
        return None

    def judge() -> tuple[Judgement, ...]:
        if stored is not None and (stored.record, stored.gate) == (digest, written.digest(gate)):
            return stored.judgements
        record = read()
        return () if record is None else judged(record, digest, gate)

    return Looked(read, judge)

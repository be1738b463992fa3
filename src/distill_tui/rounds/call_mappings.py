"""How logged calls become inputs in a play: as its traffic has it, or as proposed for the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_tui import tasks
from distill_tui.dataset.traces import call_mapping
from distill_tui.dataset.traces.call_mapping import CallMapping
from distill_tui.rules.dossier import PlayDossier

if TYPE_CHECKING:
    from distill_tui.dataset.opening import Source


def template_of(dossier: PlayDossier) -> str:
    """Return the template that makes one input of several fields in this play; empty for none."""
    stored = call_mapping.of_traffic(each.mapping for each in dossier.traffic)
    return stored.template if stored is not None else ""


def calls_of(dossier: PlayDossier, source: Source, answers: str | None = None) -> CallMapping | None:
    """Return how the calls of a source become inputs and answers in this play; None for a table that stays as it is.

    It is the mapping that the play's traffic has; for the first traffic it is proposed from the first calls. Of a plain
    table it is the part of the JSON in the column `answers`, and whether personal data is replaced.
    """
    from distill_tui.dataset import readers
    from distill_tui.dataset.traces import proposal, stream

    chooses = tasks.of(dossier.play.task).has_labels
    if not readers.is_log(source):
        kept = call_mapping.stored_calls(each.mapping for each in dossier.traffic)
        if kept is not None:
            return kept if kept.scrub or kept.answer else None
        return proposal.propose_for_table(readers.answers_in(source, answers), chooses=chooses)
    stored = call_mapping.of_traffic(each.mapping for each in dossier.traffic)
    if stored is not None:
        return stored
    return proposal.propose(stream.sample_calls(stream.recognise(source), proposal.SAMPLE), chooses=chooses)

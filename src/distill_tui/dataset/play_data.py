"""Queries of screens and commands about a play's data: its rows, near duplicates, repeats, and answers to judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui.gates.gate import Gate
from distill_tui.gates.written import to_toml
from distill_tui.rules import spot_checks
from distill_tui.rules.actor import Actor
from distill_tui.rules.decide import answers_to_judge
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.labels import scale_text
from distill_tui.rules.spot_checks import Item
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import Action, Split

if TYPE_CHECKING:
    from distill_tui.dataset.browse import OpenRows
    from distill_tui.dataset.duplicates import Pair
    from distill_tui.dataset.repeats import Repeats


@dataclass(frozen=True)
class ToJudge:
    """Two answers for a validator to judge blind, with their input."""

    item: Item
    text: str


def answers_to_draw(dossier: PlayDossier, wanted: int = 0) -> int:
    """Return how many answers a validator judges: as many as wanted, at least those of the gate, else ten."""
    return max(wanted, answers_to_judge(dossier)) or 10


def to_judge(project: Project, play_id: int, actor: Actor, count: int) -> list[ToJudge]:
    """Draw answers for this validator, with their held-out inputs. Raises Refused for any other person."""
    from distill_tui.dataset import frozen

    dossier = project.ask_first(Action.SPOT_CHECK, play_id, actor)
    assert dossier.record is not None and dossier.data_set is not None and actor.person is not None
    trouble = project.artifacts.trouble(dossier.data_set.artifact)
    if trouble:
        raise ProjectError(trouble)
    items = spot_checks.draw(dossier.record, actor.person, count)
    rows = frozen.load(project.artifacts.path(dossier.data_set.artifact), Split.HELD_OUT)
    texts = dict(zip(rows.rows.tolist(), rows.inputs, strict=True))
    return [ToJudge(item, texts.get(item.row, "")) for item in items]


def repeats(project: Project, dossier: PlayDossier) -> Repeats | None:
    """Measure how often a recorded teacher agrees with itself; None where the gate states it or is locked."""
    from distill_tui.dataset import repeats as repeated

    play, gate = dossier.play, dossier.gate
    if play.teacher_source.computes or dossier.locked:
        return None
    if gate is not None and gate.teacher_agreement is not None:
        return None
    files = [project.artifacts.path(traffic.artifact) for traffic in dossier.traffic]
    return repeated.measure(files, scale_text(play))


def draft(gate: Gate, found: Repeats | None) -> str:
    """Format a draft gate as TOML, with the teacher's measured agreement if there is one."""
    if found is None:
        return to_toml(gate)
    measured = replace(gate, teacher_agreement=found.share)
    return f"# teacher_agreement is measured. {found.sentence}\n{to_toml(measured)}"


def rows(project: Project, play_id: int) -> OpenRows:
    """Return this round's rows to browse, without held-out rows. Raises ProjectError, BadInput."""
    from distill_tui.dataset import browse

    return browse.OpenRows(_data(project, play_id))


def _data(project: Project, play_id: int) -> Path:
    data = project.dossier(play_id).data_set
    if data is None:
        raise ProjectError("This round has no data set. Build one with `data build`.")
    return project.artifacts.path(data.artifact)


MOST_PAIRED = 20_000  # rows that are searched for pairs at the border


def border(project: Project, play_id: int, around: float) -> tuple[list[Pair], list[str], int]:
    """Find pairs at the border of near duplicates in this round's data set, without held-out rows.

    Returns the pairs, the texts that they index, and the number of rows searched. Raises ProjectError.
    """
    from distill_tui.dataset import duplicates, frozen

    stored = frozen.stored(_data(project, play_id))
    rows = (row for row in stored if row["split"] != Split.HELD_OUT)
    texts = [row["input"] for row in islice(rows, MOST_PAIRED)]
    return duplicates.border(texts, around), texts, len(texts)

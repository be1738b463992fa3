"""What a play's screen shows at one moment: loaded in a thread, frozen, and passed to the screen."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_tui.gates.gate import Gate
from distill_tui.review import review
from distill_tui.review.review import Review
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.store import queries
from distill_tui.terms import RunKind, Stage

if TYPE_CHECKING:
    from distill_tui.dataset.repeats import Repeats
    from distill_tui.monitor.history import LiveView
    from distill_tui.rules import entities
    from distill_tui.store.project import Project

ENTRIES = 300  # entries of the log that are loaded


@dataclass(frozen=True)
class View:
    """All that a play's screen shows at one moment, as it was loaded; it crosses from the thread to the screen."""

    dossier: PlayDossier
    actor: Actor
    entries: tuple[entities.AuditEntry, ...] = ()  # newest first
    review: Review | None = None  # of this round's evaluation
    curve: tuple[entities.RunPoint, ...] = ()
    predecessor: str = ""
    predecessor_gate: Gate | None = None
    life: LiveView | None = None  # of a play that has shipped
    repeats: Repeats | None = None  # the teacher's agreement with itself, if the draft gate lacks it
    expected: tuple[str, ...] = ()  # before it ships: what drift the sample will detect
    window: int = 0  # days of its life that the tab Live is narrowed to; 0: since the watch began

    @property
    def play(self) -> entities.Play:
        return self.dossier.play

    @property
    def play_id(self) -> int:
        return self.dossier.play_id


def load(project: Project, play_id: int, actor: Actor, before: View | None = None) -> View:
    """Read all of it; a review takes half a second, so that of `before` is kept while the record is the same."""
    from distill_tui.monitor import history

    dossier = project.dossier(play_id)
    run = shown_run(dossier)
    predecessor = dossier.play.predecessor
    before_it = project.dossier(predecessor) if predecessor else None
    earlier = before_it.play if before_it else None
    return View(
        dossier,
        actor,
        entries=tuple(reversed(queries.entries(project, play_id, last=ENTRIES))),
        review=_review(dossier, before),
        curve=tuple(queries.curve(project, run.id)) if run is not None and run.id is not None else (),
        predecessor=f"{earlier.code} {earlier.name}" if earlier else "",
        predecessor_gate=before_it.gate if before_it else None,
        repeats=_repeats(project, dossier),
        life=history.life(project, dossier),
        expected=history.expected(dossier),
        window=before.window if before is not None else 0,
    )


def _repeats(project: Project, dossier: PlayDossier) -> Repeats | None:
    from distill_tui.dataset import play_data

    if dossier.play.stage is Stage.GATE:
        with suppress(ValueError):  # traffic that cannot be read: the data stage says so
            return play_data.repeats(project, dossier)
    return None


def _review(dossier: PlayDossier, before: View | None) -> Review | None:
    same = before is not None and before.dossier.record is dossier.record
    return review.of(dossier, before.review if before is not None and same else None)


def shown_run(dossier: PlayDossier) -> entities.Run | None:
    """Return the run whose curve is shown: the active training, else the newest."""
    trains = [run for run in dossier.runs if run.kind is RunKind.TRAIN]
    return next((run for run in trains if run.status.active), trains[-1] if trains else None)

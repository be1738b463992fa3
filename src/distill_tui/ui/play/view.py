"""What a play's screen shows at one moment: loaded in a thread, frozen, and passed to the screen."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from distill_tui.gates.gate import Gate
from distill_tui.review import review
from distill_tui.review.review import Review
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import Looked, PlayDossier
from distill_tui.store import gateway, queries
from distill_tui.terms import Action, RunKind, Stage

if TYPE_CHECKING:
    from distill_tui.dataset.repeats import Repeats
    from distill_tui.monitor.history import LiveView
    from distill_tui.rules import entities
    from distill_tui.store.gateway import GatewayNow
    from distill_tui.store.project import Project

# Not in a session over SSH: a play is opened on the host, and the other forms read its files.
OF_THE_HOST = (Action.OPEN_PLAY, Action.IMPORT_TRAFFIC, Action.SET_TEACHER, Action.OBSERVE)
ENTRIES = 300  # entries of the log that are loaded
FIRST = 30  # of them at once


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
    gateway: GatewayNow | None = None  # of a play that is or was served
    repeats: Repeats | None = None  # the teacher's agreement with itself, if the draft gate lacks it
    expected: tuple[str, ...] = ()  # before it ships: what drift the sample will detect
    partial: bool = False  # whether the evaluation is still being read: its rows take up to a second
    opened: bool = False  # whether the tabs Data and Eval write out every finding, value and class
    student: int = 0  # the run whose student is under the cursor of the tab Eval; 0: the best on validation
    revoked: Mapping[str, int] = field(default_factory=dict)  # keys, with the entry of the log that revoked each
    window: int = 0  # days of its life that the tab Live is narrowed to; 0: since the watch began

    @property
    def play(self) -> entities.Play:
        return self.dossier.play

    @property
    def play_id(self) -> int:
        return self.dossier.play_id


def at_once(project: Project, play_id: int, actor: Actor) -> View:
    """Read what takes no time: all but the evaluation, whose verdicts are those of the card."""
    dossier = project.dossier(play_id, shown=True)
    judgements = dossier.judgements if dossier.evaluation is not None else ()
    return View(
        replace(dossier, looked=Looked.at(None, judgements)),
        actor,
        entries=tuple(reversed(queries.entries(project, play_id, last=FIRST))),
        partial=dossier.evaluation is not None or dossier.live is not None or dossier.play.stage is Stage.GATE,
    )


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
        revoked=queries.revocations(project),
        review=_review(dossier, before),
        curve=tuple(queries.curve(project, run.id)) if run is not None and run.id is not None else (),
        predecessor=f"{earlier.code} {earlier.name}" if earlier else "",
        predecessor_gate=before_it.gate if before_it else None,
        repeats=_repeats(project, dossier),
        life=history.life(project, dossier),
        gateway=gateway.read(project.path, dossier.code),
        expected=history.expected(dossier),
        opened=before.opened if before is not None else False,
        student=before.student if before is not None else 0,
        window=before.window if before is not None else 0,
    )


def _repeats(project: Project, dossier: PlayDossier) -> Repeats | None:
    from distill_tui.dataset import play_data

    if dossier.play.stage is Stage.GATE:
        with suppress(ValueError):  # traffic that cannot be read: the data stage reports it
            return play_data.repeats(project, dossier)
    return None


def _review(dossier: PlayDossier, before: View | None) -> Review | None:
    same = before is not None and before.dossier.record is dossier.record
    return review.of(dossier, before.review if before is not None and same else None)


def shown_run(dossier: PlayDossier) -> entities.Run | None:
    """Return the run whose curve is shown: the active training, else the newest."""
    trains = [run for run in dossier.runs if run.kind is RunKind.TRAIN]
    return next((run for run in trains if run.status.active), trains[-1] if trains else None)

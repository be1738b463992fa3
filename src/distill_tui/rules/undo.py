"""Rules of undo and redo: a person takes back their own change of a draft, until the draft is fixed."""

from __future__ import annotations

from collections.abc import Iterator

from distill_tui.rules.actor import Actor
from distill_tui.rules.data import not_frozen
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import Undo
from distill_tui.rules.state_machine import NEXT_STAGE, closed
from distill_tui.rules.who import PlayRule, held_by
from distill_tui.terms import Action, Role

WHO = {Action.FILL_WORKSHEET: (Role.DRIVER, Role.SPONSOR), Action.EDIT_GATE: (Role.DRIVER, Role.SPONSOR)}


def undo(dossier: PlayDossier, actor: Actor, request: Undo | None) -> Iterator[Objection]:
    """Who may change the draft may take the change back, if nothing that it wrote was changed since."""
    if request is None:
        yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
        return
    if request.done is None:
        yield Objection(
            "undo.nothing",
            f"{actor.person} has nothing to undo or redo in {dossier.code}: that is for changes of drafts (numbers, "
            "gate, labels, accepted findings, dropped rows), each by its own person.",
        )
        return
    if (dossier.play.stage, request.done) not in NEXT_STAGE:
        yield closed(request.done, dossier.play)
        return
    yield from held_by(dossier, actor, *WHO.get(request.done, (Role.DRIVER,)))
    yield from not_frozen(dossier)
    if request.moved:
        yield Objection(
            "undo.moved",
            f"“{request.done.command}” cannot be taken back: changed since then: {', '.join(request.moved)}. "
            "Edit it instead.",
        )


RULES: dict[Action, PlayRule] = {Action.UNDO: undo, Action.REDO: undo}

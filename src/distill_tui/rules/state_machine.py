"""Which action is possible in which stage, and which stage follows. No other transition exists."""

from __future__ import annotations

from distill_tui.rules import entities
from distill_tui.rules.objection import Objection
from distill_tui.terms import BEFORE_LOCK, Action, Stage

NEXT_STAGE = {(stage, action): action.to or stage for action in Action for stage in action.stages}


def closed(action: Action, play: entities.Play) -> Objection:
    stages = [stage.value for stage in Stage if (stage, action) in NEXT_STAGE]
    what = action.command or action.value
    if play.stage is Stage.KILLED:
        return Objection("stage.killed", f"{play.code} was killed. Open a new play with --predecessor {play.code}.")
    if action in (Action.EDIT_GATE, Action.LOCK_GATE, Action.FILL_WORKSHEET) and play.stage not in BEFORE_LOCK:
        return Objection(
            "gate.locked",
            f"The gate of {play.code} is locked for good. To change it, kill the play and open another with "
            "--predecessor.",
        )
    return Objection("stage.closed", f"“{what}” works in {' or '.join(stages)}; {play.code} is in {play.stage.value}.")

"""Which action is possible at which stage, and which stage follows. What is not in the table cannot happen."""

from __future__ import annotations

from distill_tui.rules import entities
from distill_tui.rules.objection import Objection
from distill_tui.terms import FIVE_STAGES, Action, Stage


def _from(*stages: Stage, to: Stage | None = None) -> dict[Stage, Stage]:
    return {stage: to or stage for stage in stages}


BEFORE_LOCK = (Stage.QUALIFY, Stage.GATE)


_ANY = (*FIVE_STAGES, Stage.LIVE, Stage.KILLED)


_SHIPPABLE = (Stage.DATA, Stage.TRAIN, Stage.DECIDE, Stage.LIVE)  # a bundle stays live while a refresh is under way


# The state machine. What is not in it cannot happen.
NEXT_STAGE: dict[tuple[Stage, Action], Stage] = {
    (stage, action): after
    for action, moves in {
        Action.ASSIGN_ROLE: _from(*FIVE_STAGES, Stage.LIVE),
        Action.SIGN_ROSTER: _from(*FIVE_STAGES, Stage.LIVE),
        Action.FILL_WORKSHEET: _from(*BEFORE_LOCK),
        Action.QUALIFY: _from(Stage.QUALIFY, to=Stage.GATE),
        Action.EDIT_GATE: _from(*BEFORE_LOCK),
        Action.LOCK_GATE: _from(Stage.GATE, to=Stage.DATA),
        Action.IMPORT_TRAFFIC: _from(Stage.QUALIFY, Stage.GATE, Stage.DATA),
        Action.SET_TEACHER: _from(Stage.QUALIFY, Stage.GATE, Stage.DATA),
        Action.LABEL: _from(Stage.DATA),
        Action.CONFIRM_TERMS: _from(Stage.QUALIFY, Stage.GATE, Stage.DATA),
        Action.BUILD_DATA: _from(Stage.DATA),
        Action.ACCEPT_FINDINGS: _from(Stage.DATA),
        Action.FREEZE_DATA: _from(Stage.DATA, to=Stage.TRAIN),
        Action.OPEN_ROW: _from(Stage.TRAIN, Stage.DECIDE, Stage.LIVE),
        Action.START_RUN: _from(Stage.TRAIN),
        Action.STOP_RUN: _from(*_SHIPPABLE),
        Action.RESUME_RUN: _from(*_SHIPPABLE),
        Action.EVALUATE: _from(Stage.TRAIN),
        Action.RECORD_EVALUATION: _from(Stage.TRAIN, to=Stage.DECIDE),
        Action.REPRODUCE: _from(Stage.DECIDE),
        Action.RECORD_REPRODUCTION: _from(Stage.DECIDE),
        Action.SPOT_CHECK: _from(Stage.DECIDE),
        Action.SIGN_OFF: _from(Stage.DECIDE),
        Action.REFUSE: _from(Stage.DECIDE),
        Action.WITHDRAW: _from(Stage.DECIDE),
        Action.SET_MAINTENANCE: _from(*FIVE_STAGES, Stage.LIVE),
        Action.SHIP: _from(Stage.DECIDE, to=Stage.LIVE),
        Action.ITERATE: _from(Stage.DECIDE, to=Stage.DATA),
        Action.KILL: _from(*FIVE_STAGES, to=Stage.KILLED),
        Action.REHEARSE: _from(Stage.DECIDE),
        Action.OBSERVE: _from(*_SHIPPABLE),
        Action.RECORD_OBSERVATIONS: _from(*_SHIPPABLE),
        Action.ACKNOWLEDGE: _from(*_SHIPPABLE),
        Action.ROLL_BACK: _from(*_SHIPPABLE, to=Stage.LIVE),
        Action.REFRESH: _from(Stage.LIVE, to=Stage.DATA),
        Action.COMMENT: _from(*_ANY),
        Action.FINISH_RUN: _from(*_ANY),
        Action.END_RUN: _from(*_ANY),
    }.items()
    for stage, after in moves.items()
}


ABOUT_THE_PROJECT = (
    Action.OPEN_PROJECT,
    Action.ENROL_PERSON,
    Action.ADD_ACCOUNT,
    Action.ADD_KEY,
    Action.REVOKE_KEY,
    Action.SET_ASSURANCE,
    Action.OPEN_PLAY,
)


BY_WORKERS = (
    Action.FINISH_RUN,
    Action.END_RUN,
    Action.RECORD_EVALUATION,
    Action.RECORD_REPRODUCTION,
    Action.RECORD_OBSERVATIONS,
)


BUILDING = (  # whoever does one of these has built, for good
    Action.IMPORT_TRAFFIC,
    Action.SET_TEACHER,
    Action.LABEL,
    Action.BUILD_DATA,
    Action.FREEZE_DATA,
    Action.START_RUN,
    Action.EVALUATE,
    Action.ITERATE,
    Action.REFRESH,  # it takes what was observed in as training data
)


def closed(action: Action, play: entities.Play) -> Objection:
    stages = [stage.value for stage in Stage if (stage, action) in NEXT_STAGE]
    what = action.command or action.value
    if play.stage is Stage.KILLED:
        return Objection("stage.killed", f"{play.code} was killed; open a new play that names it as its predecessor.")
    if action in (Action.EDIT_GATE, Action.LOCK_GATE, Action.FILL_WORKSHEET) and play.stage not in BEFORE_LOCK:
        return Objection(
            "gate.locked",
            f"The gate of {play.code} is locked and never changes; to move the goalposts, kill it and open another.",
        )
    return Objection(
        "stage.closed", f"“{what}” belongs to {' or '.join(stages)}; {play.code} stands at {play.stage.value}."
    )

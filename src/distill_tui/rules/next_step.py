"""The next step of a play, the person who takes it, and the recommendation at `decide`."""

from __future__ import annotations

from distill_tui import tasks
from distill_tui.gates.paired import Prospect
from distill_tui.gates.progress import Progress
from distill_tui.gates.progress import progress as gate_progress
from distill_tui.rules import entities
from distill_tui.rules.data import labelled, open_findings
from distill_tui.rules.decide import counting_sign_off, gate_holds, maintained, spot_checked, standing_refusals
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import trigger
from distill_tui.rules.live import rehearsed
from distill_tui.rules.training import OF_DATA, resumable, trained
from distill_tui.rules.who import roster_signed
from distill_tui.terms import BEFORE_LOCK, Action, Advice, FindingLevel, Role, RunKind, RunStatus, Stage, Standing


def next_step(dossier: PlayDossier) -> Action | None:
    """Return the next step of a play; None where there is none."""
    play = dossier.play
    if play.stage in BEFORE_LOCK and len(dossier.roles) < len(Role):
        return Action.ASSIGN_ROLE
    if play.stage is Stage.QUALIFY:
        return Action.FILL_WORKSHEET if any(trigger(dossier)) else Action.QUALIFY
    if play.stage is Stage.GATE:
        return (
            Action.EDIT_GATE
            if dossier.gate is None or tasks.gate_problems(dossier.gate, play.kind, play.task)
            else Action.LOCK_GATE
        )
    if play.stage is Stage.DATA:
        return _next_data_step(dossier, play)
    if play.stage is Stage.TRAIN:
        return Action.EVALUATE if trained(dossier) else (Action.RESUME_RUN if resumable(dossier) else Action.START_RUN)
    if play.stage is Stage.DECIDE:
        return _next_decision(dossier)
    if play.stage is Stage.LIVE and (dossier.standing is Standing.ALARM or dossier.overdue):
        return Action.REFRESH
    return None


def _next_data_step(dossier: PlayDossier, play: entities.Play) -> Action:
    busy = next((run for run in dossier.runs if run.status.active and run.kind in OF_DATA), None)
    if busy is not None:
        return OF_DATA[busy.kind]
    step, ended = _first_data_step(dossier, play), resumable(dossier)
    if step in OF_DATA.values() and ended is not None and ended.status is not RunStatus.FAILED:
        return Action.RESUME_RUN if OF_DATA.get(ended.kind) is step else step
    return step


def _first_data_step(dossier: PlayDossier, play: entities.Play) -> Action:
    if not dossier.traffic:
        return Action.IMPORT_TRAFFIC
    if not play.teacher_source:
        return Action.SET_TEACHER
    if not labelled(dossier):
        ended = resumable(dossier)
        return Action.RESUME_RUN if ended is not None and ended.kind is RunKind.LABEL else Action.LABEL
    if dossier.data_set is None:
        return Action.BUILD_DATA
    must = any(each.level is FindingLevel.MUST for each in open_findings(dossier))
    return Action.ACCEPT_FINDINGS if must else Action.FREEZE_DATA


def _next_decision(dossier: PlayDossier) -> Action:
    advised, _ = advice(dossier)
    if advised is not Advice.SHIP:
        last = Action.ROLL_BACK if dossier.bundles else Action.KILL  # after a failed refresh the old bundle stays live
        return Action.ITERATE if advised is Advice.ITERATE else last
    if any(maintained(dossier)):
        return Action.SET_MAINTENANCE
    if any(rehearsed(dossier)):
        return Action.REHEARSE
    if any(roster_signed(dossier)):
        return Action.SIGN_ROSTER
    if _refuser(dossier) not in (None, dossier.roles.get(Role.VALIDATOR)):
        return Action.WITHDRAW  # no other person can lift it
    if counting_sign_off(dossier) and not _refuser(dossier):
        return Action.SHIP
    return Action.SPOT_CHECK if any(spot_checked(dossier)) else Action.SIGN_OFF


def _refuser(dossier: PlayDossier) -> str | None:
    """Return whose refusal stands in the way of a ship, one who no longer is the validator first."""
    people = [facts.row.person_id for facts in standing_refusals(dossier)]
    others = [person for person in people if person != dossier.roles.get(Role.VALIDATOR)]
    return next(iter([*others, *people]), None)


def advice(dossier: PlayDossier) -> tuple[Advice, list[str]]:
    """Recommend ship, iterate or kill, with the reasons. A person decides."""
    missing = [o.sentence for o in gate_holds(dossier)]
    if not missing:
        return Advice.SHIP, ["Every criterion of the locked gate holds on the held-out split."]
    gate = dossier.gate
    if gate is not None and dossier.round_of_effort >= gate.rounds:
        stays = ["The live bundle stays: end this refresh with `rollback`."] if dossier.live else []
        return Advice.KILL, [f"All {gate.rounds} rounds of the gate are used.", *stays, *missing]
    seen = progress(dossier)
    if seen is not None and seen.outlook.prospect is Prospect.HOPELESS:
        return Advice.KILL, [seen.sentence, *missing]
    left = gate.rounds - dossier.round_of_effort if gate else 0
    gained = [seen.sentence] if seen is not None else []
    rounds = f"{left} of its rounds {'is' if left == 1 else 'are'} left"
    return Advice.ITERATE, [f"The gate is not passed, and {rounds}.", *gained, *missing]


def progress(dossier: PlayDossier) -> Progress | None:
    """Return the gain of the last two rounds on the validation split; None before three looks."""
    gate = dossier.gate
    looked = [e.run_id for e in dossier.looks]
    if gate is None or len(looked) < 3:
        return None
    before, after = dossier.validations.get(looked[-3]), dossier.validations.get(looked[-1])
    if before is None or after is None:
        return None
    return gate_progress(gate, before, after, gate.rounds - dossier.round_of_effort)


def waits_for(dossier: PlayDossier) -> str | None:
    """Return the person who takes the next step."""
    step = next_step(dossier)
    if step is Action.WITHDRAW:
        return _refuser(dossier)
    role = (
        {
            Action.LOCK_GATE: Role.SPONSOR,
            Action.SIGN_ROSTER: Role.SPONSOR,
            Action.SPOT_CHECK: Role.VALIDATOR,
            Action.SIGN_OFF: Role.VALIDATOR,
            Action.REFRESH: Role.OPERATOR,
            Action.ROLL_BACK: Role.OPERATOR,
        }.get(step, Role.DRIVER)
        if step is not None
        else None
    )
    return dossier.roles.get(role) if role is not None else None


FIRST_PLAY = (
    "Start with a cost play: its trigger is a price that you already pay, its gate compares with the teacher that you "
    "have, and its payback shows within weeks."
)

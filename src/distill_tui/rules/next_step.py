"""The next step of a play, the person who takes it, and the recommendation at `decide`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta

from distill_tui import tasks
from distill_tui.gates import feasible
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.paired import Prospect
from distill_tui.gates.progress import Progress
from distill_tui.gates.progress import progress as gate_progress
from distill_tui.rules import entities
from distill_tui.rules.data import labelled, open_findings, outdated
from distill_tui.rules.decide import counting_sign_off, gate_holds, maintained, spot_checked, standing_refusals
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import trigger
from distill_tui.rules.labels import confirmed, matched
from distill_tui.rules.live import rehearsed
from distill_tui.rules.results import refusals
from distill_tui.rules.training import OF_DATA, resumable, trained
from distill_tui.rules.who import roster_signed
from distill_tui.terms import (
    BEFORE_LOCK,
    Action,
    Advice,
    FindingLevel,
    Role,
    RunKind,
    RunStatus,
    Stage,
    Standing,
    TeacherSource,
    Verdict,
)

FAR = 1.5  # times its ceiling, from which a proven disagreement is a reason to switch the student off
FRESH_DAYS = 14  # after a ship: drift that began by then is the new bundle's own
BROKEN = "teacher.finite"  # the rule that ends labelling where only another teacher helps


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
        if trained(dossier):
            return Action.EVALUATE
        at_work = any(run.status.active and run.kind is RunKind.TRAIN for run in dossier.runs)
        return Action.RESUME_RUN if resumable(dossier) and not at_work else Action.START_RUN
    if play.stage is Stage.DECIDE:
        return _next_decision(dossier)
    if play.stage is Stage.LIVE and dossier.objection is not None and dossier.suspended is None:
        return Action.SUSPEND
    if play.stage is Stage.LIVE and dossier.standing is Standing.ALARM:
        return answer_to_alarm(dossier)[0]
    return Action.REFRESH if play.stage is Stage.LIVE and dossier.overdue else None


def answer_to_alarm(dossier: PlayDossier) -> tuple[Action, str]:
    """Return what answers an alarm, and why.

    Switch off what is proven to be far from what was signed; roll back where a new bundle does worse from its start
    than the one before it did; else refresh.
    """
    worst, live = _worst(dossier), dossier.live
    if worst is None or live is None or dossier.suspended is not None:
        return Action.REFRESH, "A refresh is judged by the same gate, on the traffic of today."
    share, limit = f"{100 * worst.rate:.1f}%", f"{100 * worst.ceiling:.1f}%"
    what = f"Since about {worst.since} {share} of the rows disagree; the ceiling is {limit}"
    before = next((b for b in reversed(dossier.bundles) if b.id < live.id), None)
    fresh = worst.since <= (date.fromisoformat(live.shipped_at[:10]) + timedelta(FRESH_DAYS)).isoformat()
    if before is not None and fresh and _last_standing(dossier, before.id) is Standing.STEADY:
        return Action.ROLL_BACK, f"{what}. Bundle {before.id} was steady until bundle {live.id} replaced it."
    if worst.rate >= FAR * worst.ceiling:
        return Action.SUSPEND, f"{what}: switch the student off, then open a refresh."
    return Action.REFRESH, f"{what}."


@dataclass(frozen=True)
class _Drift:
    rate: float
    ceiling: float
    since: str


def _worst(dossier: PlayDossier) -> _Drift | None:
    """Return the disagreement that raised the alarm, from what the watch stored; None where it cannot be read."""
    try:
        found = json.loads(dossier.watch.findings) if dossier.watch else []
        red = [each for each in found if each["red"]]
        return max(
            (_Drift(float(each["rate"]), float(each["ceiling"]), str(each["since"])) for each in red),
            key=lambda each: each.rate / each.ceiling,
            default=None,
        )
    except (ValueError, TypeError, LookupError, ZeroDivisionError, RecursionError):  # another program wrote it
        return None


def _last_standing(dossier: PlayDossier, bundle: int) -> Standing | None:
    return next((watch.standing for watch in reversed(dossier.watches) if watch.bundle_id == bundle), None)


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
    recorded = play.teacher_source is TeacherSource.RECORDED
    if not play.teacher_source or (recorded and not labelled(dossier)):
        return Action.SET_TEACHER
    if not labelled(dossier):
        ended, last = resumable(dossier), dossier.runs[-1] if dossier.runs else None
        if last is not None and last.kind is RunKind.LABEL and any(o.get("rule") == BROKEN for o in refusals(last)):
            return Action.SET_TEACHER  # choosing one is a run of its own, or the new one is an endpoint
        return Action.RESUME_RUN if ended is not None and ended.kind is RunKind.LABEL else Action.LABEL
    if dossier.data_set is None or any(outdated(dossier)):
        wrong = {each.rule for each in matched(dossier)}
        if "labels.few" in wrong and not confirmed(dossier):
            return Action.IMPORT_TRAFFIC  # no map makes two labels of one
        return Action.MAP_LABELS if wrong else Action.BUILD_DATA
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
    asked = dossier.gate.interim if dossier.gate is not None else None
    if not missing and asked is not None and dossier.interim:
        return Advice.SHIP, [INTERIM.format(days=asked.days)]
    if not missing:
        return Advice.SHIP, ["Every criterion of the locked gate holds on the held-out split."]
    gate = dossier.gate
    if gate is not None and dossier.round_of_effort >= gate.rounds:
        stays = ["The live bundle stays: end this refresh with `rollback`."] if dossier.live else []
        return Advice.KILL, [f"All {gate.rounds} rounds of the gate are used.", *stays, *missing]
    seen = progress(dossier)
    if seen is not None and seen.outlook.prospect is Prospect.HOPELESS:
        return Advice.KILL, [seen.sentence, *missing]
    fixed = [each.sentence for each in dossier.judgements if _whatever_the_data(each)]
    if fixed:
        stays = ["The live bundle stays: end this refresh with `rollback`."] if dossier.live else []
        return Advice.KILL, [WITHOUT_DATA, *stays, *fixed, *(each for each in missing if each not in fixed)]
    left = gate.rounds - dossier.round_of_effort if gate else 0
    gained = [seen.sentence] if seen is not None else []
    rounds = f"{left} of its rounds {'is' if left == 1 else 'are'} left"
    return Advice.ITERATE, [f"The gate is not passed, and {rounds}.", *gained, *missing]


INTERIM = (
    "The gate is not held. The student is proven better than what is live by the lead of the gate's interim, so it may "
    "ship for {days} days."
)
WITHOUT_DATA = (
    "What is missed does not depend on the data, so more rows cannot change it. A new round helps only with a smaller "
    "student or a cheaper machine."
)


def _whatever_the_data(judged: Judgement) -> bool:
    """Whether a criterion is missed that more or other rows do not change."""
    criterion = judged.criterion
    return criterion.counts and criterion.metric in feasible.WITHOUT_DATA and judged.verdict is Verdict.MISSES


def progress(dossier: PlayDossier) -> Progress | None:
    """Return the gain of the last two rounds on the validation split; None before three looks."""
    gate = dossier.gate
    looked = [e.run_id for e in dossier.looks]
    if gate is None or len(looked) < 3:
        return None
    before, after = dossier.validation(looked[-3]), dossier.validation(looked[-1])
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
            Action.SUSPEND: Role.OPERATOR,
        }.get(step, Role.DRIVER)
        if step is not None
        else None
    )
    return dossier.roles.get(role) if role is not None else None


FIRST_PLAY = (
    "Start with a cost play: its trigger is a price that you already pay, its gate compares with the teacher that you "
    "have, and its payback shows within weeks."
)

"""How a play stands, by the rules: its card. Pure; without the clock, which is added at reading."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

from distill_tui.gates import economics
from distill_tui.gates.gate import QUALITY
from distill_tui.gates.headline import metric_of
from distill_tui.rules.card import OBJECTS, Card, CardRun
from distill_tui.rules.decide import counting_sign_off, standing_refusals
from distill_tui.rules.dossier import PlayDossier, SignOffFacts
from distill_tui.rules.entities import Run
from distill_tui.rules.gate import worksheet_numbers
from distill_tui.rules.next_step import next_step, waits_for
from distill_tui.rules.results import train_result
from distill_tui.rules.serving import card_words
from distill_tui.rules.training import trained
from distill_tui.terms import Action, Opinion, Role, RunKind, RunStatus, Stage, Standing

_ENDED_EARLY = (RunStatus.STOPPED, RunStatus.FAILED, RunStatus.LOST)
_WORDS = {
    Action.QUALIFY: ("holds", "trigger holds"),
    Action.EDIT_GATE: ("waiting", "write the gate"),
    Action.LOCK_GATE: ("waiting", "lock the gate"),
    Action.IMPORT_TRAFFIC: ("waiting", "import traffic"),
    Action.SET_TEACHER: ("waiting", "choose teacher"),
    Action.LABEL: ("waiting", "label the rows"),
    Action.MAP_LABELS: ("look", "match the labels"),
    Action.BUILD_DATA: ("waiting", "build the data"),
    Action.ACCEPT_FINDINGS: ("look", "open findings"),
    Action.FREEZE_DATA: ("waiting", "freeze the data"),
    Action.START_RUN: ("waiting", "ready to train"),
    Action.RESUME_RUN: ("waiting", "resume the run"),
    Action.EVALUATE: ("holds", "trained: evaluate"),
    Action.SET_MAINTENANCE: ("holds", "held: maintain"),
    Action.REHEARSE: ("holds", "held: rehearse"),
    Action.SIGN_ROSTER: ("holds", "held: sign roster"),
    Action.SPOT_CHECK: ("holds", "held: spot check"),
    Action.SIGN_OFF: ("holds", "held: sign off"),
    Action.SHIP: ("holds", "signed off"),
}


def card_of(dossier: PlayDossier) -> Card:
    """Compute the card of a play, with what follows from the day on which the dossier was loaded."""
    return stored_card(dossier).on(dossier.project.now[:10])


def stored_card(dossier: PlayDossier) -> Card:
    """Compute the part of a card that changes with the log only: as on a day before any refresh is due."""
    dossier = replace(dossier, project=replace(dossier.project, now=""))
    play, step = dossier.play, next_step(dossier)
    return Card(
        id=play.id,
        name=play.name,
        kind=play.kind,
        stage=play.stage,
        round=play.round,
        stage_since=play.stage_since,
        summary=play.summary,
        roles=dict(dossier.roles),
        quality=_quality(dossier),
        measure=measure(dossier),
        saves=_saves(dossier),
        currency=dossier.project.currency,
        passed=dossier.passed if dossier.evaluation is not None else None,
        signed_off=play.stage in (Stage.DECIDE, Stage.LIVE) and counting_sign_off(dossier) is not None,
        settled=_settled(dossier, step),
        next_step=step,
        waits_for=waits_for(dossier),
        refresh_due=dossier.refresh_due if play.stage is Stage.LIVE and step is None else "",
        run=_run(dossier),
    )


def _quality(dossier: PlayDossier) -> float | None:
    """Return the validation score of this round's best student."""
    best = next(iter(trained(dossier)), None)
    result = train_result(best) if best is not None else None
    name, score = result.quality if result is not None else ("", None)
    if name != (measure(dossier) or name):
        return None  # of a run of before the gate's metric was kept
    return float(score) if isinstance(score, int | float) else None


def measure(dossier: PlayDossier) -> str:
    """Return the metric of the validation score, where it is not the share of right answers."""
    if dossier.gate is None:
        return ""
    metric = metric_of(dossier.gate, dossier.play.task)
    return "" if metric in QUALITY else metric.value


def _saves(dossier: PlayDossier) -> Decimal | None:
    try:
        return economics.monthly_saving(economics.Prices.from_values(worksheet_numbers(dossier)), Decimal(0))
    except ValueError:
        return None


def _run(dossier: PlayDossier) -> CardRun | None:
    active = [run for run in dossier.runs if run.status.active]
    run = active[-1] if active else _newest_run(dossier)
    return CardRun(run.id, run.kind, run.status, run.step, run.total) if run is not None else None


def _newest_run(dossier: PlayDossier) -> Run | None:
    """Return the newest run of this round that moves the play on."""
    aside = (RunKind.OBSERVE, RunKind.REHEARSE, RunKind.REPEAT)
    found = [run for run in dossier.runs if run.round == dossier.play.round and run.kind not in aside]
    return found[-1] if found else None


def _settled(dossier: PlayDossier, step: Action | None) -> tuple[str, str]:
    """Put into words how a play stands while no run is active."""
    stage, run = dossier.play.stage, _newest_run(dossier)
    if stage is Stage.KILLED:
        return stage.value, stage.value
    if stage is Stage.LIVE:
        return _live(dossier)
    if stage is Stage.QUALIFY and dossier.serving is not None:
        return card_words(dossier) or ("waiting", "")
    if run is not None and run.status in _ENDED_EARLY:
        return run.status.value, f"{run.kind.value} {run.status.value}"
    if stage is Stage.DECIDE and standing_refusals(dossier):
        return "refused", "sign-off refused"
    if step is Action.ASSIGN_ROLE:
        missing = [role.value for role in Role if role not in dossier.roles]
        return "waiting", f"needs {missing[0]}" if len(missing) == 1 else f"needs {len(missing)} roles"
    if step is Action.FILL_WORKSHEET:
        numbers, questions = worksheet_numbers(dossier), economics.WORKSHEET[dossier.play.kind]
        missing_numbers = any(question.name not in numbers for question in questions)
        return ("waiting", "fill worksheet") if missing_numbers else ("look", "trigger fails")
    if step is Action.EDIT_GATE and dossier.gate_row is not None:
        return "waiting", "edit the gate"
    if step is Action.SIGN_OFF and any(facts.row.opinion is Opinion.APPROVE for facts in _of_round(dossier)):
        return "look", "sign-off stale"
    return _WORDS.get(step, ("misses", "gate not held")) if step is not None else ("waiting", "")


def _of_round(dossier: PlayDossier) -> list[SignOffFacts]:
    return [facts for facts in dossier.sign_offs if facts.row.round == dossier.play.round and not facts.withdrawn]


def _live(dossier: PlayDossier) -> tuple[str, str]:
    if dossier.objection is not None:
        return "drift", f"{dossier.objection.person} {OBJECTS}"
    if dossier.suspended is not None:
        return "look", "suspended"
    gateway = card_words(dossier)
    if gateway is not None and gateway[0] == "drift":
        return gateway
    where = _where(dossier.watch.findings) if dossier.watch is not None else ""
    if dossier.standing is Standing.ALARM:
        return "drift", f"drift: {where}"
    if dossier.standing is Standing.LOOK:
        return "look", f"look: {where}"
    if dossier.interim_until:
        return "look", f"interim to {dossier.interim_until}"
    unlabelled = dossier.standing is Standing.UNLABELLED
    return card_words(dossier) or ("live", "live, no labels" if unlabelled else "live")


def _where(findings: str) -> str:
    """Return the segment that diverges first, from what a watch stored."""
    try:
        return str(json.loads(findings)[0].get("where") or "all")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):  # none, or another program wrote it
        return ""

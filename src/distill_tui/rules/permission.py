"""The one question: may this actor do this now, and if not, why not?

`objections(action, dossier, actor)` answers with every reason, or with none. Screens dim a key with it, the command
line exits with it, a worker is refused by it, and the door of the project file asks it again inside the transaction.
Nothing here reads a clock, a file or a network, and every function answers for any dossier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from distill_tui.rules import data, decide, gate, live, training, who
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import OpenProject, Request
from distill_tui.rules.state_machine import NEXT_STAGE, closed
from distill_tui.terms import Action

NO_PLAY = Objection("play.none", "There is no such play; `distill-tui list` shows them.")


def objections(
    action: Action, dossier: ProjectDossier | PlayDossier | None, actor: Actor, request: Request | None = None
) -> list[Objection]:
    """Return every reason why this actor may not do this now. Only a project that does not exist yet has no dossier."""
    project = dossier.project if isinstance(dossier, PlayDossier) else dossier
    if action is Action.OPEN_PROJECT:
        return list(who.open_project(project, actor, request if isinstance(request, OpenProject) else None))
    if project is None:
        return [NO_PLAY]
    if actor.person is None or actor.person not in project.people:
        return [
            Objection(
                "identity.unknown",
                f"{actor.proof} belongs to nobody in this project, so you may look, not act; ask "
                f"{project.keeper} to enrol you, or use --key.",
            )
        ]
    if action in PROJECT_RULES:
        return list(PROJECT_RULES[action](project, actor, request))
    if not isinstance(dossier, PlayDossier):
        return [NO_PLAY]
    if (dossier.play.stage, action) not in NEXT_STAGE:
        return [closed(action, dossier.play)]
    return [*who.hosted(action, dossier, actor, request), *RULES[action](dossier, actor, request)]


PROJECT_RULES: dict[Action, Callable[[ProjectDossier, Actor, Any], Iterator[Objection]]] = {
    Action.ENROL_PERSON: who.enrol_person,
    Action.ADD_ACCOUNT: who.add_proof,
    Action.ADD_KEY: who.add_proof,
    Action.REVOKE_KEY: who.revoke_key,
    Action.SET_ASSURANCE: who.set_assurance,
    Action.OPEN_PLAY: who.open_play,
}
RULES: dict[Action, Callable[[PlayDossier, Actor, Any], Iterator[Objection]]] = {
    Action.SIGN_ROSTER: who.sign_roster,
    Action.SPOT_CHECK: decide.spot_check,
    Action.ASSIGN_ROLE: who.assign_role,
    Action.FILL_WORKSHEET: gate.fill_worksheet,
    Action.QUALIFY: gate.qualify,
    Action.EDIT_GATE: gate.edit_gate,
    Action.LOCK_GATE: gate.lock_gate,
    Action.IMPORT_TRAFFIC: data.import_traffic,
    Action.SET_TEACHER: data.set_teacher,
    Action.LABEL: data.label,
    Action.QUEUE_RUN: data.queue_run,
    Action.CONFIRM_TERMS: gate.confirm_terms,
    Action.BUILD_DATA: data.build_data,
    Action.ACCEPT_FINDINGS: data.accept_findings,
    Action.FREEZE_DATA: data.freeze_data,
    Action.OPEN_ROW: data.open_row,
    Action.START_RUN: training.start_run,
    Action.STOP_RUN: training.stop_run,
    Action.RESUME_RUN: training.resume_run,
    Action.EVALUATE: training.evaluate,
    Action.REPRODUCE: training.reproduce,
    Action.SIGN_OFF: decide.sign_off,
    Action.REFUSE: decide.refuse,
    Action.WITHDRAW: decide.withdraw,
    Action.SET_MAINTENANCE: decide.set_maintenance,
    Action.SHIP: decide.ship,
    Action.ITERATE: decide.iterate,
    Action.KILL: decide.kill,
    Action.COMMENT: decide.comment,
    Action.REHEARSE: live.rehearse,
    Action.OBSERVE: live.observe,
    Action.ACKNOWLEDGE: live.acknowledge,
    Action.ROLL_BACK: live.roll_back,
    Action.REFRESH: live.refresh,
    Action.FINISH_RUN: training.run_of_worker,
    Action.END_RUN: training.run_of_worker,
    Action.RECORD_EVALUATION: training.record_evaluation,
    Action.RECORD_REPRODUCTION: training.run_of_worker,
    Action.RECORD_OBSERVATIONS: training.run_of_worker,
}

"""`objections`: may this actor do this now, and if not, why not?

It returns every reason, or none. Screens dim keys by it, the command line exits with it, and `Project.change` calls it
again inside the transaction. It is pure, and has an answer for any dossier.
"""

from __future__ import annotations

from distill_tui.rules import data, decide, gate, live, training, who
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import OpenProject, Request
from distill_tui.rules.state_machine import NEXT_STAGE, closed
from distill_tui.rules.who import PlayRule, ProjectRule
from distill_tui.terms import Action

NO_PLAY = Objection("play.none", "This play does not exist; see `distill-tui list`.")


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
                f"{actor.proof} is not enrolled in this project: read-only. Ask {project.keeper}, the keeper, to "
                "enrol you, or use --key.",
            )
        ]
    if action in PROJECT_RULES:
        return list(PROJECT_RULES[action](project, actor, request))
    if not isinstance(dossier, PlayDossier):
        return [NO_PLAY]
    if (dossier.play.stage, action) not in NEXT_STAGE:
        return [closed(action, dossier.play)]
    return [*who.hosted(action, dossier, actor, request), *RULES[action](dossier, actor, request)]


PROJECT_RULES: dict[Action, ProjectRule] = who.PROJECT_RULES
RULES: dict[Action, PlayRule] = {
    **who.RULES,
    **decide.RULES,
    **gate.RULES,
    **data.RULES,
    **training.RULES,
    **live.RULES,
}

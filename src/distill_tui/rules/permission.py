"""`objections`: may this actor do this now, and if not, why not?

It returns every reason, or none. Screens dim keys by it, the command line exits with it, and `Project.change` calls it
again inside the transaction. It is pure, and has an answer for any dossier.
"""

from __future__ import annotations

from collections.abc import Iterator

from distill_tui.rules import data, decide, gate, live, restored, serving, training, undo, who
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
    return [
        *_compared(project),
        *restored.read_only(action, project),
        *_reasons(action, dossier, project, actor, request),
    ]


def _compared(project: ProjectDossier) -> Iterator[Objection]:
    """The tables hold what the log says."""
    if project.tables_trouble:
        yield Objection("audit.tables", project.tables_trouble, from_backup=True)


def unenrolled(project: ProjectDossier, actor: Actor) -> Iterator[Objection]:
    """Only people of the project act in it."""
    if actor.person is None or actor.person not in project.people:
        yield Objection(
            "identity.unknown",
            f"{actor.proof} is not enrolled in this project: read-only. Ask {project.keeper}, the keeper, to enrol "
            "you, or use --key.",
        )


def _reasons(
    action: Action,
    dossier: ProjectDossier | PlayDossier | None,
    project: ProjectDossier,
    actor: Actor,
    request: Request | None,
) -> list[Objection]:
    unknown = list(unenrolled(project, actor))
    if unknown:
        return unknown
    if action in PROJECT_RULES:
        return list(PROJECT_RULES[action](project, actor, request))
    if not isinstance(dossier, PlayDossier):
        return [NO_PLAY]
    if (dossier.play.stage, action) not in NEXT_STAGE:
        return [closed(action, dossier.play)]
    return [*who.hosted(action, dossier, actor, request), *RULES[action](dossier, actor, request)]


PROJECT_RULES: dict[Action, ProjectRule] = {**who.PROJECT_RULES, **restored.RULES}
RULES: dict[Action, PlayRule] = {
    **who.RULES,
    **decide.RULES,
    **gate.RULES,
    **data.RULES,
    **training.RULES,
    **live.RULES,
    **serving.RULES,
    **undo.RULES,
}

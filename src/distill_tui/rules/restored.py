"""Rules of a file that was restored or forked: read-only until the keeper and one more person accept it."""

from __future__ import annotations

from collections.abc import Iterator

from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import ProjectDossier
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import AcceptRestored
from distill_tui.rules.who import ProjectRule, decided, reasoned
from distill_tui.terms import Action

POSSIBLE = (Action.ACCEPT_RESTORED, Action.REPAIR)  # meanwhile


def read_only(action: Action, project: ProjectDossier) -> Iterator[Objection]:
    """Nothing is decided in a file that lacks what this account saw, nor while its acceptance waits for a person."""
    if project.read_only and action not in POSSIBLE:
        yield Objection("audit.restored", project.read_only)


def accept_restored(project: ProjectDossier, actor: Actor, request: AcceptRestored | None) -> Iterator[Objection]:
    """The keeper and one more person accept a file that lacks what an account saw; each says why.

    The keeper may begin where only another machine saw more; for everyone else there must be something to accept.
    """
    if not project.read_only and actor.person != project.keeper:
        yield Objection(
            "restored.none",
            f"This file goes on from everything that you saw of it. Where another account saw more, {project.keeper}, "
            "the keeper, accepts it first.",
        )
    if actor.person in project.lineage.waiting:
        yield Objection("restored.own", f"You accepted it already; {project.must_accept} must, too.")
    yield from reasoned(request, "An acceptance")
    yield from decided(project, actor, request)


RULES: dict[Action, ProjectRule] = {Action.ACCEPT_RESTORED: accept_restored}

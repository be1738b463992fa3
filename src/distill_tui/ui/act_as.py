"""In a project for practice one person plays all parts: `@` acts as another of its people, proved by their key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui.people import identity
from distill_tui.rules.actor import Actor
from distill_tui.ui.widgets.choices import Entries, Menu

if TYPE_CHECKING:
    from distill_tui.store.project import Project
    from distill_tui.ui.app import DistillApp


def hint(keys: dict[str, Path], actor: Actor, waits_for: str | None) -> str:
    """Return how to go on where a play waits for another person of a practice project."""
    if not keys or waits_for in (None, actor.person):
        return ""
    return f"Practice: press @ to act as {waits_for}."


def menu(app: DistillApp, waits_for: str | None) -> Menu:

    def entries() -> Entries:
        assert app.project is not None
        dossier = app.project.project_dossier()
        here = [person for person in dossier.people if person in app.practice or person == _of_account(app)]
        names = {each: f"{each:<8} {dossier.people[each].name}{_note(each, app, waits_for)}" for each in here}
        return [(person, names[person], False) for person in sorted(here, key=lambda each: each != waits_for)]

    def pick(person: str) -> None:
        app.perform(
            lambda project: _proved(project, app, person), lambda found: app.become(*found), f"You act as {person}."
        )

    return Menu("Act as another person of this practice project", entries, pick)


def _note(person: str, app: DistillApp, waits_for: str | None) -> str:
    return (
        "  (you)" if person == app.actor.person else "  (the next step waits for them)" if person == waits_for else ""
    )


def _of_account(app: DistillApp) -> str | None:
    assert app.project is not None
    return identity.by_account(app.project.project_dossier()).person


def _proved(project: Project, app: DistillApp, person: str) -> tuple[Actor, Path | None]:
    dossier = project.project_dossier()
    if person in app.practice:
        return identity.by_key(dossier, app.practice[person]), app.practice[person]
    return identity.by_account(dossier), None

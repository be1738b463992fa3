"""Forms that act on several plays at once: each play by its own verb, and each refusal with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from distill_tui import actions
from distill_tui.gates.wording import count
from distill_tui.rules.card import Card
from distill_tui.rules.objection import Refused
from distill_tui.store.project import Project
from distill_tui.terms import Role
from distill_tui.ui.forms.form import Call, Form, Say, Show, Step
from distill_tui.ui.forms.gate import ASSIGNED
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.widgets.output import OutputSheet

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

Verb = Callable[[Project, int], object]


def comment(app: DistillApp, cards: Sequence[Card], after: Callable[[], None]) -> Step:
    def read(values: Values) -> str:
        if not values["text"]:
            raise ValueError("Write the comment.")
        return values["text"]

    def submit(text: str) -> Step:
        return _each(cards, lambda project, play: actions.comment(project, play, app.actor, text), "commented", after)

    return Form(
        None,
        "add it",
        submit,
        (_names(cards),),
        (Field("text", "comment"),),
        read,
        title=f"Comment on {count(len(cards), 'play')}",
        command="distill-tui comment PLAY TEXT",
    )


def roles(app: DistillApp, cards: Sequence[Card], after: Callable[[], None]) -> Step:
    def read(values: Values) -> dict[Role, str]:
        given = {role: values[role.value] for role in ASSIGNED if values[role.value]}
        if not given:
            raise ValueError("Name who takes over one of the roles.")
        return given

    def submit(given: dict[Role, str]) -> Step:
        def assign(project: Project, play: int) -> None:
            for role, person in given.items():
                actions.assign_role(project, play, app.actor, role, person)

        return _each(cards, assign, "changed", after)

    return Form(
        None,
        "assign them",
        submit,
        (_names(cards), "A role that is left empty stays with who holds it."),
        [Field(role.value, role.value, hint="A person's id, or nothing.") for role in Role],
        read,
        title=f"Roles in {count(len(cards), 'play')}",
        command="distill-tui role PLAY ROLE PERSON",
    )


OPENS = {"comment": comment, "roles": roles}
MOST = 12  # names that a sheet lists


def _names(cards: Sequence[Card]) -> str:
    more = f" and {len(cards) - MOST:,} more" if len(cards) > MOST else ""
    return f"{', '.join(f'{card.code} {card.name}' for card in cards[:MOST])}{more}."


def _each(cards: Sequence[Card], verb: Verb, done: str, after: Callable[[], None]) -> Step:
    """Do it for each play; then say for how many, and list the refusals."""

    def work(project: Project) -> list[str]:
        refused = []
        for card in cards:
            try:
                verb(project, card.id)
            except Refused as reasons:
                refused.append(f"{card.code} {card.name}: {reasons.objections[0].sentence}")
        return refused

    def shown(refused: list[str]) -> Step:
        after()
        said = f"{count(len(cards) - len(refused), 'play')} {done}."
        if not refused:
            return Say(said, "success")
        return Show(OutputSheet(f"{said} {len(refused):,} not:", refused))

    return Call(work, then=shown)

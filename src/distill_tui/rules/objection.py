"""What the rules answer: an objection with its cure, and the error that carries all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from distill_tui.terms import Action, Role


@dataclass(frozen=True)
class Objection:
    """A reason why not: a stable rule id, and one full sentence that names the thing and the cure."""

    rule: str
    sentence: str
    by: tuple[Role, ...] = ()  # whose holder can lift it; where none is named, it is for the actor to lift
    actions: tuple[Action, ...] = ()  # that lift it
    from_backup: bool = False  # only the keeper can lift it, by restoring a backup

    def __str__(self) -> str:
        return self.sentence


class Refused(Exception):
    """The rules said no. An answer, not a fault: front ends show the sentences."""

    def __init__(self, objections: Iterable[Objection]) -> None:
        self.objections = tuple(objections)
        super().__init__(" ".join(o.sentence for o in self.objections))

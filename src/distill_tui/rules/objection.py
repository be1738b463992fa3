"""An objection with its cure, and the exception that carries every objection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from distill_tui.terms import Action, Role


@dataclass(frozen=True)
class Objection:
    """A reason why an action is refused: a stable rule ID, and one sentence with the cure."""

    rule: str
    sentence: str
    by: tuple[Role, ...] = ()  # whose holder can lift it; none: the actor can
    actions: tuple[Action, ...] = ()  # that lift it
    from_backup: bool = False  # only the keeper can lift it, by restoring a backup

    def __str__(self) -> str:
        return self.sentence


class Refused(Exception):
    """The rules refuse an action. Front ends show the sentences."""

    def __init__(self, objections: Iterable[Objection]) -> None:
        self.objections = tuple(objections)
        super().__init__(" ".join(o.sentence for o in self.objections))

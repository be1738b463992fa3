"""Which cards the board reads: at first a screenful, later only the plays that changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from distill_tui.people.remembered import Left
from distill_tui.rules.card import Card
from distill_tui.store import glance
from distill_tui.terms import Role
from distill_tui.ui.board.shelf import WAITS
from distill_tui.ui.board.widget import SLOT, WIDE


def first_cards(path: Path, left: Left | None, size: tuple[int, int]) -> list[Card]:
    """Read no more than a screen of each stage, unless the board was left sorted or filtered, or further down."""
    if left is not None and (left.words, left.order, left.killed) == ("", "number", False):
        width, height = size
        cards = glance.cards(path, first=1 + height // (SLOT if width >= WIDE else 1))
        if left.play in {0, *(card.id for card in cards)}:
            return cards
    return glance.cards(path)


def with_runs(before: glance.Header | None, now: glance.Header) -> set[int]:
    """Return the plays whose runs are under way, or were: a run that trains reports twice a second."""
    return {*now.active.values(), *(before.active.values() if before is not None else ())}


def changed_cards(
    path: Path, shown: Sequence[Card], seen: int | None, before: glance.Header | None, now: glance.Header
) -> list[Card]:
    """Read again the plays that the log names after entry `seen`, or that have a run under way, or had."""
    if seen is not None:
        only = glance.touched(path, seen) | with_runs(before, now)
        cards = merged(shown, glance.cards(path, only=only))
        if Counter(card.stage for card in cards) == now.stages:
            return cards
    return glance.cards(path)  # the first time, or the file was changed outside the door


def merged(shown: Sequence[Card], fresh: Sequence[Card]) -> list[Card]:
    """Return the cards that are shown, with the fresh ones in their places."""
    by_play = {card.id: card for card in fresh}
    return [*(by_play.pop(card.id, card) for card in shown), *by_play.values()]


def at_first(cards: list[Card], me: str | None) -> Left:
    """Choose what a person sees at their first visit: for one who only approves, what waits for them."""
    mine = [card for card in cards if me is not None and me in card.roles.values()]
    held = {role for card in mine for role, person in card.roles.items() if person == me}
    approves = bool(held & {Role.SPONSOR, Role.VALIDATOR}) and Role.DRIVER not in held
    return Left(words=WAITS) if approves and any(card.is_turn_of(me) for card in mine) else Left()

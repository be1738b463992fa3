"""The board's contents: which cards are shown in which column, and where the cursor is. Pure; draws nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from distill_tui.rules.card import Card
from distill_tui.terms import Role, Stage

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison

COLUMNS = (Stage.QUALIFY, Stage.GATE, Stage.DATA, Stage.TRAIN, Stage.DECIDE, Stage.LIVE)
WAITS = "waits:me"  # the filter of what waits for the person at the screen
FILTER_WORDS = ("kind", "stage", "waits", *(role.value for role in Role))


def _least(number: float | Decimal | None) -> float | Decimal:
    """Put what is not known behind all that is."""
    return Decimal("-Infinity") if number is None else number


@dataclass(frozen=True)
class Order:
    """In which order a column's plays stand: what it is called, by what, and whether the most comes first."""

    name: str
    by: Callable[[Card, str | None], SupportsRichComparison]
    most_first: bool = False


ORDERS = {
    "number": Order("by number, the oldest play first", lambda card, me: card.id),
    "newest": Order("by number, the newest play first", lambda card, me: card.id, most_first=True),
    "waits": Order("what waits for me first", lambda card, me: me is None or not card.is_turn_of(me)),
    "still": Order("longest in its stage first", lambda card, me: card.stage_since),
    "name": Order("by name", lambda card, me: card.name.casefold()),
    "quality": Order("best student first", lambda card, me: _least(card.best), most_first=True),
    "saves": Order("most saved first", lambda card, me: _least(card.saves), most_first=True),
}


def matches(card: Card, words: str, me: str | None) -> bool:
    """Whether a card passes a filter: every word is in its code, name, kind or persons, or holds as `kind:cost`."""
    return all(_matches(card, word, me) for word in words.lower().split())


def toggled(words: str, word: str) -> str:
    """Put a word such as `kind:cost` into a filter in place of another of its field, or take it out."""
    field = word.partition(":")[0]
    given = words.split()
    others = [each for each in given if each.partition(":")[0] != field or ":" not in each]
    return " ".join(others if word in given else [*others, word])


def _sifted(cards: Iterable[Card], words: str, me: str | None) -> Iterable[Card]:
    """Return the cards that pass; split the words once, not for each card."""
    wanted = words.lower().split()
    return [card for card in cards if all(_matches(card, word, me) for word in wanted)] if wanted else cards


def _matches(card: Card, word: str, me: str | None) -> bool:
    field, colon, wanted = word.partition(":")
    if not colon or field not in FILTER_WORDS:
        return word in card.text
    wanted = (me or "") if wanted == "me" else wanted
    if not wanted:  # half typed, or no person
        return colon == "" or word != f"{field}:me"
    if field == "waits":
        return card.is_turn_of(card.waits_for) and (card.waits_for or "").lower() == wanted
    if field in ("kind", "stage"):
        return (card.kind if field == "kind" else card.stage).value.startswith(wanted)
    return card.roles.get(Role(field), "").lower().startswith(wanted)


class Shelf:
    """Cards in columns, filtered, with a cursor that stays on its play when things move."""

    def __init__(self) -> None:
        self.cards: list[Card] = []
        self.unread: dict[Stage, int] = {}  # plays that the first frame did not wait for, behind those that are there
        self.words, self.me, self.killed = "", None, False
        self.order = "number"
        self.stages: tuple[Stage, ...] = COLUMNS
        self.columns: dict[Stage, list[Card]] = {stage: [] for stage in Stage}
        self.marked: set[int] = set()  # plays, by number
        self.column = 0
        self.rows: dict[Stage, int] = dict.fromkeys(Stage, 0)
        self.tops: dict[Stage, int] = dict.fromkeys(Stage, 0)

    me: str | None

    @property
    def stage(self) -> Stage:
        return self.stages[self.column]

    @property
    def row(self) -> int:
        return self.rows[self.stage]

    @property
    def selected(self) -> Card | None:
        column = self.columns[self.stage]
        return column[self.row] if column else None

    @property
    def meant(self) -> list[Card]:
        """The plays that a key for several acts on: those that are marked, else the one under the cursor."""
        marked = [card for card in self.cards if card.id in self.marked]
        return marked or ([self.selected] if self.selected is not None else [])

    def count(self, stage: Stage) -> int:
        """How many plays its column has."""
        return len(self.columns[stage]) + (0 if self.words else self.unread.get(stage, 0))

    @property
    def shown(self) -> int:
        return sum(len(self.columns[stage]) for stage in self.stages)

    def fill(self, cards: Iterable[Card], there: Mapping[Stage, int] | None = None) -> None:
        """Take new cards, of all that are `there`; the cursor follows its play, into another column too."""
        self.cards = list(cards)
        self.unread = {}
        if there is not None and len(self.cards) < sum(there.values()):
            read = Counter(card.stage for card in self.cards)
            self.unread = {stage: count - read[stage] for stage, count in there.items()}
        self.sort()

    def renew(self, cards: Iterable[Card]) -> bool:
        """Put changed cards in their places; return False, and do nothing, where one belongs elsewhere now."""
        places = [(bisect_left(self.cards, card.id, key=lambda each: each.id), card) for card in cards]
        if not all(place < len(self.cards) and self._stays(self.cards[place], card) for place, card in places):
            return False
        for place, card in places:
            before, column = self.cards[place], self.columns[card.stage]
            if card != before:
                self.cards[place] = card
                self.columns[card.stage] = [card if each is before else each for each in column]
        return True

    def _stays(self, before: Card, card: Card) -> bool:
        """Whether a play is shown where it was, if at all."""
        by, me = ORDERS[self.order].by, self.me
        shown = (matches(before, self.words, me), by(before, me)) == (matches(card, self.words, me), by(card, me))
        return shown and (before.id, before.stage) == (card.id, card.stage)

    def sort(self) -> None:
        held = self.selected
        self.stages = (*COLUMNS, Stage.KILLED) if self.killed else COLUMNS
        self.column = min(self.column, len(self.stages) - 1)
        self.columns = {stage: [] for stage in Stage}
        for card in self._ordered(_sifted(self.cards, self.words, self.me)):
            self.columns[card.stage].append(card)
        for stage, column in self.columns.items():
            self.rows[stage] = max(0, min(self.rows[stage], len(column) - 1))
        if held is None or not self.find(held.id):
            self._nearest()

    def _ordered(self, cards: Iterable[Card]) -> Iterable[Card]:
        """Sort; cards come by number, and a sort keeps that among equals."""
        order = ORDERS[self.order]
        if self.order == "number":
            return cards
        return sorted(cards, key=lambda card: order.by(card, self.me), reverse=order.most_first)

    def filters(self) -> list[tuple[str, int]]:
        """Return the filter words that apply to some play, each with how many it shows."""
        shown = [card for card in self.cards if self.killed or card.stage is not Stage.KILLED]
        found = [(WAITS, sum(self.me is not None and card.is_turn_of(self.me) for card in shown))]
        found += [(f"stage:{stage.value}", sum(card.stage is stage for card in shown)) for stage in self.stages]
        kinds = Counter(card.kind.value for card in shown)
        drivers = Counter(card.roles.get(Role.DRIVER, "") for card in shown)
        found += [(f"kind:{kind}", count) for kind, count in sorted(kinds.items())]
        found += [(f"driver:{person}", count) for person, count in sorted(drivers.items()) if person]
        return [(word, count) for word, count in found if count]

    def find(self, play: int) -> bool:
        """Put the cursor on a play, if it is shown."""
        for number, stage in enumerate(self.stages):
            for row, card in enumerate(self.columns[stage]):
                if card.id == play:
                    self.column, self.rows[stage] = number, row
                    return True
        return False

    def _nearest(self) -> None:
        """Leave an empty column for the nearest one with a card."""
        if not self.columns[self.stage]:
            filled = [n for n, stage in enumerate(self.stages) if self.columns[stage]]
            self.column = min(filled, key=lambda n: abs(n - self.column), default=self.column)

    def step(self, rows: int) -> None:
        last = len(self.columns[self.stage]) - 1
        self.rows[self.stage] = max(0, min(self.row + rows, last))

    def sideways(self, columns: int, *, same_height: bool, slots: int) -> None:
        """Move to the next column; on a board the eye stays at its height."""
        height = self.row - self.tops[self.stage]
        self.column = max(0, min(self.column + columns, len(self.stages) - 1))
        if same_height and self.columns[self.stage]:
            wanted = self.tops[self.stage] + height
            self.rows[self.stage] = max(0, min(wanted, len(self.columns[self.stage]) - 1))
        self.follow(slots)

    def follow(self, slots: int) -> bool:
        """Scroll the column by half pages until the cursor is in view; return whether it scrolled."""
        stage, slots = self.stage, max(1, slots)
        top, last_top = self.tops[stage], max(0, len(self.columns[stage]) - slots)
        if not top <= self.row < top + slots or top > last_top:
            self.tops[stage] = max(0, min(self.row - slots // 2, last_top))
        return self.tops[stage] != top

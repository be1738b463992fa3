"""The board's contents: which cards are shown in which column, and where the cursor is. Pure; draws nothing."""

from __future__ import annotations

from collections.abc import Iterable

from distill_tui.glance import Card
from distill_tui.terms import Role, Stage

COLUMNS = (Stage.QUALIFY, Stage.GATE, Stage.DATA, Stage.TRAIN, Stage.DECIDE, Stage.LIVE)
FILTER_WORDS = ("kind", "stage", "waits", *(role.value for role in Role))


def matches(card: Card, words: str, me: str | None) -> bool:
    """Whether a card passes a filter: every word is in its code, name, kind or persons, or holds as `kind:cost`."""
    return all(_matches(card, word, me) for word in words.lower().split())


def _sifted(cards: Iterable[Card], words: str, me: str | None) -> Iterable[Card]:
    """Give the cards that pass; split the words once, not for each card."""
    wanted = words.lower().split()
    return [card for card in cards if all(_matches(card, word, me) for word in wanted)] if wanted else cards


def _matches(card: Card, word: str, me: str | None) -> bool:
    field, colon, wanted = word.partition(":")
    if not colon or field not in FILTER_WORDS:
        return word in card.text
    wanted = (me or "") if wanted == "me" else wanted
    if not wanted:  # half typed, or nobody
        return colon == "" or word != f"{field}:me"
    if field == "waits":
        return (card.waits or "").lower() == wanted
    if field in ("kind", "stage"):
        return (card.kind if field == "kind" else card.stage).value.startswith(wanted)
    return card.roles.get(Role(field), "").lower().startswith(wanted)


class Shelf:
    """Cards in columns, filtered, with a cursor that stays on its play when things move."""

    def __init__(self) -> None:
        self.cards: list[Card] = []
        self.words, self.me, self.killed = "", None, False
        self.stages: tuple[Stage, ...] = COLUMNS
        self.columns: dict[Stage, list[Card]] = {stage: [] for stage in Stage}
        self.column = 0
        self.rows: dict[Stage, int] = dict.fromkeys(Stage, 0)
        self.tops: dict[Stage, int] = dict.fromkeys(Stage, 0)

    me: str | None

    @property
    def stage(self) -> Stage:
        """The stage that the cursor is in."""
        return self.stages[self.column]

    @property
    def row(self) -> int:
        """The cursor's place in its column."""
        return self.rows[self.stage]

    @property
    def selected(self) -> Card | None:
        """The card under the cursor."""
        column = self.columns[self.stage]
        return column[self.row] if column else None

    @property
    def shown(self) -> int:
        """How many cards pass the filter."""
        return sum(len(self.columns[stage]) for stage in self.stages)

    def fill(self, cards: Iterable[Card]) -> None:
        """Take new cards; the cursor follows its play, into another column too."""
        self.cards = list(cards)
        self.sort()

    def sort(self) -> None:
        """Put the cards that pass the filter into their columns."""
        held = self.selected
        self.stages = (*COLUMNS, Stage.KILLED) if self.killed else COLUMNS
        self.column = min(self.column, len(self.stages) - 1)
        self.columns = {stage: [] for stage in Stage}
        for card in _sifted(self.cards, self.words, self.me):
            self.columns[card.stage].append(card)
        for stage, column in self.columns.items():
            self.rows[stage] = max(0, min(self.rows[stage], len(column) - 1))
        if held is None or not self.find(held.id):
            self._nearest()

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
        """Move up or down in the column."""
        last = len(self.columns[self.stage]) - 1
        self.rows[self.stage] = max(0, min(self.row + rows, last))

    def end(self) -> None:
        """Go to the last card of the column."""
        self.step(len(self.columns[self.stage]))

    def home(self) -> None:
        """Go to the first card of the column."""
        self.step(-self.row)

    def sideways(self, columns: int, *, same_height: bool, slots: int) -> None:
        """Move to the next column; on a board the eye stays at its height."""
        height = self.row - self.tops[self.stage]
        self.column = max(0, min(self.column + columns, len(self.stages) - 1))
        if same_height and self.columns[self.stage]:
            wanted = self.tops[self.stage] + height
            self.rows[self.stage] = max(0, min(wanted, len(self.columns[self.stage]) - 1))
        self.follow(slots)

    def follow(self, slots: int) -> bool:
        """Scroll the column by half pages until the cursor is in view; say whether it scrolled."""
        stage, slots = self.stage, max(1, slots)
        top, last_top = self.tops[stage], max(0, len(self.columns[stage]) - slots)
        if not top <= self.row < top + slots or top > last_top:
            self.tops[stage] = max(0, min(self.row - slots // 2, last_top))
        return self.tops[stage] != top

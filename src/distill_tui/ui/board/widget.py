"""The board: one widget that draws only what is in view, so that ten thousand plays cost what ten do.

From 100 columns on the stages are columns of cards of three lines; below that it is one stage's list under a strip
of stages. It knows cards and where the cursor is; loading and acting are the screen's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from distill_tui.rules.card import Card
from distill_tui.terms import Stage
from distill_tui.ui.board.card_text import card_line, list_heading, list_line, stage_strip
from distill_tui.ui.board.shelf import Shelf
from distill_tui.ui.widgets import show

WIDE = 100  # columns of the terminal from which the stages are columns
SLOT = 4  # lines of a card, the blank one included
EMPTY_COLUMN = 12  # cells that a stage without plays takes: its heading
_TITLES = {stage: f"{number} {stage.value.upper()}" for number, stage in enumerate(Stage, start=1)}

_KEYS: list[BindingType] = [
    Binding("down,j", "step(1)", "Down", show=False),
    Binding("up,k", "step(-1)", "Up", show=False),
    Binding("h,left", "sideways(-1)", "Move", key_display="hjkl"),
    Binding("right,l", "sideways(1)", "Right", show=False),
    Binding("home,g", "home", "Top", show=False),
    Binding("end,G", "end", "Bottom", show=False),
    Binding("pagedown,ctrl+f", "page(2)", "Page down", show=False),
    Binding("pageup,ctrl+b", "page(-2)", "Page up", show=False),
    Binding("ctrl+d", "page(1)", "Half a page down", show=False),
    Binding("ctrl+u", "page(-1)", "Half a page up", show=False),
    *(Binding(str(n), f"stage({n})", f"Stage {stage.value}", show=False) for n, stage in enumerate(Stage, start=1)),
]


class Board(Widget, can_focus=True):
    """The plays, with a cursor. Posts `Selected` when the cursor moves and `Opened` for enter or a second click."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"board--{name}" for name in ("head", "head-here", "rule", "name", "muted", "cursor", *show.TONES)
    }
    BINDINGS: ClassVar[list[BindingType]] = _KEYS

    class Selected(Message):
        """The cursor is on another play, or on none."""

    class Opened(Message):
        """The play under the cursor is to be opened."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.shelf = Shelf()
        self._styles: dict[str, Style] = {}

    @property
    def wide(self) -> bool:
        return self.size.width >= WIDE

    @property
    def slots(self) -> int:
        """How many cards of one stage are in view."""
        return max(1, (self.size.height - 2) // SLOT) if self.wide else max(1, self.size.height - 3)

    def widths(self) -> list[int]:
        """Return the width of each column: little for an empty one, the rest shared, one cell between two."""
        stages, columns = self.shelf.stages, self.shelf.columns
        filled = [bool(columns[stage]) for stage in stages]
        if not any(filled):
            filled = [True] * len(stages)
        room = self.size.width - (len(stages) - 1) - EMPTY_COLUMN * filled.count(False)
        share, rest = divmod(room, filled.count(True))
        widths = []
        for is_filled in filled:
            widths.append(share + (rest > 0) if is_filled else EMPTY_COLUMN)
            rest -= is_filled
        return widths

    # --- what changes it

    def fill(self, cards: list[Card], me: str | None, there: Mapping[Stage, int] | None = None) -> None:
        """Take new cards, of all that are `there`; where they are what is shown already, nothing is drawn again."""
        if me == self.shelf.me and cards == self.shelf.cards:
            self.post_message(self.Selected())
            return
        before = self._in_view()
        self.shelf.me = me
        self.shelf.fill(cards, there)
        self._settle(before)

    def renew(self, cards: list[Card]) -> bool:
        """Put cards that changed in their places; return False, and do nothing, where one belongs elsewhere now."""
        before = self._in_view()
        if not self.shelf.renew(cards):
            return False
        self._settle(before)
        return True

    def sift(self, words: str) -> None:
        self.shelf.words = words
        self.shelf.sort()
        self._settle()

    def order(self, name: str) -> None:
        self.shelf.order = name
        self.shelf.sort()
        self._settle()

    def mark(self) -> None:
        """Mark the play under the cursor, or take its mark away, and go to the next one."""
        if self.shelf.selected is not None:
            self.shelf.marked ^= {self.shelf.selected.id}
            self.refresh(self._region(self.shelf.column, self.shelf.row))
            self.action_step(1)

    def unmark(self) -> None:
        self.shelf.marked.clear()
        self.refresh()

    def toggle_killed(self) -> None:
        self.shelf.killed = not self.shelf.killed
        self.shelf.sort()
        self._settle()

    def follow(self) -> None:
        """Bring the cursor into view after it was put somewhere else."""
        self._settle()

    def _in_view(self) -> tuple[object, dict[tuple[int, int], Card]]:
        """Return what is drawn around the cards, and the card in each place."""
        shelf, slots = self.shelf, self.slots
        counts = [shelf.count(stage) for stage in shelf.stages]
        around = (self.widths(), counts, dict(shelf.tops), shelf.column, shelf.row)
        shown = enumerate(shelf.stages) if self.wide else [(shelf.column, shelf.stage)]
        cards = {
            (column, row): card
            for column, stage in shown
            for row, card in enumerate(shelf.columns[stage][shelf.tops[stage] :][:slots], shelf.tops[stage])
        }
        return around, cards

    def _settle(self, before: tuple[object, dict[tuple[int, int], Card]] | None = None) -> None:
        """Bring the cursor into view, and redraw what changed."""
        for stage in self.shelf.stages:
            last_top = max(0, len(self.shelf.columns[stage]) - self.slots)
            self.shelf.tops[stage] = min(self.shelf.tops[stage], last_top)
        self.shelf.follow(self.slots)
        around, cards = self._in_view()
        if before is not None and before[0] == around:
            changed = [place for place, card in cards.items() if before[1].get(place) != card]
            if changed:
                self.refresh(*(self._region(*place) for place in changed))
        else:
            self.refresh()
        self.post_message(self.Selected())

    def _moved(self, column: int, row: int) -> None:
        """Redraw as little as the move allows: every cell that is written must cross a slow line."""
        scrolled = self.shelf.follow(self.slots)
        if not scrolled and (column, row) == (self.shelf.column, self.shelf.row):
            return  # at the end of its column already
        if not self.wide and (scrolled or column != self.shelf.column):
            self.refresh()
        else:
            regions = [self._region(column, row), self._region(self.shelf.column, self.shelf.row)]
            if column != self.shelf.column:
                heads = (self._column_region(each) for each in (column, self.shelf.column))
                regions += [Region(head.x, 0, head.width, 1) for head in heads]
            if scrolled:
                regions.append(self._column_region(self.shelf.column))
            self.refresh(*regions)
        self.post_message(self.Selected())

    def _region(self, column: int, row: int) -> Region:
        top = self.shelf.tops[self.shelf.stages[column]]
        if not self.wide:
            return Region(0, 3 + row - top, self.size.width, 1)
        left, _, width, _ = self._column_region(column)
        return Region(left, 2 + (row - top) * SLOT, width, SLOT - 1)

    def _column_region(self, column: int) -> Region:
        """Where the cards of a stage are drawn, on a wide board."""
        widths = self.widths()
        return Region(sum(widths[:column]) + column, 2, widths[column], max(0, self.size.height - 2))

    # --- keys and mouse

    def action_step(self, rows: int) -> None:
        before = self.shelf.column, self.shelf.row
        self.shelf.step(rows)
        self._moved(*before)

    def action_sideways(self, columns: int) -> None:
        before = self.shelf.column, self.shelf.row
        self.shelf.sideways(columns, same_height=self.wide, slots=self.slots)
        self._moved(*before)

    def action_page(self, halves: int) -> None:
        self.action_step(halves * max(1, self.slots // 2))

    def action_home(self) -> None:
        self.action_step(-self.shelf.row)

    def action_end(self) -> None:
        self.action_step(len(self.shelf.columns[self.shelf.stage]))

    def action_stage(self, number: int) -> None:
        if number == len(Stage) and not self.shelf.killed:
            self.toggle_killed()
        self.action_sideways(number - 1 - self.shelf.column)

    def on_click(self, event: events.Click) -> None:
        """Select the card under the pointer; open it when it is selected already."""
        column, row = self._at(event.x, event.y)
        before = self.shelf.selected
        moved = self.shelf.column, self.shelf.row
        self.shelf.column = column
        if row is not None and row < len(self.shelf.columns[self.shelf.stage]):
            self.shelf.rows[self.shelf.stage] = row
            if self.shelf.selected is before:
                self.post_message(self.Opened())
                return
        self._moved(*moved)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.action_step(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.action_step(-1)

    def on_resize(self) -> None:
        self._settle()

    def _at(self, x: int, y: int) -> tuple[int, int | None]:
        tops = self.shelf.tops
        if not self.wide:
            if y > 0:
                return self.shelf.column, tops[self.shelf.stage] + y - 3 if y >= 3 else None
            ends = [0]
            for text in stage_strip(self.shelf, self.size.width):
                ends.append(ends[-1] + cell_len(text))
            return max(0, min(sum(end <= x for end in ends) - 1, len(self.shelf.stages) - 1)), None
        ends = list(accumulate(width + 1 for width in self.widths()))
        column = min(sum(end <= x for end in ends), len(ends) - 1)
        return column, tops[self.shelf.stages[column]] + (y - 2) // SLOT if y >= 2 else None

    # --- drawing

    def notify_style_update(self) -> None:
        """Forget the styles that were worked out, because theirs changed."""
        self._styles.clear()
        super().notify_style_update()

    def _style(self, name: str) -> Style:
        """Return a component's style, or the board's own for an empty name; computed once."""
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(f"board--{name}") if name else self.rich_style
            self._styles[name] = style
        return style

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        segments = self._wide_line(y) if self.wide else self._narrow_line(y)
        return Strip(segments).adjust_cell_length(width, self._style(""))

    def _wide_line(self, y: int) -> list[Segment]:
        bar = Segment(show.glyph("bar"), self._style("rule"))
        segments: list[Segment] = []
        slots, last = self.slots, self.size.height - 1
        for number, (stage, width) in enumerate(zip(self.shelf.stages, self.widths(), strict=True)):
            segments += ([bar] if number else []) + self._cell(number, stage, width, y, slots, last)
        return segments

    def _cell(self, number: int, stage: Stage, width: int, y: int, slots: int, last: int) -> list[Segment]:
        here = number == self.shelf.column
        if y == 0:
            title = f" {_TITLES[stage]} {self.shelf.count(stage)}"
            return [Segment(show.fit(title, width), self._style("head-here" if here else "head"))]
        if y == 1:
            return [Segment(show.glyph("rule") * width, self._style("rule"))]
        slot, line = divmod(y - 2, SLOT)
        column, row = self.shelf.columns[stage], self.shelf.tops[stage] + slot
        if slot >= slots or line == SLOT - 1:
            hidden = self.shelf.count(stage) - self.shelf.tops[stage] - slots
            more = f" {show.glyph('dots')} {hidden} more" if hidden > 0 and y == last else ""
            return [Segment(show.fit(more, width), self._style("muted"))]
        if row >= len(column):
            return [Segment(" " * width, self._style(""))]
        selected = here and row == self.shelf.row
        card = column[row]
        lead = show.glyph("cursor") if selected else " "
        mark = [(f"{show.glyph('marked')} ", "run")] if line == 0 and card.id in self.shelf.marked else []
        pieces = [(lead, "run"), *mark, *card_line(card, line, width - 1 - 2 * len(mark))]
        return self._painted(pieces, width, selected)

    def _narrow_line(self, y: int) -> list[Segment]:
        width, stage = self.size.width, self.shelf.stage
        if y == 0:
            texts = stage_strip(self.shelf, self.size.width)
            return [
                Segment(text, self._style("head-here" if number == self.shelf.column else "head"))
                for number, text in enumerate(texts)
            ]
        if y == 1:
            return [Segment(show.glyph("rule") * width, self._style("rule"))]
        if y == 2:
            return [Segment(list_heading(width), self._style("muted"))]
        column, row = self.shelf.columns[stage], self.shelf.tops[stage] + y - 3
        if row >= len(column):
            return []
        selected = row == self.shelf.row
        lead = show.glyph("cursor") if selected else " "
        pieces = list_line(column[row], width - 1)
        if column[row].id in self.shelf.marked:
            pieces[0] = (show.glyph("marked"), "run")
        return self._painted([(lead, "run"), *pieces], width, selected)

    def _painted(self, pieces: list[tuple[str, str]], width: int, selected: bool) -> list[Segment]:
        """Paint pieces of text in their tones; those of the selected card keep theirs on the cursor's ground."""
        ground = self._style("cursor") if selected else self._style("")
        over = Style(bgcolor=ground.bgcolor, bold=True) if selected else Style.null()
        segments = [Segment(text, self._style(name) + over) for text, name in pieces]
        return Segment.adjust_line_length(segments, width, ground)

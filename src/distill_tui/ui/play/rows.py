"""The rows of a data set: only those in view are read, so a million rows scroll like ten.

Held-out rows are not shown. The screen filters; it changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static
from textual.worker import get_current_worker

from distill_tui.dataset import play_data
from distill_tui.dataset.browse import CONFLICTS, Filter, OpenRows
from distill_tui.reports.data import clipped
from distill_tui.rules import permission
from distill_tui.terms import Action
from distill_tui.ui.forms.sheet import Field, Sheet, Values
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.frame import Heading, KeyLine, MessageLine
from distill_tui.ui.widgets.page import Lines

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

MOST_SHARES = 8  # probabilities that are shown of a row, the highest first
DETAIL = 8  # lines below the list that show the row under the cursor
_HEAD = ("ROW", 7), ("SPLIT", 10), ("SEGMENT", 14), ("GOLD", 14), ("TEACHER", 14), ("P", 4)


class RowsScreen(Screen[None]):
    """The rows of a play's data set of this round, with filters."""

    if TYPE_CHECKING:
        app = getters.app(DistillApp)
    DEFAULT_CSS = """
    RowsScreen #rows { height: 1fr; text-wrap: nowrap; }
    RowsScreen #row { height: 9; border-top: solid $tone-muted 50%; text-wrap: nowrap; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "step(1)", "Down", show=False),
        Binding("up,k", "step(-1)", "Up", show=False),
        Binding("pagedown,ctrl+f,space", "leaf(1)", "Page down", show=False),
        Binding("pageup,ctrl+b", "leaf(-1)", "Page up", show=False),
        Binding("home,g", "step(-1000000000)", "First", show=False),
        Binding("end,G", "step(1000000000)", "Last", show=False),
        Binding("slash", "search", "search", key_display="/"),
        Binding("f", "filter", "filter"),
        Binding("n", "conflict(1)", "next conflict"),
        Binding("N", "conflict(-1)", "Conflict before", show=False),
        Binding("x", "drop", "drop row"),
        Binding("question_mark", "app.keys", "help", key_display="?"),
        Binding("q", "back", "back"),
        Binding("escape", "clear", "All rows, or back", show=False),
    ]

    def __init__(self, play_id: int, code: str) -> None:
        super().__init__()
        self.play_id, self.code = play_id, code
        self.rows: OpenRows | None = None
        self.wanted: Filter | None = None
        self.found: NDArray[np.int64] | None = None
        self.cursor = self.top = 0

    def compose(self) -> ComposeResult:
        yield Heading(f"{self.code}  rows")
        yield Static(" loading", id="rows", markup=False)
        yield Static("", id="row", markup=False)
        yield MessageLine()
        yield KeyLine()

    def on_mount(self) -> None:
        self.app.perform(lambda project: play_data.rows(project, self.play_id), then=self._loaded)

    def _loaded(self, rows: OpenRows) -> None:
        self.rows = rows
        self._want(Filter())
        self.app.say(f"{rows.sealed:,} held-out rows are sealed. `row open` shows one and logs it.")

    def _want(self, wanted: Filter) -> None:
        self.run_worker(partial(self._find, wanted), thread=True, exclusive=True, group="rows")

    def _find(self, wanted: Filter) -> None:
        worker = get_current_worker()
        assert self.rows is not None
        found = self.rows.find(wanted)
        if not worker.is_cancelled:
            self.app.call_from_thread(self._show, wanted, found)

    def _show(self, wanted: Filter, found: NDArray[np.int64]) -> None:
        self.wanted, self.found, self.cursor, self.top = wanted, found, 0, 0
        self.draw()

    # --- drawing

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        if self.rows is None or self.found is None:
            return
        width, room = self.size.width, self._room
        self.top = max(min(self.top, self.cursor), self.cursor - room + 1)
        summary = f"{len(self.found):,} of {len(self.rows):,} rows{_filters(self.wanted)}"
        lines: Lines = [page.muted(summary), _line([*(title for title, _ in _HEAD), "INPUT"], width, "$tone-muted")]
        for at in range(self.top, min(self.top + room, len(self.found))):
            row = self.rows.at(int(self.found[at]))
            here = at == self.cursor
            style = "bold $accent" if here else "$tone-warn" if row["conflict"] else ""
            lines.append(_line(_cells(row), width, style, show.glyph("cursor") if here else " "))
        self.query_one("#rows", Static).update(page.page(lines))
        self.query_one("#row", Static).update(page.page(self._detail(width)))

    @property
    def _room(self) -> int:
        return max(1, self.query_one("#rows").size.height - 2)

    def _detail(self, width: int) -> Lines:
        if self.rows is None or self.found is None or not len(self.found):
            return page.sentence("No row matches. esc shows all.", width, word="waiting")
        row = self.rows.at(int(self.found[self.cursor]))
        lines = page.sentence(row["input"], width - 1)[: DETAIL - 2]
        shares = row["teacher_probabilities"] or ()
        ranked = [*zip(self.rows.labels, shares, strict=False)]
        if len(ranked) > MOST_SHARES:
            ranked.sort(key=lambda pair: -pair[1])
        more = f"  and {len(ranked) - MOST_SHARES:,} less likely" if len(ranked) > MOST_SHARES else ""
        said = "  ".join(f"{label} {share:.2f}" for label, share in ranked[:MOST_SHARES]) + more
        group = f"  group {row['group']}" if row["group"] else ""
        none = show.glyph("dash")
        about = f"gold {row['gold'] or none}  teacher {row['teacher_output'] or none}  {said}  weight {row['weight']:g}"
        return [*lines, *page.sentence(about + group, width - 1, style="$tone-muted")[:2]]

    # --- keys

    def action_step(self, by: int) -> None:
        if self.found is not None and len(self.found):
            self.cursor = max(0, min(len(self.found) - 1, self.cursor + by))
            self.draw()

    def action_leaf(self, by: int) -> None:
        self.action_step(by * self._room)

    def action_conflict(self, by: int) -> None:
        if self.rows is None or self.found is None:
            return
        places = np.flatnonzero(np.isin(self.found, self.rows.find(Filter(conflicts="teacher")), assume_unique=True))
        ahead = places[places > self.cursor] if by > 0 else places[places < self.cursor][::-1]
        if len(ahead):
            self.action_step(int(ahead[0]) - self.cursor)
        else:
            self.app.say(f"No conflict of teacher and gold {'below' if by > 0 else 'above'}; {len(places):,} in all.")

    def action_search(self) -> None:
        self._ask((Field("search", "search", self.wanted.search if self.wanted else "", "Anywhere in the input."),))

    def action_filter(self) -> None:
        if self.rows is None or self.wanted is None:
            return
        now = self.wanted
        self._ask(
            (
                Field("label", "label", now.label, "Gold, else the teacher's.", self.rows.labels),
                Field("segment", "segment", now.segment, "→ completes it.", tuple(self.rows.values("segment"))),
                Field("split", "split", now.split, "train or validation.", ("train", "validation")),
                Field("below", "confidence below", _text(now.below), "The teacher's highest probability, 0 to 1."),
                Field("above", "confidence from", _text(now.above), "The teacher's highest probability, 0 to 1."),
                Field("conflicts", "conflicts", now.conflicts, "teacher: differs from gold; near: duplicates differ.",
                      CONFLICTS),
                Field("search", "search", now.search, "Anywhere in the input."),
            )
        )  # fmt: skip

    def _ask(self, fields: tuple[Field, ...]) -> None:
        def given(values: Values | None) -> None:
            if values is not None:
                self._want(self._read(values))

        def check(values: Values) -> str:
            try:
                return self._read(values).problem()
            except ValueError:
                return "A confidence is a number from 0 to 1, like 0.6."

        self.app.push_screen(Sheet("Which rows", (), fields, does="show them", check=check), given)

    def _read(self, values: Values) -> Filter:
        numbers = {name: float(values[name]) if values[name] else None for name in ("below", "above") if name in values}
        words = {name: value for name, value in values.items() if name not in ("below", "above")}
        return replace(self.wanted or Filter(), **words, **numbers)  # type: ignore[arg-type]

    def action_clear(self) -> None:
        if self.rows is None or self.wanted in (None, Filter()):
            self.dismiss()
        else:
            self._want(Filter())

    def action_drop(self) -> None:
        if self.rows is None or self.found is None or not len(self.found):
            return
        from distill_tui.ui.forms import drafts

        view, row = self.app.views.get(self.play_id), self.rows.at(int(self.found[self.cursor]))
        why = permission.objections(Action.DROP_ROW, view.dossier, self.app.actor) if view is not None else []
        if view is None or why:
            self.app.say(why[0].sentence if why else "The play is still being loaded.", "warning")
            return
        drafts.drop_row(view, int(row["row"]), clipped(row["input"], 200)).take(self.app, view.dossier)

    def action_back(self) -> None:
        self.dismiss()


def _text(number: float | None) -> str:
    return "" if number is None else f"{number:g}"


def _filters(wanted: Filter | None) -> str:
    named = {name: value for name, value in vars(wanted).items() if value not in ("", None)} if wanted else {}
    return "".join(f"  {name}: {value}" for name, value in named.items())


def _cells(row: dict[str, object]) -> list[str]:
    confidence = row["confidence"]
    share = f"{confidence:.2f}"[-3:] if isinstance(confidence, float) and confidence < 1 else "1" if confidence else ""
    names = ("row", "split", "segment", "gold", "teacher_output")
    return [*("" if row[name] is None else str(row[name]) for name in names), share, str(row["input"])]


def _line(cells: list[str], width: int, style: str, mark: str = " ") -> Content:
    """Lay out a row; a narrow screen drops split and segment."""
    dropped = (1, 2) if width < 100 else ()
    parts = [show.fit(show.visible(cells[at]), size) for at, (_, size) in enumerate(_HEAD) if at not in dropped]
    head = f"{mark}{'  '.join(parts)}  "
    return Content.assemble(
        (head, style), (show.clip(" ".join(cells[-1].split()), max(8, width - cell_len(head) - 1)), style)
    )

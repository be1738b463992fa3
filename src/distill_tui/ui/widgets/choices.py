"""Lists to choose from: one that j and k move in, and a short one over any screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from distill_tui.ui.widgets import show
from distill_tui.ui.widgets.foot import Foot
from distill_tui.ui.widgets.page import Lines

Entries = Sequence[tuple[str, str, bool]]  # id, text, whether it is chosen now


class Choices(OptionList):
    """A list in which j and k move like the arrows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]

    def fill(self, lines: Lines, at: int | None) -> None:
        """Replace what is listed, with the cursor at a line of it."""
        self.clear_options()
        self.add_options([Option(line) for line in lines])
        self.highlighted = at


class Menu(ModalScreen[None]):
    """Calls `picked` with the chosen entry; with `stays` it remains open for more."""

    DEFAULT_CSS = """
    Menu > Vertical { width: 60; max-width: 94%; height: auto; max-height: 90%; }
    Menu OptionList { height: auto; max-height: 16; border: none; padding: 0; margin: 1 0; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss", "Back")]

    def __init__(
        self, title: str, entries: Callable[[], Entries], picked: Callable[[str], object], *, stays: bool = False
    ) -> None:
        super().__init__()
        self.heading, self.entries, self.picked, self.stays = title, entries, picked, stays

    def compose(self) -> ComposeResult:
        foot = ("selects or unselects", "esc done") if self.stays else ("selects", "esc back")
        with Vertical():
            yield Static(self.heading, classes="form-title", markup=False)
            yield Choices(markup=False, compact=True)
            yield Foot(("enter", f"{show.glyph('enter')} {foot[0]}"), ("escape", foot[1]))

    def on_mount(self) -> None:
        self._list()
        chosen = [number for number, (_, _, is_chosen) in enumerate(self.entries()) if is_chosen]
        self.query_one(OptionList).highlighted = chosen[0] if chosen else 0

    def _list(self) -> None:
        options = self.query_one(OptionList)
        at = options.highlighted
        options.clear_options()
        for name, text, chosen in self.entries():
            sign = show.mark("done") if chosen else " "
            options.add_option(Option(Content(f"{show.fit(sign, 3)}{show.visible(text)}"), id=name))
        options.highlighted = at

    @on(OptionList.OptionSelected)
    def _pick(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if not self.stays:
            self.dismiss()
        if event.option.id is not None:
            self.picked(event.option.id)
        if self.stays:
            self._list()

"""Text that scrolls by the keys of vi; and a sheet of it: what a typed command printed, what a worker wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from distill_tui.ui.widgets import show
from distill_tui.ui.widgets.foot import Foot

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

MOST = 2000  # lines that are shown


class Scrolled(ScrollableContainer):
    """What is in it scrolls by the keys of vi."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "by(1)", "Down", show=False),
        Binding("k", "by(-1)", "Up", show=False),
        Binding("h", "sideways(-8)", "Left", show=False),
        Binding("l", "sideways(8)", "Right", show=False),
        Binding("ctrl+d", "by(10)", "Half a page down", show=False),
        Binding("ctrl+u", "by(-10)", "Half a page up", show=False),
        Binding("g", "by(-100000)", "Top", show=False),
        Binding("G", "by(100000)", "Bottom", show=False),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("by", "scroll_up", "scroll_down") and getattr(self.screen, "has_cursor", False):
            return False  # the screen moves its own cursor
        return action != "sideways" or self.allow_horizontal_scroll

    def action_by(self, lines: int) -> None:
        self.scroll_relative(y=lines, animate=False)

    def action_sideways(self, columns: int) -> None:
        self.scroll_relative(x=columns, animate=False)


class OutputSheet(ModalScreen[None]):
    """Shows lines unwrapped; they scroll sideways."""

    DEFAULT_CSS = """
    OutputSheet > Vertical { width: 96%; height: 90%; }
    OutputSheet ScrollableContainer { height: 1fr; margin: 1 0 0 0; scrollbar-size: 1 1; }
    OutputSheet #output { width: auto; height: auto; text-wrap: nowrap; }
    """
    AUTO_FOCUS = "Scrolled"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "Back"),
        Binding("y", "copy", "Copy the text", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self.heading, self.lines = title, [show.visible(line.expandtabs(4)) for line in lines[:MOST]]
        self.left_out = len(lines) - len(self.lines)

    def compose(self) -> ComposeResult:
        more = [f"{self.left_out:,} lines are not shown; run the command in a shell."] if self.left_out else []
        with Vertical():
            yield Static(show.visible(self.heading), classes="form-title", markup=False)
            with Scrolled():
                yield Static(Content("\n".join(self.lines)), id="output", markup=False)
            yield Foot(*more, "hjkl move", ("y", "y copies the text"), ("escape", "esc back"))

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(self.lines))
        cast("DistillApp", self.app).say("The text is on the clipboard.")

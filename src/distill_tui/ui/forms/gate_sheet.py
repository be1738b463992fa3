"""The editor of the gate's draft: TOML, checked at every key."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static, TextArea

from distill_tui import tasks
from distill_tui.gates.gate import Gate
from distill_tui.gates.written import from_toml
from distill_tui.terms import PlayKind, Task
from distill_tui.ui.widgets import page
from distill_tui.ui.widgets.foot import Foot


class GateSheet(ModalScreen[Gate | None]):
    """The gate as TOML, with its first problem in one line below. Returns the gate, or None."""

    DEFAULT_CSS = """
    GateSheet TextArea, GateSheet TextArea:focus { height: 1fr; border: none; padding: 0 1; background: $panel; }
    GateSheet .form-error { height: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save the draft", priority=True),
        Binding("escape", "leave", "Back, nothing is saved", priority=True),
    ]

    def __init__(self, code: str, kind: PlayKind, task: Task, text: str) -> None:
        super().__init__()
        self.code, self.kind, self.is_for, self.text = code, kind, task, text
        self._warned = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(f"The gate of {self.code}: a draft until it is locked", classes="form-title", markup=False)
            yield TextArea(self.text, show_line_numbers=True, tab_behavior="indent")
            yield Static("", classes="form-error", markup=False)
            yield Static(self._words(), classes="form-foot", markup=False)
            yield Foot(("ctrl+s", "ctrl+s saves the draft"), ("escape", "esc back, nothing is saved"))

    def on_mount(self) -> None:
        self.query_one(TextArea).focus()
        self._judge()

    def on_key(self, event: events.Key) -> None:
        """Pass on what was typed before the text had the cursor: afterwards it takes such keys itself."""
        if event.is_printable or event.key == "enter":
            event.stop()
            self.query_one(TextArea).post_message(event)

    def _words(self) -> str:
        task = tasks.of(self.is_for)
        words = ", ".join(task.metrics)
        return f"metrics: {words if task.has_labels else words.replace('accuracy', 'accuracy (exact match)')}"

    @on(TextArea.Changed)
    def _judge(self) -> None:
        self._warned = False
        try:
            gate = from_toml(self.query_one(TextArea).text)
            found = tasks.gate_problems(gate, self.kind, self.is_for)
        except ValueError as error:
            self._say(str(error), "error")
            return
        more = f" (+{len(found) - 1} more)" if len(found) > 1 else ""
        if found:
            self._say(f"It can be saved but not locked: {found[0]}{more}", "look")
        else:
            self._say("This gate can be locked.", "holds")

    def action_save(self) -> None:
        try:
            gate = from_toml(self.query_one(TextArea).text)
        except ValueError as error:
            self._say(f"Not saved: {error}", "error")
            return
        self.dismiss(gate)

    def action_leave(self) -> None:
        """Leave; drop changes only on the second esc."""
        if self.query_one(TextArea).text != self.text and not self._warned:
            self._say("The changes are not saved. ctrl+s saves them; esc again drops them.", "look")
            self._warned = True
            return
        self.dismiss(None)

    def _say(self, text: str, word: str) -> None:
        width = max(20, min(112, self.size.width * 96 // 100) - 5)
        self.query_one(".form-error", Static).update(page.page(page.sentence(text, width, word=word)[:2]))

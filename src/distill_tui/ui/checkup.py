"""The findings of `distill-tui doctor` on a screen: the machine and the project file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from distill_tui.store import doctor
from distill_tui.store.doctor import Finding
from distill_tui.ui.widgets import page
from distill_tui.ui.widgets.frame import Heading, KeyLine, MessageLine

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


class CheckupScreen(Screen[None]):
    """The findings, problems first."""

    DEFAULT_CSS = """
    CheckupScreen #found { height: auto; }
    """
    AUTO_FOCUS = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "look", "check again"),
        Binding("colon", "app.command_line", "Command", key_display=":", show=False),
        Binding("question_mark", "app.keys", "help", key_display="?"),
        Binding("q,escape", "dismiss", "back"),
    ]

    def compose(self) -> ComposeResult:
        yield Heading("Checkup of this machine and this file")
        with VerticalScroll():
            yield Static(" checking", id="found", markup=False)
        yield MessageLine()
        yield KeyLine()

    def on_mount(self) -> None:
        self.action_look()

    def action_look(self) -> None:
        """Check in a thread: it walks the audit chain and reads every artifact."""
        self.query_one("#found", Static).update(" checking")
        self.run_worker(self._look, thread=True, exclusive=True)

    def _look(self) -> None:
        found = [*doctor.machine(), *doctor.file(cast("DistillApp", self.app).path)]
        self.app.call_from_thread(self._found, found)

    def _found(self, found: list[Finding]) -> None:
        self._findings = found
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    _findings: list[Finding] = []  # replaced whole, never changed

    def _draw(self) -> None:
        if not self._findings:
            return
        wrong = [finding for finding in self._findings if not finding.ok]
        summary = f"{len(wrong)} of {len(self._findings)} checks found a problem" if wrong else "no problems"
        lines = [page.heading("CHECKUP", summary)]
        for finding in sorted(self._findings, key=lambda each: each.ok):
            word = "ok" if finding.ok else "error"
            lines += page.sentence(f"{finding.name}: {finding.says}", self.size.width - 2, word=word)
        self.query_one("#found", Static).update(page.page(lines))

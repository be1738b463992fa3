"""The findings of `distill-tui doctor` on a screen: the machine and the project file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from distill_tui.store import doctor
from distill_tui.store.doctor import Finding
from distill_tui.ui.widgets import page
from distill_tui.ui.widgets.frame import Heading, KeyLine, MessageLine
from distill_tui.ui.widgets.output import Scrolled

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


class CheckupScreen(Screen[None]):
    """The findings, problems first."""

    DEFAULT_CSS = """
    CheckupScreen #found { height: auto; }
    """
    AUTO_FOCUS = "Scrolled"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "look", "check again"),
        Binding("colon", "app.command_line", "Command", key_display=":", show=False),
        Binding("question_mark", "app.keys", "help", key_display="?"),
        Binding("q,escape", "dismiss", "back"),
    ]

    def compose(self) -> ComposeResult:
        yield Heading("Checkup of this machine and this file")
        with Scrolled():
            yield Static(" checking", id="found", markup=False)
        yield MessageLine()
        yield KeyLine()

    def __init__(self) -> None:
        super().__init__()
        self.findings: list[Finding] = []

    def on_mount(self) -> None:
        self.action_look()

    def action_look(self) -> None:
        """Check in a thread: it walks the audit chain and reads every artifact."""
        self.query_one("#found", Static).update(" checking")
        self.run_worker(self._look, thread=True, exclusive=True)

    def _look(self) -> None:
        self.findings = [*doctor.machine(), *doctor.file(cast("DistillApp", self.app).path)]
        self.app.call_from_thread(self.on_resize)

    def on_resize(self) -> None:
        if not self.findings:
            return
        wrong = [finding for finding in self.findings if not finding.ok]
        summary = f"{len(wrong)} of {len(self.findings)} checks found a problem" if wrong else "no problems"
        lines = [page.heading("CHECKUP", summary)]
        for finding in sorted(self.findings, key=lambda each: each.ok):
            word = "ok" if finding.ok else "error"
            lines += page.sentence(f"{finding.name}: {finding.says}", self.size.width - 2, word=word)
        self.query_one("#found", Static).update(page.page(lines))

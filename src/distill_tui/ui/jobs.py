"""What workers do now and did last, over whatever screen is open.

A run is followed here, its log is read, it is stopped, and its play is opened.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from distill_tui.reports import pace
from distill_tui.rules.permission import objections
from distill_tui.rules.requests import ForRun
from distill_tui.rules.training import OF_DATA
from distill_tui.store import queries
from distill_tui.terms import Action, RunKind, RunStatus
from distill_tui.ui.forms import runs
from distill_tui.ui.messages import ProjectChanged
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.choices import Choices
from distill_tui.ui.widgets.frame import KeyLine, MessageLine
from distill_tui.ui.widgets.output import OutputSheet
from distill_tui.ui.widgets.page import Column, Lines

if TYPE_CHECKING:
    from distill_tui.rules import entities
    from distill_tui.rules.actor import Actor
    from distill_tui.store.project import Project
    from distill_tui.ui.app import DistillApp

LAST, TAIL = 40, 32_768  # runs that are listed, bytes of a log that are read
TRAIN_TAB = 4


@dataclass(frozen=True)
class Job:
    """One run as it was loaded: of which play, how fast, the last lines of its log, and why it cannot be stopped."""

    run: entities.Run
    play: str
    rows_per_second: float | None = None
    log: tuple[str, ...] = ()
    keeps: str = ""

    steps_per_second: float | None = None

    @property
    def left(self) -> str:
        return pace.left(self.run, self.steps_per_second).removesuffix(" left") or show.glyph("dash")


def load(project: Project, actor: Actor, seen: pace.Pace) -> list[Job]:
    """Read the runs, active ones first; of those the rate and what the rules have against a stop."""
    return [_job(project, actor, run, play, seen) for run, play in queries.jobs(project, LAST)]


def _job(project: Project, actor: Actor, run: entities.Run, play: str, seen: pace.Pace) -> Job:
    from distill_tui.ui.play import evidence

    assert run.id is not None
    log = tail(project.artifacts.run_folder(run.id) / "worker.log")
    if not run.status.active:
        return Job(run, play, log=log, keeps=f"Run {run.id} is already {run.status.value}.")
    objects = objections(Action.STOP_RUN, project.dossier(run.play_id), actor, ForRun(run.id or 0))
    steps, rows = seen.rate(run, time.monotonic()), None
    if run.kind is RunKind.TRAIN and run.status is RunStatus.RUNNING:
        curve = queries.curve(project, run.id)
        rows = curve[-1].rows_per_second if curve else None
        steps = evidence.steps_per_second(run, rows) if rows else steps
    elif pace.unit(run.kind) == "rows":
        rows = steps
    return Job(run, play, rows, log, objects[0].sentence if objects else "", steps)


def tail(file: Path) -> tuple[str, ...]:
    """Read the last lines of a worker's log; one that is not there has none."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - TAIL))
            return tuple(log.read().decode(errors="replace").splitlines())
    except OSError:
        return ()


COLUMNS = (
    Column("RUN", 5, right=True),
    Column("PLAY", 0),
    Column("KIND", 9),
    Column("STATUS", 11),
    Column("DONE", 4, right=True),
    Column("ROWS/S", 6, 1, right=True),
    Column("LEFT", 9, 2, right=True),
    Column("BY", 8, 4),
    Column("STARTED", 11, 3),
)


def table(jobs: list[Job], width: int) -> Lines:
    rows: list[tuple[str | tuple[str, str], ...]] = []
    for job in jobs:
        run, dash = job.run, show.glyph("dash")
        status = f"{show.mark(run.status.value)} {run.status.value}"
        done = pace.share(run) or dash
        rate = f"{job.rows_per_second:,.0f}" if job.rows_per_second else dash
        rows.append(
            (
                *(str(run.id), job.play, run.kind.value, (status, f"$tone-{show.tone(run.status.value)}")),
                *(done, rate, job.left, run.started_by, page.when(run.created_at)[5:]),
            )
        )
    return page.table(COLUMNS, rows, width)


def detail(job: Job, width: int, height: int) -> Lines:
    run = job.run
    bar = f"  {page.progress(run.step, run.total, 24)} {run.step:,}/{run.total:,}" if run.total else ""
    lines = page.sentence(f"run {run.id} of {job.play}{bar}", width, word=run.status.value, style="bold")
    if run.status is RunStatus.QUEUED and not run.message:
        waited = show.ago(run.heartbeat_at or run.created_at)
        lines += page.sentence(f"waits for its worker to start, for {waited}", width, word="waiting")
    if run.error:
        lines += page.sentence(run.error, width, word="error")
    elif run.message:
        lines += page.sentence(run.message, width, label="  ")
    if run.stop_requested and run.status.active:
        kept = "nothing is kept" if run.kind in OF_DATA else "the checkpoint is kept"
        lines += page.sentence(f"stopping after this step; {kept}", width, word="look")
    room = height - len(lines) - 1
    if job.log and room > 0:
        lines += [page.heading("LOG", "o reads all of it"), *(page.muted(show.clip(t, width)) for t in job.log[-room:])]
    return lines[:height]


class JobsScreen(ModalScreen[None]):
    """The runs, live; the selected one below."""

    if TYPE_CHECKING:
        app = getters.app(DistillApp)
    DEFAULT_CSS = """
    JobsScreen > Vertical { width: 96%; height: 90%; }
    JobsScreen .jobs-title { text-style: bold; height: 1; }
    JobsScreen #jobs-head { height: 1; margin: 1 0 0 0; }
    JobsScreen OptionList { height: 1fr; border: none; padding: 0; background: $surface; }
    JobsScreen #jobs-detail { height: 9; text-wrap: nowrap; border-top: solid $tone-muted 50%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open its play", key_display=show.glyph("enter"), priority=True),
        Binding("o", "log", "log"),
        Binding("K", "stop", "stop"),
        Binding("question_mark", "app.keys", "help", key_display="?"),
        Binding("escape,q,J", "dismiss", "back", key_display="q"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] | None = None
        self.pace = pace.Pace()

    @property
    def selected(self) -> Job | None:
        at = self.query_one(OptionList).highlighted if self.is_mounted else None
        return self.jobs[at] if self.jobs and at is not None and at < len(self.jobs) else None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Jobs: runs continue when you leave", classes="jobs-title", markup=False)
            yield Static("", id="jobs-head", markup=False)
            yield Choices(markup=False, compact=True)
            yield Static(" loading", id="jobs-detail", markup=False)
            yield MessageLine()
            yield KeyLine()

    def on_mount(self) -> None:
        """Load, and go on loading: a log grows without a change of the project."""
        self.on_project_changed()
        self.set_interval(1.0, self.on_project_changed)

    def on_project_changed(self, _: ProjectChanged | None = None) -> None:
        self.app.load(self, lambda project: load(project, self.app.actor, self.pace), self._loaded)

    def _loaded(self, jobs: list[Job]) -> None:
        if jobs == self.jobs:
            return
        held = self.selected
        self.jobs = jobs
        self._draw(held.run.id if held else None)

    def on_resize(self) -> None:
        if self.jobs is not None:
            self._draw(self.selected.run.id if self.selected else None)

    def _draw(self, at: int | None) -> None:
        width = self.size.width * 96 // 100 - 6
        head, *lines = table(self.jobs or [], width)
        self.query_one("#jobs-head", Static).update(head)
        ids = [job.run.id for job in self.jobs or []]
        self.query_one(Choices).fill(lines, ids.index(at) if at in ids else 0 if ids else None)
        self._draw_detail()

    @on(OptionList.OptionHighlighted)
    def _draw_detail(self) -> None:
        job, below = self.selected, self.query_one("#jobs-detail", Static)
        width = self.size.width * 96 // 100 - 6
        none = page.sentence("No run has started. T on a play's screen trains.", width, word="waiting")
        below.update(page.page(detail(job, width, 8) if job else none))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if self.blocked(action, parameters) else True

    def blocked(self, action: str, parameters: tuple[object, ...]) -> str | None:
        if action in ("open", "log", "stop") and self.is_mounted:
            job = self.selected
            if job is None:
                return "There is no run."
            if action == "stop":
                return job.keeps or None
            if action == "log" and not job.log:
                return f"Run {job.run.id} wrote no log."
        return None

    @on(OptionList.OptionSelected)
    def action_open(self) -> None:
        job = self.selected
        if job is not None:
            self.dismiss()
            self.app.open_play(job.run.play_id, TRAIN_TAB)

    def action_log(self) -> None:
        job = self.selected
        if job is not None:
            self.app.push_screen(OutputSheet(f"The last of the log of run {job.run.id}", job.log))

    def action_stop(self) -> None:
        job = self.selected
        if job is not None:
            run = job.run
            runs.stop(run.play_id, self.app.actor, f"P-{run.play_id:03d}", run).take(self.app, None)

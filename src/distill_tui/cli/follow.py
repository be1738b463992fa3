"""Following a run until it ends: its progress on standard error, its exit code."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from distill_tui.cli.call import Call, InputError
from distill_tui.cli.exits import DONE, FAILED, PROGRAM
from distill_tui.reports import text
from distill_tui.rules.objection import Objection, Refused
from distill_tui.runs.executors import local
from distill_tui.store import json_columns
from distill_tui.terms import RunKind, RunStatus

if TYPE_CHECKING:
    from distill_tui.rules import entities


def started(call: Call, run_id: int, wait: bool) -> int | None:
    """Report that a run is queued, or follow it until it ends."""
    if not wait:
        call.done(f"Run {run_id} is queued.", [str(run_id)], run=run_id)
        return None
    if not call.json:
        call.data(None, [str(run_id)])
        sys.stdout.flush()
    return follow(call, run_id)


def follow(call: Call, run_id: int, *, quiet: bool = False) -> int:
    """Show a run's progress until it ends, then print the run unless `quiet`; return the exit code."""
    run = _wait(call, run_id)
    finished = run.status is RunStatus.FINISHED
    call.talk(f"Run {run_id} {run.status.value}{'' if finished else _why(run)}.")
    if finished and run.kind in (RunKind.EVALUATE, RunKind.REPRODUCE):
        call.talk(f"The gate is {'held' if call.dossier().passed else 'not held'}.")
    if not finished:
        call.talk(f"`{PROGRAM} train resume {call.play} --run {run_id} --wait` continues from its checkpoint.")
    if call.json and not quiet:
        call.data(text.run_json(run))
    return DONE if finished else FAILED


def finished(call: Call, run_id: int) -> entities.Run:
    """Follow a run that a command stands for, and return it when it is done.

    Raises Refused or InputError as it failed, and Exit where it was stopped or lost.
    """
    run = _wait(call, run_id, lines=False)
    if run.status is RunStatus.FAILED:
        refused = json_columns.stored(run.result, f"the result of run {run_id}").get("refused", [])
        if refused:
            raise Refused(Objection(**each) for each in refused)
        raise InputError(run.error or run.message)
    if run.status is not RunStatus.FINISHED:
        call.talk(f"Run {run_id} {run.status.value}{_why(run)}.")
        call.talk(f"`{PROGRAM} train resume {call.play} --run {run_id} --wait` starts it again.")
        raise click.exceptions.Exit(FAILED)
    return run


def _wait(call: Call, run_id: int, *, lines: bool = True) -> entities.Run:
    progress = Progress(plain=call.plain)
    try:
        run = local.wait(call.project, run_id, progress if progress.moving or lines else lambda run: None)
    except KeyboardInterrupt:
        progress.end()
        call.talk(
            f"Run {run_id} continues; `{PROGRAM} train status {call.play} --follow` follows it, "
            f"`{PROGRAM} train stop {call.play} --run {run_id}` stops it."
        )
        raise
    progress.end()
    return run


def _why(run: entities.Run) -> str:
    reason = (run.error or run.message).strip().rstrip(".")
    return f": {reason}" if reason else ""


class Progress:
    """Prints the state of a run: one line that moves on a terminal, else a line every few seconds."""

    EVERY = 5.0  # seconds between two lines where they do not move

    def __init__(self, *, plain: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.moving = sys.stderr.isatty() and not plain and os.environ.get("TERM", "dumb") != "dumb"
        self.clock = clock
        self.began: tuple[float, int] | None = None  # when it was first seen running, and at which step
        self.printed: tuple[float, RunStatus] | None = None

    def __call__(self, run: entities.Run) -> None:
        now = self.clock()
        line = text.progress(run, self._rate(run, now))
        if self.moving:
            width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
            sys.stderr.write(f"\r{line[:width]}\x1b[K")
        elif self.printed is None or self.printed[1] is not run.status or now - self.printed[0] >= self.EVERY:
            sys.stderr.write(f"{line}\n")
            self.printed = (now, run.status)
        sys.stderr.flush()

    def _rate(self, run: entities.Run, now: float) -> float | None:
        if run.status is not RunStatus.RUNNING or not run.step:  # what comes before the first step has no rate
            self.began = None
            return None
        began, step = self.began = self.began or (now, run.step)
        return (run.step - step) / (now - began) if now > began and run.step > step else None

    def end(self) -> None:
        """Finish the moving line."""
        if self.moving:
            sys.stderr.write("\n")

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
from distill_tui.reports import pace, text
from distill_tui.rules import results
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
    if finished and run.kind is RunKind.OBSERVE:
        for doubt in json_columns.read(results.ObserveSpec, run.spec, f"the spec of run {run_id}").doubts:
            call.talk(f"! {doubt}")
        _observed(call, json_columns.result_of(results.ObserveResult, run))
    if not finished:
        _refused(run)
        call.talk(f"`{PROGRAM} train resume {call.play} --run {run_id} --wait` continues from its checkpoint.")
    if call.json and not quiet:
        call.data(text.run_json(run))
    return DONE if finished else FAILED


def _refused(run: entities.Run) -> None:
    """Raise Refused where the rules ended a run: to resume it cannot help."""
    if found := results.refusals(run):
        raise Refused(Objection(**each) for each in found)


def _observed(call: Call, result: results.ObserveResult) -> None:
    counts = [
        (result.rows, "recorded"),
        (result.late, "of them late answers"),
        (result.people, "with a person's answer"),
        (result.known, "add nothing: recorded before, or beyond the day's limit"),
        (result.trained, "left out: of before this bundle's ship, and it was trained or judged on them"),
    ]
    call.talk(f"Rows: {'; '.join(f'{rows:,} {what}' for rows, what in counts if rows or what == 'recorded')}.")
    if result.outside_rows:
        from distill_tui.tasks.label_map import with_spelling  # its room would load for `--help` too

        first = list(result.outside.items())[:5]
        names = ", ".join(with_spelling(name, rows, result.spelled.get(name, ())) for name, rows in first)
        call.talk(
            f"{result.outside_rows:,} of {result.labelled:,} answers of the teacher are none of the labels: {names}. "
            "They count as disagreements and were not asked again."
        )
    if result.spelled_rows:
        call.talk(f"{result.spelled_rows:,} of these are a label in another spelling: correct them in the feed.")
    if result.contradictions:
        call.talk(f"! {result.contradictions}")


def finished(call: Call, run_id: int) -> entities.Run:
    """Follow a run that a command stands for, and return it when it is done.

    Raises Refused or InputError as it failed, and Exit where it was stopped or lost.
    """
    run = _wait(call, run_id, lines=False)
    if run.status is RunStatus.FAILED:
        _refused(run)
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

    EVERY, SELDOM = 5.0, 60.0  # seconds between two lines where they do not move; between two that are the same

    def __init__(self, *, plain: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.moving = sys.stderr.isatty() and not plain and os.environ.get("TERM", "dumb") != "dumb"
        self.clock = clock
        self.pace = pace.Pace()
        self.printed: tuple[float, str] | None = None

    def __call__(self, run: entities.Run) -> None:
        now = self.clock()
        line = text.progress(run, self.pace.rate(run, now))
        if self.moving:
            width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
            sys.stderr.write(f"\r{line[:width]}\x1b[K")
        elif self._is_news(line, now):
            sys.stderr.write(f"{line}\n")
            self.printed = (now, line)
        sys.stderr.flush()

    def _is_news(self, line: str, now: float) -> bool:
        """Whether a line is to be printed: another state at once, another step after a while, the same one seldom."""
        if self.printed is None or line.split(" · ")[0] != self.printed[1].split(" · ")[0]:
            return True
        return now - self.printed[0] >= (self.SELDOM if line == self.printed[1] else self.EVERY)

    def clear(self) -> None:
        """Take the moving line away; another one takes its place."""
        if self.moving:
            sys.stderr.write("\r\x1b[K")

    def end(self) -> None:
        """Finish the moving line."""
        if self.moving:
            sys.stderr.write("\n")

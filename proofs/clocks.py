"""Wall clocks that are set while workers work: by an hour, by a day, over a change to summer time, back and forth.

Each process has a clock of its own (`moved_clock.c`, loaded before libc) that a thread sets again and again, in the
time zone of Berlin around the nights in which the hour changes. A living worker is never given up, a killed one within
a second, the log keeps its order, and a live student is observed to the same bits as with an undisturbed clock.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import kit
from distill_tui import actions
from distill_tui.monitor import history
from distill_tui.rules import entities
from distill_tui.runs import claim, worker
from distill_tui.runs.claim import Claim
from distill_tui.runs.executors import local
from distill_tui.store.project import Project
from distill_tui.terms import RunStatus
from kit import NAME, Bench, Child, Row, Send, background
from operations import DAN, TRAINING, query, trouble
from support import live_play
from support.results import train_result

HOUR, DAY = 3600, 86_400
NIGHTS = ("2026-03-29T00:59:58", "2026-10-25T00:59:58")  # in Berlin the hour changes at 01:00 UTC
AT_MOST = 1.0  # seconds until a killed worker is given up
LIVE = "live.distill"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}  # as we fork


class Clock:
    """The wall clock of this process, set at random moments until the process ends."""

    def __init__(self, seed: int) -> None:
        self.library, self.times, self.chance = ctypes.CDLL(os.environ[kit.PRELOADED]), 0, Random(seed)
        nights = [datetime.fromisoformat(night).replace(tzinfo=UTC).timestamp() - time.time() for night in NIGHTS]
        self.moves = [0, HOUR, -HOUR, DAY, -DAY, *map(round, nights)]
        os.environ["TZ"] = "Europe/Berlin"
        time.tzset()
        self.set()
        threading.Thread(target=self.go_on, daemon=True).start()

    def set(self) -> None:
        self.library.clock_move(self.chance.choice(self.moves))
        self.times += 1

    def go_on(self) -> None:
        while True:
            time.sleep(self.chance.uniform(0.001, 0.02))
            self.set()


def reaps(path: Path, seed: int) -> Callable[[Send], None]:
    """Look for dead workers all the time, by a clock of its own; send which were given up."""

    def do(send: Send) -> None:
        project, _ = Project.open(path), Clock(seed)
        send("ready")
        while True:
            for run in local.reap(project):
                send(f"gone {run} {time.monotonic()}")
            time.sleep(0.005)

    return do


def takes(project: Project) -> Claim:
    held, claimed = worker.take_lock(project, TRAINING), Claim.take(project, TRAINING)
    assert held is not None and claimed is not None
    return claimed


def works(path: Path, seed: int, seconds: float) -> Callable[[Send], None]:
    """Hold a run and report until killed; send how often after some time."""

    def do(send: Send) -> None:
        claim.EVERY, claim.BEAT = 0.0, 0.05
        project, clock = Project.open(path), Clock(seed)
        project.patience = None
        claimed, end, step = takes(project), time.monotonic() + seconds, 0
        while True:
            step += 1
            claimed.report(step, 1_000_000, f"pid {os.getpid()}")
            if time.monotonic() > end:
                send(f"worked {step} {clock.times}")
                end = float("inf")

    return do


def resumes(path: Path, seed: int) -> Callable[[Send], None]:
    """Resume the run and finish it, by another clock."""

    def do(send: Send) -> None:
        Clock(seed)
        project = Project.open(path)
        actions.resume_run(project, 1, DAN, TRAINING)
        claimed = takes(project)
        claimed.report(1, 2, "half", always=True)
        claimed.finish(train_result(), 2, None)
        send("done")

    return do


def leases(bench: Bench) -> Row:
    """A worker, and a second process that looks for dead ones; then the worker is killed."""
    row, late = Row("leases while clocks are set"), [0.0]
    for folder in bench.trials(row, 200, "queued"):
        path, seed = folder / NAME, bench.chance.randrange(1 << 30)
        looker = Child(reaps(path, seed)).go()
        assert looker.line() == "ready"
        living = Child(works(path, seed + 1, bench.chance.uniform(0.1, 0.4))).go()
        line = living.line()
        row.require(line.startswith("worked"), f"a living worker was stopped: {line[:200]}")
        if line.startswith("worked"):
            row.counts["reports"] += int(line.split()[1])
            row.counts["sets"] += int(line.split()[2])
        killed = time.monotonic()
        living.kill()
        living.end()
        never = threading.Timer(30, looker.kill)
        never.start()
        gone = looker.line()
        never.cancel()
        late.append(float(gone.split()[2]) - killed if gone.startswith("gone") else float("inf"))
        row.require(0 <= late[-1] <= AT_MOST, f"given up {late[-1]:.3f} s after it was killed")
        lines = Child(resumes(path, seed + 2)).go().end()
        status = query(path, f"SELECT status FROM run WHERE id = {TRAINING}")
        row.require(lines == ["done"] and status == [(RunStatus.FINISHED,)], f"not resumed: {status} {lines}"[:300])
        looker.kill()
        row.lost += [f"given up a second time: {line}" for line in looker.end()]
        row.check(trouble(path))
    row.require(row.counts["sets"] > 5 * row.times, f"the clocks were set only {row.counts['sets']} times")
    row.detail = (
        f"clocks set {row.counts['sets']:,} times in {row.counts['reports']:,} reports; dead workers given up within "
        f"{max(late):.2f} s"
    )
    return row


# --- a live student -------------------------------------------------------------------------------------------------


def live(bench: Bench) -> str:
    """Stage a live play, made by real workers, and the two feeds that it is observed on."""
    import torch

    torch.set_num_threads(1)
    stage = f"live-{os.getpid()}"
    (made := bench.stages / stage).mkdir()
    with live_play.workers_here():
        project, _ = live_play.shipped(made)
        project.close()
    live_play.write(made / "1.jsonl", live_play.rows(200, 100, start="2026-02-01", days=28))
    live_play.write(made / "2.jsonl", live_play.rows(300, 101, start="2026-03-01", days=28, new=0.9))
    return stage


def seen(path: Path) -> tuple[list[tuple[object, ...]], ...]:
    """Return what was observed and concluded, without the times of it."""
    columns = ", ".join(field.name for field in fields(entities.Observation) if field.name != "id")
    watch = "SELECT standing, plan, state, findings FROM watch ORDER BY feed_id"
    return query(path, f"SELECT {columns} FROM observation ORDER BY id"), query(path, watch)


def observes(path: Path, seed: int | None) -> Callable[[Send], None]:
    """Import both feeds and observe them, by a clock that is set or an undisturbed one."""

    def do(send: Send) -> None:
        clock = None if seed is None else Clock(seed)
        project = Project.open(path)
        with live_play.workers_here():
            for name in ("1.jsonl", "2.jsonl"):
                live_play.replay(project, 1, live_play.OLGA, path.with_name(name))
        runs = [run.status.value for run in project.dossier(1).runs[-2:]]
        send(f"{' '.join(runs)} {clock.times if clock else 0}")

    return do


def observed(path: Path, seed: int, row: Row, *, moved: bool) -> None:
    with background(reaps(path, seed)) as looker:
        assert looker.line() == "ready"
        line = (Child(observes(path, seed + 1 if moved else None)).go().end() or ["no answer"])[-1]
        looker.kill()
        row.lost += [f"a living worker was given up: {gone}" for gone in looker._pipe]
    row.require(line.startswith("finished finished"), line[:300])
    row.counts["sets"] += int(line.split()[-1]) if line.startswith("finished") else 0


def observing(bench: Bench) -> Row:
    """Observe the same feeds again and again, while a second process looks for dead workers."""
    os.environ.update(ONE_THREAD)
    row, stage = Row("observing while clocks are set"), live(bench)
    undisturbed = bench.copy(stage) / LIVE
    observed(undisturbed, 0, row, moved=False)
    wanted = seen(undisturbed)
    assert len(wanted[0]) > 400 and wanted[1][-1][0] == "alarm", (row.lost, wanted[1])
    for folder in bench.trials(row, 100, stage, least=2):
        path = folder / LIVE
        observed(path, bench.chance.randrange(1 << 30), row, moved=True)
        row.require(seen(path) == wanted, "other observations or another state than with an undisturbed clock")
        project = Project.open(path)
        dossier = project.dossier(1, thorough=True)
        row.check(dossier.project.audit_trouble or history.replay_trouble(project, dossier))
        project.close()
    row.require(row.counts["sets"] > 5 * row.times, f"the clocks were set only {row.counts['sets']} times")
    row.detail = f"clocks set {row.counts['sets']:,} times; {len(wanted[0]):,} observations, state and alarm the same"
    return row


PROOFS = {"leases while clocks are set": leases, "observing while clocks are set": observing}

"""Wall clocks that are set while workers work: an hour, a day, over a change to summer time, forth and back.

    python proofs/storms_clocks.py                 # 200 leases, 100 observed feeds
    python proofs/storms_clocks.py --scale 0.1
    python proofs/storms_clocks.py --only lease    # the lines whose name holds this word

Every process has a clock of its own (`moved_clock.c`, loaded before libc), which a thread sets again and again, in the
time zone of Berlin around the nights in which the hour changes. A worker that lives is never given up, one that was
killed is given up within a second, the log keeps its order, and a live student is observed to the same bits as with a
clock that is left alone.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from distill_tui import actions
from distill_tui.runs import claim, worker
from distill_tui.runs.claim import Claim
from distill_tui.runs.executors import local
from distill_tui.store import tables
from distill_tui.store.project import Project
from distill_tui.terms import RunStatus
from support import live_play
from support.results import train_result
from support.story import actor
from trials import MEMORY, NAME, TRAINING, Child, Row, again_with, beginnings, fresh, sqlite3, table, trouble, words

HOUR, DAY = 3600, 86_400
NIGHTS = ("2026-03-29T00:59:58", "2026-10-25T00:59:58")  # in Berlin the hour changes at 01:00 UTC
AT_MOST = 1.0  # seconds until a worker that was killed is given up by somebody who looks all the time
LIVE = "live.distill"
FORKS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}  # no thread survives one

Tell = Callable[[str], None]


def moves() -> list[int]:
    """Give by how many seconds a clock is set, seen from the right time."""
    nights = [datetime.fromisoformat(night).replace(tzinfo=UTC).timestamp() - time.time() for night in NIGHTS]
    return [0, HOUR, -HOUR, DAY, -DAY, *map(round, nights)]


class Clock:
    """The wall clock of this process, set at random moments until it is left alone."""

    def __init__(self, library: ctypes.CDLL, seed: int) -> None:
        self.library, self.times, self._chance = library, 0, Random(seed)
        self._moves, self._over = moves(), threading.Event()
        os.environ["TZ"] = "Europe/Berlin"
        time.tzset()
        self._set()
        threading.Thread(target=self._go_on, daemon=True).start()

    def _set(self) -> None:
        self.library.clock_move(self._chance.choice(self._moves))
        self.times += 1

    def _go_on(self) -> None:
        while not self._over.wait(self._chance.uniform(0.001, 0.02)):
            self._set()


def looks(path: Path, library: ctypes.CDLL, seed: int) -> Callable[[Tell], None]:
    """Look for workers that are gone, all the time, by a clock of one's own; tells whom it gave up."""

    def do(tell: Tell) -> None:
        project, _ = Project.open(path), Clock(library, seed)
        tell("ready")
        while True:
            for run in local.reap(project):
                tell(f"gone {run} {time.monotonic()}")
            time.sleep(0.005)

    return do


# --- leases ---------------------------------------------------------------------------------------------------------


def works(path: Path, library: ctypes.CDLL, seed: int, seconds: float) -> Callable[[Tell], None]:
    """Hold a run and report, by a clock that is set all the time; then tell so, and go on until killed."""

    def do(tell: Tell) -> None:
        claim.EVERY, claim.BEAT = 0.0, 0.05
        project, clock = Project.open(path), Clock(library, seed)
        project.patience = None
        held, claimed = worker.take_lock(project, TRAINING), Claim.take(project, TRAINING)
        assert held is not None and claimed is not None
        end, step = time.monotonic() + seconds, 0
        while True:
            step += 1
            claimed.report(step, 1_000_000, f"pid {os.getpid()}")
            if time.monotonic() > end:
                tell(f"worked {step} {clock.times}")
                end = float("inf")

    return do


def leases(kept: dict[str, Path], parent: Path, times: int, library: ctypes.CDLL, chance: Random) -> Row:
    """A worker and somebody who looks for dead ones, both by clocks that are set; then the worker is killed."""
    lost, late, sets, reports = [], [], 0, 0
    for _ in range(times):
        folder = fresh(kept["queued"], parent)
        path, seed = folder / NAME, chance.randrange(1 << 30)
        looker = Child(looks(path, library, seed))
        looker.go()
        assert looker.line() == "ready"
        living = Child(works(path, library, seed + 1, chance.uniform(0.1, 0.4)))
        living.go()
        told = living.line()
        if not told.startswith("worked"):
            lost.append(f"a worker that lives was stopped: {told[:200]}")
        else:
            reports, sets = reports + int(told.split()[1]), sets + int(told.split()[2])
        killed = time.monotonic()
        living.kill()
        living.end()
        never = threading.Timer(30, looker.kill)
        never.start()
        gone = looker.line()
        never.cancel()
        late.append(float(gone.split()[2]) - killed if gone.startswith("gone") else float("inf"))
        if not 0 <= late[-1] <= AT_MOST:
            lost.append(f"given up {late[-1]:.3f} s after it was killed")
        lost += [wrong] if (wrong := _goes_on(path, library, seed + 2)) else []
        looker.kill()
        lost += [f"given up a second time: {line}" for line in looker.end()]
        lost += [wrong] if (wrong := trouble(path)) else []
        shutil.rmtree(folder.parent)
    lost += [] if sets > 5 * times else [f"the clocks were set only {sets} times"]
    said = f"clocks set {sets:,} times in {reports:,} reports; the dead given up after {max(late):.2f} s at most"
    return Row("leases under clocks that are set", times, said, lost)


def _goes_on(path: Path, library: ctypes.CDLL, seed: int) -> str:
    """Resume the run, and end it as a second worker does, by yet another clock."""

    def do(tell: Tell) -> None:
        Clock(library, seed)
        project = Project.open(path)
        actions.resume_run(project, 1, actor("dan"), TRAINING)
        held, claimed = worker.take_lock(project, TRAINING), Claim.take(project, TRAINING)
        assert held is not None and claimed is not None
        claimed.report(1, 2, "half", always=True)
        claimed.finish(train_result(), 2, None)
        tell("done")

    child = Child(do)
    child.go()
    told = child.end()
    project = Project.open(path)
    run = project.dossier(1).run(TRAINING)
    project.close()
    assert run is not None
    return "" if told == ["done"] and run.status is RunStatus.FINISHED else f"{run.status.value}: {told}"[:300]


# --- a live student -------------------------------------------------------------------------------------------------


def a_live_play(folder: Path) -> Path:
    """Take a play live with real workers, and write the feeds that it is watched on."""
    import torch

    torch.set_num_threads(1)
    (made := folder / "live").mkdir()
    with live_play.workers_here():
        project, _ = live_play.shipped(made)
        project.close()
    live_play.write(made / "1.jsonl", live_play.rows(200, 100, start="2026-02-01", days=28))
    live_play.write(made / "2.jsonl", live_play.rows(300, 101, start="2026-03-01", days=28, new=0.9))
    return made


def seen(path: Path) -> dict[str, Any]:
    """Give all that was observed and concluded, but the times at which that was."""
    connection = sqlite3.connect(path)
    columns = ", ".join(column for column in tables.Observation.model_fields if column != "id")
    queries = {
        "rows": f"SELECT {columns} FROM observation ORDER BY id",
        "watch": "SELECT standing, plan, state, findings FROM watch ORDER BY feed_id",
    }
    try:
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}
    finally:
        connection.close()


def observes(path: Path, library: ctypes.CDLL, seed: int | None) -> Callable[[Tell], None]:
    """Take both feeds in and have them observed, by a clock that is set all the time, or is left alone."""

    def do(tell: Tell) -> None:
        clock = None if seed is None else Clock(library, seed)
        project = Project.open(path)
        with live_play.workers_here():
            for name in ("1.jsonl", "2.jsonl"):
                actions.observe(project, 1, live_play.OLGA, path.with_name(name))
        runs = [run.status.value for run in project.dossier(1).runs[-2:]]
        tell(f"{' '.join(runs)} {clock.times if clock else 0}")

    return do


def observing(made: Path, parent: Path, times: int, library: ctypes.CDLL, chance: Random) -> Row:
    """Observe the same feeds again and again, while another looks for dead workers, each by a clock of its own."""
    lost, sets, wanted = [], 0, None
    for number in range(times + 1):
        folder = fresh(made, parent)
        path, seed = folder / LIVE, chance.randrange(1 << 30)
        looker = Child(looks(path, library, seed))
        looker.go()
        assert looker.line() == "ready"
        child = Child(observes(path, library, seed + 1 if number else None))
        child.go()
        told = (child.end() or ["nothing was told"])[-1]
        looker.kill()
        lost += [f"a worker that lives was given up: {line}" for line in looker.end()]
        if not told.startswith("finished finished"):
            lost.append(told[:300])
        else:
            sets += int(told.split()[-1])
        if number == 0:
            wanted = seen(path)
            assert len(wanted["rows"]) > 400 and wanted["watch"][-1][0] == "alarm", told
        elif seen(path) != wanted:
            lost.append("other observations, or another standing, than with a clock that is left alone")
        lost += [wrong] if (wrong := order_trouble(path)) else []
        shutil.rmtree(folder.parent)
    lost += [] if sets > 5 * times else [f"the clocks were set only {sets} times"]
    rows = len(wanted["rows"]) if wanted else 0
    said = f"clocks set {sets:,} times; each time the same {rows:,} observations, state and alarm"
    return Row("observing under clocks that are set", times, said, lost)


def order_trouble(path: Path) -> str:
    """See that the log is whole and in order, and that a replay gives the monitor's state."""
    from distill_tui.monitor import history

    project = Project.open(path)
    try:
        dossier = project.dossier(1, thorough=True)
        return dossier.project.audit_trouble or history.replay_trouble(project, dossier)
    finally:
        project.close()


# --- the table ------------------------------------------------------------------------------------------------------


def main() -> int:
    given = words(__doc__).parse_args()
    if "CLOCK" not in os.environ:
        os.environ.update(FORKS)
        return again_with("moved_clock.c", "CLOCK")
    library, chance, rows = ctypes.CDLL(os.environ["CLOCK"]), Random(given.seed), []
    with tempfile.TemporaryDirectory(dir=MEMORY) as place, mock.patch.object(os, "nice"):
        folder = Path(place)
        (parent := folder / "trials").mkdir()
        if given.only in "leases":
            kept = beginnings(folder)
            rows.append(leases(kept, parent, max(3, round(200 * given.scale)), library, chance))
        if given.only in "observing":
            rows.append(observing(a_live_play(folder), parent, max(2, round(100 * given.scale)), library, chance))
    return table(rows)


if __name__ == "__main__":
    sys.exit(main())

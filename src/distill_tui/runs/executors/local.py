"""Start, follow and reap worker processes. A worker is its own session, so it outlives the app and a dropped SSH line.

Whether a worker lives is asked of the lock that it holds, not of its pid: the system frees the lock when it dies. How
long one is waited for is measured by the monotonic clock, which no person sets.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distill_tui.rules import entities
from distill_tui.runs.executors import cores, place
from distill_tui.store import queries
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import Executor, RunKind, RunStatus
from distill_tui.text import visible

LAUNCHER = "DISTILL_LAUNCH"  # what starts the processes of a training, like: accelerate launch --num_processes 2
GRACE = 60  # seconds that a queued run's worker has to take its lock
LOG, READY = "worker.log", "--ready"
WORKER = ("-m", "distill_tui.runs.worker")
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
_ready: dict[RunKind, list[subprocess.Popen[str]]] = {}  # by the kind of run that they wait for
BOOT = Path("/proc/sys/kernel/random/boot_id")


def start(project: Project, run_id: int) -> None:
    """Start the worker of a queued run; the same line can be typed by hand or put in cron."""
    folder = project.artifacts.run_folder(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    run = queries.run(project, run_id)
    if run is not None:
        _waited(folder, run)
    try:
        cores.limit()
    except ValueError as error:
        raise ProjectError(f"{error} Then resume the run.") from None
    about = [str(project.path.absolute()), str(run_id)]
    launcher = launcher_of(run.kind) if run is not None and _is_here(folder) else [sys.executable]
    if run is not None and launcher == [sys.executable] and _hand_over(run.kind, about):
        return
    with (folder / LOG).open("ab") as log:
        subprocess.Popen(
            [*launcher, *WORKER, *about],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | QUIET,
        )


def _is_here(folder: Path) -> bool:
    """Whether a run works on this machine; a worker of any other follows it, and is one process."""
    try:
        return place.read(folder).on is Executor.LOCAL
    except ValueError:
        return False  # the worker words it


@contextmanager
def prepared(kind: RunKind, *modules: str) -> Iterator[None]:
    """Have a process import what a coming run of a kind needs, and `modules`; it is ended where no run came."""
    process = subprocess.Popen(
        [sys.executable, *WORKER, READY, kind.value, *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | QUIET,
        text=True,
    )
    waiting = _ready.setdefault(kind, [])
    waiting.append(process)
    try:
        yield
    finally:
        with suppress(ValueError):  # one that has a run is not in the list
            waiting.remove(process)
            process.kill()  # it has imported, and nothing else
            process.communicate()


def _hand_over(kind: RunKind, about: list[str]) -> bool:
    """Name the run to a process that waits for one of its kind; return whether there was one."""
    try:
        process = _ready.get(kind, []).pop(0)
    except IndexError:
        return False
    if process.stdin is None or process.poll() is not None:
        return False
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(about) + "\n")
        process.stdin.flush()
        return True
    return False


def launcher_of(kind: RunKind) -> list[str]:
    """Return what runs the worker: this Python, or what the environment names to train on several devices."""
    line = os.environ.get(LAUNCHER, "") if kind is RunKind.TRAIN else ""
    try:
        named = shlex.split(line)
    except ValueError:
        named = [line]
    if named and shutil.which(named[0]) is None:
        raise ProjectError(
            f"{LAUNCHER} names {visible(named[0])}, which is not there to run; install it or unset {LAUNCHER}, and "
            "resume the run."
        )
    return named or [sys.executable]


def lock(folder: Path) -> int | None:
    """Take a run's lock for this process's life; None where a living worker has it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # POSIX: a forked child does not inherit it
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def alive(project: Project, run_id: int) -> bool:
    descriptor = lock(project.artifacts.run_folder(run_id))
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def reap(project: Project) -> list[int]:
    """Call every run `lost` whose worker is gone; it can be resumed. Asked on every opening and every poll."""
    gone = [r.id for r in queries.active_runs(project) if not _fresh(project, r) and not alive(project, r.id)]
    if gone:
        project.lose(gone, unless=lambda run: _fresh(project, run))
    return gone


def _fresh(project: Project, run: entities.Run) -> bool:
    """Whether a queued run's worker may still be on its way."""
    if run.status is not RunStatus.QUEUED:
        return False
    return _waited(project.artifacts.run_folder(run.id), run) < GRACE


def _waited(folder: Path, run: entities.Run) -> float:
    """Return for how many seconds a queued run was seen to wait; the first process to see it notes the time."""
    note, this = folder / "queued", {"queued": run.heartbeat_at or run.created_at, "boot": _boot()}
    with suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads(note.read_text())
        if noted["queued"] == this["queued"]:  # a worker of before the last start of the machine is gone
            return time.monotonic() - float(noted["at"]) if noted["boot"] == this["boot"] else float(GRACE)
    folder.mkdir(parents=True, exist_ok=True)
    making = folder / f".queued-{os.getpid()}"
    making.write_text(json.dumps(this | {"at": time.monotonic()}))
    making.replace(note)
    return 0.0


def _boot() -> str:
    """Name this start of the machine; empty where the system has no name for it."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


def wait(project: Project, run_id: int, report: Callable[[entities.Run], None]) -> entities.Run:
    """Follow a run to its end, passing it to `report` about twice a second, at first more often: it may be short."""
    pause = 0.05
    while True:
        run = queries.run(project, run_id)
        assert run is not None
        report(run)
        if not run.status.active:
            return run
        time.sleep(pause)
        pause = min(0.5, 1.1 * pause)  # a tenth of the time that was waited
        reap(project)

"""How many heavy runs of an account work at once on this machine: one a core, the first to come first.

A core is a lock on a file of the account's state folder, held by the worker, so that the system frees it with the
process. A run that waits has a file too, named by when it came; the file of a process that is gone is not locked.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from distill_tui.people import remembered
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.entities import Run
from distill_tui.spec import Spec
from distill_tui.terms import RunKind, TeacherSource
from distill_tui.training import ranks

CORES = "DISTILL_CORES"  # how many heavy runs may work at once; 0: as many as are started
MEMORY = 1 << 30  # bytes that must be free before a second run begins
NAME = 1000  # bytes of the name of a run that holds a core
POLL, STALE = 0.5, 60  # seconds: between two looks; after which the file of a process that is gone is deleted
_held: dict[int, int] = {}  # the lock of each core that this process holds
HEAVY = (RunKind.TRAIN, RunKind.REHEARSE, RunKind.REPEAT, RunKind.LABEL, RunKind.EVALUATE, RunKind.REPRODUCE)


def limit() -> int:
    """Return how many heavy runs may work at once; 0: any number. Raises ValueError."""
    given = os.environ.get(CORES, "")
    if not given:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not given.isdecimal():
        raise ValueError(f"{CORES} is {given!r}; set a whole number of runs, 0 for no limit.")
    return int(given)


def label_threads() -> int:
    """Return the torch threads of a local teacher: one, so that a board on the same small machine stays quick."""
    return int(os.environ.get("DISTILL_THREADS", "1"))


def needed(run: Run, dossier: PlayDossier) -> int:
    """Return how many cores a run works with; 0 where it works elsewhere or waits for an endpoint most of its time."""
    if run.kind not in HEAVY:
        return 0
    if run.kind is RunKind.TRAIN:
        return Spec.from_json(run.spec).threads
    if run.kind is RunKind.LABEL:
        return 0 if dossier.play.teacher_source is TeacherSource.ENDPOINT else label_threads()
    return 1


def take(cores: int, name: str, waits: Callable[[str], bool]) -> list[int]:
    """Take cores for this process's life; return their locks, none where no limit holds or the run waits no longer.

    Cores that this process took for an earlier run are given back.
    While there are too few, `waits` gets the reason about twice a second; it returns False where the run should no
    longer wait. `name` is what other runs say that they wait for.
    """
    while _held:
        os.close(_held.popitem()[1])
    most = limit()
    if not most or not cores:
        return []
    folder = _folder()
    try:
        (folder / "waiting").mkdir(parents=True, exist_ok=True)
    except OSError:  # an account without a state folder has no queue
        return []
    place = folder / "waiting" / f"{time.monotonic_ns():020d}-{os.getpid()}"
    ticket = _locked(place)
    try:
        while True:
            working = _working(folder, most)  # looked at before a core is locked: closing its file again would free it
            scarce = bool(working) and _memory() < MEMORY
            held = [] if scarce or _ahead(place) else _free(folder, min(cores, most), most, name)
            if held or not waits(_why(working, scarce)):
                return held
            time.sleep(POLL)
    finally:
        place.unlink(missing_ok=True)
        if ticket is not None:
            os.close(ticket)


class Spare:
    """Cores that a process borrows next to its own, for a part of its work."""

    def __init__(self, cores: int, most: int) -> None:
        self.cores, self.most = cores, most

    def wanted(self) -> bool:
        """Whether another run waits for cores."""
        return _ahead(_folder() / "waiting" / "~")  # a name after all others

    def borrow(self) -> list[int]:
        """Take cores without waiting; none where there are too few, another run waits or memory is scarce."""
        if self.wanted() or _memory() < MEMORY:
            return []
        name = os.pread(next(iter(_held.values())), NAME, 0).decode(errors="replace")
        return _free(_folder(), self.cores, self.most, name)

    def give_back(self, cores: list[int]) -> None:
        for number in [number for number, lock in _held.items() if lock in cores]:
            os.close(_held.pop(number))


def spare(cores: int) -> Spare | None:
    """Return what lends cores next to those that this process took; None where it took none, or there are no more.

    Processes that were launched together train one arm on all devices, and only Linux can fork a process that has
    loaded torch.
    """
    most = limit()
    can = _held and 2 * cores <= most and ranks.LAUNCHED not in os.environ and sys.platform == "linux"
    return Spare(cores, most) if can else None


def _folder() -> Path:
    return remembered.file().parent / "cores"


def _locked(path: Path) -> int | None:
    """Open and lock a file; None where a living process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _ahead(mine: Path) -> bool:
    """Whether a living process came before this one; files of others that are gone are deleted."""
    for path in sorted(mine.parent.iterdir()):
        if path.name >= mine.name:
            return False
        lock = _locked(path)
        if lock is None:
            return True
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE:
                path.unlink()
        os.close(lock)
    return False


def _free(folder: Path, cores: int, most: int, name: str) -> list[int]:
    """Lock so many of the cores, and write down for which run; none where there are not enough."""
    held: dict[int, int] = {}
    for number in range(most):
        lock = None if number in _held else _locked(folder / f"core-{number}")  # its own would be freed: see `take`
        if lock is not None:
            held[number] = lock
        if len(held) == cores:
            for lock in held.values():
                os.ftruncate(lock, 0)
                os.pwrite(lock, name.encode(), 0)
            _held.update(held)
            return [*held.values()]
    for lock in held.values():
        os.close(lock)
    return []


def _working(folder: Path, most: int) -> list[str]:
    """Return the runs that hold a core, each once."""
    found: dict[str, None] = {}
    for path in (folder / f"core-{number}" for number in range(most)):
        lock = _locked(path)
        if lock is None:
            found[path.read_text(encoding="utf-8", errors="replace")] = None
        else:
            os.close(lock)
    return list(found)


def _why(working: list[str], scarce: bool) -> str:
    runs = ", ".join(working) or "a run that came before"
    if scarce:
        return f"waits for memory: {_memory() / (1 << 30):.1f} GiB is free while {runs} works"
    return f"waits for a free core; at work: {runs}"


def _memory() -> int:
    """Return the bytes of memory that are free; more than enough where the system does not say."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    return 2 * MEMORY

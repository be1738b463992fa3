"""What every proof uses: rows of the table, the bench with its staged copies, forked children, compiled libraries."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from math import inf
from pathlib import Path
from random import Random
from typing import Any

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # a trial costs milliseconds, not syncs
NAME = "team.distill"
PRELOADED = "PROOF_LIBRARY"  # names the library that was loaded before libc

Send = Callable[[str], None]


@dataclass
class Row:
    """One line of the table: what was tried, how often, what was lost, and how far it got."""

    name: str
    times: int = 0
    detail: str = ""
    lost: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    stopped: bool = False  # before all of its parts were done

    def check(self, wrong: str | None, where: object = "") -> None:
        """Add a loss, where there is one."""
        if wrong:
            self.lost.append(f"{where}: {wrong}" if where != "" else wrong)

    def require(self, holds: object, wrong: str) -> None:
        """Add a loss unless something holds."""
        self.check(None if holds else wrong)


@dataclass
class Bench:
    """Where a proof runs, how often and with which random numbers."""

    folder: Path  # removed at the end
    stages: Path  # one copy of a staged project for each point from which an operation starts
    scale: float
    seed: int
    first: bool  # stop at the first loss
    without: Callable[..., tuple[list[str], str]]  # runs another proof without a guard; returns its losses and output
    finally_: ExitStack
    before: dict[str, Any] = field(default_factory=dict)  # the parts of a proof that an earlier run has done
    until: float = inf  # when a proof in parts stops
    part_done: Callable[[dict[str, Any]], None] = lambda part: None  # keeps them

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        self._begun = time.monotonic()

    def row(self, name: str) -> Row:
        """Begin a row that is proved in parts, or go on with it where an earlier run of this commit was stopped."""
        done = self.before
        return Row(name, done.get("times", 0), lost=list(done.get("lost", ())), counts=Counter(done.get("counts", {})))

    def goes_on(self, row: Row, times: int) -> bool:
        """Whether another part of a row is to be proved now."""
        if row.times >= times or (self.first and row.lost):
            return False
        row.stopped = time.monotonic() > self.until
        return not row.stopped

    def keep(self, row: Row) -> None:
        """Keep what a row has reached."""
        seconds = self.before.get("seconds", 0.0) + time.monotonic() - self._begun
        self.part_done({"times": row.times, "lost": row.lost, "counts": row.counts, "seconds": seconds})

    def times(self, full: int, least: int = 3) -> int:
        """Scale a full count."""
        return max(least, round(full * self.scale))

    def seconds(self, full: float) -> float:
        return max(5.0, full * self.scale)

    def empty(self, at: Path | None = None) -> Path:
        return Path(tempfile.mkdtemp(dir=at or self.folder))

    def copy(self, stage: str, at: Path | None = None) -> Path:
        """Copy a stage; an empty name is an empty folder."""
        folder = self.empty(at) / "play"
        shutil.copytree(self.stages / stage, folder) if stage else folder.mkdir()
        return folder

    def trials(self, row: Row, full: int, stage: str = "", *, least: int = 3, at: Path | None = None) -> Iterator[Path]:
        """Yield a fresh copy of a stage for each trial; one that takes its count back is tried again."""
        times = self.times(full, least)
        for folder, _ in self.each(row, repeat(None, 8 * times), stage, times=times, at=at):
            yield folder
        if not (self.first and row.lost):
            row.require(row.times == times, f"only {row.times} of {times} trials proved something")

    def each(
        self, row: Row, items: Iterable[Any], stage: str = "", *, times: int | None = None, at: Path | None = None
    ) -> Iterator[tuple[Path, Any]]:
        """Yield a fresh copy of a stage with each item, count the trial, and remove the copy."""
        for item in items:
            if row.times == times or (self.first and row.lost):
                return
            row.times += 1
            folder = self.copy(stage, at)
            yield folder, item
            shutil.rmtree(folder.parent)


class Child:
    """A forked process that does one thing after `go`, and sends lines through a pipe."""

    def __init__(self, do: Callable[[Send], object]) -> None:
        reading, writing = os.pipe()
        start, self._go = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            os.read(start, 1)
            code = 0
            try:
                do(lambda line: os.write(writing, f"{line}\n".encode()) and None)
            except BaseException:
                os.write(writing, f"!{traceback.format_exc(limit=-3)!r}\n".encode())
                code = 1
            os._exit(code)
        os.close(writing)
        os.close(start)
        self._pipe = os.fdopen(reading)

    def go(self) -> Child:
        """Start."""
        os.write(self._go, b"g")
        os.close(self._go)
        return self

    def line(self) -> str:
        """Wait for the next line; empty at the end."""
        return self._pipe.readline().rstrip("\n")

    def kill(self, how: int = signal.SIGKILL) -> None:
        os.kill(self.pid, how)

    def end(self) -> list[str]:
        """Wait for the end; return the complete lines that were not read yet."""
        lines = [line.rstrip("\n") for line in self._pipe if line.endswith("\n")]
        self._pipe.close()
        os.waitpid(self.pid, 0)
        return lines


def at_once(*does: Callable[[Send], object]) -> list[list[str]]:
    """Start several children in the same moment; return the lines of each."""
    children = [Child(do) for do in does]
    for child in children:
        child.go()
    return [child.end() for child in children]


@contextmanager
def background(do: Callable[[Send], object]) -> Iterator[Child]:
    """Keep a child running, and kill it at the end."""
    child = Child(do).go()
    try:
        yield child
    finally:
        child.kill()
        child.end()


def failures(lines: Iterable[str]) -> list[str]:
    """Return the tracebacks among the lines of a child."""
    return [line[-400:] for line in lines if line.startswith("!")]


def library(source: str, folder: Path) -> Path | None:
    """Compile a C file of this folder into a shared library; None where that is not possible."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    made = folder / f"{Path(source).stem}.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(Path(__file__).with_name(source)), "-ldl"]
    subprocess.run(command, check=True)
    return made


def print_losses(rows: Iterable[Row]) -> None:
    for row in rows:
        print(f"{row.name}: {row.times:,} tried, {len(row.lost)} lost; {row.detail}", flush=True)
        for wrong in row.lost[:5]:
            print(f"  LOST {wrong:.1500}", flush=True)

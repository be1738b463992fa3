"""What one write costs: with a short and a long log, and with eight writers at once beside SQLite's own way to wait.

    python benchmarks/writes.py                             # 20 seconds for each way, logs of 100 and 100,000 entries
    python benchmarks/writes.py --seconds 600 --writers 8   # ten minutes for each way

Three ways, one after the other in one run, on the same file system: the door as it is; the same door without the lock
around it, where SQLite's busy handler does the waiting (`BEGIN IMMEDIATE`); and bare SQL, one row and one entry, the
least that such a change can be. A write is timed from the wish to the commit, waiting included.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "proofs"))

from distill_tui.digests import canonical, digest_of
from distill_tui.rules.requests import Comment
from distill_tui.store import project as door
from distill_tui.store import sqlite
from distill_tui.store.project import Project
from distill_tui.terms import Action
from support.story import actor
from trials import NAME, Child, Row, beginnings, fresh, sqlite3, table, trouble

Write = Callable[[], object]
GOAL, FAIR = (
    500,
    3.0,
)  # milliseconds that 99 of 100 writes take at most; turns of the luckiest to those of the unluckiest


def through_the_door(path: Path) -> Write:
    """One more comment, and a number one higher, through the door."""
    project = Project.open(path)

    def write() -> None:
        with project.change(Action.COMMENT, 1, actor("bob"), Comment("x")) as change:
            change.play.refresh_days = (change.play.refresh_days or 0) + 1
            change.session.add(change.play)

    return write


def without_the_lock(path: Path) -> Write:
    """The same, with nothing but SQLite's own lock."""

    @contextlib.contextmanager
    def nothing(path: Path, patience: float | None = None) -> Iterator[None]:
        yield

    door.write_lock = nothing
    return through_the_door(path)


def bare(path: Path) -> Write:
    """The same two rows by plain SQL, on a connection that is kept open."""
    connection = sqlite.connect(path)

    def write() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE play SET refresh_days = refresh_days + 1 WHERE id = 1")
        add_entries(connection, 1)
        connection.execute("COMMIT")

    return write


WAYS = {"the door": through_the_door, "the door without its lock": without_the_lock, "bare SQL": bare}


def add_entries(connection: sqlite3.Connection, times: int) -> None:
    """Write comments to the log by SQL, as the door writes them."""
    last = connection.execute("SELECT seq, digest FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    for _ in range(times):
        fields = [last[0] + 1, "2026-01-01T00:00:00Z", "bob", "account", "comment", 1, '{"text":"x"}', last[1]]
        last = (fields[0], digest_of(canonical(fields)))
        connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*fields, last[1]))


def crowd(name: str, kept: Path, parent: Path, writers: int, seconds: float) -> Row:
    """Let some write at once, each as fast as it may."""
    folder, lost = fresh(kept, parent), []
    path = folder / NAME

    def does(tell: Callable[[str], None]) -> None:
        write, used = WAYS[name](path), time.process_time()
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            write()
            tell(f"{1000 * (time.monotonic() - began):.1f}")
        tell(f"cpu {1000 * (time.process_time() - used):.1f}")

    before = count(path)
    children = [Child(does) for _ in range(writers)]
    for child in children:
        child.go()
    told = [child.end() for child in children]
    lost += [line[:200] for lines in told for line in lines if line.startswith("!")]
    waits = sorted(float(line) for lines in told for line in lines if line[0].isdigit())
    turns = [sum(line[0].isdigit() for line in lines) for lines in told]
    used = sum(float(line.split()[1]) for lines in told for line in lines if line.startswith("cpu"))
    if count(path) - before != len(waits):
        lost.append(f"{len(waits)} commits, but the number grew by {count(path) - before}")
    lost += [wrong] if (wrong := trouble(path)) else []
    p99, fair = waits[int(0.99 * len(waits))], max(turns) / max(1, min(turns))
    if name == "the door" and (p99 > GOAL or fair > FAIR):
        lost.append(f"the goal: p99 {p99:.0f} ms of {GOAL}, turns {min(turns)} to {max(turns)}")
    shutil.rmtree(folder.parent)
    said = (
        f"{len(waits) / seconds:.0f} a second; p50 {statistics.median(waits):.0f} ms, p99 {p99:.0f}, most "
        f"{waits[-1]:.0f}; turns {min(turns)} to {max(turns)}; CPU {used / len(waits):.1f} ms each"
    )
    return Row(f"{writers} at once: {name}", len(waits), said, lost)


def count(path: Path) -> int:
    """Read the number that each write makes one higher."""
    connection = sqlite3.connect(path)
    ((number,),) = connection.execute("SELECT refresh_days FROM play WHERE id = 1")
    connection.close()
    return int(number)


def cost(kept: Path, parent: Path, entries: int, times: int = 100) -> Row:
    """What one write costs by itself, with so many entries in the log: processor, and steps of SQLite's machine."""
    folder = fresh(kept, parent)
    path = folder / NAME
    connection = sqlite.connect(path)
    connection.execute("BEGIN IMMEDIATE")
    ((there,),) = connection.execute("SELECT count(*) FROM audit")
    add_entries(connection, max(0, entries - there))
    connection.execute("COMMIT")
    connection.close()
    began = time.process_time()
    write = through_the_door(path)
    write()
    first = time.process_time() - began
    used = []
    for _ in range(times):
        began = time.process_time()
        write()
        used.append(1000 * (time.process_time() - began))
    counted_steps = counted(path)
    shutil.rmtree(folder.parent)
    each = f"{statistics.median(used):.1f} ms of CPU, {counted_steps:,} steps of SQLite"
    said = f"{each}; a program's first {1000 * first:.0f} ms"
    return Row(f"one write, {entries:,} entries", times, said)


def counted(path: Path) -> int:
    """Count the steps that SQLite's machine takes for one write, once the project is open."""
    steps = [0]
    made = door.sqlite.guard

    def guard(connection: sqlite3.Connection) -> None:
        made(connection)
        connection.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1), 1)

    door.sqlite.guard = guard
    try:
        write = through_the_door(path)
        write()
        steps[0] = 0
        write()
    finally:
        door.sqlite.guard = made
    return steps[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--scale", type=float, help="of ten minutes, instead of --seconds")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--entries", type=int, nargs="*", default=[100, 100_000])
    parser.add_argument("--folder", type=Path, help="where; the file system counts, for each commit is synced")
    given = parser.parse_args()
    seconds = given.seconds if given.scale is None else max(5.0, 600 * given.scale)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        kept = beginnings(Path(folder))["decided"]
        (parent := Path(folder) / "trials").mkdir()
        rows = [cost(kept, parent, entries) for entries in given.entries]
        rows += [crowd(name, kept, parent, given.writers, seconds) for name in WAYS]
    return table(rows)


if __name__ == "__main__":
    sys.exit(main())

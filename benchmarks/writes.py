"""The cost of a write: with a short and a long log, and with eight writers at once, compared with SQLite's own waiting.

    python benchmarks/writes.py                             # 20 seconds for each way, logs of 100 and 100,000 entries
    python benchmarks/writes.py --seconds 600 --writers 8   # ten minutes for each way

Three ways, one after the other in one run, on the same file system: the door as it is; the same door without the lock
around it, where SQLite's busy handler waits (`BEGIN IMMEDIATE`); and plain SQL, one row and one entry, the least that
such a change can be. A write is timed from the request to the commit, waiting included.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import shared

from concurrency import crowd, through_the_door
from distill_tui.rules.entities import AuditEntry
from distill_tui.store import audit_log, deciding, sqlite
from distill_tui.store import project as door
from distill_tui.store.project import Project, now
from distill_tui.store.rows import insert
from distill_tui.terms import Action
from kit import NAME, Row, print_losses
from operations import make_stages, prepare_process
from support.story import actor

Write = Callable[[], object]
GOAL = 500  # milliseconds that 99 of 100 writes take at most


def without_the_lock(path: Path) -> Write:
    """Write through the door with nothing but SQLite's own lock."""

    @contextlib.contextmanager
    def nothing(path: Path, patience: float | None = None) -> Iterator[None]:
        yield

    door.write_lock = nothing
    return through_the_door(path)


def plain_sql(path: Path) -> Write:
    """Write the same two rows with plain SQL, on a connection that stays open; the entry is a whole one."""
    connection = sqlite.connect(path)
    deciding.watch(connection)

    def write() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE play SET refresh_days = refresh_days + 1 WHERE id = 1")
        audit_log.append(connection, now(), actor("dan"), Action.SET_MAINTENANCE, 1, {})
        connection.execute("COMMIT")

    return write


WAYS = {"the door": through_the_door, "the door without its lock": without_the_lock, "plain SQL": plain_sql}


def add_entries(connection: sqlite.module.Connection, times: int) -> None:
    """Write comments to the log with SQL, as the door writes them: they change no row."""
    last = connection.execute("SELECT seq, digest FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    bob, state = actor("bob"), deciding.state(connection, 1)
    for _ in range(times):
        entry = AuditEntry(
            seq=last[0] + 1, at=now(), person_id=bob.person, proof=bob.proof, action=Action.COMMENT, play_id=1,
            detail='{"text":"x"}', rows="{}", state=state, previous=last[1], digest="",
        )  # fmt: skip
        entry = replace(entry, digest=audit_log.entry_digest(entry))
        insert(connection, entry)
        last = entry.seq, entry.digest


def loads(path: Path, times: int = 200) -> Row:
    """Measure one load of a play: as a program does it first, and again where nothing or one entry has changed."""
    project, write = Project.open(path), through_the_door(path)
    used: dict[str, list[float]] = {}
    for name, before in {"unchanged": lambda: None, "after another's write": write}.items():
        for _ in range(times):
            before()
            began = time.process_time()
            project.dossier(1)
            used.setdefault(name, []).append(1000 * (time.process_time() - began))
    each = (f"{name} {statistics.median(found):.2f} ms" for name, found in used.items())
    return Row("one load of a play, CPU", times, ", ".join(each))


def cost(path: Path, entries: int, times: int = 100) -> Row:
    """Measure one write alone, with so many entries in the log: CPU, and steps of SQLite's machine."""
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
    each = f"{statistics.median(used):.1f} ms of CPU, {counted_steps:,} steps of SQLite"
    detail = f"{each}; a program's first {1000 * first:.0f} ms"
    return Row(f"one write, {entries:,} entries", times, detail)


def counted(path: Path) -> int:
    """Count the steps of SQLite's machine for one write to an open project."""
    steps = [0]
    made = sqlite.guard

    def guard(connection: sqlite.module.Connection) -> None:
        made(connection)
        connection.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1), 1)

    sqlite.guard = guard
    try:
        write = through_the_door(path)
        write()
        steps[0] = 0
        write()
    finally:
        sqlite.guard = made
    return steps[0]


def main() -> int:
    parser = shared.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--entries", type=int, nargs="*", default=[100, 100_000])
    parser.add_argument("--folder", type=Path, help="where; the file system counts, because each commit is synced")
    given, rows = parser.parse_args(), []
    prepare_process(workers=False)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        make_stages(Path(folder))

        def fresh(name: str) -> Path:
            os.environ["XDG_STATE_HOME"] = str(Path(folder) / f"seen {name}")  # each is a copy of one project
            return Path(shutil.copytree(Path(folder) / "decided", Path(folder) / name)) / NAME

        rows = [cost(fresh(f"log {entries}"), entries) for entries in given.entries]
        rows.append(loads(fresh("loads")))
        for name, make in WAYS.items():
            row, p99 = crowd(f"{given.writers} at once: {name}", fresh(name), given.writers, given.seconds, make)
            if name == "the door":
                row.require(p99 <= GOAL, f"p99 {p99:.0f} ms, more than {GOAL} ms")
            else:
                row.lost = [wrong for wrong in row.lost if not wrong.startswith("turns")]  # only the door is fair
            rows.append(row)
    print_losses(rows)
    return int(any(row.lost for row in rows))


if __name__ == "__main__":
    sys.exit(main())

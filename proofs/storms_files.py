"""What happens to the file itself: torn and flipped bytes, an upgrade that is raced and killed, signals, open boards.

    python proofs/storms_files.py                 # full counts
    python proofs/storms_files.py --scale 0.1
    python proofs/storms_files.py --only board    # the lines whose name holds this word

There is one released format, so an upgrade is made of one more step, added here to the list of steps: the machinery is
the one of an opening, the step itself is not of any release.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from distill_tui import actions
from distill_tui.rules.actor import Actor
from distill_tui.store import audit_log, doctor, migrations
from distill_tui.store.audit_log import chain_trouble
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import PlayKind, Role
from support.stories import Auditor
from support.story import actor
from trials import (
    DEEDS,
    MEMORY,
    NAME,
    Child,
    Row,
    beginnings,
    blow,
    fresh,
    is_done,
    see_whole,
    sqlite3,
    table,
    trouble,
    words,
)

Tell = Callable[[str], None]


# --- torn ---------------------------------------------------------------------------------------------------------


def entries(path: Path) -> list[tuple[object, ...]]:
    """Give the log as it stands."""
    return Auditor(path).rows()["audit"]


def torn_log(kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Cut or flip the write-ahead log of a writer who was killed: what is whole before that point is kept, in order."""
    folder = fresh(kept["decided"], parent)
    path, lost, shorter = folder / NAME, [], 0

    def comments(tell: Tell) -> None:
        project = Project.open(path)
        for number in range(12):
            actions.comment(project, 1, actor("bob"), f"{number}")
        tell("done")
        time.sleep(60)

    child = Child(comments)
    child.go()
    assert child.line() == "done"
    child.kill()
    child.end()
    log = Path(f"{path}-wal")
    file, whole = path.read_bytes(), log.read_bytes()
    full = entries_of_copy(path, file, whole, parent)
    for _ in range(times):
        data, at = bytearray(whole), chance.randrange(len(whole))
        if chance.random() < 0.5:
            del data[at:]
        else:
            data[at] ^= 1 << chance.randrange(8)
        left = entries_of_copy(path, file, bytes(data), parent)
        if isinstance(left, str):
            lost.append(f"byte {at} of {len(whole)}: {left}")
        elif left != full[: len(left)]:
            lost.append(f"byte {at}: what is left is not the beginning of what was written")
        else:
            shorter += len(left) < len(full)
    shutil.rmtree(folder.parent)
    lost += [] if shorter > times / 4 else [f"only {shorter} cost an entry; the damage was idle"]
    return Row("write-ahead log cut or flipped", times, f"{shorter} ended earlier, each at a whole entry", lost)


def entries_of_copy(path: Path, file: bytes, log: bytes, parent: Path) -> list[tuple[object, ...]] | str:
    """Open a copy with these bytes; gives its log's entries, or what is wrong with it."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    copy = folder / NAME
    copy.write_bytes(file)
    Path(f"{copy}-wal").write_bytes(log)
    try:
        project = Project.open(copy)
        with project.view() as connection:
            said = chain_trouble(connection)
        project.close()
        return said or entries(copy)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(folder)


def torn_file(kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Cut the project file, or flip a byte of it: refused in one line, named by the doctor, or no row is another."""
    lost, refused, named = [], 0, 0
    source = kept["signed"] / NAME
    Project.open(source).close()  # whoever closes last writes the log back into the file
    whole, rows = source.read_bytes(), Auditor(source).rows()
    for _ in range(times):
        folder = Path(tempfile.mkdtemp(dir=parent))
        path, data, at = folder / NAME, bytearray(whole), chance.randrange(len(whole))
        if chance.random() < 0.3:
            del data[at:]
        else:
            data[at] = chance.choice([byte for byte in range(256) if byte != data[at]])
        path.write_bytes(data)
        try:
            Project.open(path).close()
        except ProjectError as error:
            refused += 1
            lost += [f"byte {at}: more than one line: {error}"] if "\n" in str(error) else []
        except Exception as error:
            lost.append(f"byte {at}: {type(error).__name__}: {error!s:.120}")
        found = [each.name for each in doctor.file(path) if not each.ok and not each.name.startswith("artifact")]
        named += bool(found)
        if not found:
            with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
                now = Auditor(path).rows()
                lost += [
                    f"byte {at}: {name} is another, and nobody says so" for name in GUARDED if now[name] != rows[name]
                ]
        shutil.rmtree(folder)
    said = f"{refused} refused, {named} named by the doctor, the others changed no row that is guarded"
    return Row("project file cut or flipped", times, said, lost)


GUARDED = ("audit", "gate", "data_set")


# --- an upgrade ----------------------------------------------------------------------------------------------------


def one_more_step(connection: sqlite3.Connection) -> None:
    """What a later release might do: a table, a trigger, and every row of the log looked at."""
    connection.execute("CREATE TABLE later (seq INTEGER PRIMARY KEY, length INTEGER NOT NULL, at TEXT) STRICT")
    connection.execute("INSERT INTO later SELECT seq, length(detail), at FROM audit")
    connection.execute("CREATE TRIGGER later_kept BEFORE DELETE ON later BEGIN SELECT RAISE(ABORT, 'kept'); END")


def expect_one_more_step() -> None:
    """From now on in this process a project file that was made before is one of an older release."""
    if one_more_step not in migrations.MIGRATIONS:
        migrations.MIGRATIONS = (*migrations.MIGRATIONS, one_more_step)
        migrations.VERSION += 1
        audit_log.expected_schema.cache_clear()


def upgraded(path: Path, length: int) -> str:
    """Say what is wrong with an upgrade that is done."""
    connection = sqlite3.connect(path)
    try:
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        ((rows,),) = connection.execute("SELECT count(*) FROM later").fetchall()
    except sqlite3.DatabaseError as error:
        return f"half an upgrade: {error}"
    finally:
        connection.close()
    return "" if (version, rows) == (migrations.VERSION, length) else f"format {version}, {rows} of {length} rows"


def upgrades(kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Six open a file of an older format at the same instant: it is brought up to date once, and all go on."""
    expect_one_more_step()
    lost = []
    for _ in range(times):
        folder = fresh(kept["signed"], parent)
        path = folder / NAME
        length = len(entries(path))

        def do(tell: Tell, path: Path = path) -> None:
            project = Project.open(path)
            actions.comment(project, 1, actor("bob"), "in the new format")
            tell("open")

        children = [Child(do) for _ in range(6)]
        for child in children:
            child.go()
        told = [child.end() for child in children]
        lost += [f"{lines}"[:200] for lines in told if lines != ["open"]]
        wrong = trouble(path) or upgraded(path, length)
        lost += [wrong] if wrong else []
        lost += [] if len(entries(path)) == length + 6 else ["an entry is missing"]
        shutil.rmtree(folder.parent)
    return Row("6 upgrade one file at once", times, "each upgraded once, by one of six", lost)


def upgrade_killed(kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Kill whoever brings a file up to date: it is of the old format or of the new, and opens."""
    expect_one_more_step()
    lost, done, took = [], 0, 0.0
    for number in range(times):
        folder = fresh(kept["signed"], parent)
        path = folder / NAME
        length = len(entries(path))

        def do(tell: Tell, path: Path = path) -> None:
            tell("begun")
            Project.open(path)
            tell("done")

        child = Child(do)
        child.go()
        child.line()
        started = time.monotonic()
        if number:
            time.sleep(chance.uniform(0, 0.6 * took))
            child.kill()
        told = "done" in child.end()
        took = took or time.monotonic() - started
        done += not upgraded(path, length)
        if told and upgraded(path, length):
            lost.append("said to be upgraded, and is not")
        try:
            Project.open(path).close()
        except Exception as error:
            lost.append(f"does not open after a kill: {error}")
        wrong = trouble(path) or upgraded(path, length)
        lost += [wrong] if wrong else []
        shutil.rmtree(folder.parent)
    lost += [] if 0 < done < times or times < 50 else ["every kill came at the same side of the upgrade"]
    return Row("SIGKILL: upgrade", times, f"{done} were upgraded, {times - done} were not", lost)


# --- signals --------------------------------------------------------------------------------------------------------


def interrupted(kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Interrupt every call of each deed again and again (EINTR): it is done all the same, once."""
    lost, rained = [], 0
    for number in range(times):
        deed = DEEDS[name := sorted(DEEDS)[number % len(DEEDS)]]
        folder = fresh(kept[deed.begins], parent)

        def do(tell: Tell, folder: Path = folder, number: int = number) -> None:
            drops = [0]
            signal.signal(signal.SIGALRM, lambda *_: drops.__setitem__(0, drops[0] + 1))
            signal.siginterrupt(signal.SIGALRM, True)
            project = Project.open(folder / NAME)
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0003)
            DEEDS[sorted(DEEDS)[number % len(DEEDS)]].do(project)
            signal.setitimer(signal.ITIMER_REAL, 0)
            tell(f"done {drops[0]}")

        child = Child(do)
        child.go()
        told = (child.end() or ["nothing was told"])[-1]
        if told.startswith("done"):
            rained += int(told.split()[1])
        else:
            lost.append(f"{name}: {told[:200]}")
        if not is_done(folder / NAME, deed):
            lost.append(f"{name}: it is not done")
        wrong = see_whole(folder, deed, True)
        lost += [f"{name}: {wrong}"] if wrong else []
        shutil.rmtree(folder.parent)
    lost += [] if rained > 10 * times else [f"only {rained} signals arrived"]
    return Row("EINTR: each deed", times, f"{rained:,} signals arrived while they were done", lost)


# --- boards ---------------------------------------------------------------------------------------------------------


def boards(kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Three boards are open, each a program on a terminal of its own: each shows what is new within a second."""
    from support.terminal import Terminal

    path, lost, waits = Path(tempfile.mkdtemp(dir=parent)) / NAME, [], []
    mine = Actor("mia", f"account uid {os.getuid()}")
    project = Project.create(path, "x", "mia", "Mia", mine)
    actions.open_play(project, mine, "the first", PlayKind.COST)
    open_ = [Terminal("--project", str(path), "open") for _ in range(3)]
    try:
        for terminal in open_:
            terminal.shows(b"the first")
            terminal.read(1.0)
        for number in range(times):
            name = f"{chance.randrange(16**5):05x}"
            for terminal in open_:
                terminal.written = b""
            actions.open_play(project, mine, name, PlayKind.COST)
            committed = time.monotonic()
            missing = {id(terminal): terminal for terminal in open_}
            while missing and time.monotonic() < committed + 20:
                for key, terminal in list(missing.items()):
                    terminal.read(0.005)
                    if name.encode() in terminal.written:
                        waits.append(time.monotonic() - committed)
                        del missing[key]
            lost += [f"{len(missing)} boards never showed play {number}"] if missing else []
            actions.assign_role(project, number + 2, mine, Role.DRIVER, "mia")
            actions.kill(project, number + 2, mine, "Enough.")  # out of the way of the next
    finally:
        for terminal in open_:
            terminal.close()
        project.close()
    waits.sort()
    late = sum(wait > 1 for wait in waits)
    lost += [f"{late} of {len(waits)} were right after more than a second"] if late else []
    said = f"shown after {statistics.median(waits):.2f} s (half), {waits[int(0.99 * len(waits))]:.2f} s (99 of 100)"
    shutil.rmtree(path.parent)
    return Row("3 open boards", times, said, lost)


# --- the table ------------------------------------------------------------------------------------------------------

STORMS = {  # how often; the upgrades last, for they change what an opening is
    "write-ahead log": (1000, torn_log),
    "project file": (2000, torn_file),
    "EINTR": (200, interrupted),
    "board": (100, boards),
    "upgrade at once": (100, upgrades),
    "upgrade killed": (200, upgrade_killed),
}


def main() -> int:
    given = words(__doc__).parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        kept = beginnings(Path(folder))
        (parent := Path(folder) / "trials").mkdir()
        storms = {
            name: lambda times=times, storm=storm: storm(  # type: ignore[misc]
                kept, parent, max(6, round(times * given.scale)), Random(given.seed)
            )
            for name, (times, storm) in STORMS.items()
        }
        return table(blow(storms, given.only))


if __name__ == "__main__":
    sys.exit(main())

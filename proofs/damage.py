"""Bytes that change outside the program: in the write-ahead log, the file, a stored value, an artifact, a bundle.

Each trial changes one byte or cuts the end, with the file's triggers out of the way as another program would have them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from distill_tui import actions
from distill_tui.bundles.verify import verify_bundle
from distill_tui.store import doctor, whole_check
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.sqlite import module as sqlite3
from kit import NAME, Bench, Child, Row, Send
from operations import OF_THE_MACHINE
from support import projects
from support.stories import Auditor
from support.story import actor

GUARDED = ("audit", "gate", "data_set")
VALUES = {  # table, its key, the columns that count
    "the log": (
        "audit", "seq", ("seq", "at", "person_id", "proof", "action", "play_id", "detail", "previous", "digest"),
    ),
    "a locked gate": ("gate", "play_id", ("content", "digest", "facts", "locked_by", "locked_at")),
}  # fmt: skip
FOUND, NOT_TRIED = "found", "not tried"


def changed(data: bytes, chance: Random) -> bytes:
    """Change one byte."""
    at = chance.randrange(len(data))
    return data[:at] + bytes([chance.choice([byte for byte in range(256) if byte != data[at]])]) + data[at + 1 :]


def findings(path: Path) -> list[str]:
    """Return what the doctor finds wrong with the file and not with the machine."""
    return [each.name for each in doctor.file(path) if not each.ok and each.name not in OF_THE_MACHINE]


# --- the file -------------------------------------------------------------------------------------------------------


def write_ahead_log(bench: Bench) -> Row:
    """Cut or change the log of a killed writer: what is whole before that point is kept, in order."""
    row, path = Row("write-ahead log cut or changed"), bench.copy("decided") / NAME

    def comments(send: Send) -> None:
        project = Project.open(path)
        for number in range(12):
            actions.comment(project, 1, actor("bob"), f"{number}")
        send("done")
        time.sleep(60)

    child = Child(comments).go()
    assert child.line() == "done"
    child.kill()
    child.end()
    file, whole = path.read_bytes(), Path(f"{path}-wal").read_bytes()

    def entries(folder: Path, log: bytes) -> list[tuple[object, ...]] | str:
        copy = folder / NAME
        copy.write_bytes(file)
        Path(f"{copy}-wal").write_bytes(log)
        try:
            project = Project.open(copy)
            with project.view() as connection:
                wrong = whole_check.trouble(connection)
            project.close()
            return wrong or Auditor(copy).rows()["audit"]
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    full = entries(bench.empty(), whole)
    for folder in bench.trials(row, 1000):
        at = bench.chance.randrange(len(whole))
        data = whole[:at] if bench.chance.random() < 0.5 else whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        left = entries(folder, data)
        if isinstance(left, str):
            row.check(left, f"byte {at} of {len(whole)}")
        else:
            row.require(left == full[: len(left)], f"byte {at}: other entries are left")
            row.counts["shorter"] += len(left) < len(full)
    row.require(row.counts["shorter"] > row.times / 4, f"only {row.counts['shorter']} lost an entry")
    row.detail = f"{row.counts['shorter']} ended earlier, each at a whole entry"
    return row


def project_file(bench: Bench) -> Row:
    """Cut the file or change a byte: rejected in one line, named by the doctor, or no guarded row is different."""
    row, source = Row("project file cut or changed"), bench.copy("signed") / NAME
    Project.open(source).close()  # the last to close writes the log back into the file
    whole, rows = source.read_bytes(), Auditor(source).rows()
    for folder in bench.trials(row, 2000):
        path, at = folder / NAME, bench.chance.randrange(1, len(whole))
        path.write_bytes(whole[:at] if bench.chance.random() < 0.3 else changed(whole, bench.chance))
        try:
            Project.open(path).close()
        except ProjectError as error:
            row.counts["rejected"] += 1
            row.require("\n" not in str(error), f"more than one line: {error}")
        except Exception as error:
            row.check(f"{type(error).__name__}: {error!s:.120}")
        if any(not name.startswith("artifact") for name in findings(path)):
            row.counts["named"] += 1
            continue
        with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
            now = Auditor(path).rows()
            row.lost += [f"{name} is different, unnoticed" for name in GUARDED if now[name] != rows[name]]
    row.detail = (
        f"{row.counts['rejected']} rejected, {row.counts['named']} named by the doctor, else no guarded row differs"
    )
    return row


# --- one byte -------------------------------------------------------------------------------------------------------


def in_the_file(path: Path, what: str, chance: Random) -> str:
    """Change a byte of a stored value; return FOUND, NOT_TRIED where the file itself rejects it, or what was missed."""
    name, key, columns = VALUES[what]
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        where = "locked_at IS NOT NULL" if name == "gate" else "1"
        keys = [number for (number,) in connection.execute(f"SELECT {key} FROM {name} WHERE {where}")]
        row, column = chance.choice(keys), chance.choice(columns)
        ((value, kind),) = connection.execute(f"SELECT {column}, typeof({column}) FROM {name} WHERE {key} = ?", (row,))
        if value in (None, ""):
            return NOT_TRIED
        new = value ^ (1 << chance.randrange(8)) if isinstance(value, int) else changed(str(value).encode(), chance)
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("BEGIN")
        for trigger, _ in triggers:
            connection.execute(f"DROP TRIGGER {trigger}")
        cast = f"CAST(? AS {kind})" if isinstance(new, bytes) else "?"
        connection.execute(f"UPDATE {name} SET {column} = {cast} WHERE {key} = ?", (new, row))
        for _, sql in triggers:
            connection.execute(sql)
        connection.execute("COMMIT")
    except sqlite3.DatabaseError:
        return NOT_TRIED
    finally:
        connection.close()
    return FOUND if findings(path) else f"{name}.{column} of {row}: {value!r} became {new!r}"[:160]


def in_an_artifact(path: Path, what: str, chance: Random) -> str:
    """Change a byte of an artifact: of a Parquet file (held-out rows), or of another."""
    folder = path.with_name(f"{path.name}.artifacts")
    files = [file for each in folder.iterdir() if len(each.name) == 64 for file in (each, *each.rglob("*"))]
    files = [file for file in files if file.is_file() and file.stat().st_size]
    rows = [file for file in files if file.read_bytes()[:4] == b"PAR1"]
    file = chance.choice(sorted(rows if what == "held-out rows" else set(files) - set(rows)))
    with swapped(file, chance):
        return FOUND if findings(path) else f"{file.relative_to(folder)}"


def in_a_bundle(path: Path, what: str, chance: Random) -> str:
    """Change a byte of what was shipped."""
    folder = path.with_name(f"{path.name}.artifacts")
    shipped = next(each for each in folder.iterdir() if (each / "manifest.json").exists())
    file = chance.choice(sorted(each for each in shipped.rglob("*") if each.is_file() and each.stat().st_size))
    before = {problem.sentence for problem in verify_bundle(shipped).problems}
    with swapped(file, chance):
        after = {problem.sentence for problem in verify_bundle(shipped).problems}
    return FOUND if after - before or file.name == "manifest.json" else f"{file.relative_to(shipped)}"


class swapped:
    """A file with one byte changed, for a while; removed first, because a bundle's files may be links to it."""

    def __init__(self, file: Path, chance: Random) -> None:
        self.file, self.kept, self.chance = file, file.read_bytes(), chance

    def __enter__(self) -> None:
        self.file.unlink()
        self.file.write_bytes(changed(self.kept, self.chance))

    def __exit__(self, *_: object) -> None:
        self.file.write_bytes(self.kept)


def one_byte(what: str, change: Callable[[Path, str, Random], str], full: int) -> Callable[[Bench], Row]:
    def proof(bench: Bench) -> Row:
        row, made = Row(f"one byte of {what}"), projects.make(bench.empty())
        path = made / projects.NAME
        Project.open(path).close()
        assert not findings(path), findings(path)
        whole = path.read_bytes()
        for _ in bench.trials(row, full, least=20):
            for end in ("-wal", "-shm"):
                Path(f"{path}{end}").unlink(missing_ok=True)
            path.write_bytes(whole)
            end = change(path, what, bench.chance)
            row.times -= end == NOT_TRIED
            row.check(None if end in (FOUND, NOT_TRIED) else end)
        row.detail = f"{row.times - len(row.lost):,} found"
        shutil.rmtree(made)
        return row

    return proof


PROOFS = {
    "write-ahead log cut or changed": write_ahead_log,
    "project file cut or changed": project_file,
    "one byte of the log": one_byte("the log", in_the_file, 2500),
    "one byte of a locked gate": one_byte("a locked gate", in_the_file, 2500),
    "one byte of held-out rows": one_byte("held-out rows", in_an_artifact, 500),
    "one byte of another artifact": one_byte("another artifact", in_an_artifact, 2000),
    "one byte of a bundle": one_byte("a bundle", in_a_bundle, 2500),
}

"""Every single byte that changes in the log, in a gate, in held-out rows or in an artifact is found.

    python proofs/flips.py                 # 10,000 flips
    python proofs/flips.py --flips 500

Each trial changes one byte (any other value) of a stored value or file of a shipped play, with the file's guards out of
the way as somebody with another program would have them, and asks `doctor`'s checks, as `verify` and a ship ask them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from distill_tui.bundles.verify import verify_bundle
from distill_tui.runs.executors import local
from distill_tui.store import doctor
from distill_tui.store.project import Project
from support import projects
from trials import MEMORY, Row, sqlite3, table

VALUES = {  # what is stored in the file itself: table, its key, the columns that count
    "the log": (
        "audit",
        "seq",
        ("seq", "at", "person_id", "proof", "action", "play_id", "detail", "previous", "digest"),
    ),
    "a locked gate": ("gate", "play_id", ("content", "digest", "facts", "locked_by", "locked_at")),
}


def flipped(value: object, chance: Random) -> object:
    """Change one byte of a value."""
    if isinstance(value, int):
        return value ^ (1 << chance.randrange(8))
    data = bytearray(value if isinstance(value, bytes) else str(value).encode())
    at = chance.randrange(len(data))
    data[at] = chance.choice([byte for byte in range(256) if byte != data[at]])
    return bytes(data)


def in_the_file(path: Path, what: str, chance: Random) -> str | None:
    """Flip a byte of a stored value; gives what was found, or None where the file itself refused."""
    name, key, columns = VALUES[what]
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        where = "locked_at IS NOT NULL" if name == "gate" else "1"
        rows = [number for (number,) in connection.execute(f"SELECT {key} FROM {name} WHERE {where}")]
        row, column = chance.choice(rows), chance.choice(columns)
        ((value, kind),) = connection.execute(f"SELECT {column}, typeof({column}) FROM {name} WHERE {key} = ?", (row,))
        if value in (None, ""):
            return None
        guards = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        new = flipped(value, chance)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("BEGIN")
        for guard, _ in guards:
            connection.execute(f"DROP TRIGGER {guard}")
        cast = f"CAST(? AS {kind})" if isinstance(new, bytes) else "?"
        connection.execute(f"UPDATE {name} SET {column} = {cast} WHERE {key} = ?", (new, row))
        for _, sql in guards:
            connection.execute(sql)
        connection.execute("COMMIT")
    except sqlite3.DatabaseError:
        return None
    finally:
        connection.close()
    return found(path) or f"{name}.{column} of {row}: {value!r} became {new!r}"[:160]


def in_an_artifact(path: Path, chance: Random) -> tuple[str, str]:
    """Flip a byte of a file beside the project file; gives where, and what was not found."""
    folder = path.with_name(f"{path.name}.artifacts")
    named = [
        each for each in sorted(folder.rglob("*")) if each.is_file() and len(each.relative_to(folder).parts[0]) == 64
    ]
    file = chance.choice([each for each in named if each.stat().st_size])
    kept = file.read_bytes()
    data, at = bytearray(kept), chance.randrange(len(kept))
    data[at] = chance.choice([byte for byte in range(256) if byte != data[at]])
    file.unlink()  # a bundle's files may be links to the same bytes
    file.write_bytes(data)
    missed = found(path) or f"byte {at} of {file.relative_to(folder)}"
    file.write_bytes(kept)
    return ("held-out rows" if kept[:4] == b"PAR1" else "other artifacts"), missed


def in_a_bundle(path: Path, chance: Random) -> str:
    """Flip a byte of what was shipped; gives what `verify` did not find."""
    folder = path.with_name(f"{path.name}.artifacts")
    shipped = next(each for each in folder.iterdir() if (each / "manifest.json").exists())
    file = chance.choice(sorted(each for each in shipped.rglob("*") if each.is_file() and each.stat().st_size))
    before = {problem.sentence for problem in verify_bundle(shipped).problems}
    kept = file.read_bytes()
    data, at = bytearray(kept), chance.randrange(len(kept))
    data[at] = chance.choice([byte for byte in range(256) if byte != data[at]])
    file.unlink()
    file.write_bytes(data)
    after = {problem.sentence for problem in verify_bundle(shipped).problems}
    file.write_bytes(kept)
    return "" if after - before or file.name == "manifest.json" else f"byte {at} of {file.relative_to(shipped)}"


FOUND = "found"


def found(path: Path) -> str:
    """Ask the doctor; gives `FOUND`, or nothing."""
    return FOUND if any(not each.ok for each in doctor.file(path) if each.name != "room") else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    local.start = lambda project, run: None  # type: ignore[assignment]
    started, chance, flips = time.monotonic(), Random(given.seed), max(50, round(given.flips * given.scale))
    tried, missed = Counter[str](), dict[str, list[str]]()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        made = projects.make(Path(folder))
        path = made / projects.NAME
        Project.open(path).close()
        assert not found(path), [f.says for f in doctor.file(path) if not f.ok]
        whole = path.read_bytes()
        for number in range(flips):
            what = ("the log", "a locked gate", "files", "a bundle")[number % 4]
            if what in VALUES:
                for end in ("-wal", "-shm"):
                    Path(f"{path}{end}").unlink(missing_ok=True)
                path.write_bytes(whole)
                said = in_the_file(path, what, chance)
                if said is None:
                    continue
            elif what == "files":
                path.write_bytes(whole)
                what, said = in_an_artifact(path, chance)
            else:
                said = in_a_bundle(path, chance) or FOUND
            tried[what] += 1
            if said != FOUND:
                missed.setdefault(what, []).append(said)
            if number % 200 == 0:
                print(f"\r{number:,} flips", end="", flush=True)
        shutil.rmtree(made)
    print(f"\rflips: {sum(tried.values()):,} in {time.monotonic() - started:,.0f} s")
    rows = [
        Row(f"one byte of {what}", n, f"{n - len(missed.get(what, [])):,} found", missed.get(what, []))
        for what, n in tried.items()
    ]
    for row in rows:
        row.lost += [] if row.times > flips / 100 else ["hardly any of them could be made"]
    return table(rows)


if __name__ == "__main__":
    sys.exit(main())

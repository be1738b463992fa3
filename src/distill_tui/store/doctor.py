"""Check the machine and a project file. Nothing is changed, and nothing decided.

It reads by plain sqlite3, because a damaged file must be checked too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distill_tui.store import cards, disks, exposure, gateway, migrations, sqlite, whole_check
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.project_file import check
from distill_tui.store.sqlite import Connection

LOGIND = Path("/etc/systemd/logind.conf")
DRIFT = 60  # seconds by which the clocks of two who write one file may differ
FIXED = (3, 51, 3)  # the first SQLite without the WAL-reset corruption bug of 3.7.0 to 3.51.2


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    ok: bool
    says: str


def machine() -> list[Finding]:
    """Check the machine."""
    version = tuple(sqlite.module.sqlite_version_info)
    safe = "the library has the fix" if version >= FIXED else "the project's write lock keeps checkpoints apart"
    keygen = shutil.which("ssh-keygen")
    killed = _kills_on_logout()
    return [
        Finding("sqlite", True, f"{sqlite.module.sqlite_version} ({sqlite.module.__name__.split('.')[0]})"),
        Finding("wal protection", True, safe),
        Finding("ssh-keygen", keygen is not None, "there" if keygen else "missing; install OpenSSH's client to sign"),
        Finding("after logout", not killed, killed or "workers go on"),
    ]


def _kills_on_logout() -> str:
    """Read in systemd-logind's settings whether workers are killed when their user logs out."""
    try:
        lines = LOGIND.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    if not any(line.replace(" ", "").lower() in ("killuserprocesses=yes", "killuserprocesses=true") for line in lines):
        return ""
    return f"{LOGIND} kills workers when their user logs out; run `loginctl enable-linger`, or start them in a service"


def file(path: Path) -> Iterator[Finding]:
    """Check a project file, as far as it can be read."""
    try:
        check(path)
    except ProjectError as error:
        yield Finding("project file", False, str(error))
        return
    yield Finding("project file", True, f"{path.name}, format {migrations.VERSION}")
    yield from _disk(path)
    try:
        connection = sqlite.connect(path, read_only=True)
    except sqlite.DatabaseErrors as error:
        yield Finding("reading", False, sqlite.sentence(error))
        return
    try:
        for name, look in _LOOKS.items():
            yield _look(name, look, connection)
        yield from _artifacts(connection, path)
    finally:
        connection.close()
    exposed = exposure.trouble(path)
    yield Finding("who may write", not exposed, exposed or "no other account of this machine")
    yield from _served(path)
    yield from _log(path)


def _disk(path: Path) -> Iterator[Finding]:
    """Check the disk of the file."""
    yield Finding("file system", True, disks.kind(path) or "unknown")
    artifacts = Artifacts(path.parent / f"{path.name}.artifacts")
    entries = list(artifacts.folder.iterdir()) if artifacts.folder.is_dir() else []
    largest = max((_size(each) for each in entries if len(each.name) == 64), default=0)
    room, wanted = disks.free(path.parent), max(disks.LEAST, 3 * largest)
    says = f"{disks.in_words(room)} free"
    low = f"; a run may need {disks.in_words(wanted)}: free some room before you start one"
    yield Finding("room", room >= wanted, says if room >= wanted else says + low)
    left = [each for each in entries if each.name.startswith(".tmp-")]
    size = f"{len(left)} work files, {sum(map(_size, left)) / 1e6:,.1f} MB, of runs that are active or were killed"
    yield Finding("work files", True, size if left else "none")


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())


def _look(name: str, look: Any, connection: Connection) -> Finding:
    try:
        trouble, fine = look(connection)
    except sqlite.DatabaseErrors as error:
        return Finding(name, False, sqlite.sentence(error))
    return Finding(name, not trouble, trouble or fine)


def _journal(connection: Connection) -> tuple[str, str]:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return ("" if mode == "wal" else f"journal mode is {mode}, not wal; opening the file mends it"), "wal"


def _integrity(connection: Connection) -> tuple[str, str]:
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
    return ("" if found == ["ok"] else "; ".join(found)), "ok"


def _references(connection: Connection) -> tuple[str, str]:
    found = connection.execute("PRAGMA foreign_key_check").fetchall()
    return (f"{len(found)} rows name something that is not there" if found else ""), "ok"


def _clock(connection: Connection) -> tuple[str, str]:
    """Compare this machine's clock with the log: its order does not depend on clocks, but dates and ages do."""
    newest = connection.execute("SELECT at FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    try:
        at = datetime.strptime(str(newest[0]) if newest else "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return "", "nothing to compare it with"  # the check of the chain reports an unreadable time
    behind = (at - datetime.now(UTC)).total_seconds()
    says = f"{behind / 60:,.0f} minutes behind the newest entry of the log; set it, or dates and ages will be wrong"
    return (says if behind > DRIFT else ""), "not behind the log"


def _guards(connection: Connection) -> tuple[str, str]:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != migrations.VERSION:
        return "", f"format {version}; opened once by this release, it is brought up to date"
    wanted = migrations.expected_schema()
    found = {name: sql for name, sql in migrations.schema(connection).items() if not name.startswith("sqlite_")}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    return (f"removed, changed or added: {', '.join(wrong)}" if wrong else ""), f"{len(wanted)} in place"


_LOOKS = {
    "journal": _journal,
    "integrity": _integrity,
    "references": _references,
    "clock": _clock,
    "schema guards": _guards,
}

_HELD = """
SELECT artifact FROM traffic UNION SELECT artifact FROM data_set UNION SELECT record FROM evaluation
UNION SELECT model FROM evaluation UNION SELECT digest FROM bundle
UNION SELECT artifact FROM run WHERE artifact IS NOT NULL AND artifact <> ''
UNION SELECT teacher_digest FROM play WHERE teacher_digest <> ''
UNION SELECT result ->> '$.validation' FROM run WHERE result ->> '$.validation' <> ''
UNION SELECT report ->> '$.rejects_file' FROM traffic WHERE report ->> '$.rejects_file' <> ''
"""


def _artifacts(connection: Connection, path: Path) -> Iterator[Finding]:
    """Check every file that the project names by its digest."""
    artifacts = Artifacts(path.parent / f"{path.name}.artifacts")
    try:
        digests = [str(row[0]) for row in connection.execute(_HELD)]
    except sqlite.DatabaseErrors as error:
        yield Finding("artifacts", False, sqlite.sentence(error))
        return
    troubles = [trouble for digest in digests if (trouble := artifacts.trouble(digest))]
    yield from (Finding("artifact", False, trouble) for trouble in troubles)
    if not troubles:
        writable = not artifacts.folder.exists() or os.access(artifacts.folder, os.W_OK)
        says = f"{len(digests)} whole" if writable else f"{artifacts.folder.name} is read-only for you"
        yield Finding("artifacts", writable, says)


def _served(path: Path) -> Iterator[Finding]:
    """Check the served logs next to the file: their size, what was taken, and what waits for it before it may go."""
    for folder in sorted(gateway.folder_of(path, "").glob("P-*")):
        there = [(int(each.stem), each.stat()) for each in gateway.segments(folder)]
        if not there:
            continue
        taken = [
            f"{use} took {sum((number, state.st_size) <= gateway.place(folder, use) for number, state in there)}"
            for use in (gateway.OBSERVE, gateway.IMPORT)
        ]
        size, since = sum(state.st_size for _, state in there), datetime.fromtimestamp(there[0][1].st_mtime, UTC).date()
        says = f"{len(there)} segments, {disks.in_words(size)}, the oldest of {since}; {', '.join(taken)}"
        now = gateway.read(path, folder.name)
        waits = now.waits if now is not None else 0
        late = f"; {waits} are past what the gateway keeps: run `observe {folder.name} --from-gateway`"
        yield Finding(f"served log {folder.name}", not waits, says + late if waits else says)


def _log(path: Path) -> Iterator[Finding]:
    """Check the whole log, and that it goes on from what this account saw of it."""
    try:
        with closing(Project.open(path)) as project:
            with project.view() as connection:
                trouble = whole_check.trouble(connection, project.artifacts)
                false = next(iter(cards.false(connection, project.artifacts).values()), "") if not trouble else ""
            lacks = project.project_dossier().read_only
    except Exception as error:
        expected = isinstance(getattr(error, "orig", error), (ProjectError, *sqlite.DatabaseErrors))
        if not expected and not sqlite.unknown_word(error):
            raise
        yield Finding("audit log", False, sqlite.sentence(error))
        return
    yield Finding("audit log", not trouble, trouble or "the chain is whole, and the tables are what it says")
    yield Finding("cards", not false, false or "as the rules say")
    yield Finding("history", not lacks, lacks or "goes on from all that this account saw")

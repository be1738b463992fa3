"""The project file as a file: can it be used, how it is made and brought up to date, whose turn it is to write."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from distill_tui.store import disks, migrations, sqlite

PATIENCE = 60.0  # seconds that a person waits for another program's write; a commit takes milliseconds
COURTESY = 5.0  # seconds to wait in the queue behind a process that may be stopped; after that, out of turn


class ProjectError(Exception):
    """A project file that cannot be used; one sentence has the reason and the cure."""


def now() -> str:
    """The time as it is stored: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def see_no_link(path: Path) -> None:
    """Check that a path names a file itself. Raises ProjectError."""
    if path.is_symlink():
        raise ProjectError(
            f"{path.name} is a symbolic link: its locks and artifacts would be next to the link. Name the file itself."
        )


def check(path: Path) -> None:
    """Check that a path is a project file that this program can use. Raises ProjectError with one line."""
    see_no_link(path)
    if not path.exists():
        raise ProjectError(f"There is no project file {path.name}; make one with `distill-tui init {path.name}`.")
    if not path.is_file():
        raise ProjectError(f"{path.name} is not a file; give the path of a project file.")
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise ProjectError(f"{path.name} or its folder is read-only for you; ask its keeper for write access.")
    network = disks.network(path)
    if network:
        raise ProjectError(
            f"{path.name} lies on a network file system ({network}), where two machines would destroy it; keep it on a "
            "local disk and reach it over SSH."
        )
    if not path.stat().st_size:
        raise ProjectError(f"{path.name} is empty; restore it from a backup, or remove it and make it with `init`.")
    try:
        connection = sqlite.connect(path, read_only=True)
        try:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        finally:
            connection.close()
    except sqlite.DatabaseErrors as error:
        says = sqlite.sentence(error)
        raise ProjectError(f"{path.name} is not a readable project file: {says}; restore it from a backup.") from None
    if application != migrations.APPLICATION_ID:
        raise ProjectError(f"{path.name} is a database of another program, not a distill-tui project file.")
    if version > migrations.VERSION:
        raise ProjectError(
            f"{path.name} is of a newer release (format {version}, this one knows {migrations.VERSION}); upgrade."
        )


def see_whole(path: Path) -> None:
    """Check that no page of a file is damaged; its rows are checked by the log's chain. Raises ProjectError."""
    connection = sqlite.connect(path, read_only=True)
    try:
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    finally:
        connection.close()
    if state != "ok":
        what = " ".join(str(state).split())
        raise ProjectError(f"{path.name} is damaged ({what}); restore it from a backup.")


def see_free(path: Path) -> None:
    """Check that a project file can be made here. Raises ProjectError."""
    if path.exists() or path.is_symlink():
        raise ProjectError(f"{path.name} exists already; choose another name, or open it.")
    for left in (Path(f"{path}{end}") for end in ("-wal", "-journal")):
        if left.exists():  # SQLite would take it for a part of the new file
            raise ProjectError(f"{left.name} is left of an earlier {path.name}; restore that, or move it away.")


def migrate(path: Path) -> None:
    connection = sqlite.connect(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == migrations.VERSION:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            migrations.migrate(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    finally:
        connection.close()


def write_ahead(path: Path) -> bool:
    """Switch the file to write-ahead logging, so that readers need not wait; return False if SQLite could not.

    The file keeps the setting, unless a disk failed just here or another program rewrote the file.
    """
    connection = sqlite.connect(path)
    try:
        return bool(connection.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",))
    finally:
        connection.close()


@contextmanager
def write_lock(path: Path, patience: float | None = PATIENCE) -> Iterator[None]:
    """Wait for this project's turn to write. An OS lock is faster than SQLite's busy handler, and two of them are fair.

    The system lets a process that arrives while a lock is free pass those that sleep in its queue, so a busy writer
    would take it again and again. Hence two locks: the holder of the turn is the next to write, and passes the turn on
    once it writes. Raises ProjectError after `patience` seconds; with None it waits for as long as it takes.
    """
    turn, writing = _lock_file(Path(f"{path}.turn")), _lock_file(Path(f"{path}.lock"))
    try:
        _taken(turn, COURTESY if patience is None else min(patience / 2, COURTESY))
        if not _taken(writing, patience):
            raise ProjectError(
                f"Another program has been writing to {path.name} for {patience:.0f} seconds; nothing was changed. See "
                "whether one is stopped (`ps`, state T), let it go on or end it, and try again."
            )
        os.close(turn)
        turn = -1
        yield
    finally:
        if turn >= 0:
            os.close(turn)
        os.close(writing)


def _lock_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o660)


def inode(path: Path) -> tuple[int, int]:
    """Return which file has this name now. Raises ProjectError if there is none."""
    try:
        there = path.stat()
    except FileNotFoundError:
        raise ProjectError(f"{path.name} is gone; put it back, or restore it from a backup.") from None
    return there.st_dev, there.st_ino


def _taken(descriptor: int, patience: float | None) -> bool:
    """Take the lock in the order of arrival; return False if that takes too long."""
    if patience is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        waiting = threading.Thread(target=_wait_for, args=(os.dup(descriptor),), daemon=True)
    waiting.start()
    waiting.join(patience)
    return not waiting.is_alive()


def _wait_for(descriptor: int) -> None:
    """Wait in the kernel's queue. A caller that gave up closed its descriptor; closing this copy frees the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)

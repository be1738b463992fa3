"""Folders that are written whole or not at all, in the place of what was there."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(path: Path, patience: float = math.inf) -> Iterator[None]:
    """Wait until no other process works on a file or folder, and keep others waiting; the lock lies next to it.

    After `patience` seconds it goes on without the lock: the other process may have been stopped.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        end = time.monotonic() + patience
        while not _locks(lock) and time.monotonic() < end:
            time.sleep(0.05)
        yield
    finally:
        os.close(lock)


def _locks(lock: int) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)  # else: a file system without locks
    return True


def replace_folder(out: Path, fill: Callable[[Path], None]) -> None:
    """Write a folder atomically, in the place of what was there.

    The files are written next to `out`, synced and renamed, so that a crash leaves the old one, the new one, or none.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    for left in [*out.parent.glob(f".{out.name}.tmp-*"), *out.parent.glob(f".{out.name}.old-*")]:
        shutil.rmtree(left)  # of a process that was killed
    fresh = out.with_name(f".{out.name}.tmp-{os.getpid()}")
    fresh.mkdir()
    fill(fresh)
    move_into_place(fresh, out)


def move_into_place(fresh: Path, target: Path) -> None:
    """Sync a finished folder and rename it to `target`, replacing what is there."""
    for path in fresh.rglob("*"):
        sync(path)
    sync(fresh)
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

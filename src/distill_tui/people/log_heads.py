"""The last head of each project's audit log that this account saw, on this machine.

A project file alone cannot show that it is an older copy of itself, or that another person was shown another one. An
account that saw a later head can: a log that does not contain it was restored, rewritten or forked. One small file a
project in the user's state folder, outside the project. Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from distill_tui.people import remembered

ROOM = 512  # bytes by which a file grows


@dataclass(frozen=True)
class Head:
    """The number of entries of a log, the digest of the last one, and what was accepted in it."""

    size: int
    digest: str
    accepted: tuple[str, ...] = ()  # digests of the entries that completed an acceptance of a restored file

    def continued_by(self, at: str | None, accepted: tuple[str, ...]) -> bool:
        """Whether a log contains this head, or was accepted in its place since.

        `at` is the digest that the log has at the place of this head. What was accepted before this head was seen does
        not count again.
        """
        return at == self.digest or not set(accepted) <= set(self.accepted)


class Acceptance(NamedTuple):
    """An entry of a log by which a person accepts a restored or forked file."""

    seq: int
    person: str
    digest: str


def accepted(
    entries: Iterable[Acceptance], keeper: str, enrolled: int | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the digests of the entries that completed an acceptance, and who waits for another person.

    The keeper's entry and one of another person complete each other. `enrolled` is the entry that enrolled the second
    person of the project; before it, the keeper's is enough.
    """
    complete: list[str] = []
    waiting: tuple[str, ...] = ()
    for entry in entries:
        persons = (*waiting, entry.person)
        alone = enrolled is None or entry.seq < enrolled
        done = keeper in persons and (alone or len(set(persons)) > 1)
        waiting = () if done else persons
        complete += [entry.digest] if done else []
    return tuple(complete), waiting


def file(project: str) -> Path:
    """Return the file that a project's head is kept in, by its uid or the address of its host."""
    name = hashlib.sha256(project.encode()).hexdigest()[:32]
    return remembered.file().parent / "heads" / f"{name}.json"


def seen(project: str) -> Head | None:
    """Return the last head that was seen of a project."""
    found = _read(project)
    if found is None and file(project).exists():
        with _alone():  # another process was writing it
            found = _read(project)
    return found


def _read(project: str) -> Head | None:
    kept = remembered.read(lambda: file(project))
    size, digest, accepted = kept.get("size"), kept.get("digest"), kept.get("accepted")
    if not isinstance(size, int) or not isinstance(digest, str) or kept.get("project") != project:
        return None
    known = accepted if isinstance(accepted, list) else []
    return Head(size, digest, tuple(each for each in known if isinstance(each, str)))


def remember(project: str, head: Head) -> None:
    """Remember a head, unless a later one of the same history is remembered already."""
    with _alone():
        before = _read(project)
        if before is not None and before.size >= head.size and set(head.accepted) <= set(before.accepted):
            return
        value = {"project": project, "size": head.size, "digest": head.digest, "accepted": list(head.accepted)}
        with suppress(OSError, RuntimeError):
            _write(file(project), json.dumps(value).encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file in place, in one call, padded: to replace it makes some file systems wait for the disk."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = max(os.fstat(handle).st_size, len(content))
        os.pwrite(handle, content.ljust(-(-size // ROOM) * ROOM), 0)
    finally:
        os.close(handle)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other processes of this account out; where nothing can be written, nothing is remembered."""
    lock = -1
    with suppress(OSError, RuntimeError):
        folder = remembered.file().parent / "heads"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if lock >= 0:
            os.close(lock)

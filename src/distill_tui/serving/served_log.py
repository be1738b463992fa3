"""The served log: one line of JSON a request, in segments that only grow.

A record is handed to the operating system before its reply leaves, so that a kill of the gateway loses none; a thread
syncs to the disk by batches, outside any request. A full disk stops the recording, never the answers: what was not
written is counted. The names of fields are those that `import` knows, so a segment is a file of traffic. `retention`
deletes old segments.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from distill_tui.store.artifacts import sync_folder
from distill_tui.store.gateway import IMPORT, OBSERVE, Place, place
from distill_tui.store.gateway import folder_of as folder_of
from distill_tui.store.gateway import segments as segments

SEGMENT = 64_000_000  # bytes after which the next segment begins
SEGMENT_AGE = 86_400.0  # seconds after which it begins too, so that a quiet play's records can go by their age
SYNC_EVERY = 0.5  # seconds
TRY_AGAIN = 2.0  # seconds after a write that failed


_ENCODE = json.JSONEncoder(separators=(",", ":")).encode  # made once: it takes as long as writing a record


class ServedLog:
    """A log that is open for writing, by one process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.written = 0  # by this process
        self.unlogged = 0  # records that could not be written
        self.trouble = ""
        self._failed_at = 0.0
        self._file = -1
        self._size = 0
        self._begun = 0.0
        self._full: deque[int] = deque()  # descriptors of segments that are full, for the thread to sync and close
        self._unsynced, self._synced = False, 0  # whether records wait for the disk; the segment whose name is on it
        self._writing = threading.Lock()  # requests and `retention` write from threads of their own
        self._closing = threading.Event()
        self._lock = _only_writer(folder)
        there = segments(folder)
        if there:
            _mend(there[-1])
        taken = (place(folder, use)[0] for use in (IMPORT, OBSERVE))
        self.number = max(*taken, int(there[-1].stem) if there else 0)  # what was taken is never written again
        self._syncing = threading.Thread(target=self._sync, name="served-log", daemon=True)
        self._syncing.start()

    def write(self, record: Mapping[str, object]) -> bool:
        """Append a record; False where the disk does not take it, which is counted."""
        if self.trouble and time.monotonic() - self._failed_at < TRY_AGAIN:
            self.unlogged += 1
            return False
        try:
            self._append(record)
        except OSError as error:
            self.unlogged += 1
            self.trouble = f"The served log cannot be written ({error.strerror or error}); requests go unrecorded."
            self._failed_at = time.monotonic()
            return False
        self.written += 1
        self.trouble = ""
        return True

    def note(self, record: Mapping[str, object]) -> bool:
        """Append a record that is of no request; False where the disk does not take it."""
        try:
            self._append(record)
        except OSError:
            return False
        return True

    def _append(self, record: Mapping[str, object]) -> None:
        """Write a record whole or not at all. Raises OSError."""
        line = _ENCODE(record).encode() + b"\n"
        with self._writing:
            if self._file < 0 or self._size >= SEGMENT or time.monotonic() - self._begun >= SEGMENT_AGE:
                self._next_segment()
            try:
                if os.write(self._file, line) != len(line):
                    raise OSError("the disk took only a part")
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._file, self._size)  # no half record
                raise
            self._size += len(line)
            self._unsynced = True

    def _next_segment(self) -> None:
        path = self.folder / f"{self.number + 1:08d}.jsonl"
        fresh = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            self._full.append(self._file)
        self._file, self._size, self._begun = fresh, 0, time.monotonic()
        self.number += 1

    def _sync(self) -> None:
        while not self._closing.wait(SYNC_EVERY):
            self._sync_now()

    def _sync_now(self) -> None:
        if not self._unsynced:
            return
        self._unsynced = False
        if self._synced < self.number:  # a segment's name is in its folder
            self._synced = self.number
            with suppress(OSError):
                sync_folder(self.folder)
        while self._full:
            full = self._full.popleft()
            with suppress(OSError):
                os.fdatasync(full)
            os.close(full)
        with suppress(OSError):
            os.fdatasync(self._file)

    def close(self) -> None:
        self._closing.set()
        self._syncing.join()
        self._sync_now()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        os.close(self._lock)


def _only_writer(folder: Path) -> int:
    """Take the log for this process. Raises ValueError where another gateway has it."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ValueError(f"Another gateway serves {folder.name} and writes its log; stop it first.") from None
    return descriptor


def _mend(path: Path) -> None:
    """Cut a record that a crash of the machine left half-written off the end of a segment."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        at = size
        while at > 0:
            begin = max(0, at - 65_536)
            file.seek(begin)
            end = file.read(at - begin).rfind(b"\n")
            if end >= 0:
                at = begin + end + 1
                break
            at = begin
        if at < size:
            file.truncate(at)


def read(folder: Path, after: Place = (0, 0)) -> Iterator[tuple[Place, dict[str, object]]]:
    """Yield the records after a place, each with the place behind it. A half record is not one yet."""
    for path in segments(folder):
        number, offset = int(path.stem), 0
        if number < after[0]:
            continue
        with suppress(FileNotFoundError), path.open("rb") as file:  # one that retention removed meanwhile
            if number == after[0]:
                offset = file.seek(after[1])
            for line in file:
                if not line.endswith(b"\n"):
                    break
                offset += len(line)
                with suppress(ValueError):
                    record = json.loads(line)
                    if isinstance(record, dict):
                        yield (number, offset), record

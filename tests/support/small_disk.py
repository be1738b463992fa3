"""A file system of a few kilobytes in memory: a disk that is full when a test wants it to be (Linux, root)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import needs


class SmallDisk:
    """A mounted tmpfs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, kilobytes: int) -> None:
        self._mount(f"remount,size={kilobytes}k")

    def free(self) -> int:
        """Return the free bytes."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leaving: int = 0) -> None:
        """Fill all but so many bytes."""
        with (self.folder / "ballast").open("wb") as file:
            file.write(b"x" * max(0, self.free() - leaving))

    def empty(self) -> None:
        """Remove what `fill` wrote."""
        (self.folder / "ballast").unlink()

    def _mount(self, options: str) -> None:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)], check=True, capture_output=True
        )


@contextmanager
def mounted(folder: Path, kilobytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of this size; the test is skipped where that is not permitted."""
    folder.mkdir(parents=True)
    disk = SmallDisk(folder)
    try:
        disk._mount(f"size={kilobytes}k")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"{needs.MARK}mount (not permitted here)")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)

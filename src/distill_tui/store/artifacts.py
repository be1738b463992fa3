"""Files next to the project file, named by SHA-256: data sets, models, records, bundles (standard library only).

Everything is written under a temporary name, fsynced and renamed, so a name is never seen half-written.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from distill_tui.digests import file_digest, folder_digest

TEACHER_CACHE = "teacher-outputs.sqlite"  # the one file here that is not named by a digest


class Artifacts:
    """The folder of artifacts of one project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def project(self) -> Path:
        """The project file that they belong to."""
        return self.folder.with_name(self.folder.name.removesuffix(".artifacts"))

    def path(self, digest: str) -> Path:
        """Return the path of the artifact with this digest. Raises ValueError."""
        name = digest.removeprefix("sha256:")
        if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise ValueError(f"'{digest}' is not a digest.")
        return self.folder / name

    def trouble(self, digest: str) -> str | None:
        """Return a sentence if an artifact is missing or altered, else None."""
        try:
            path = self.path(digest)
        except ValueError as error:
            return str(error)
        short = digest[7:19]
        if not path.exists() or path.is_symlink():
            return f"The artifact {short}… is missing from {self.folder.name}; restore it from a backup."
        try:
            now = folder_digest(path) if path.is_dir() else file_digest(path)
        except (ValueError, OSError) as error:
            return f"The artifact {short}… cannot be read: {error}"
        return None if now == digest else f"The artifact {short}… was altered after it was made; restore the original."

    def text(self, digest: str) -> str:
        """Read an artifact that is a text, the very bytes that its digest names. Raises ValueError."""
        trouble = self.trouble(digest)
        if trouble:
            raise ValueError(trouble)
        return self.path(digest).read_text(encoding="utf-8")

    def run_folder(self, run_id: int) -> Path:
        """Return the folder of a run's checkpoints, log and lock."""
        return self.folder / "runs" / str(run_id)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a temporary folder on the same file system; it is removed afterwards in any case."""
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".tmp-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def store_bytes(self, content: bytes) -> str:
        """Keep some bytes; the same bytes are kept once."""
        with self.scratch() as scratch:
            (scratch / "content").write_bytes(content)
            return self.store(scratch / "content")

    def store(self, path: Path) -> str:
        """Move a file or folder in, under its digest."""
        digest = folder_digest(path) if path.is_dir() else file_digest(path)
        target = self.path(digest)
        if target.exists() and self.trouble(digest) is None:
            return digest
        _sync_tree(path)
        if target.exists():  # a damaged copy: replace it by the intact one
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        path.rename(target)
        sync_folder(self.folder)
        return digest

    def store_copy(
        self, source: Path, ignore: Callable[[str], bool] = lambda name: False, more: Mapping[str, str] = {}
    ) -> str:
        """Copy a folder in, file by file; links and special files are refused, `ignore`d names left out.

        `more` are texts of files that are added, or replaced, by name.
        """
        with self.scratch() as scratch:
            copy = scratch / "copy"
            for name in folder_names(source):
                if not ignore(name):
                    (copy / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source / name, copy / name)
            for name, text in more.items():
                (copy / name).write_text(text, encoding="utf-8")
            return self.store(copy)


def folder_names(folder: Path) -> Iterable[str]:
    """List the plain files of a folder, as relative names; raises ValueError at a symbolic link."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ValueError(f"{path.name} in {folder.name} is a symbolic link; replace it by the file itself.")
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name shows the old content or all of the new."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        sync_file(draft)
        draft.replace(path)
    except OSError:  # what a full disk took of it is in the way
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _sync_tree(path: Path) -> None:
    for item in [path, *path.rglob("*")] if path.is_dir() else [path]:
        sync_folder(item) if item.is_dir() else sync_file(item)


def sync_file(path: Path) -> None:
    """Flush a file's bytes to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

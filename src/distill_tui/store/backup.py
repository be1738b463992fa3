"""Back up a project while others write: the copy is complete, of one moment, and a project like any other.

The file is copied by SQLite in one read transaction; the artifacts, which never change once they are named, after it,
so that all that the copied file names is there. Checkpoints and work files are left out: a run that was active
starts again from its beginning.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distill_tui.store import disks, sqlite, whole_check
from distill_tui.store.artifacts import TEACHER_CACHE, Artifacts, sync_file, sync_folder
from distill_tui.store.project import Project, ProjectError


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup holds."""

    entries: int  # of the audit log
    head: str
    artifacts: int
    bytes: int
    trouble: str  # what was damaged in the project, and so is in the copy


def backup(project: Project, target: Path) -> Copied:
    """Copy a project to a new file, with its artifacts next to it. Raises ProjectError with one sentence."""
    _see_free(project, target)
    making = target.with_name(f".{target.name}.making")
    folder, kept = Path(f"{making}.artifacts"), Artifacts(Path(f"{target}.artifacts"))
    try:
        _copy_file(project.path, making)
        names = list(_copy_artifacts(project.artifacts, folder))
        entries, head, trouble = _look(making, Artifacts(folder), names)
        size = sum(each.stat().st_size for each in (making, *folder.rglob("*")) if each.is_file())
        folder.rename(kept.folder)
        sync_file(making)
        making.rename(target)  # last: a file that is there has its artifacts
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if not target.exists():
            shutil.rmtree(kept.folder, ignore_errors=True)
        for end in ("", "-wal", "-shm", "-journal"):
            Path(f"{making}{end}").unlink(missing_ok=True)
        raise
    return Copied(entries, head, len(names), size, trouble)


def _see_free(project: Project, target: Path) -> None:
    if not target.parent.is_dir():
        raise ProjectError(f"The folder {target.parent} does not exist; make it first.")
    for name in (target, Path(f"{target}.artifacts"), Path(f"{target}-wal")):
        if name.exists() or name.is_symlink():
            raise ProjectError(f"{name.name} exists already; give the backup another name.")
    needed = project.path.stat().st_size + sum(_size(path) for path in _artifacts(project.artifacts))
    room = disks.free(target.parent)
    if room < needed + disks.LEAST // 10:
        raise ProjectError(
            f"The backup needs {disks.in_words(needed)} and {target.parent} has {disks.in_words(room)}; free some room."
        )


def _copy_file(path: Path, making: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        Path(f"{making}{end}").unlink(missing_ok=True)  # of a backup that was killed
    source = sqlite.connect(path, read_only=True)
    copy = sqlite.module.connect(str(making), isolation_level=None)
    try:
        source.backup(copy, pages=-1)  # in one step: page by page it starts again at each commit of another
    finally:
        copy.close()
        source.close()


def _artifacts(artifacts: Artifacts) -> Iterator[Path]:
    """Yield every artifact that is named by a digest."""
    if artifacts.folder.is_dir():
        yield from sorted(path for path in artifacts.folder.iterdir() if len(path.name) == 64)


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file())


def _copy_artifacts(artifacts: Artifacts, folder: Path) -> Iterator[str]:
    shutil.rmtree(folder, ignore_errors=True)  # of a backup that was killed
    folder.mkdir()
    for path in _artifacts(artifacts):
        for source in (path, *sorted(path.rglob("*"))):  # `shutil.copytree` gathers the errors of a failing disk
            target = folder / source.relative_to(artifacts.folder)
            if source.is_dir() and not source.is_symlink():
                target.mkdir()
            else:
                shutil.copyfile(source, target, follow_symlinks=False)
        yield f"sha256:{path.name}"
    cache = artifacts.folder / TEACHER_CACHE
    if cache.exists():
        _copy_file(cache, folder / TEACHER_CACHE)
    for item in folder.rglob("*"):
        sync_folder(item) if item.is_dir() else sync_file(item)
    sync_folder(folder)


def _look(making: Path, artifacts: Artifacts, names: list[str]) -> tuple[int, str, str]:
    """Look at the copy before it gets its name: its log's length and head, and what is not whole in it."""
    copy = Project(making)
    try:
        with copy.view() as connection:
            trouble = whole_check.trouble(connection, artifacts)
        dossier = copy.project_dossier()
    finally:
        copy.close()
    trouble = trouble or next((found for name in names if (found := artifacts.trouble(name))), "")
    return dossier.audit_size, dossier.audit_head, trouble

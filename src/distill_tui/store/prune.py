"""Work files of runs that have ended: checkpoints, and students in the making.

What the project keeps of a run is an artifact under its digest: neither the log, nor a table, nor a bundle names a work
file. The exceptions stay: a run's log, where it ran, the source of an import, and all of a run that can be resumed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distill_tui.store.project import Project
from distill_tui.terms import RunKind, RunStatus, Stage

KEPT = ("worker.log", "lock", "queued", "executor.json")


@dataclass(frozen=True)
class WorkFiles:
    """What can be deleted of one run, and its size."""

    run: int
    play: str
    paths: tuple[Path, ...]
    bytes: int


def found(project: Project) -> Iterator[WorkFiles]:
    """Find the work files of ended runs, oldest run first."""
    with project.view() as connection:
        rows = connection.execute(
            _RUNS, (RunKind.IMPORT.value, RunStatus.FINISHED.value, Stage.KILLED.value)
        ).fetchall()
    for run, play in rows:
        folder = project.artifacts.run_folder(run)
        if folder.is_symlink() or not folder.is_dir():
            continue
        paths = tuple(path for path in sorted(folder.iterdir()) if path.name not in KEPT)
        if paths:
            yield WorkFiles(run, f"P-{play:03d}", paths, sum(map(_size, paths)))


def delete(files: WorkFiles) -> None:
    """Delete them. Links are removed, not followed."""
    for path in files.paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


# A run that ended early can be resumed in its own round, until the play is killed.
_RUNS = """SELECT run.id, play_id FROM run JOIN play ON play.id = play_id
    WHERE run.kind <> ? AND run.status NOT IN ('queued', 'running')
    AND (run.status = ? OR run.round < play.round OR play.stage = ?) ORDER BY run.id"""


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(each.lstat().st_size for each in path.rglob("*") if not each.is_dir() or each.is_symlink())

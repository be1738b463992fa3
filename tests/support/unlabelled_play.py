"""A latency play whose traffic has no answers yet, with a teacher that was tried: for runs that label it elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tui.store.project import Project
from support import data_runs, latency_play
from support.latency_play import DAN
from support.live_play import workers_here


@pytest.fixture
def unlabelled(tmp_path: Path, tiny_teacher: Path) -> Iterator[Project]:
    with workers_here():
        project = made(tmp_path / "label", tiny_teacher)
        yield project
    project.close()


def made(folder: Path, teacher: Path) -> Project:
    """Take the play to its tried teacher; runs must work in this process (`workers_here`)."""
    folder.mkdir()
    project, play = latency_play.locked(folder)
    latency_play.imported(project, play, 90, answered=False)
    data_runs.try_teacher(project, play, DAN, teacher)
    return project

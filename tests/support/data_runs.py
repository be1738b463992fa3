"""Import, build and freeze to the end in this process: queued, claimed, and done by the code of a worker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill_tui import actions
from distill_tui.dataset.readers import ColumnMapping
from distill_tui.rules.actor import Actor
from distill_tui.runs import worker
from distill_tui.runs.claim import Claim
from distill_tui.store.project import Project
from distill_tui.teachers.description import Described


def here(project: Project, run_id: int) -> None:
    """Do a queued run; raises what ended it early."""
    claimed = Claim.take(project, run_id)
    assert claimed is not None
    worker.carry_out(claimed)


def import_traffic(
    project: Project, play: int, actor: Actor, path: Path, mapping: ColumnMapping | None = None, **more: Any
) -> dict[str, Any]:
    actions.import_traffic(project, play, actor, path, mapping, start=here, **more)
    return _newest_report(project, play)


def try_teacher(
    project: Project, play: int, actor: Actor, folder: Path, described: Described | None = None, **more: Any
) -> str:
    """Try a model and return the sentence of its run."""
    run = actions.try_teacher(project, play, actor, folder, described, start=here, **more)
    done = project.dossier(play).run(run)
    assert done is not None
    return done.message


def take_variations(
    project: Project, play: int, actor: Actor, run: int | None = None, without: Sequence[int] = ()
) -> dict[str, Any]:
    actions.take_variations(project, play, actor, run, without, start=here)
    return _newest_report(project, play)


def _newest_report(project: Project, play: int) -> dict[str, Any]:
    return dict(json.loads(project.dossier(play).traffic[-1].report))


def build_data(project: Project, play: int, actor: Actor) -> dict[str, Any]:
    actions.build_data(project, play, actor, start=here)
    data = project.dossier(play).data_set
    assert data is not None
    return dict(json.loads(data.counts))


def freeze_data(project: Project, play: int, actor: Actor) -> str:
    actions.freeze_data(project, play, actor, start=here)
    data = project.dossier(play).data_set
    assert data is not None
    return data.digest

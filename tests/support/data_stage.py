"""One person's play at the stage `data` without a locked gate: its traffic is imported, its stage is set by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from distill_tui import actions
from distill_tui.gates.gate import Gate
from distill_tui.rules.actor import Actor
from distill_tui.store import tables
from distill_tui.store.project import Project
from distill_tui.terms import PlayKind, Role, Stage
from support import data_runs
from support.by_hand import by_hand
from support.intake import MIA, MINE


def opened(folder: Path, name: str = "mood") -> Project:
    """A project with a play that mia drives."""
    made = Project.create(folder / "team.distill", "Team", "mia", "Mia", Actor(None, MINE))
    play = actions.open_play(made, MIA, name, PlayKind.COST)
    actions.assign_role(made, play, MIA, Role.DRIVER, "mia")
    return made


def with_traffic(
    folder: Path, lines: Iterable[Mapping[str, object]], *, name: str = "mood", gate: Gate | None = None
) -> Project:
    """The same play at `data`, with these lines imported; its teacher is not chosen."""
    made = opened(folder, name)
    if gate is not None:
        actions.edit_gate(made, 1, MIA, gate)
    path = folder / "calls.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    data_runs.import_traffic(made, 1, MIA, path)
    with by_hand(made) as session:
        row = session.get(tables.Play, 1)
        assert row is not None
        row.stage = Stage.DATA
        session.add(row)
    return made

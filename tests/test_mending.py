"""Mistakes that can be taken back before anything is fixed: an import, and a role. What is fixed cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.dataset import practice
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.terms import Action, Role, Stage
from support import screens
from support.real_play import finished
from support.screens import DAN, DANA


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return screens.a_project(tmp_path)


# --- a role ----------------------------------------------------------------------------------------------------------


def drivers(project: Project, play: int, *people: str) -> None:
    for person in people:
        actions.assign_role(project, play, DANA, Role.DRIVER, person)


def test_a_driver_who_is_replaced_after_something_was_built_stays_a_builder(project: Project) -> None:
    play = screens.at_gate(project)
    actions.set_teacher(project, play, DAN, None)
    drivers(project, play, "olaf")
    assert "dan" in project.dossier(play).builders
    with pytest.raises(Refused, match="is a builder of this play"):
        actions.assign_role(project, play, DANA, Role.VALIDATOR, "dan")


def test_a_role_taken_back_before_anything_was_built_leaves_no_builder(project: Project) -> None:
    play = screens.qualifying(project)
    drivers(project, play, "vera")
    assert set(project.dossier(play).builders) == {"vera"}
    drivers(project, play, "dan")
    assert set(project.dossier(play).builders) == {"dan"}
    actions.assign_role(project, play, DANA, Role.VALIDATOR, "vera")  # may sign after all
    assert project.dossier(play).roles[Role.VALIDATOR] == "vera"


def test_who_drives_again_and_builds_then_is_a_builder(project: Project) -> None:
    play = screens.qualifying(project)
    drivers(project, play, "vera", "dan", "vera")
    assert set(project.dossier(play).builders) == {"vera"}


def test_the_log_still_has_the_mistake(project: Project) -> None:
    play = screens.qualifying(project)
    drivers(project, play, "vera", "dan")
    assigned = [e for e in queries.entries(project, play, None) if e.action is Action.ASSIGN_ROLE]
    assert len(assigned) == 2 and not project.project_dossier(thorough=True).audit_trouble


# --- an import -------------------------------------------------------------------------------------------------------


@pytest.fixture
def imported(project: Project, tmp_path: Path) -> int:
    """A play at `data` with a draft, of a file as the tests put it in."""
    return screens.with_draft(project)


def test_only_the_driver_drops_a_file_and_says_why(project: Project, imported: int) -> None:
    for actor, reason, rule in ((Actor("vera", "a test"), "wrong file", "role.driver"), (DAN, " ", "reason.missing")):
        with pytest.raises(Refused) as refused:
            actions.drop_traffic(project, imported, actor, 1, reason)
        assert rule in [each.rule for each in refused.value.objections]
    with pytest.raises(Refused, match="There is no file 7 to drop"):
        actions.drop_traffic(project, imported, DAN, 7, "wrong file")
    assert project.dossier(imported).traffic


def test_a_frozen_file_stays(project: Project) -> None:
    play = screens.frozen(project)
    with pytest.raises(Refused):
        actions.drop_traffic(project, play, DAN, 1, "too late")


def test_a_dropped_file_and_its_draft_are_gone_and_the_log_names_them(project: Project, imported: int) -> None:
    before = project.dossier(imported)
    name = actions.drop_traffic(project, imported, DAN, 1, "exported from the wrong month")
    after = project.dossier(imported, thorough=True)
    assert (len(after.traffic), after.data_set, after.play.stage) == (len(before.traffic) - 1, None, Stage.DATA)
    entry = queries.entries(project, imported, 1)[0]
    assert entry.action is Action.DROP_TRAFFIC
    assert name in entry.detail and "exported from the wrong month" in entry.detail


def test_a_dropped_file_can_be_imported_again_and_the_log_accounts_for_every_row(
    project: Project, tmp_path: Path
) -> None:
    """By real runs, with a draft that was built of the file."""
    play = screens.at_gate(project)
    gate = project.dossier(play).gate
    assert gate is not None
    actions.edit_gate(project, play, DAN, replace(gate, held_out_rows=20))
    actions.lock_gate(project, play, DANA, cannot_pass=True)
    practice.write_traffic(tmp_path / "calls.jsonl", rows=90)
    finished(project, actions.import_traffic(project, play, DAN, tmp_path / "calls.jsonl"))
    actions.set_teacher(project, play, DAN, None)
    finished(project, actions.build_data(project, play, DAN))
    assert project.dossier(play).data_set is not None
    actions.drop_traffic(project, play, DAN, 1, "twice")
    assert project.dossier(play).data_set is None
    finished(project, actions.import_traffic(project, play, DAN, tmp_path / "calls.jsonl"))
    assert [each.rows for each in project.dossier(play).traffic] == [90]
    assert not project.project_dossier(thorough=True).audit_trouble

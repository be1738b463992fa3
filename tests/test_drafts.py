"""Undo and redo of drafts, dropped rows, the currency, several plays at once, and the successor of a killed play."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.dataset import practice
from distill_tui.gates.wording import money
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Refused
from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.terms import Action, Role, Stage
from support import screens
from support.real_play import finished
from support.screens import DAN, DANA, VERA


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return screens.a_project(tmp_path)


def refused(rule: str, act: Callable[[], object]) -> None:
    with pytest.raises(Refused) as reasons:
        act()
    assert rule in [each.rule for each in reasons.value.objections]


def whole(project: Project) -> str:
    return project.project_dossier(thorough=True).audit_trouble


# --- undo and redo ---------------------------------------------------------------------------------------------------


def number(project: Project, play: int) -> str:
    return project.dossier(play).worksheet["build_cost"].value


def test_there_is_nothing_to_undo_of_another_person(project: Project) -> None:
    play = screens.at_gate(project)  # dan filled in the numbers
    refused("undo.nothing", lambda: actions.undo(project, play, DANA))
    refused("undo.nothing", lambda: actions.redo(project, play, DAN))


def test_a_number_goes_back_and_forth_and_each_step_is_logged(project: Project) -> None:
    play = screens.at_gate(project)
    before = number(project, play)
    actions.fill_worksheet(project, play, DAN, {"build_cost": "2.5k"})
    assert actions.undo(project, play, DAN).startswith("worksheet of ")
    assert number(project, play) == before
    actions.redo(project, play, DAN)
    assert number(project, play) == "2500"
    refused("undo.nothing", lambda: actions.redo(project, play, DAN))
    last = [entry.action for entry in queries.entries(project, play, 3)]
    assert last == [Action.FILL_WORKSHEET, Action.UNDO, Action.REDO] and not whole(project)


def test_the_first_numbers_are_gone_after_undo(project: Project) -> None:
    play = screens.at_gate(project)
    actions.undo(project, play, DAN)
    assert not project.dossier(play).worksheet
    actions.redo(project, play, DAN)
    assert number(project, play) and not whole(project)


def test_a_new_change_ends_what_could_be_redone(project: Project) -> None:
    play = screens.at_gate(project)
    actions.fill_worksheet(project, play, DAN, {"build_cost": "1"})
    actions.undo(project, play, DAN)
    actions.fill_worksheet(project, play, DAN, {"build_cost": "2"})
    refused("undo.nothing", lambda: actions.redo(project, play, DAN))


def test_what_another_person_changed_since_is_not_overwritten(project: Project) -> None:
    play = screens.at_gate(project)
    actions.fill_worksheet(project, play, DAN, {"build_cost": "1"})
    actions.fill_worksheet(project, play, DANA, {"build_cost": "7"})
    refused("undo.moved", lambda: actions.undo(project, play, DAN))
    assert number(project, play) == "7"


def test_a_gate_is_undone_until_it_is_locked(project: Project) -> None:
    play = screens.at_gate(project)
    draft = project.dossier(play).gate
    assert draft is not None
    actions.edit_gate(project, play, DAN, replace(draft, held_out_rows=77))
    actions.undo(project, play, DAN)
    assert project.dossier(play).gate == draft
    actions.redo(project, play, DAN)
    actions.edit_gate(project, play, DAN, draft)
    actions.lock_gate(project, play, DANA)
    refused("gate.locked", lambda: actions.undo(project, play, DAN))
    assert project.dossier(play).gate == draft and not whole(project)


@pytest.fixture
def built(project: Project, tmp_path: Path) -> int:
    """A play with a draft data set, by real runs."""
    play = screens.at_gate(project)
    gate = project.dossier(play).gate
    assert gate is not None
    actions.edit_gate(project, play, DAN, replace(gate, held_out_rows=20))
    actions.lock_gate(project, play, DANA, cannot_pass=True)
    practice.write_traffic(tmp_path / "calls.jsonl", rows=90)
    finished(project, actions.import_traffic(project, play, DAN, tmp_path / "calls.jsonl"))
    actions.set_teacher(project, play, DAN, None)
    finished(project, actions.build_data(project, play, DAN))
    return play


def a_row(project: Project, play: int, *, held_out: bool = False) -> int:
    from distill_tui.dataset import frozen

    data = project.dossier(play).data_set
    assert data is not None
    rows = frozen.stored(project.artifacts.path(data.artifact))
    return next(int(row["row"]) for row in rows if (row["split"] == "held-out") == held_out)


def splits(dossier: PlayDossier) -> int:
    from distill_tui.rules.data import counts

    counted = counts(dossier)
    assert counted is not None
    return sum(counted.splits.values())


def test_labels_findings_and_rows_are_drafts_too(project: Project, built: int) -> None:
    actions.map_labels(project, built, DAN, {"billing": "billing"})
    confirmed = project.dossier(built).play.label_map
    actions.drop_row(project, built, DAN, a_row(project, built), "a test call")
    actions.undo(project, built, DAN)
    assert not project.dossier(built).dropped
    actions.undo(project, built, DAN)
    assert project.dossier(built).play.label_map == "{}"
    actions.redo(project, built, DAN)
    assert project.dossier(built).play.label_map == confirmed and not whole(project)


def test_an_accepted_finding_is_open_again_after_undo_and_fixed_by_the_freeze(project: Project) -> None:
    play = screens.with_draft(project)
    (name,) = actions.accept_findings(project, play, DAN, ["thin-0a1b2c"], "it will do")
    actions.undo(project, play, DAN)
    assert not project.dossier(play).accepted
    actions.redo(project, play, DAN)
    assert [each.finding for each in project.dossier(play).accepted] == [name]
    with screens.put(project, play) as session:
        session.connection().exec_driver_sql("UPDATE data_set SET frozen_at = 'now' WHERE play_id = ?", (play,))
    refused("data.frozen", lambda: actions.undo(project, play, DAN))
    with pytest.raises(Exception, match="what was accepted stays accepted"), screens.put(project, play) as session:
        session.connection().exec_driver_sql("DELETE FROM accepted_finding WHERE play_id = ?", (play,))


# --- row drop --------------------------------------------------------------------------------------------------------


def test_held_out_rows_are_not_dropped_and_a_reason_is_needed(project: Project, built: int) -> None:
    sealed, row = a_row(project, built, held_out=True), a_row(project, built)
    refused("row.sealed", lambda: actions.drop_row(project, built, DAN, sealed, "hard"))
    refused("row.sealed", lambda: actions.drop_row(project, built, DAN, 10_000, "not there"))
    refused("reason.missing", lambda: actions.drop_row(project, built, DAN, row, " "))
    refused("role.driver", lambda: actions.drop_row(project, built, VERA, row, "not mine"))
    assert not project.dossier(built).dropped


def test_a_dropped_row_is_out_of_the_next_draft_is_counted_and_the_freeze_waits_for_it(
    project: Project, built: int
) -> None:
    before = splits(project.dossier(built))
    actions.drop_row(project, built, DAN, a_row(project, built), "a test call")
    refused("data.dropped", lambda: actions.freeze_data(project, built, DAN))
    finished(project, actions.build_data(project, built, DAN))
    dossier = project.dossier(built)
    assert splits(dossier) == before - 1 and dossier.data_set is not None
    assert '"dropped":1' in dossier.data_set.counts.replace(" ", "")
    actions.undo(project, built, DAN)
    refused("data.dropped", lambda: actions.freeze_data(project, built, DAN))
    finished(project, actions.build_data(project, built, DAN))
    assert splits(project.dossier(built)) == before and not whole(project)


# --- the currency ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "written"),
    [("2160", "EUR 2,160"), ("45.2", "EUR 45.20"), ("0.45", "EUR 0.45"), ("0.0043", "EUR 0.0043"), ("0", "EUR 0"),
     ("-362", "EUR -362"), ("1234567.8", "EUR 1,234,568")],
)  # fmt: skip
def test_an_amount_is_written_in_one_way(amount: str, written: str) -> None:
    assert money(Decimal(amount), "EUR") == written


def test_only_a_currency_is_one_and_only_the_keeper_sets_it(project: Project) -> None:
    refused("currency.unknown", lambda: actions.set_currency(project, DANA, "EUO"))
    refused("roster.keeper", lambda: actions.set_currency(project, DAN, "EUR"))
    assert project.project_dossier().currency == "USD"


def test_the_currency_is_set_until_a_gate_is_locked(project: Project) -> None:
    actions.set_currency(project, DANA, "CHF")
    assert project.project_dossier().currency == "CHF"
    screens.at_data(project)
    refused("currency.fixed", lambda: actions.set_currency(project, DANA, "EUR"))
    with pytest.raises(Exception, match="locked on amounts"), project.telemetry() as session:
        session.connection().exec_driver_sql("UPDATE project SET currency = 'EUR'")
    assert not whole(project)


def test_a_project_is_made_in_a_currency(tmp_path: Path) -> None:
    file = tmp_path / "p.distill"
    assert main(["init", str(file), "--name", "x", "--me", "dana", "--currency", "EUO"]) == 3
    assert not file.exists()
    assert main(["init", str(file), "--name", "x", "--me", "dana", "--currency", "JPY"]) == 0
    assert Project.open(file).project_dossier().currency == "JPY"


# --- a killed play's successor ---------------------------------------------------------------------------------------


def test_only_a_killed_play_has_a_successor(project: Project) -> None:
    play = screens.at_gate(project)
    refused("play.predecessor", lambda: actions.open_successor(project, DAN, play, "again"))


def test_a_successor_has_roles_numbers_gate_traffic_teacher_and_labels_and_names_what_it_has_not(
    project: Project, built: int
) -> None:
    actions.map_labels(project, built, DAN, {"billing": "billing"})
    actions.kill(project, built, DANA, "another gate")
    old = project.dossier(built)
    made = actions.open_successor(project, DAN, built, "again")
    new = project.dossier(made.play)
    assert new.play.stage is Stage.QUALIFY and new.play.predecessor == built
    assert new.roles == old.roles
    assert {name: row.value for name, row in new.worksheet.items()} == {
        name: row.value for name, row in old.worksheet.items()
    }
    assert new.gate is not None and old.gate is not None
    assert new.gate == replace(old.gate, predecessor=old.code) and not new.locked
    assert [(each.artifact, each.mapping) for each in new.traffic] == [
        (each.artifact, each.mapping) for each in old.traffic
    ]
    assert (new.play.teacher_source, new.play.label_map) == (old.play.teacher_source, old.play.label_map)
    parts = {part.what: part for part in made.parts}
    assert not parts["numbers"].differs and not parts["traffic"].differs and not parts["driver"].differs
    assert parts["data set"].now == "–" and new.data_set is None and not new.runs
    assert not whole(project)


def test_what_the_actor_may_not_carry_over_is_named_with_the_reason(project: Project, built: int) -> None:
    actions.kill(project, built, DANA, "another gate")
    made = actions.open_successor(project, VERA, built, "again")  # who validates: drives nothing
    traffic = next(part for part in made.parts if part.what == "traffic")
    assert traffic.differs and "Only the driver (dan)" in traffic.why
    assert project.dossier(made.play).roles[Role.VALIDATOR] == "vera"
    lines = made.table("P-001", "P-002")
    assert any("differs" in line and "traffic" in line for line in lines)

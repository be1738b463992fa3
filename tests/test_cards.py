"""A play's card: what the door keeps of it, and that the board, `list`, `next` and the rules never differ."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.people.keys import PublicKey
from distill_tui.rules import card as card_module
from distill_tui.rules.card import Card
from distill_tui.rules.how_it_stands import card_of
from distill_tui.runs.executors import local
from distill_tui.store import glance
from distill_tui.store.project import Project
from distill_tui.terms import Action, Assurance, Opinion, Role
from support import cards, data_runs
from support.projects import sql
from support.stories import drive_to_data, drive_to_decide, finish_evaluation, found, open_play, write_traffic
from support.story import GATE, actor


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr(local, "start", lambda project, run: None)  # the worker's part is played here
    made = found(tmp_path / "team.distill")
    yield made
    made.close()


@pytest.fixture
def signed(project: Project, tmp_path: Path) -> Project:
    """One play, evaluated and signed off."""
    drive_to_data(project, open_play(project), write_traffic(tmp_path / "calls.jsonl"))
    drive_to_decide(project, 1)
    actions.sign_off(project, 1, actor("vera"), Opinion.APPROVE, "I looked.")
    return project


def the_card(project: Project) -> Card:
    (card,) = glance.cards(project.path)
    cards.hold(project)
    return card


def printed(project: Project, capsys: pytest.CaptureFixture[str], *words: str) -> object:
    capsys.readouterr()
    assert main(["--project", str(project.path), *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_gate_without_criteria_is_the_drivers_turn_everywhere(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    open_play(project)
    actions.qualify(project, 1, actor("dan"))
    actions.edit_gate(project, 1, actor("dan"), replace(GATE, criteria=()))
    card = the_card(project)
    assert (card.next_step, card.waits_for, card.state) == (Action.EDIT_GATE, "dan", ("waiting", "edit the gate"))
    (listed,) = printed(project, capsys, "list")  # type: ignore[misc]
    following = printed(project, capsys, "next", "P-001")
    assert listed["waits_for"] == following["waits_for"] == "dan"  # type: ignore[index]
    assert listed["next_step"] == following["action"] == "edit_gate"  # type: ignore[index]
    actions.edit_gate(project, 1, actor("dan"), GATE)
    card = the_card(project)
    assert (card.next_step, card.waits_for, card.state[1]) == (Action.LOCK_GATE, "sam", "lock the gate")


def test_a_sign_off_that_counts_is_shown(signed: Project) -> None:
    card = the_card(signed)
    assert card.signed_off and card.state == ("holds", "signed off") and card.next_step is Action.SHIP


@pytest.mark.parametrize("change", ["role", "account", "key", "assurance", "reproduced", "withdrawn"])
def test_a_sign_off_that_counts_no_longer_is_not_shown_as_one(signed: Project, change: str) -> None:
    match change:
        case "role":
            actions.assign_role(signed, 1, actor("sam"), Role.OPERATOR, "bob")
        case "account":
            actions.add_account(signed, actor("mia"), "vera", 777)
        case "key":
            actions.add_key(signed, actor("mia"), "vera", PublicKey("ssh-ed25519", "b25lIGtleQ=="))
        case "assurance":
            actions.add_key(signed, actor("mia"), "mia", PublicKey("ssh-ed25519", "bWlhJ3Mga2V5"))
            actions.set_assurance(signed, actor("mia"), Assurance.SIGNED)
        case "reproduced":
            finish_evaluation(signed, actions.reproduce(signed, 1, actor("vera")), 12)
        case "withdrawn":
            actions.withdraw(signed, 1, actor("vera"), "I erred.")
    card = the_card(signed)
    due = (Action.SIGN_OFF, "vera", "held: sign off" if change == "withdrawn" else "sign-off stale")
    if change == "assurance":  # no sign-off counts before the sponsor has signed the roster
        due = (Action.SIGN_ROSTER, "sam", "held: sign roster")
    assert not card.signed_off and (card.next_step, card.waits_for, card.state[1]) == due


def test_a_refusal_is_shown(signed: Project) -> None:
    actions.sign_off(signed, 1, actor("vera"), Opinion.REFUSE, "It fails.")
    card = the_card(signed)
    assert card.state == ("refused", "sign-off refused") and (card.next_step, card.waits_for) == (
        Action.SIGN_OFF,
        "vera",
    )


def test_a_card_that_is_out_of_date_is_computed_again_and_never_shown(signed: Project) -> None:
    right = the_card(signed)
    for statement in (
        "UPDATE play_card SET seq = seq - 1, words = 'wrong'",  # of before the last entry
        "UPDATE play_card SET edition = 0, words = 'wrong'",  # by other rules
        "UPDATE play_card SET head = 'sha256:other', words = 'wrong'",  # under another log
        "DELETE FROM play_card",
    ):
        sql(signed.path, statement)
        assert glance.cards(signed.path) == [right]
        assert signed.renew_cards() == 1 and signed.renew_cards() == 0


def test_after_an_upgrade_the_cards_are_computed_once_at_opening(signed: Project) -> None:
    sql(signed.path, "UPDATE play_card SET edition = 0")
    opened = Project.open(signed.path)
    assert opened.renew_cards() == 0
    opened.close()


@pytest.mark.parametrize("change", ["lost", "altered"])
def test_a_record_that_was_lost_or_altered_is_seen_without_an_entry(signed: Project, change: str) -> None:
    right, evaluation = the_card(signed), signed.dossier(1).evaluation
    assert right.next_step is Action.SHIP and evaluation is not None
    record = signed.artifacts.path(evaluation.record)
    content = record.read_bytes()
    if change == "lost":
        record.unlink()
    else:
        record.write_bytes(content.replace(b"1", b"0"))
    (shown,) = glance.cards(signed.path)
    assert shown == card_of(signed.dossier(1)) and shown.next_step is not Action.SHIP and not shown.signed_off
    assert signed.renew_cards() == 1 and the_card(signed) == shown
    record.write_bytes(content)
    assert glance.cards(signed.path) == [right]


def test_verdicts_kept_with_a_card_are_shown_and_never_decide(signed: Project) -> None:
    dossier = signed.dossier(1, shown=True)
    assert dossier.judgements == signed.dossier(1).judgements and dossier.passed
    sql(
        signed.path, """UPDATE play_card SET verdicts = replace(verdicts, '"holds"', '"misses"')"""
    )  # another program did
    assert not signed.dossier(1, shown=True).passed and signed.dossier(1).passed
    actions.ship(signed, 1, actor("dan"))  # the door computes them
    assert signed.dossier(1, shown=True).passed  # and writes the card again


def test_verdicts_kept_with_a_card_are_not_shown_of_another_record_or_gate(signed: Project) -> None:
    right = signed.dossier(1).judgements
    changed = """replace(replace(verdicts, '"holds"', '"misses"'), '{}', 'sha256:other')"""
    evaluation, row = signed.dossier(1).evaluation, signed.dossier(1).gate_row
    assert evaluation is not None and row is not None
    for digest in (evaluation.record, row.digest):
        sql(signed.path, f"UPDATE play_card SET verdicts = {changed.format(digest)}")
        assert signed.dossier(1, shown=True).judgements == right
        sql(signed.path, "UPDATE play_card SET edition = 0")
        signed.renew_cards()
    record = signed.artifacts.path(evaluation.record)
    record.write_bytes(record.read_bytes().replace(b"1", b"0"))
    assert signed.dossier(1, shown=True).judgements == () == signed.dossier(1).judgements


@pytest.mark.parametrize("words", ["next P-001", "why P-001 ship", "show P-001", "show P-001 --json", "list"])
def test_commands_that_only_read_import_neither_numpy_nor_what_writes(signed: Project, words: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "distill_tui", "--project", str(signed.path), *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0 and "distill_tui.rules.card" in imported, done.stderr[-500:]
    assert not imported & {"numpy", "scipy", "sqlmodel", "sqlalchemy", "pyarrow", "textual"}


def test_cards_are_out_of_date_once_the_code_that_computes_them_changes(
    signed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_card(signed)
    changed = tmp_path / "program"
    shutil.copytree(card_module.PACKAGE, changed, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("next_step.py", "../gates/judging.py"):
        with (changed / "rules" / name).open("a") as file:
            file.write("# another rule\n")
        monkeypatch.setattr(card_module, "PACKAGE", changed)
        card_module._code.cache_clear()
        assert signed.renew_cards() == 1 and signed.renew_cards() == 0
    monkeypatch.undo()
    card_module._code.cache_clear()
    assert signed.renew_cards() == 1


def test_a_refused_action_leaves_the_card_alone(signed: Project) -> None:
    before = the_card(signed)
    with pytest.raises(Exception, match="is not enrolled in this project"):
        actions.comment(signed, 1, actor("eve"), "hello")
    assert the_card(signed) == before


def test_a_refresh_falls_due_without_an_entry(signed: Project) -> None:
    actions.ship(signed, 1, actor("olga"))
    card = the_card(signed)
    assert (card.state, card.next_step) == (("live", "live, no labels"), None) and card.refresh_due
    assert card.on("2000-01-01").next_step is None
    due = card.on(card.refresh_due)
    assert (due.state[1], due.next_step, due.waits_for) == ("refresh due", Action.REFRESH, "olga")
    dossier = signed.dossier(1)
    later = replace(dossier, project=replace(dossier.project, now=f"{card.refresh_due}T00:00:00Z"))
    assert card_of(later) == due


def test_a_run_that_is_lost_renews_the_card(project: Project, tmp_path: Path) -> None:
    drive_to_data(project, open_play(project), write_traffic(tmp_path / "calls.jsonl"))
    data_runs.freeze_data(project, 1, actor("dan"))
    from support.stories import SPEC

    run = actions.start_run(project, 1, actor("dan"), SPEC)
    assert the_card(project).state[0] == "queued"
    project.lose([run], unless=lambda run: False)
    card = the_card(project)
    assert (card.next_step, card.state) == (Action.RESUME_RUN, ("lost", "train lost"))

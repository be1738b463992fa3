"""Who sets what answers a play's requests, and what ends it: signatures decide, not a score."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.rules import serving
from distill_tui.rules.how_it_stands import card_of
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import FallBack, ServeMode
from distill_tui.store import glance
from distill_tui.store.project import Project
from distill_tui.terms import Action, ServingMode, Stage
from support import live_play, real_play, served


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = served.copy_to(tmp_path)
    yield made
    made.project.close()


CANARY = ServeMode(ServingMode.CANARY, 10)


def reasons(play: real_play.Play, person: str, asked: ServeMode) -> set[str]:
    try:
        actions.set_mode(play.project, play.id, play.by(person), asked)
    except Refused as refused:
        return {objection.rule for objection in refused.objections}
    return set()


@pytest.mark.parametrize("person", ["dan", "vera", "bob"])
def test_only_operator_and_sponsor_say_what_answers_a_live_play(play: real_play.Play, person: str) -> None:
    for asked in (
        CANARY,
        ServeMode(ServingMode.CASCADE),
        ServeMode(ServingMode.CAPTURE),
        ServeMode(ServingMode.SUSPENDED),
    ):
        assert reasons(play, person, asked) == {"role.operator"}


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (ServeMode(ServingMode.CANARY), "serve.percent"),
        (ServeMode(ServingMode.CANARY, 101), "serve.percent"),
        (ServeMode(ServingMode.CASCADE, 5), "serve.percent"),
        (replace(CANARY, audit_share=Decimal(0)), "serve.audit"),
        (replace(CANARY, audit_share=Decimal("0.9")), "serve.audit"),
    ],
)
def test_numbers_that_are_refused(play: real_play.Play, asked: ServeMode, rule: str) -> None:
    assert reasons(play, "olga", asked) == {rule}


def test_no_student_answers_before_one_has_shipped(tmp_path: Path) -> None:
    play = real_play.copy_to(tmp_path, served.SPEC)
    assert reasons(play, "olga", CANARY) == {"live.none"}
    assert reasons(play, "olga", ServeMode(ServingMode.SHADOW)) == set()  # it is trained
    play.project.close()


def test_a_changed_file_of_the_bundle_is_found_before_the_student_answers(play: real_play.Play) -> None:
    file = served.bundle_of(play) / "model" / "model.onnx"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:-1] + b"x")
    assert reasons(play, "olga", CANARY) == {"serve.bundle"}
    assert play.project.dossier(play.id).serving is None


def test_a_sign_off_without_a_signature_puts_no_student_before_users(tmp_path: Path) -> None:
    with live_play.workers_here():
        project, number = live_play.shipped(tmp_path)
    with pytest.raises(Refused) as refused:
        actions.set_mode(project, number, live_play.OLGA, CANARY)
    assert [each.rule for each in refused.value.objections] == ["serve.unsigned"]
    project.close()


def test_a_mode_is_in_the_log_and_on_the_card(play: real_play.Play) -> None:
    assert reasons(play, "sam", CANARY) == set()
    dossier = play.project.dossier(play.id)
    assert dossier.serving is not None and (dossier.serving.words, dossier.serving.person) == ("canary 10%", "sam")
    assert serving.trouble(dossier) == "" and card_of(dossier).state == ("live", "canary 10%")
    assert glance.cards(play.path)[0].state == ("live", "canary 10%")
    assert reasons(play, "olga", ServeMode(ServingMode.CASCADE)) == set()
    assert glance.cards(play.path)[0].state == ("live", "cascade")


def test_a_revoked_key_ends_it_and_no_mode_goes_forward_again(play: real_play.Play) -> None:
    assert reasons(play, "olga", CANARY) == set()
    key = play.project.dossier(play.id).sign_offs[-1].key
    actions.revoke_key(play.project, play.by("vera"), key)
    dossier = play.project.dossier(play.id)
    assert "is revoked" in serving.trouble(dossier)
    assert card_of(dossier).state == ("drift", "fell back to teacher")
    assert reasons(play, "olga", CANARY) == {"serve.revoked"}


def test_a_fall_back_is_logged_once_and_only_from_the_mode_that_was_seen(play: real_play.Play) -> None:
    bob = play.by("bob")
    with pytest.raises(Refused, match="nothing to fall back from"):
        actions.fall_back(play.project, play.id, bob, 1, "bytes changed")
    assert reasons(play, "olga", CANARY) == set()
    entry = play.project.dossier(play.id).serving
    assert entry is not None
    with pytest.raises(Refused, match="set again meanwhile"):
        actions.fall_back(play.project, play.id, bob, entry.seq - 1, "bytes changed")
    actions.fall_back(play.project, play.id, bob, entry.seq, "bytes changed")
    after = play.project.dossier(play.id)
    assert after.serving is not None and after.serving.fell_back and after.serving.reason == "bytes changed"
    assert after.serving.mode is ServingMode.SUSPENDED and card_of(after).state == ("drift", "fell back to teacher")
    assert reasons(play, "olga", CANARY) == set()  # a person goes forward again
    assert not play.project.dossier(play.id).serving.fell_back  # type: ignore[union-attr]


def test_an_entry_that_another_program_wrote_lets_no_student_answer(play: real_play.Play) -> None:
    from distill_tui.rules import serving_mode
    from distill_tui.rules.entities import AuditEntry

    for detail in ('{"mode": "all of it", "percent": "x"}', "[]", "{", '{"mode": 3}'):
        entry = AuditEntry(seq=9, at="", person_id=None, proof="", action=Action.SERVE_MODE, play_id=1, detail=detail,
                           rows="{}", state="", previous="", digest="")  # fmt: skip
        found = serving_mode.from_entry(entry)
        assert found.mode is ServingMode.SUSPENDED and not found.mode.by_student


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = served.copy_to(tmp_path)
    made.project.close()
    words = ["--project", str(made.path), "--key", str(made.key("olga")), "serve", "mode", "P-001"]
    assert main([*words, "canary"]) == exits.REFUSED
    assert "A canary needs a share of requests from 1 to 100" in capsys.readouterr().err
    assert main([*words, "canary", "--percent", "5", "-m", "first users", "--json"]) == exits.DONE
    assert json.loads(capsys.readouterr().out)["mode"] == "canary"
    project = Project.open(made.path)
    set_ = project.dossier(1).serving
    assert set_ is not None and (set_.percent, set_.reason) == (5, "first users")
    project.close()


def test_a_play_captures_three_commands_after_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "new.distill")
    assert main(["init", path, "--name", "New", "--me", "mia"]) == exits.DONE
    assert main(["--project", path, "new", "mail", "--kind", "cost"]) == exits.DONE
    assert main(["--project", path, "serve", "mode", "P-001", "capture"]) == exits.DONE
    assert main(["--project", path, "serve", "mode", "P-001", "shadow"]) == exits.REFUSED
    project = Project.open(Path(path))
    assert project.dossier(1).serving is not None and project.dossier(1).play.stage is Stage.QUALIFY
    project.close()
    shutil.rmtree(tmp_path)


def test_the_rule_of_a_fall_back_reads_only_the_dossier(play: real_play.Play) -> None:
    dossier = play.project.dossier(play.id)
    assert [each.rule for each in serving.fall_back(dossier, play.by("bob"), FallBack(1, "x"))] == ["serve.not_student"]

"""A plan file: checked whole before anything is done, then done by the verbs. And how few commands that leaves."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli import demo
from distill_tui.cli.app import main
from distill_tui.dataset import practice
from distill_tui.people import practice_keys
from distill_tui.rules.objection import Refused
from distill_tui.spec import Spec
from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.terms import Role, Stage, StudentKind, TeacherSource
from support import latency_play

SMALL = re.sub("held_out_rows = 600", "held_out_rows = 60", demo.PLAN)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with traffic, keys and a plan, and the project that `init --from` made of them."""
    folder = tmp_path_factory.mktemp("plan")
    practice.write_traffic(folder / "traffic.jsonl", rows=200)
    practice_keys.make(folder / "keys", ("dana", "sam", "vera", "olga"))
    (folder / "plan.toml").write_text(SMALL)
    assert main(["init", str(folder / "team.distill"), "--me", "dana", "--from", str(folder / "plan.toml")]) == 0
    return folder


def broken(folder: Path, *changes: tuple[str, str]) -> str:
    text = SMALL
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / "broken.toml").write_text(text)
    return str(folder / "broken.toml")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('kind = "cost"', 'kind = "coast"', "plays.1.kind: input should be 'cost', 'latency'"),
        ('kind = "cost"', 'kind = "cost"\nlevels = [1, 2]', "levels: input should be a valid string, not [1, 2]"),
        ("[plays.gate]", "[plays.gates]", "plays.1.gates: "),
        ("= 900000", '= "many"', "plays.1.worksheet: calls_per_month: “many” is not a number"),
        ("calls_per_month = 900000", "calls_per_month = 1", "plays.1.worksheet: "),  # the trigger fails
        ("held_out_rows", "held_rows", "plays.1.gate: A gate has no 'held_rows'; it has"),
        ("margin = 0.05", "margin = -3", "plays.1.gate: "),
        ('validator = "vera"', 'validator = "dana"', "plays.1.roles.driver: dana is the validator of this play"),
        ('sponsor = "sam"', 'sponsor = "sandy"', "plays.1.roles.sponsor: “sandy” is not enrolled"),
        ("keys/vera.pub", "keys/zoe.pub", "people.vera.key: keys/zoe.pub: No such file"),
        ("keys/vera.pub", "keys/sam.pub", "people.vera: "),
        ("traffic.jsonl", "trafic.jsonl", "plays.1.traffic: trafic.jsonl does not exist"),
        ("recorded = true", 'folder = "keys"', "plays.1.teacher: "),
        ('student = "ngram"', 'student = "n-gram"', "plays.1.students: student cannot be 'n-gram'"),
        ("[people]", "[[people]", "This is not TOML"),
    ],
)
def test_a_plan_that_cannot_be_done_makes_nothing(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, said: str
) -> None:
    file = broken(made, (before, after))
    assert main(["init", str(tmp_path / "team.distill"), "--me", "dana", "--from", file]) == 4
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_stranger_to_the_plan_learns_how_to_be_its_driver(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["init", str(tmp_path / "team.distill"), "--me", "root", "--from", str(made / "plan.toml")]
    assert main(words) == 4 and not list(tmp_path.iterdir())
    assert "The plan gives root no role. If you are its driver, add --me dana." in capsys.readouterr().err


def test_all_that_is_wrong_is_listed_at_once(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = broken(made, ("= 900000", '= "many"'), ("traffic.jsonl", "none.jsonl"), ('"static"', '"statik"'))
    assert main(["init", str(tmp_path / "team.distill"), "--me", "dana", "--from", file]) == 4
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in told[:-1]] == [
        "plays.1.worksheet",
        "plays.1.students",
        "plays.1.traffic",
    ]


def test_a_plan_is_done_through_the_door_as_the_person_who_runs_it(made: Path) -> None:
    project = Project.open(made / "team.distill")
    dossier = project.dossier(1)
    assert dossier.play.stage is Stage.GATE  # the lock is the sponsor's
    assert dossier.roles == {Role.DRIVER: "dana", Role.SPONSOR: "sam", Role.VALIDATOR: "vera", Role.OPERATOR: "olga"}
    assert dossier.gate is not None and dossier.gate.held_out_rows == 60
    assert [traffic.rows for traffic in dossier.traffic] == [200]
    assert dossier.play.teacher_source is TeacherSource.RECORDED
    assert set(dossier.builders) == {"dana"}
    assert {entry.person_id for entry in queries.entries(project, None, None)} == {"dana"}
    project.close()


def test_what_others_must_do_is_listed_with_the_command_to_send(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "team.distill"
    with closing(sqlite3.connect(made / "team.distill")) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)  # all of it, also where the importing worker has not closed the file yet
    assert main(["--project", str(path), "new", "again", "--from", str(made / "plan.toml")]) == 0
    told = capsys.readouterr().err
    send = re.search(r"P-002 waits for sam; send: distill-tui (.*)", told)
    assert send is not None
    words = send[1].replace("YOUR_KEY", str(made / "keys" / "sam")).split()
    assert main(words) == 3, "60 rows cannot show what the gate asks for"
    assert main([*words, "--cannot-pass"]) == 0  # what the sponsor is sent works, with an explicit yes
    assert "P-002 is at data" in capsys.readouterr().err


def test_a_play_s_plan_makes_the_same_play_elsewhere(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--project", str(made / "team.distill"), "plan", "P-001", "--out", str(tmp_path / "plan.toml")]) == 0
    assert main(["init", str(tmp_path / "other.distill"), "--me", "dana", "--from", str(tmp_path / "plan.toml")]) == 0
    one, other = Project.open(made / "team.distill"), Project.open(tmp_path / "other.distill")
    before, after = one.dossier(1), other.dossier(1)
    assert (before.gate, before.roles, before.play.teacher_source) == (
        after.gate,
        after.roles,
        after.play.teacher_source,
    )
    assert {n: v.value for n, v in before.worksheet.items()} == {n: v.value for n, v in after.worksheet.items()}
    assert [each.mapping for each in before.traffic] == [each.mapping for each in after.traffic]
    one.close()
    other.close()


def test_a_plan_is_not_written_over_a_file(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--project", str(made / "team.distill"), "plan", "P-001", "--out", str(made / "plan.toml")]
    assert main(words) == 4
    assert "exists already" in capsys.readouterr().err


def test_kind_and_summary_are_not_given_twice(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--project", str(made / "team.distill"), "new", "--from", str(made / "plan.toml"), "--kind", "cost"]
    assert main(words) == 2


def test_students_of_a_plan_are_trained_by_name(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--project", str(made / "team.distill"), "train", "P-001", "--from", str(made / "plan.toml")]
    assert main([*words, "epochs=3"]) == 2
    assert "the plan names the students" in capsys.readouterr().err
    assert main(words) == 3  # the rules: nothing is frozen yet


def test_students_of_a_plan_learn_from_hard_labels_where_the_teacher_gave_no_probabilities(tmp_path: Path) -> None:
    project, play = latency_play.frozen(tmp_path, 400, soft=False)
    with pytest.raises(Refused, match="no training row has teacher probabilities"):
        actions.start_run(project, play, latency_play.DAN, Spec(student=StudentKind.NGRAM))
    spec, hard = actions.fitting(project, play, {"student": "ngram"})
    assert hard and spec.alpha == 0 and not spec.controls
    chosen, hard = actions.fitting(project, play, {"student": "ngram", "alpha": 0.5})
    assert not hard and chosen.alpha == 0.5, "what a person weights is not replaced"
    project.close()

"""Entries that another program appends, whole chain and all: what they write counts as far as its author could go.

A driver who writes the file tries to bring back what was decided, to take away what is kept, to write other rows than
an entry names, and to decide for others without their keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.people import identity
from distill_tui.rules import decide
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import ServeMode
from distill_tui.runs.executors import local
from distill_tui.store import deciding, whole_check
from distill_tui.terms import Assurance, Opinion, PlayKind, RunKind, ServingMode
from support import gateway, real_play, served, stories
from support.gateway import serving
from support.story import GATE, actor
from support.tampering import appended
from support.teacher_server import TeacherServer


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = real_play.copy_to(tmp_path)
    yield made
    made.project.close()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real_play.Play]:
    """A play for attempts that are rolled back."""
    made = real_play.copy_to(tmp_path_factory.mktemp("untouched"))
    yield made
    assert whole(made)
    made.project.close()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[real_play.Play]:
    made = served.copy_to(tmp_path)
    yield made
    made.project.close()


def forged(play: real_play.Play, by: str, action: str, edit: str = "", at: int | None = 1, /, **detail: object) -> str:
    """Append an entry in a person's name, by the fingerprint of their key; return all that the whole check says."""
    proof = f"key {play.public(by).fingerprint}" if by != "ada" else play.by("ada").proof
    return appended(play.path, edit, proof, by, action, json.dumps(detail), at)


def whole(play: real_play.Play) -> bool:
    with play.project.view() as connection:
        return whole_check.trouble(connection) == ""


# --- what was decided comes back -------------------------------------------------------------------------------------

AGAIN = (
    "INSERT INTO sign_off (play_id, round, person_id, opinion, assurance, statement, signature, comment, recorded_at) "
    "SELECT play_id, round, person_id, opinion, assurance, statement, signature, comment, recorded_at "
    "FROM sign_off WHERE opinion = 'approve'"
)


def test_56_an_approval_that_was_signed_before_a_refusal_is_not_written_again(play: real_play.Play) -> None:
    play.sign()
    play.sign(Opinion.REFUSE, "It fails on refunds.")
    statement = bytes(play.project.dossier(1).sign_offs[0].row.statement)
    found = {"sign_off": 3, "opinion": "approve", "assurance": "signed"}
    digest = deciding.digest_of(statement)
    said = forged(play, "vera", "sign_off", AGAIN, **found, statement=digest)
    assert "its statement was used before" in said
    appended(
        play.path, AGAIN, "account uid 1", "vera", "sign_off", json.dumps(found | {"statement": digest}), keep=True
    )
    assert decide.standing_refusals(play.project.dossier(1))  # nor does it lift the refusal before that is looked at


def test_56b_an_approval_that_was_handed_in_before_a_refusal_is_not_handed_in_again(play: real_play.Play) -> None:
    play.sign()
    first = play.project.dossier(1).sign_offs[0].row
    play.sign(Opinion.REFUSE, "It fails on refunds.")
    with pytest.raises(Refused) as refusal:
        actions.hand_in(play.project, 1, play.by("vera"), bytes(first.statement), str(first.signature))
    assert {each.rule for each in refusal.value.objections} == {"sign_off.moved"}
    assert decide.standing_refusals(play.project.dossier(1))


def test_56c_a_mode_that_was_signed_before_is_not_set_again(play: real_play.Play) -> None:
    """In a project that asks for `signed`; the detail, and so what was signed over it, is the same as before."""
    olga = _signed_project(play)
    for mode in (ServingMode.CAPTURE, ServingMode.SUSPENDED):
        actions.set_mode(play.project, 1, olga, ServeMode(mode))
    with play.project.view() as connection:
        detail = json.loads(
            connection.execute("SELECT detail FROM audit WHERE action = 'serve_mode' ORDER BY seq").fetchone()[0]
        )
        ((signed,),) = connection.execute("SELECT max(id) + 1 FROM statement").fetchall()
    (before,) = detail["signed"]
    copy = (
        "INSERT INTO statement (play_id, kind, person_id, content, signature, recorded_at) SELECT play_id, kind, "
        f"person_id, content, signature, recorded_at FROM statement WHERE id = {before}"
    )
    assert whole(play)
    detail["signed"] = {str(signed): detail["signed"][before]}
    assert "its statement was used before" in forged(play, "olga", "serve_mode", copy, **detail)


def _signed_project(play: real_play.Play) -> identity.Actor:
    real_play.make_key(play.key("ada"))
    actions.add_key(play.project, play.by("ada"), "ada", play.public("ada"))
    ada = identity.by_key(play.project.project_dossier(), play.key("ada"))
    actions.set_assurance(play.project, ada, Assurance.SIGNED)
    return play.by("olga")


# --- what is kept is taken away, or changed --------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["builder", "role_holder", "ssh_key", "gate", "data_set"])
def test_57_no_entry_takes_away_or_changes_what_the_guards_keep(untouched: real_play.Play, table: str) -> None:
    """The guards are put back, the log says the same as the table, and the action may write that table."""
    by = {
        "builder": ("dan", "start_run", "DELETE FROM builder WHERE act = 'drive'", "having built is permanent"),
        "role_holder": ("sam", "assign_role", "DELETE FROM role_holder WHERE role = 'validator'", "assigns another"),
        "ssh_key": ("ada", "add_key", "UPDATE ssh_key SET person_id = 'dan' WHERE person_id = 'vera'", "keeps its own"),
        "gate": ("dan", "edit_gate", "UPDATE gate SET facts = '{\"a\": 1}'", "locked gate never changes"),
        "data_set": ("dan", "build_data", "UPDATE data_set SET counts = '{\"a\": 1}'", "frozen data set never changes"),
    }
    person, action, edit, why = by[table]
    detail = {"role": "validator", "before": "vera", "after": "bob"} if table == "role_holder" else {"person": "vera"}
    said = forged(untouched, person, action, edit, None if table == "ssh_key" else 1, **detail, fingerprint="x")
    assert "does not count" in said and why in said, said


def test_57b_what_a_run_came_to_is_its_workers_word(untouched: real_play.Play) -> None:
    said = forged(untouched, "dan", "resume_run", "UPDATE run SET artifact = 'sha256:00' WHERE kind = 'train'", run=1)
    assert "it changes what run" in said


def test_57c_a_worker_takes_no_evaluation_away_and_looks_no_second_time(untouched: real_play.Play) -> None:
    run = next(each.id for each in untouched.project.dossier(1).runs if each.kind is RunKind.EVALUATE)
    edit = "DELETE FROM evaluation"
    said = appended(untouched.path, edit, f"worker of run {run}", "dan", "record_evaluation", f'{{"run": {run}}}')
    assert "an evaluation is append-only" in said


def test_57d_no_more_rounds_than_the_gate_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "start", lambda project, run: None)
    project = stories.found(tmp_path / "team.distill")
    number = stories.open_play(project)
    actions.edit_gate(project, number, actor("dan"), replace(GATE, rounds=1))
    stories.drive_to_data(project, number, stories.write_traffic(tmp_path / "calls.jsonl"))
    stories.drive_to_decide(project, number)
    edit = "UPDATE play SET round = 2, stage = 'data'"
    said = appended(project.path, edit, actor("dan").proof, "dan", "iterate", '{"round": 2}', number)
    assert "does not count" in said and "The gate allows 1 rounds" in said
    project.close()


# --- other rows than the entry names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "action", "edit", "detail", "why"),
    [
        ("ada", "add_key", "UPDATE ssh_key SET revoked_at = 'now' WHERE person_id = 'vera'",
         {"person": "bob", "fingerprint": "SHA256:x"}, "writes another"),
        ("ada", "add_key", "INSERT INTO ssh_key VALUES ('SHA256:x', 'vera', 'ssh-ed25519', 'AAAA', 'now', NULL)",
         {"person": "vera", "fingerprint": "SHA256:x"}, "not the one of its fingerprint"),
        ("ada", "add_account", "INSERT INTO account VALUES (4242, 'vera', 'now')",
         {"person": "bob", "uid": 4242}, "writes another"),
        ("ada", "revoke_key", "UPDATE ssh_key SET revoked_at = 'now' WHERE person_id = 'vera'",
         {"person": "bob", "fingerprint": "BOB"}, "changes another"),
        ("ada", "set_alarms", "UPDATE project SET on_alarm = '[\"/bin/sh\"]'",
         {"on_alarm": [[], ["/usr/local/bin/page"]], "webhook": ["", ""]}, "another on alarm"),
        ("ada", "enrol_person", "INSERT INTO person VALUES ('eve', 'Vera', 'now')",
         {"person": "eve", "name": "Eve"}, "enrols another"),
        ("sam", "assign_role", "UPDATE role_holder SET person_id = 'bob' WHERE role = 'validator'",
         {"role": "operator", "before": "olga", "after": "bob"}, "assigns another"),
        ("sam", "assign_role", "UPDATE role_holder SET person_id = 'bob' WHERE role = 'validator'",
         {"role": "validator", "before": "dan", "after": "bob"}, "assigns another"),
        ("dan", "set_maintenance", "UPDATE play SET teacher_digest = 'sha256:00'", {}, "the play's teacher digest"),
        ("bob", "open_row", "INSERT INTO opened_row SELECT 1, '" + "0" * 64 + "', 'vera', 1, 'now'",
         {}, "in another person's name"),
    ],
)  # fmt: skip
def test_58_an_entry_writes_the_rows_that_it_names(
    untouched: real_play.Play, person: str, action: str, edit: str, detail: dict[str, object], why: str
) -> None:
    named = {name: untouched.public("bob").fingerprint if value == "BOB" else value for name, value in detail.items()}
    at = 1 if action in ("assign_role", "open_row", "set_maintenance") else None
    said = forged(untouched, person, action, edit, at, **named)
    assert "does not count" in said and why in said, said


def test_58b_before_the_lock_a_driver_makes_no_validator_in_the_words_of_another_role(play: real_play.Play) -> None:
    new = actions.open_play(play.project, play.by("sam"), "second", PlayKind.COST)
    edit = f"INSERT INTO role_holder VALUES ({new}, 'validator', 'dan')"
    assert "assigns another" in forged(play, "dan", "assign_role", edit, new, role="driver", before="", after="dan")


def _remedy(kind: str, feed: int = 0) -> str:
    return (
        "INSERT INTO remedy (play_id, kind, round, bundle_id, newest_bundle, feed_id, reason, detail, person_id, at) "
        f"VALUES (1, '{kind}', 1, 1, 1, {feed}, 'r', '{{}}', 'olga', 'now')"
    )


def test_58c_a_remedy_is_the_one_that_its_entry_is_called(live: real_play.Play) -> None:
    actions.suspend(live.project, 1, live.by("olga"), "wait")
    assert "another remedy" in forged(live, "olga", "refresh", _remedy("resume"), reason="r")
    assert "another remedy" in forged(live, "olga", "resume", _remedy("resume", feed=999), reason="r", bundle=1)


# --- decisions without the key of who decides ------------------------------------------------------------------------


def test_59_where_the_gate_asks_for_signatures_a_refusal_is_not_withdrawn_without_one(play: real_play.Play) -> None:
    play.sign()
    play.sign(Opinion.REFUSE, "It fails on refunds.")
    edit = "INSERT INTO withdrawal VALUES (2, 'never mind', 'now')"
    assert "vera did not sign it" in forged(play, "vera", "withdraw", edit, sign_off=2, reason="never mind")


def test_59b_where_the_gate_asks_for_signatures_an_objection_is_not_lifted_without_one(live: real_play.Play) -> None:
    actions.object_(live.project, 1, live.by("vera"), "It fails on refunds.", key=live.key("vera"))
    assert whole(live)
    assert "vera did not sign it" in forged(live, "vera", "object", bundle=1, reason="fine", lift=True)


@pytest.mark.parametrize(
    ("action", "edit", "detail"),
    [
        ("resume", _remedy("resume"), {"reason": "r", "bundle": 1}),
        ("serve_mode", "", {"mode": "capture", "percent": 0}),
    ],
)
def test_59c_where_the_project_asks_for_signatures_what_answers_users_is_not_changed_without_one(
    live: real_play.Play, action: str, edit: str, detail: dict[str, object]
) -> None:
    olga = _signed_project(live)
    actions.suspend(live.project, 1, olga, "wait")
    assert "olga did not sign it" in forged(live, "olga", action, edit, **detail)


def test_59d_where_the_project_asks_for_signatures_a_student_is_resumed_with_one(live: real_play.Play) -> None:
    olga = _signed_project(live)
    actions.suspend(live.project, 1, olga, "wait")
    with pytest.raises(Refused, match="requires assurance"):
        account = identity.by_account(live.project.project_dossier())
        actions.enrol_person(live.project, account, "eve", "Eve")
    actions.resume(live.project, 1, olga, "mended")
    assert live.project.dossier(1).suspended is None and whole(live)


# --- the gateway -----------------------------------------------------------------------------------------------------


def test_60_a_gateway_answers_with_the_teacher_once_an_entry_does_not_count(
    live: real_play.Play,
) -> None:
    every = ServeMode(ServingMode.CANARY, 100)
    with TeacherServer() as teacher:
        actions.set_mode(live.project, 1, live.by("olga"), every)
        with serving(gateway.of_play(live.path), teacher=teacher.url) as found:

            def route() -> str:
                return str(found.chat("please refund the invoice").headers["x-distill-route"])

            found.until(lambda: route() == "student")
            proof = f"key {live.public('bob').fingerprint}"
            appended(live.path, "", proof, "bob", "serve_mode", '{"mode": "canary", "percent": 100}', keep=True)
            assert found.until(lambda: route() == "teacher") < 1
            assert "does not count" in str(found.health()["wrong"])
    with pytest.raises(Refused) as refusal:
        actions.set_mode(live.project, 1, live.by("olga"), every)
    assert {each.rule for each in refusal.value.objections} == {"audit.broken"}

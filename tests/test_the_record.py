"""The log is the record: whatever another program writes into a table that decides is named, and nothing goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.bundles import write
from distill_tui.cli.app import main
from distill_tui.rules.objection import Refused
from distill_tui.runs.executors import local
from distill_tui.store import doctor, whole_check
from distill_tui.store.project import Project
from distill_tui.store.replay import WORKERS_ONLY
from distill_tui.terms import Action, Assurance, Opinion, PlayKind, Role
from support import projects, real_play, tampering
from support.tampering import appended


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:  # ends here: the plays of other tests have real workers
        patch.setattr(local, "start", lambda project, run: None)
        return projects.make(tmp_path_factory.mktemp("record")) / projects.NAME


@pytest.mark.parametrize("table", [table.name for table in tampering.deciding.ALL.values()])
def test_a_column_that_another_program_changed_is_named_in_each_of_four_ways(shipped: Path, table: str) -> None:
    """Every eighth attempt on a live play here; all of them at every stage are a proof (`make prove`)."""
    every = [each for each in tampering.attempts() if each.table.name == table]
    for attempt in [*every[::8], every[-1]]:
        said = tampering.tried(shipped, shipped, attempt)
        assert said is not None, f"{attempt}: nothing to change"
        assert said, f"{attempt} is not noticed"
    with Project.open(shipped).view() as connection:
        assert whole_check.trouble(connection) == ""


def test_a_file_that_was_left_alone_is_whole(shipped: Path) -> None:
    assert {each.name: each.ok for each in doctor.file(shipped)}["audit log"]


# --- the second list of attempts: by plain SQL on a play at decide, with real keys ---------------------------------


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = real_play.copy_to(tmp_path)
    yield made
    made.project.close()


def refused(play: real_play.Play, by: str = "dan") -> set[str]:
    """Ship, and return the rules that refuse it."""
    with pytest.raises(Refused) as refusal:
        play.ship(by)
    return {each.rule for each in refusal.value.objections}


def found(play: real_play.Play, words: str) -> None:
    """The ship is refused with `audit.tables`; the whole check and `doctor` name the row."""
    assert "audit.tables" in refused(play)
    with play.project.view() as connection:
        assert any(words in each for each in whole_check.troubles(connection)), words
    assert not {each.name: each.ok for each in doctor.file(play.path)}["audit log"]
    assert main(["--project", str(play.path), "audit", "verify"]) == 1


def past_the_guards(play: real_play.Play, *statements: str, values: tuple[object, ...] = ()) -> None:
    """Drop every trigger, do it, and put them back with the same text."""
    with play.project.view() as connection:
        guards = dict(connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"))
    play.sql(*(f"DROP TRIGGER {name}" for name in guards))
    play.sql(*statements, values=values)
    play.sql(*guards.values())


def test_42_a_worthless_approval_lifts_no_refusal(play: real_play.Play) -> None:
    play.sign(Opinion.REFUSE, "It fails on refunds.")
    play.sql(
        "INSERT INTO sign_off (play_id, round, person_id, opinion, assurance, statement, signature, comment, "
        "recorded_at) SELECT play_id, round, person_id, 'approve', assurance, statement, NULL, '', recorded_at "
        "FROM sign_off"
    )
    assert "sign_off.refused" in refused(play)
    found(play, "sign off 2 is not in the audit log")


def test_43_a_refusal_that_was_deleted_is_missed(play: real_play.Play) -> None:
    play.sign(Opinion.REFUSE, "It fails on refunds.")
    past_the_guards(play, "DELETE FROM sign_off")
    found(play, "sign off 1 of entry")


def test_44_a_key_an_account_and_a_person_that_were_inserted_prove_nobody(play: real_play.Play) -> None:
    key = play.public("dan").line.split()
    for statement, words in (
        ("INSERT INTO account VALUES (4242, 'vera', 'now')", "account 4242 is not in"),
        (
            f"INSERT INTO ssh_key VALUES ('SHA256:x', 'vera', '{key[0]}', 'AAAA', 'now', NULL)",
            "ssh key SHA256:x is not",
        ),
        ("INSERT INTO person VALUES ('eve', 'Eve', 'now')", "person eve is not in"),
    ):
        play.sql(statement)
        found(play, words)


def test_45_an_evaluation_with_a_lower_number_is_not_the_one_look(play: real_play.Play) -> None:
    record = play.project.artifacts.store_bytes(b"{}")
    play.sql(
        "INSERT INTO evaluation SELECT 0, play_id, round, run_id, id + 900, gate_digest, data_digest, model, ?, 1, 0, "
        "recorded_at FROM evaluation",
        values=(record,),
    )
    found(play, "evaluation 0 is not in the audit log")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE play SET stage = 'live'", "play 1 differs from entry"),
        ("UPDATE play SET round = 2", "(round)"),
        ("UPDATE evaluation SET passed = 0", "evaluation 1 differs"),
        ("UPDATE project SET minimum_assurance = 'hardware'", "(minimum_assurance)"),
        ("DELETE FROM builder", "builder 1, dan"),
        ("INSERT INTO opened_row SELECT 1, '" + "0" * 64 + "', 'dan', 1, 'now'", "opened row 1"),
        ("INSERT INTO provider_terms VALUES (1, 'Acme', '1', '2026-01-01', 1, 'dan', 'now')", "provider terms 1"),
        ("INSERT INTO accepted_finding VALUES (1, 1, 'f', 's', 'r', 'dan', 'now')", "accepted finding 1"),
    ],
)  # fmt: skip
def test_46_a_stage_a_round_a_setting_by_update_decide_nothing(
    play: real_play.Play, statement: str, words: str
) -> None:
    play.sign()
    past_the_guards(play, statement)
    found(play, words)


def test_47_a_key_that_was_revoked_by_update_is_not_revoked(play: real_play.Play) -> None:
    play.sign()
    past_the_guards(play, "UPDATE ssh_key SET revoked_at = 'now' WHERE person_id = 'vera'")
    found(play, "(revoked_at)")


def test_48_a_student_that_changes_while_it_is_copied_does_not_go_live(
    play: real_play.Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = write._copy_tree

    def flipped(source: Path, target: Path) -> None:
        copied(source, target)
        weights = next(target.glob("*.safetensors"))
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(bytes(content))

    play.sign()
    monkeypatch.setattr(write, "_copy_tree", flipped)
    assert "sign_off.stale" in refused(play)
    assert play.project.dossier(play.id).play.stage.value == "decide" and not play.project.dossier(play.id).bundles


def test_48b_a_bundle_shares_no_file_with_the_artifacts(play: real_play.Play) -> None:
    play.sign()
    folder = play.ship()
    assert all(path.stat().st_nlink == 1 for path in folder.rglob("*") if path.is_file())


def test_repair_puts_back_what_the_log_says_and_logs_it(play: real_play.Play) -> None:
    play.sign(Opinion.REFUSE, "No.")
    past_the_guards(play, "DELETE FROM sign_off", "UPDATE play SET round = 2", "DELETE FROM builder")
    play.sql("DROP TRIGGER builder_never_deleted", "INSERT INTO account VALUES (4242, 'vera', 'now')")
    assert "audit.tables" in refused(play)
    with pytest.raises(Refused):
        play.project.repair(lambda project: play.by("dan"))
    assert main(["--project", str(play.path), "audit", "repair"]) == 0
    with play.project.view() as connection:
        assert list(whole_check.troubles(connection)) == []
    assert refused(play) == {"sign_off.refused", "sign_off.missing"}
    assert play.project.repair(lambda project: play.by("ada")) == []


# --- who may append ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "action", "edit", "detail", "why"),
    [
        ("dan", "comment", "UPDATE play SET refresh_days = 7", "{}", "comment writes no play"),
        ("dan", "fill_worksheet", "UPDATE gate SET content = '{}'", "{}", "locked for good"),
        ("dan", "lock_gate", "", "{}", "locked for good"),
        ("bob", "set_maintenance", "UPDATE play SET refresh_days = 7", "{}", "may do this"),
        ("dan", "kill", "UPDATE play SET stage = 'live'", "{}", "does not lead from decide to live"),
        ("dan", "set_maintenance", "UPDATE play SET round = 2", "{}", "from round 1 to 2"),
        ("dan", "assign_role", "", '{"role": "validator", "after": "dan"}', "may do this"),
        ("sam", "assign_role", "UPDATE role_holder SET person_id = 'dan' WHERE role = 'validator'",
         '{"role": "validator", "after": "dan"}', "builder of this play"),
    ],
)  # fmt: skip
def test_an_entry_counts_only_if_its_actor_could_have_appended_it(
    play: real_play.Play, person: str, action: str, edit: str, detail: str, why: str
) -> None:
    said = appended(play.path, edit, f"key {play.public(person).fingerprint}", person, action, detail, keep=True)
    assert "does not count" in said and why in said, said
    assert refused(play) & {"audit.broken", "stage.closed"}


@pytest.mark.parametrize(
    ("action", "edit", "detail", "why"),
    [
        ("set_currency", "minimum_assurance = 'account'", "{}", "does not change the project's minimum assurance"),
        ("set_currency", "on_alarm = '[\"/bin/true\"]'", "{}", "does not change the project's on alarm"),
        ("set_separation", "forbids = '[]'", '{"forbids": ["late-role"]}', "none taken out"),
        ("set_assurance", "minimum_assurance = 'account'", '{"assurance": ["session", "signed"]}', "only be raised"),
    ],
)
def test_a_setting_of_the_project_is_changed_only_by_its_own_action_and_is_not_lowered(
    play: real_play.Play, action: str, edit: str, detail: str, why: str
) -> None:
    ada = play.by("ada")
    actions.set_separation(play.project, ada, ["late-role"])
    actions.set_assurance(play.project, ada, Assurance.SESSION)
    said = appended(play.path, f"UPDATE project SET {edit}", ada.proof, "ada", action, detail, at=None)
    assert "does not count" in said and why in said, said


def test_a_gate_is_locked_by_no_edit(play: real_play.Play) -> None:
    new = actions.open_play(play.project, play.by("sam"), "second", PlayKind.COST)
    actions.assign_role(play.project, new, play.by("sam"), Role.DRIVER, "dan")
    edit = f"UPDATE gate SET locked_at = '2026-11-01', locked_by = 'sam', digest = 'x' WHERE play_id = {new}"
    proof = f"key {play.public('dan').fingerprint}"
    assert "edit_gate locks no gate" in appended(play.path, edit, proof, "dan", "edit_gate", at=new)


@pytest.mark.parametrize("proof", ["account uid 1", "account", "worker of run 1", "key SHA256:no"])
def test_an_entry_whose_proof_proves_another_does_not_count(play: real_play.Play, proof: str) -> None:
    assert "does not count" in appended(play.path, "", proof, "vera", "comment")


def test_a_forged_worker_reports_no_second_evaluation_as_a_person(play: real_play.Play) -> None:
    edit = (
        "INSERT INTO evaluation SELECT 0, play_id, round, run_id, id + 900, gate_digest, data_digest, model, record, "
        "1, 0, recorded_at FROM evaluation"
    )
    said = appended(play.path, edit, f"key {play.public('dan').fingerprint}", "dan", "record_reproduction")
    assert "does not count" in said


def test_only_a_worker_reports_what_workers_report() -> None:
    reports = {action for action in Action if action.sentence.startswith("A worker")}
    assert reports <= WORKERS_ONLY, "the replay would not count what the door appends"

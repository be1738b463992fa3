"""Attempts that must fail, by number, against a real project, real keys and a real sshd; each asserts the rule id.

Dan drives, Vera validates, Sam sponsors, Olga operates, Bob holds no role, and Ada keeps the project and its host. The
numbers are those of docs/threat-model.md.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distill_tui import actions
from distill_tui.actions import sign_offs, signed_decisions
from distill_tui.bundles.verify import verify_bundle
from distill_tui.cli.app import main
from distill_tui.digests import canonical, digest_of
from distill_tui.gates.written import to_json
from distill_tui.people import identity, signatures
from distill_tui.people.keys import BadSignature
from distill_tui.rules.actor import Actor
from distill_tui.rules.decide import counting_sign_off, covers, sign_off_troubles
from distill_tui.rules.objection import Refused
from distill_tui.runs import evaluate
from distill_tui.runs.claim import Claim
from distill_tui.runs.executors import local
from distill_tui.store import project_file
from distill_tui.terms import Assurance, Opinion, PlayKind, Role, Stage
from distill_tui.ui.app import DistillApp
from distill_tui.ui.forms import sheet
from distill_tui.ui.forms.decide import intent
from distill_tui.ui.forms.sheet import Sheet
from support import data_runs, real_play
from support.results import train_result
from support.ssh_host import Host, Session
from support.ssh_sessions import entries, sessions
from support.terminal import Terminal
from support.tokens import TOKENS, Token

SECONDS = 60


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = real_play.copy_to(tmp_path)
    yield made
    made.project.close()


def slow(value: object) -> Any:
    """Leave a case to `make slow`."""
    return pytest.param(value, marks=pytest.mark.slow)


def refused(deed: Callable[[], object]) -> set[str]:
    """The rules that refuse an action."""
    with pytest.raises(Refused) as caught:
        deed()
    return {each.rule for each in caught.value.objections}


def command(play: real_play.Play, *words: str, by: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the real command in a process of its own, with whatever is in its environment."""
    prove = ["--key", str(play.key(by))] if by else []
    line = [sys.executable, "-m", "distill_tui", "--project", str(play.path), "--json", *prove, *words]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
    return subprocess.run(line, capture_output=True, text=True, env=clean | env, timeout=120, check=False)


def ids(done: subprocess.CompletedProcess[str]) -> set[str]:
    assert done.returncode == 3, done.stderr
    return {each["rule"] for each in json.loads(done.stdout)}


def written(play: real_play.Play, comment: str = "Looked at it.", opinion: Opinion = Opinion.APPROVE) -> bytes:
    """What Vera would sign now."""
    return sign_offs.ask_to_sign(play.project, play.id, play.by("vera"), opinion, comment, keyed=True)[1]


def handed_in(play: real_play.Play, content: bytes, signature: str, by: str = "vera") -> set[str]:
    return refused(lambda: actions.hand_in(play.project, play.id, play.by(by), content, signature))


# --- identity --------------------------------------------------------------------------------------------------------


def test_01_dan_signs_as_himself_and_calls_himself_vera(play: real_play.Play) -> None:
    assert refused(lambda: play.sign(by="dan")) >= {"sign_off.builder", "role.validator"}
    names = dict.fromkeys(("USER", "LOGNAME", "SUDO_USER", "USERNAME"), "vera") | {"HOME": "/nonexistent"}
    said = command(play, "sign", "P-001", "--approve", "-m", "mine", by="dan", **names)
    assert ids(said) >= {"sign_off.builder"}
    assert json.loads(command(play, "whoami", **names).stdout)["person"] == "ada"


def test_02_ssh_variables_of_one_s_own_shell_say_nothing(play: real_play.Play, tmp_path: Path) -> None:
    (tmp_path / "auth").write_text(f"publickey {play.public('vera').line}\n")
    faked = {
        "SSH_USER_AUTH": str(tmp_path / "auth"),
        "SSH_CONNECTION": "10.0.0.7 50000 10.0.0.1 22",
        "SSH_ORIGINAL_COMMAND": "signature P-001",
    }
    said = json.loads(command(play, "whoami", **faked).stdout)
    assert (said["person"], said["assurance"]) == ("ada", "account")
    actions.assign_role(play.project, play.id, play.by("sam"), Role.DRIVER, "ada")  # now the shell is a builder's
    os.environ["SSH_USER_AUTH"] = faked["SSH_USER_AUTH"]
    try:
        forged = identity.by_session(play.project.project_dossier())
    finally:
        del os.environ["SSH_USER_AUTH"]
    assert (forged.person, forged.host) == ("vera", "ada")
    for deed in (
        lambda: actions.sign_off(play.project, play.id, forged, Opinion.APPROVE, "I am Vera."),
        lambda: actions.sign_off(play.project, play.id, forged, Opinion.REFUSE, "I am Vera."),
        lambda: actions.comment(play.project, play.id, forged, "I am Vera."),
    ):
        assert "session.host_built" in refused(deed)
    assert entries(play) == play.project.project_dossier().audit_size and not play.project.dossier(1).sign_offs


def test_03_a_second_account_is_the_same_person_and_an_unknown_one_is_nobody(play: real_play.Play) -> None:
    actions.add_account(play.project, play.by("ada"), "dan", 4242)
    seen = play.project.project_dossier()

    def as_account(uid: int) -> Actor:
        """Ask in a process that really has that uid, where this one may become it."""
        if os.getuid() != 0:
            pytest.skip("only root can become another account; the rules are asked for the same actor in test_rules")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setuid(uid)
                os.write(writing, json.dumps(identity.by_account(seen).person).encode())
            finally:
                os._exit(0)  # even after an error: this process must not go on with the tests
        os.waitpid(child, 0)
        os.close(writing)
        with os.fdopen(reading) as said:
            return Actor(json.loads(said.read()), f"account uid {uid}")

    dan, nobody = as_account(4242), as_account(4343)
    assert dan.person == "dan" and nobody.person is None
    assert refused(lambda: actions.sign_off(play.project, play.id, dan, Opinion.APPROVE)) >= {"sign_off.builder"}
    assert refused(lambda: actions.comment(play.project, play.id, nobody, "hello")) == {"identity.unknown"}


def test_04_one_key_never_stands_for_two_persons(play: real_play.Play) -> None:
    ada = play.by("ada")
    for person in ("vera", "bob"):
        found = refused(lambda person=person: actions.add_key(play.project, ada, person, play.public("dan")))
        assert found == {"key.taken"}
    again = refused(lambda: actions.enrol_person(play.project, ada, "eve", "Eve", key=play.public("dan")))
    assert again == {"key.taken"}


def test_05_ids_and_comments_cannot_write_lines(play: real_play.Play) -> None:
    ada = play.by("ada")
    for person in ("v*", "vera,dan", 've"ra', "ve ra", "vera\ndan", "vera\r", "", "Ｖera", "-vera", "x" * 33):
        found = refused(lambda person=person: actions.enrol_person(play.project, ada, person, "Name"))
        assert found == {"person.id"}, person
    with pytest.raises(BadSignature):
        signatures.read_public_key(f"{play.public('dan').line} comment\nvera {play.public('dan').line}")
    signatures.read_public_key(f'{play.public("dan").line} vera,dan namespaces="*"')  # a comment is dropped
    play.sign()
    lines = (play.ship() / "allowed_signers").read_text().splitlines()
    assert lines == [f'vera namespaces="{signatures.SIGN_OFF}" {play.public("vera").line}']


def test_06_a_key_that_cannot_sign_writes_nothing(play: real_play.Play, tmp_path: Path) -> None:
    before = entries(play)
    alone, locked = tmp_path / "alone.pub", tmp_path / "locked"
    alone.write_text(play.public("vera").line)
    shutil.copy(play.key("vera"), locked)
    lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(locked)]
    subprocess.run(lock, check=True, capture_output=True)
    no = {"SSH_ASKPASS_REQUIRE": "force", "SSH_ASKPASS": "/bin/false", "SSH_AUTH_SOCK": str(tmp_path / "no-agent")}
    for key in (alone, locked, tmp_path / "missing"):
        line = ["--key", str(key), "sign", "P-001", "--approve", "-m", "x"]
        done = command(play, *line, **no)
        assert done.returncode == 4 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert entries(play) == before and not play.project.dossier(play.id).sign_offs


def test_07_a_name_that_looks_like_vera_s_is_no_vera(play: real_play.Play) -> None:
    ada = play.by("ada")
    for number, name in enumerate(("Vera ", "VERA", "Vеra", "\u202eareV")):
        actions.enrol_person(play.project, ada, f"eve{number + 6}", name)
    assert set(play.project.project_dossier().people) >= {"vera", "eve6", "eve7", "eve8", "eve9"}
    for person in ("b0b", "0lga"):
        found = refused(lambda person=person: actions.enrol_person(play.project, ada, person, "Bob"))
        assert found == {"person.confusable"}
    assert refused(lambda: actions.enrol_person(play.project, ada, "vеra", "Vera")) == {"person.id"}


# --- contribution ----------------------------------------------------------------------------------------------------


def test_08_dan_steps_down_and_is_still_a_builder(play: real_play.Play) -> None:
    sam = play.by("sam")
    actions.assign_role(play.project, play.id, sam, Role.DRIVER, "bob")
    again = refused(lambda: actions.assign_role(play.project, play.id, sam, Role.VALIDATOR, "dan"))
    assert again == {"role.validator_built"}
    assert "sign_off.builder" in refused(lambda: play.sign(by="dan"))
    play.sql("DROP TRIGGER builder_never_deleted", "DELETE FROM builder WHERE person_id = 'dan'")
    assert "dan" in play.project.dossier(play.id).builders  # the log still says so
    again = refused(lambda: actions.assign_role(play.project, play.id, sam, Role.VALIDATOR, "dan"))
    assert again == {"audit.tables", "role.validator_built"}
    assert "sign_off.builder" in refused(lambda: play.sign(by="dan"))


def test_09_vera_signs_first_and_builds_later(play: real_play.Play) -> None:
    play.sign()
    sam = play.by("sam")
    for role, person in ((Role.VALIDATOR, "bob"), (Role.DRIVER, "vera"), (Role.DRIVER, "dan")):
        actions.assign_role(play.project, play.id, sam, role, person)
    assert refused(play.ship) >= {"sign_off.stale", "sign_off.not_validator"}
    actions.assign_role(play.project, play.id, sam, Role.VALIDATOR, "vera")  # she built nothing meanwhile
    assert refused(play.ship) == {"sign_off.stale"}  # the roles that changed after the lock are named in what is signed


@pytest.mark.slow
def test_10_vera_runs_the_evaluation_again_and_may_still_sign(play: real_play.Play) -> None:
    real_play.finished(play.project, actions.reproduce(play.project, play.id, play.by("vera")))
    seen = play.project.dossier(play.id)
    assert [bool(each.reproduced) for each in seen.evaluations] == [False, True] and "vera" not in seen.builders
    play.sign()
    play.ship()


def test_11_nobody_ships_on_their_own_word_or_on_last_round_s(play: real_play.Play) -> None:
    actions.assign_role(play.project, play.id, play.by("sam"), Role.OPERATOR, "vera")
    play.sign()
    assert refused(lambda: play.ship(by="vera")) == {"sign_off.own"}
    actions.iterate(play.project, play.id, play.by("dan"))
    seen = play.project.dossier(play.id)
    assert {each.rule for each in sign_off_troubles(seen, seen.sign_offs[0])} == {"sign_off.stale"}
    assert refused(play.ship) == {"stage.closed"}


def test_12_driver_and_validator_are_two_and_somebody_can_validate(play: real_play.Play) -> None:
    sam, ada = play.by("sam"), play.by("ada")
    found = refused(lambda: actions.assign_role(play.project, play.id, sam, Role.DRIVER, "vera"))
    assert found == {"role.driver_validates"}
    new = actions.open_play(play.project, sam, "second", PlayKind.COST)
    actions.enrol_person(play.project, ada, "guest", "Guest")  # neither account nor key
    for role, person in (real_play.ROLES | {Role.VALIDATOR: "guest"}).items():
        actions.assign_role(play.project, new, sam, role, person)
    actions.fill_worksheet(play.project, new, play.by("dan"), real_play.NUMBERS)
    actions.qualify(play.project, new, play.by("dan"))
    actions.edit_gate(play.project, new, play.by("dan"), real_play.GATE)
    assert refused(lambda: actions.lock_gate(play.project, new, sam)) == {"gate.nobody_validates"}


# --- content ---------------------------------------------------------------------------------------------------------


def evaluated_again(play: real_play.Play, right: bool) -> None:
    """Record the validator's own evaluation through the door, with a student that is all right or all wrong."""
    seen = play.project.dossier(play.id)
    assert seen.record is not None and seen.data_set is not None and seen.evaluation is not None
    student = seen.record.gold if right else tuple(1 - label for label in seen.record.gold)
    digest = play.project.artifacts.store_bytes(replace(seen.record, student=student).to_json().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "start", lambda *_: None)  # the worker's part is played here
        run = actions.reproduce(play.project, play.id, play.by("vera"))
    claimed = Claim.take(play.project, run)
    trained = seen.run(seen.evaluation.run_id)
    assert claimed is not None and trained is not None
    evaluate.record_evaluation(claimed, seen, trained, seen.data_set, digest, right, 0.1)


@pytest.mark.parametrize("right", [True, False], ids=["better", "worse"])
def test_13_a_new_evaluation_makes_a_sign_off_stale_and_a_note_does_not(play: real_play.Play, right: bool) -> None:
    play.sign()
    actions.comment(play.project, play.id, play.by("bob"), "A note.")
    seen = play.project.dossier(play.id)
    assert counting_sign_off(seen) is not None
    evaluated_again(play, right)
    assert refused(play.ship) == {"sign_off.stale"}


def model_of(play: real_play.Play) -> Path:
    evaluation = play.project.dossier(play.id).evaluation
    assert evaluation is not None
    return play.project.artifacts.path(evaluation.model)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: flip(next(model.glob("*.safetensors"))),
        lambda model: flip(model / "config.json"),
        lambda model: flip(next(model.glob("tokenizer.json"))),
        lambda model: (model / "extra.py").write_text("print()"),
        lambda model: (model / "config.json").unlink(),
        lambda model: (model / "config.json").rename(model / "config2.json"),
        lambda model: ((model / "config.json").unlink(), (model / "config.json").symlink_to("/etc/hostname")),
    ],
    ids=["weights", "config", "tokenizer", "added", "missing", "renamed", "link"],
)
def test_14_a_student_that_was_changed_on_disk_does_not_ship(
    play: real_play.Play, change: Callable[[Path], object]
) -> None:
    play.sign()
    change(model_of(play))
    assert refused(play.ship) == {"artifact.altered"}


def test_15_a_gate_that_was_moved_by_sql_is_found(play: real_play.Play) -> None:
    play.sign()
    lower = to_json(real_play.gate_with(criteria=(replace(real_play.GATE.criteria[0], margin=None),))).replace(
        '"margin":null', '"margin":"0.9"'
    )
    with pytest.raises(sqlite3.IntegrityError, match="a locked gate never changes"):
        play.sql("UPDATE gate SET content = ?", values=(lower,))
    play.sql("DROP TRIGGER gate_fixed_update")
    play.sql("UPDATE gate SET content = ?", values=(lower,))
    assert "gate.touched" in refused(play.ship)
    assert {"audit.tables", "audit.broken"} & refused(play.sign)
    assert main(["--project", str(play.path), "audit", "verify"]) == 1


def signed_anew(play: real_play.Play, content: bytes, edit: Callable[[Any], object]) -> tuple[bytes, str]:
    """Change a statement, and have Vera's own key sign it: she was deceived."""
    value = json.loads(content)
    edit(value["predicate"])
    changed = canonical(value)
    return changed, signatures.sign(changed, play.key("vera"), signatures.SIGN_OFF)


def forged_row(play: real_play.Play, content: bytes, signature: str | None, assurance: str = "signed") -> None:
    """Put a sign-off into the file with another program."""
    columns = "play_id, round, person_id, opinion, assurance, statement, signature, comment, recorded_at"
    play.sql(
        f"INSERT INTO sign_off ({columns}) VALUES (1, 1, 'vera', 'approve', ?, ?, ?, 'forged', '2026-11-25T08:00:00Z')",
        values=(assurance, content, signature),
    )


def test_16_a_statement_that_leaves_out_or_claims_is_refused(play: real_play.Play) -> None:
    content = written(play)
    evaluated_again(play, right=False)
    for edit in (
        lambda predicate: None,  # it was written before the second evaluation, which it leaves out
        lambda predicate: predicate["covers"].update(verdict="passed", evaluations=[]),
        lambda predicate: predicate.update(criteria=[]),
    ):
        assert handed_in(play, *signed_anew(play, content, edit)) == {"sign_off.moved"}
    forged_row(play, *signed_anew(play, content, lambda predicate: None))
    assert refused(play.ship) >= {"sign_off.stale", "sign_off.broken"}


def second_round(play: real_play.Play, right: bool) -> None:
    """Go through another round with the student of the first, judged again; workers' parts are played here."""
    dan = play.by("dan")
    first = play.project.dossier(play.id)
    assert first.record is not None and first.evaluation is not None
    student = first.run(first.evaluation.run_id)
    assert student is not None and student.artifact is not None
    actions.iterate(play.project, play.id, dan)
    data_runs.build_data(play.project, play.id, dan)
    data_runs.freeze_data(play.project, play.id, dan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "start", lambda *_: None)
        claimed = Claim.take(play.project, actions.start_run(play.project, play.id, dan, real_play.SPEC))
        assert claimed is not None
        claimed.finish(train_result(), 1, student.artifact)
        claimed = Claim.take(play.project, actions.evaluate(play.project, play.id, dan))
    seen = play.project.dossier(play.id)
    assert claimed is not None and seen.data_set is not None and seen.gate is not None
    said = first.record.gold if right else tuple(1 - label for label in first.record.gold)
    judged = replace(first.record, student=said, data_set=seen.data_set.digest)
    digest = play.project.artifacts.store_bytes(judged.to_json().encode())
    trained = seen.run(claimed.run.student_run)
    assert trained is not None
    evaluate.record_evaluation(claimed, seen, trained, seen.data_set, digest, right, 0.1)


def test_17_gate_and_sign_off_are_two_conditions(play: real_play.Play) -> None:
    assert refused(play.ship) == {"sign_off.missing"}
    second_round(play, right=False)
    assert refused(play.ship) == {"sign_off.missing", "gate.misses"}
    play.sign()
    assert refused(play.ship) == {"gate.misses"}


def test_18_a_sign_off_counts_for_its_own_play_and_project(play: real_play.Play, tmp_path: Path) -> None:
    content = written(play)
    for name, other in (("project", "0" * 32), ("play", 2)):
        found = handed_in(play, *signed_anew(play, content, lambda p, n=name, o=other: p["covers"].update({n: o})))
        assert found == {"sign_off.moved"}
    play.sign()
    row = play.project.dossier(play.id).sign_offs[0].row
    second_round(play, right=True)
    play.sql("UPDATE play SET outcome = '' WHERE id = 1")
    copy = real_play.copy_to(tmp_path / "other")
    forged_row(copy, bytes(row.statement), row.signature)
    assert "sign_off.broken" in refused(copy.ship)
    copy.project.close()


def test_19_a_refusal_stands_until_the_refuser_lifts_it(play: real_play.Play) -> None:
    play.sign()
    play.sign(Opinion.REFUSE, "It fails on refunds.")
    assert refused(play.ship) == {"sign_off.refused"}
    actions.assign_role(play.project, play.id, play.by("sam"), Role.VALIDATOR, "bob")
    play.sign(by="bob")
    assert refused(play.ship) == {"sign_off.refused"}
    assert refused(lambda: actions.withdraw(play.project, play.id, play.by("ada"), "I say so.")) == {"sign_off.none"}
    weak = replace(play.by("vera"), assurance=Assurance.ACCOUNT)
    assert refused(lambda: actions.withdraw(play.project, play.id, weak, "As her account.")) == {"withdrawal.weak"}
    actions.withdraw(play.project, play.id, play.by("vera"), "I was wrong.", key=play.key("vera"))
    play.ship()


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.replace(b'"opinion":"approve"', b'"opinion":"refuse","opinion":"approve"'),
        lambda c: json.dumps(dict(reversed(json.loads(c).items())), separators=(",", ":")).encode(),
        lambda c: c[:-1] + b',"z":1.5}',
        lambda c: c[:-1] + b',"z":NaN}',
        lambda c: b"\xef\xbb\xbf" + c,
        lambda c: c.replace(b",", b",\r\n"),
        lambda c: c.replace(b"Looked at it.", b"x" * 10_000_000),
        lambda c: b"\xff" * 100,
    ],
    ids=["twice", "reordered", "float", "NaN", "BOM", "CRLF", "10 MB", "no text"],
)  # fmt: skip
def test_20_a_statement_in_another_form_is_refused_whoever_signed_it(
    play: real_play.Play, change: Callable[[bytes], bytes]
) -> None:
    content = change(written(play))
    signature = signatures.sign(content, play.key("vera"), signatures.SIGN_OFF)
    with pytest.raises(BadSignature):
        actions.hand_in(play.project, play.id, play.by("vera"), content, signature)
    if len(content) < 1_000_000:
        forged_row(play, content, signature)
        assert "sign_off.broken" in refused(play.ship)


# --- signature -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "space", ["git", "file", signatures.GATE, signatures.ROSTER, signatures.WITHDRAWAL, signatures.SHIP]
)
def test_21_a_signature_for_something_else_signs_nothing_off(play: real_play.Play, space: str) -> None:
    content = written(play)
    with pytest.raises(BadSignature, match="was given for"):
        actions.hand_in(
            play.project, play.id, play.by("vera"), content, signatures.sign(content, play.key("vera"), space)
        )


def test_22_a_revoked_key_and_a_touch_that_was_not_given(play: real_play.Play) -> None:
    content, vera = written(play), play.by("vera")
    signature = signatures.sign(content, play.key("vera"), signatures.SIGN_OFF)
    actions.revoke_key(play.project, play.by("ada"), play.public("vera").fingerprint)
    found = refused(lambda: actions.hand_in(play.project, play.id, vera, content, signature))
    assert found == {"sign_off.moved"} or found == {"sign_off.foreign_key"}
    assert refused(lambda: play.sign()) == {"identity.unknown"}
    token = Token(TOKENS[0])
    actions.add_key(play.project, play.by("ada"), "vera", signatures.read_public_key(token.line))
    assert refused(lambda: actions.set_assurance(play.project, play.by("ada"), Assurance.HARDWARE)) == {
        "assurance.no_key"
    }
    actions.add_key(play.project, play.by("ada"), "ada", signatures.read_public_key(Token(TOKENS[-1]).line))
    actions.set_assurance(play.project, play.by("ada"), Assurance.HARDWARE)
    actions.sign_roster(play.project, play.id, play.by("sam"), key=play.key("sam"))
    again = sign_offs.ask_to_sign(play.project, play.id, vera, Opinion.APPROVE, "ok", keyed=True)[1]
    untouched = refused(lambda: actions.hand_in(play.project, play.id, vera, again, token.sign(again, flags=0)))
    assert untouched == {"sign_off.weak"}
    actions.hand_in(play.project, play.id, vera, again, token.sign(again, flags=1))
    facts = play.project.dossier(play.id).sign_offs[-1]
    assert facts.row.assurance is Assurance.HARDWARE and not facts.trouble


@pytest.mark.parametrize(
    "change", [lambda s: "", lambda s: s[:200], lambda s: s.replace("A", "B", 1), lambda s: s.replace("SSH", "PGP")],
    ids=["empty", "truncated", "changed", "another type"],
)  # fmt: skip
def test_23_a_signature_that_is_not_whole_is_none(play: real_play.Play, change: Callable[[str], str]) -> None:
    content = written(play)
    signature = change(signatures.sign(content, play.key("vera"), signatures.SIGN_OFF))
    with pytest.raises(BadSignature):
        actions.hand_in(play.project, play.id, play.by("vera"), content, signature)
    forged_row(play, content, signature)
    assert "sign_off.broken" in refused(play.ship)


def test_24_a_false_ssh_keygen_on_the_path_changes_nothing(
    play: real_play.Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, before = written(play), entries(play)
    other = signatures.sign(content, play.key("dan"), signatures.SIGN_OFF)
    (tmp_path / "bin").mkdir()
    false = tmp_path / "bin" / "ssh-keygen"
    false.write_text(f'#!/bin/sh\nfor f; do last="$f"; done\ncat > "$last.sig" <<X\n{other}X\necho Good; exit 0\n')
    false.chmod(0o755)
    vera = play.by("vera")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        with pytest.raises((BadSignature, Refused)):
            actions.sign_off(play.project, play.id, vera, Opinion.APPROVE, "x", key=play.key("vera"))
    assert entries(play) == before
    forged_row(play, content, other)
    assert "sign_off.broken" in refused(play.ship)


# --- the file --------------------------------------------------------------------------------------------------------


def rehash(play: real_play.Play, edit: Callable[[list[Any]], object]) -> None:
    """Rewrite the whole log from the beginning, every digest in order, after an edit."""
    connection = sqlite3.connect(play.path)
    find = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit'"
    triggers = list(connection.execute(find))
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    columns = "seq, at, person_id, proof, action, play_id, detail, rows, state, previous, digest"
    rows = [list(row) for row in connection.execute(f"SELECT {columns} FROM audit ORDER BY seq")]
    edit(rows)
    connection.execute("DELETE FROM audit")
    previous = ""
    for row in rows:
        seq, at, person, proof, action, play_id, detail, written_rows, state, *_ = row
        content = [at, person or "", proof, action, play_id or 0, detail, digest_of(written_rows), state]
        row[9], row[10] = previous, digest_of(canonical([seq, previous, digest_of(canonical(content))]))
        previous = row[10]
        connection.execute(f"INSERT INTO audit ({columns}) VALUES ({', '.join('?' * 11)})", row)
    for _, sql in triggers:
        connection.execute(sql)
    connection.commit()
    connection.close()


def test_25_a_forged_sign_off_and_an_edited_log_are_found(play: real_play.Play) -> None:
    forged_row(play, written(play), None, "account")
    assert {"audit.tables", "sign_off.broken"} <= refused(play.ship)
    assert refused(play.sign) == {"audit.tables"}
    play.project.repair(lambda project: play.by("ada"))
    play.sign()
    for statement in ("UPDATE audit SET person_id = 'bob' WHERE seq = 9", "DELETE FROM audit WHERE seq = 9"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            play.sql(statement)
    play.sql("DROP TRIGGER audit_never_updated", "UPDATE audit SET person_id = 'bob' WHERE seq = 9")
    assert refused(play.ship) == {"audit.broken"}
    assert "entry 9" in play.project.dossier(play.id, thorough=True).project.audit_trouble


def test_26_a_log_that_was_hashed_again_no_longer_holds_the_head_that_was_signed(play: real_play.Play) -> None:
    play.sign()
    rehash(play, lambda rows: rows[8].__setitem__(1, "2020-01-01T00:00:00Z"))
    seen = play.project.dossier(play.id, thorough=True)
    assert "vera did not sign it over this log" in seen.project.audit_trouble  # the chain itself is whole
    assert "sign_off.broken" in refused(play.ship)
    assert "not in it" in seen.sign_offs[0].trouble


def test_26b_a_role_that_was_changed_in_the_table_alone_is_found(play: real_play.Play) -> None:
    play.sql("UPDATE role_holder SET person_id = 'bob' WHERE role = 'validator'")
    assert refused(lambda: play.sign(by="bob")) == {"audit.tables"}
    assert main(["--project", str(play.path), "audit", "verify"]) == 1


@pytest.mark.parametrize("value", ["text", slow(None), slow(-1)], ids=["text", "null", "negative"])
@pytest.mark.parametrize(
    ("table", "column"),
    [("sign_off", "statement"), ("sign_off", "signature"), ("sign_off", "recorded_at"), ("spot_check", "content"),
     ("audit", "detail"), ("gate", "content"), ("role_holder", "person_id"), ("evaluation", "record"),
     ("data_set", "counts"), ("run", "result"), ("play", "round"), ("ssh_key", "blob")],
)  # fmt: skip
def test_27_no_value_in_any_column_passes_or_ends_in_a_traceback(
    play: real_play.Play, capsys: pytest.CaptureFixture[str], table: str, column: str, value: object
) -> None:
    play.sign()
    connection = sqlite3.connect(play.path, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints=ON")
    for (name,) in list(connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")):
        connection.execute(f"DROP TRIGGER {name}")
    try:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    except sqlite3.IntegrityError:
        return  # STRICT refuses it
    finally:
        connection.close()
    assert main(["--project", str(play.path), "--key", str(play.key("dan")), "ship", "P-001"]) in (3, 4)
    assert capsys.readouterr().err.strip()


@pytest.mark.parametrize("other", [("withdraw", "P-001", "-m", "no"), slow(("reject", "P-001", "-m", "no"))])
def test_28_two_at_the_same_instant_have_one_serial_result(play: real_play.Play, other: tuple[str, ...]) -> None:
    play.sign()
    line = [sys.executable, "-m", "distill_tui", "--project", str(play.path)]
    both = [
        subprocess.Popen([*line, "--key", str(play.key(who)), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for who, words in (("dan", ("ship", "P-001")), ("vera", other))
    ]
    for each in both:
        each.communicate(timeout=120)
    codes = [each.returncode for each in both]
    seen = play.project.dossier(play.id, thorough=True)
    assert sorted(codes) == [0, 3] and seen.project.audit_trouble == ""
    assert (seen.play.stage is Stage.LIVE) is (codes[0] == 0) is (len(seen.bundles) == 1)


@pytest.mark.parametrize("after", [0.8, *map(slow, (0.5, 0.6, 0.7, 0.9, 1.0, 1.2, 1.4))])
def test_29_a_ship_that_is_killed_is_whole_or_never_was(play: real_play.Play, after: float) -> None:
    play.sign()
    line = [sys.executable, "-m", "distill_tui", "--project", str(play.path), "--key", str(play.key("dan"))]
    shipping = subprocess.Popen([*line, "ship", "P-001"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    shipping.send_signal(signal.SIGKILL)
    shipping.wait()
    seen = play.project.dossier(play.id, thorough=True)
    assert seen.project.audit_trouble == ""
    live = seen.play.stage is Stage.LIVE
    assert len(seen.bundles) == live
    folder = play.project.artifacts.path(seen.bundles[0].digest) if live else play.ship()
    assert verify_bundle(folder, play.public("vera").fingerprint).problems == []


def test_30_a_clock_that_was_set_back_changes_no_order(play: real_play.Play, monkeypatch: pytest.MonkeyPatch) -> None:
    play.sign()
    for module in (project_file, signed_decisions, sign_offs):
        monkeypatch.setattr(module, "now", lambda: "1999-01-01T00:00:00Z")
    play.sign(Opinion.REFUSE, "Later, whatever the clock says.")
    assert refused(play.ship) == {"sign_off.refused"}
    play.sign()
    actions.revoke_key(play.project, play.by("ada"), play.public("vera").fingerprint)
    seen = play.project.dossier(play.id, thorough=True)
    assert counting_sign_off(seen) is not None and seen.project.audit_trouble == ""  # it was signed before
    play.ship()


# --- a session over SSH ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A real sshd, as `ssh serve` runs it. What is tried against it changes nothing."""
    folder = tmp_path_factory.mktemp("host")
    served = real_play.copy_to(folder)
    made = Host(served, folder)
    before = entries(served)
    yield made
    made.close()
    assert entries(served) == before
    served.project.close()


@pytest.mark.parametrize(
    "words",
    [("sh",), ("show; id",), ("$(id)",), ("`id`",), ("../../bin/sh",), ("statement P-001 approve; id",),
     ("statement P-001 approve\nid",), ("statement ../x approve",), ("signature P-001 --help",), ("scp -t /tmp",)],
    ids=str,
)  # fmt: skip
def test_31_no_command_but_ours_is_run(host: Host, words: tuple[str, ...]) -> None:
    done = host.run("dan", *words)
    assert done.returncode == 2 and b"uid=" not in done.stdout + done.stderr and len(done.stderr.splitlines()) == 1


def test_31b_a_command_of_a_megabyte_and_lines_of_rubbish_are_refused(host: Host) -> None:
    assert host.run("dan", "x" * 100_000).returncode == 2  # more than that, the system itself does not pass on
    for line in (b"[" * 100_000 + b"\n", b"x" * 1_600_000 + b"\n"):
        done = host.run("vera", "statement P-001 approve", given=line)
        assert done.returncode == 4 and "error" in json.loads(done.stdout)
    statement = base64.b64encode(b"x").decode()
    done = host.run("vera", "signature P-001", given=json.dumps({"statement": statement}).encode() + b"\n")
    assert done.returncode == 4


def test_32_nothing_is_forwarded_and_no_file_is_fetched(host: Host, tmp_path: Path) -> None:
    key, port = str(host.play.key("dan")), str(host.port)
    for line in (
        ["sftp", "-F", str(host.config), "-i", key, "-P", port, "-b", "/dev/null", "127.0.0.1"],
        ["scp", "-F", str(host.config), "-i", key, "-P", port, "127.0.0.1:/etc/passwd", str(tmp_path / "passwd")],
        ["scp", "-O", "-F", str(host.config), "-i", key, "-P", port, "127.0.0.1:/etc/passwd", str(tmp_path / "passwd")],
    ):
        assert subprocess.run(line, capture_output=True, env=host.env, timeout=60, check=False).returncode != 0
    assert not (tmp_path / "passwd").exists()
    forward = host.run("dan", "id", options=("-W", "127.0.0.1:22"))
    assert b"forwarding" in forward.stderr.lower() or b"prohibited" in forward.stderr.lower() or forward.returncode
    remote = host.run("dan", options=("-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22"))
    assert remote.returncode == 255
    agent = host.run("dan", "id", options=("-A", "-X"), SSH_AUTH_SOCK=str(tmp_path / "none"))
    assert agent.returncode == 2


def test_32b_a_connection_has_one_channel(host: Host, tmp_path: Path) -> None:
    shared = ("-o", f"ControlPath={tmp_path / 'c'}")
    session = Session(host, "vera", options=("-M", *shared))
    try:
        session.wait_for(b"mail-topic", SECONDS)
        second = host.run("vera", "id", options=(*shared, "-o", "ControlMaster=no"))
        assert b"refused" in second.stderr or second.returncode == 255 or b"uid=" not in second.stdout
        assert b"uid=" not in second.stdout
    finally:
        session.close()


@pytest.mark.parametrize(
    ("size", "env"),
    [((80, 24), {"TERM": "../../etc/x$(id)", "LC_ALL": "zz_INJ", "LC_X": "\x1b]0;x\x07"}),
     ((65_000, 65_000), {}), pytest.param((0, 0), {"TERM": "\x1b[2J"}, marks=pytest.mark.slow),
     pytest.param((1, 1), {}, marks=pytest.mark.slow)],
    ids=["variables", "huge", "no size", "tiny"],
)  # fmt: skip
def test_33_whatever_the_terminal_says_of_itself_the_screens_paint(
    host: Host, size: tuple[int, int], env: dict[str, str]
) -> None:
    session = Session(host, "vera", size, options=("-o", "SendEnv=LC_*"), **env)
    try:
        session.wait_for(b"\x1b[?1049h", SECONDS)
        session.read(3)
        session.resize(80, 24)
        session.wait_for(b"mail-topic", SECONDS)
        assert len(session.written) < 3_000_000 and b"zz_INJ" not in session.written
        session.press(b"\x11")
        assert session.ended() == 0
    finally:
        session.close()


def test_34_no_key_leads_to_a_shell_and_a_hang_up_ends_it(host: Host) -> None:
    session = Session(host, "vera")
    session.wait_for(b"mail-topic", SECONDS)
    for keys in (b"\x1a", b"\x1c", b"\x03", b":", b"!sh\r", b"\x1b", b"\x04", b"\x10shot\r", b"\x1b"):
        session.press(keys)
        session.read(0.2)
    session.press(b"id\r")
    session.read(1)
    assert b"uid=" not in session.written
    session.close()
    session = Session(host, "vera")
    session.wait_for(b"mail-topic", SECONDS)
    mine = f"--project {host.play.path}"
    assert sessions(mine) >= 1
    session.close()  # the line is cut
    deadline = time.monotonic() + SECONDS
    while sessions(mine) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert sessions(mine) == 0


@pytest.mark.slow
def test_34b_an_input_that_ended_and_a_silence_end_the_session(play: real_play.Play, tmp_path: Path) -> None:
    made = Host(play, tmp_path, "--idle", "0.1")
    try:
        quiet = Session(made, "vera")
        quiet.wait_for(b"mail-topic", SECONDS)
        ended = made.run("vera", options=("-tt",))  # the end of the input, at once
        assert ended.returncode == 0 and b"uid=" not in ended.stdout
        assert quiet.ended(SECONDS) == 0
        quiet.close()
    finally:
        made.close()
    assert not play.project.dossier(play.id).sign_offs


def test_35_without_a_terminal_there_is_one_readable_line(host: Host) -> None:
    done = host.run("vera")
    assert done.returncode == 2 and done.stdout == b""
    assert done.stderr.decode().isascii() and len(done.stderr.splitlines()) == 1
    assert b"sign --via" in done.stderr


# --- the screen ------------------------------------------------------------------------------------------------------

STEERS = {
    "OSC 52": "\x1b]52;c;ZXZpbA==\x07", "title": "\x1b]0;evil\x07", "clear": "\x1b[2J\x1b[H", "C1 CSI": "\x9b31m",
    "C1 OSC": "\x9d52;c;ZXZpbA==\x9c", "bidi": "\u202e\u2066evil\u2069\u202c", "DCS": "\x1bPevil\x1b\\",
    "keys": "\x1b[>4;2m", "bell": "\x07", "back": "safe\x08\x08\x08\x08evil", "carriage": "ok\revil", "markup": "[/x]",
    "action": "[@click=app.take('ship')]ship[/]", "link": "[link=file:///etc/passwd]x[/link]", "long": "y" * 200_000,
}  # fmt: skip


def test_36_nothing_in_any_text_reaches_the_terminal_as_more_than_text(play: real_play.Play) -> None:
    bob = play.by("bob")
    actions.open_play(play.project, bob, "".join(STEERS[n] for n in ("OSC 52", "bidi", "markup"))[:80], PlayKind.COST,
                      summary="".join(STEERS.values())[:150_000])  # fmt: skip
    for name, text in STEERS.items():
        actions.comment(play.project, play.id, bob, f"{name} {text}"[:4000])
    play.sign(Opinion.REFUSE, "".join(STEERS.values())[:4000])
    play.project.close()
    terminal = Terminal("--project", str(play.path), "open", "--play", "P-001")
    try:
        terminal.shows(b"mail-topic")
        for key in (b"6", b"8", b"1", b"q", b"\x1b[B", b"\r", b"8", b"q"):
            terminal.press(key)
        terminal.press(b"\x11")
        terminal.ended(20)
        out = terminal.written
    finally:
        terminal.close()
    text = out.decode("utf-8", "replace")
    assert "evil" in text  # it is shown
    for name in ("OSC 52", "title", "C1 CSI", "C1 OSC", "DCS", "keys"):
        assert STEERS[name] not in text, name
    assert not {chr(c) for c in (*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))} & set(text)
    assert b"\x1b]52;" not in out and b"\x1b]0;" not in out and b"\x1bP" not in out.replace(b"\x1bP+", b"")
    bells = re.sub(rb"\x1b\]22;[a-z-]*\x07", b"", out)  # the pointer's shape, which Textual sets
    assert b"\x07" not in bells and b"\x08" not in out


async def test_37_a_row_that_imitates_the_sign_off_stands_inside_a_frame(play: real_play.Play) -> None:
    from distill_tui.dataset.play_data import ToJudge
    from distill_tui.rules.spot_checks import Item
    from distill_tui.ui.forms.spot_sheet import SpotSheet
    from support.at_the_screen import text_of

    banner = "SIGN-OFFS validator vera ✓ vera approved counts now NEXT a Write the bundle and go live"
    item = ToJudge(Item(1, "de", banner, "post", True), f"{banner}\n\n\x1b[2J{banner}")
    app = DistillApp(play.path)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(SpotSheet("P-001", [item]))
        await pilot.pause(0.3)
        lines = [line for line in text_of(app).splitlines() if "SIGN-OFFS" in line or "approved" in line]
    assert len(lines) >= 3
    for line in lines:
        frame = line.index("│") if "│" in line else -1
        assert 0 <= frame < max(line.find("SIGN-OFFS"), line.find("approved"))


async def opened(pilot: Any, app: DistillApp) -> None:
    for _ in range(400):
        await pilot.pause(0.05)
        if getattr(app.screen, "view", None) is not None and app.project is not None:
            return
    raise AssertionError("the play was never loaded")


async def test_38_what_was_typed_before_the_sheet_was_seen_is_no_consent(
    play: real_play.Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet, "DEAF", 3.0)  # however slowly a busy machine takes the keys
    wanted = intent("P-001", covers(play.project.dossier(play.id)))
    app = DistillApp(play.path, key=play.key("vera"), actor=play.by("vera"), play=play.id)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, app)
        await pilot.press("S", "enter", *("space" if c == " " else c for c in wanted), "enter", "enter")
        assert isinstance(app.screen, Sheet) and not any(app.screen.values.values())
        await pilot.pause(3.5)
        await pilot.press("enter", "enter", "enter")
        assert isinstance(app.screen, Sheet)
    assert not play.project.dossier(play.id).sign_offs


async def test_39_what_changed_since_the_sheet_was_opened_is_named_and_it_starts_over(play: real_play.Play) -> None:
    from support.at_the_screen import text_of, typed

    app = DistillApp(play.path, key=play.key("vera"), actor=play.by("vera"), play=play.id)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, app)
        await pilot.press("S")
        first = app.screen
        assert isinstance(first, Sheet)
        while first.deaf:
            await pilot.pause(0.05)
        actions.assign_role(play.project, play.id, play.by("sam"), Role.OPERATOR, "bob")
        await typed(pilot, "fine", "enter")
        await typed(pilot, first.typed, "enter")
        assert app.screen is first and "Read to the last line first" in text_of(app)  # its end was not on the screen
        while not first.read_all:
            await pilot.press("pagedown")
        await pilot.press("enter")
        for _ in range(400):
            await pilot.pause(0.05)
            if isinstance(app.screen, Sheet) and app.screen is not first:
                break
        assert isinstance(app.screen, Sheet) and app.screen is not first
        said = " ".join(text_of(app).split())
        assert "Changed after you opened it: roles, roster" in said
        assert not play.project.dossier(play.id).sign_offs
        again = app.screen
        while again.deaf:
            await pilot.pause(0.05)
        while not again.read_all:
            await pilot.press("pagedown")
        await typed(pilot, "fine", "enter")
        await typed(pilot, again.typed, "enter")
        for _ in range(400):
            await pilot.pause(0.05)
            if play.project.dossier(play.id).sign_offs:
                break
    assert first.typed != again.typed
    (facts,) = play.project.dossier(play.id).sign_offs
    assert facts.covers["roles"]["operator"] == "bob"


# --- intake ----------------------------------------------------------------------------------------------------------


def test_40_a_bundle_of_a_patched_program_is_refused_by_verify_alone(play: real_play.Play, tmp_path: Path) -> None:
    play.sign()
    folder = Path(shutil.copytree(play.ship(), tmp_path / "bundle"))
    vera = play.public("vera").fingerprint

    def said(code: int, *more: str) -> set[str]:
        line = [sys.executable, "-m", "distill_tui", "verify", str(folder), "--json", "--signer", vera, *more]
        done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == code, done.stderr
        return {each["rule"] for each in json.loads(done.stdout)["problems"]}

    assert said(0) == set()
    content = (folder / "sign_off.json").read_bytes()
    (folder / "sign_off.sig").write_text(signatures.sign(content, play.key("dan"), signatures.SIGN_OFF))
    assert {"sign_off.foreign_key", "bundle.altered"} <= said(1)
    (folder / "sign_off.sig").unlink()
    assert {"sign_off.unsigned", "bundle.missing"} <= said(1)
    (folder / "sign_off.json").unlink()
    assert "sign_off.missing" in said(1)


def test_41_new_weights_need_a_round_and_a_signature_of_their_own(play: real_play.Play) -> None:
    play.sign()
    row = play.project.dossier(play.id).sign_offs[0].row
    second_round(play, right=True)
    assert refused(play.ship) == {"sign_off.stale"}
    assert handed_in(play, bytes(row.statement), str(row.signature)) == {"sign_off.moved"}
    play.sign()
    play.ship()

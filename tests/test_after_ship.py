"""What ends a student's answers after the ship, and who reads it; a project in which every decision is signed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.bundles.verify import verify_bundle
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.people import identity
from distill_tui.rules import next_step
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import ServeMode
from distill_tui.store import audit_log, deciding, doctor, glance, queries, sqlite, whole_check
from distill_tui.store.project import Project, now
from distill_tui.terms import Action, Assurance, OnObjection, Opinion, Role, ServingMode
from distill_tui.ui.app import DistillApp
from support import gateway, real_play, served
from support.at_the_screen import settled, text_of
from support.gateway import Gateway, serving
from support.live_play import workers_here
from support.teacher_server import TeacherServer

EVERY = ServeMode(ServingMode.CANARY, 100)


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = served.copy_to(tmp_path)
    yield made
    made.project.close()


@pytest.fixture
def teacher() -> Iterator[TeacherServer]:
    with TeacherServer() as made:
        yield made


def mode(play: real_play.Play, asked: ServeMode) -> None:
    actions.set_mode(play.project, play.id, play.by("olga"), asked)


def route(found: Gateway) -> str:
    return str(found.chat("please refund the invoice").headers["x-distill-route"])


def object_(play: real_play.Play, reason: str, *, lift: bool = False) -> None:
    actions.object_(play.project, play.id, play.by("vera"), reason, lift=lift, key=play.key("vera"))


def refused(work: Callable[[], object]) -> set[str]:
    with pytest.raises(Refused) as found:
        work()
    return {each.rule for each in found.value.objections}


def test_55_a_validators_objection_ends_the_students_answers_and_operator_and_sponsor_read_it(
    play: real_play.Play, teacher: TeacherServer
) -> None:
    assert refused(lambda: actions.object_(play.project, play.id, play.by("dan"), "No.", key=play.key("dan"))) == {
        "role.validator"
    }
    assert refused(lambda: actions.object_(play.project, play.id, play.by("vera"), "It fails.")) == {"objection.weak"}
    mode(play, EVERY)
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        found.until(lambda: route(found) == "student")
        object_(play, "It fails on refunds.")
        found.until(lambda: route(found) == "teacher")
        found.until(lambda: "vera, who validates P-001, objects" in str(found.health()["wrong"]))
        found.until(lambda: bool((s := play.project.dossier(1).serving) and s.fell_back))
        assert refused(lambda: mode(play, EVERY)) == {"serve.objection"}
        (card,) = glance.cards(play.path)
        assert card.state == ("drift", "vera objects") and card.waits_for == "olga"
        assert next_step.next_step(play.project.dossier(1)) is Action.SUSPEND
        assert [card.objection_concerns(person) for person in ("olga", "sam", "dan", "vera", None)] == [
            True,
            True,
            *[False] * 3,
        ]
        object_(play, "Settled: refunds go to the teacher.", lift=True)
        assert glance.cards(play.path)[0].state[1] != "vera objects" and route(found) == "teacher"
        mode(play, EVERY)
        found.until(lambda: route(found) == "student")


def test_55b_the_signed_mode_may_say_that_the_student_goes_on(play: real_play.Play, teacher: TeacherServer) -> None:
    mode(play, ServeMode(ServingMode.CANARY, 100, on_objection=OnObjection.GO_ON))
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        found.until(lambda: route(found) == "student")
        object_(play, "It fails on refunds.")
        mode(play, ServeMode(ServingMode.CANARY, 99, on_objection=OnObjection.GO_ON))
        found.until(lambda: found.health()["percent"] == 99 and found.health()["status"] == "ok")
        assert glance.cards(play.path)[0].objection_concerns("sam") and not play.project.dossier(1).serving.fell_back  # type: ignore[union-attr]


@pytest.mark.parametrize("person", ["olga", "sam"])
async def test_55c_the_board_names_the_objection_above_the_plays(play: real_play.Play, person: str) -> None:
    object_(play, "It fails on refunds.")
    app = DistillApp(play.path, actor=play.by(person), key=play.key(person))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert "the validator objects to P-001" in text_of(app)


def test_50d_a_gateway_whose_project_file_is_replaced_by_an_older_one_answers_with_the_teacher(
    play: real_play.Play, teacher: TeacherServer, capsys: pytest.CaptureFixture[str]
) -> None:
    mode(play, EVERY)
    play.project.close()
    older = play.path.with_name("older")
    shutil.copyfile(play.path, older)
    actions.comment(play.project, play.id, play.by("bob"), "The last word.")
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        found.until(lambda: route(found) == "student")
        play.project.close()
        for end in ("-wal", "-shm"):
            Path(f"{play.path}{end}").unlink(missing_ok=True)
        older.replace(play.path)
        found.until(lambda: route(found) == "teacher")
        found.until(lambda: "you have seen" in str(found.health()["wrong"]))
    play.project = Project.open(play.path)
    assert main(["--project", str(play.path), "serve", "P-001"]) == exits.REFUSED
    assert "It is read-only" in capsys.readouterr().err


def test_51b_a_gateway_whose_folder_others_may_write_answers_with_the_teacher(
    play: real_play.Play, teacher: TeacherServer
) -> None:
    mode(play, EVERY)
    with serving(gateway.of_play(play.path), teacher=teacher.url) as found:
        found.until(lambda: route(found) == "student")
        play.folder.chmod(0o777)
        actions.comment(play.project, play.id, play.by("bob"), "One more entry, that the gateway reads.")
        found.until(lambda: route(found) == "teacher")
        play.folder.chmod(0o700)


# --- a stale approval on the board -----------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["evaluation", "role", "key", "withdrawal", "separation"])
def test_54_the_board_shows_no_approval_that_does_not_count(tmp_path: Path, change: str) -> None:
    play = real_play.copy_to(tmp_path)
    if change == "separation":
        actions.assign_role(play.project, play.id, play.by("sam"), Role.OPERATOR, "bob")
    play.sign()
    assert glance.cards(play.path)[0].signed_off
    if change == "evaluation":
        with workers_here():
            real_play.finished(play.project, actions.reproduce(play.project, play.id, play.by("vera")))
    elif change == "role":
        actions.assign_role(play.project, play.id, play.by("sam"), Role.VALIDATOR, "bob")
    elif change == "key":
        real_play.make_key(play.key("ada"))
        actions.add_key(play.project, play.by("ada"), "sam", play.public("ada"))
    elif change == "separation":
        actions.set_separation(play.project, play.by("ada"), ["late-role"])
    else:
        actions.withdraw(play.project, play.id, play.by("vera"), "I misread it.", key=play.key("vera"))
    (card,) = glance.cards(play.path)
    assert not card.signed_off and card.next_step is not Action.SHIP
    assert refused(play.ship) & {"sign_off.stale", "sign_off.withdrawn", "sign_off.missing", "separation.forbidden"}
    play.project.close()


def test_54b_a_card_that_another_program_wrote_is_named_and_decides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play = real_play.copy_to(tmp_path)
    play.sql("UPDATE play_card SET signed_off = 1, word = 'passes', words = 'signed off', next_step = 'ship'")
    assert "sign_off.missing" in refused(play.ship)
    assert main(["--project", str(play.path), "audit", "verify"]) == 1
    assert "The card of P-001" in capsys.readouterr().err
    assert not {each.name: each.ok for each in doctor.file(play.path)}["cards"]
    assert main(["--project", str(play.path), "audit", "repair"]) == 0
    assert not glance.cards(play.path)[0].signed_off
    assert main(["--project", str(play.path), "audit", "verify"]) == 0
    play.project.close()


# --- a project in which every decision is signed ---------------------------------------------------------------------


def test_where_signatures_are_asked_for_an_unsigned_decision_does_not_count_and_a_signed_play_verifies_elsewhere(
    tmp_path: Path,
) -> None:
    play = real_play.copy_to(tmp_path)
    real_play.make_key(play.key("ada"))
    actions.add_key(play.project, play.by("ada"), "ada", play.public("ada"))
    ada = identity.by_key(play.project.project_dossier(), play.key("ada"))
    actions.set_assurance(play.project, ada, Assurance.SIGNED)
    account = identity.by_account(play.project.project_dossier())
    for unsigned in (
        lambda: actions.enrol_person(play.project, account, "eve", "Eve"),
        lambda: actions.set_separation(play.project, account, ["late-role"]),
        lambda: actions.revoke_key(play.project, account, play.public("bob").fingerprint),
        lambda: actions.sign_off(play.project, play.id, play.by("vera"), Opinion.APPROVE, "ok"),
    ):
        assert refused(unsigned) & {"decision.weak", "sign_off.weak"}
    actions.set_separation(play.project, ada, ["shared-name", "shared-key"])
    actions.enrol_person(play.project, ada, "eve", "Eve")
    assert refused(play.sign) == {"roster.unsigned"}
    actions.sign_roster(play.project, play.id, play.by("sam"), key=play.key("sam"))
    play.sign()
    assert "ship.weak" in refused(lambda: actions.ship(play.project, play.id, play.by("dan")))
    folder = Path(shutil.copytree(play.ship(), tmp_path / "elsewhere"))
    with play.project.view() as connection:
        assert list(whole_check.troubles(connection, play.project.artifacts)) == []
    assert queries.untrustworthy(play.project) == []
    found = verify_bundle(folder, play.public("vera").fingerprint)
    assert not found.problems and found.facts["signed with"] == play.public("vera").fingerprint
    assert "sam did not sign it" in appended(play, "UPDATE role_holder SET person_id = 'eve' WHERE role = 'operator'")
    play.project.close()


def appended(play: real_play.Play, edit: str) -> str:
    """Change a role as the program would, chain and all, but without the sponsor's signature."""
    connection = sqlite.connect(play.path)
    deciding.watch(connection)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(edit)
    sam = Actor("sam", f"key {play.public('sam').fingerprint}")
    detail = {"role": "operator", "before": "olga", "after": "eve"}
    audit_log.append(connection, now(), sam, Action.ASSIGN_ROLE, 1, detail)
    connection.execute("COMMIT")
    said = whole_check.trouble(connection)
    connection.close()
    return said

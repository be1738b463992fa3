"""What is held out stays unseen, what was decided comes out again, and a review in ten minutes misses nothing."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from textual.widgets import Static

from distill_tui import actions
from distill_tui.actions import failures, sign_offs
from distill_tui.bundles.write import write_content
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.dataset import frozen
from distill_tui.gates.economics import Range
from distill_tui.gates.gate import EVERY_SEGMENT, Criterion, Gate
from distill_tui.gates.record import CERTAIN, Record
from distill_tui.reports import html
from distill_tui.reports import text as report
from distill_tui.review import errors, rates, review
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import Looked
from distill_tui.rules.gate import locked_facts
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import objections
from distill_tui.rules.requests import SetTeacher
from distill_tui.rules.results import LockedTeacher
from distill_tui.rules.state_machine import NEXT_STAGE
from distill_tui.spec import Spec
from distill_tui.store import queries, verdicts
from distill_tui.store.project import Project
from distill_tui.terms import (
    Action,
    Metric,
    Opinion,
    PlayKind,
    Reference,
    Role,
    Split,
    StudentKind,
    TeacherSource,
)
from distill_tui.ui.app import DistillApp
from distill_tui.ui.forms.failure_sheet import FailureSheet
from distill_tui.ui.play import gate_tab
from distill_tui.ui.play.screen import PlayScreen
from distill_tui.ui.play.view import load
from support import data_runs
from support.live_play import workers_here
from support.real_play import NUMBERS, finished

SPEC = Spec(
    student=StudentKind.STATIC,
    hidden=32,
    alpha=0.0,
    epochs=12,
    patience=12,
    learning_rate=5e-2,
    max_tokens=24,
    seed=3,
    controls=(),
)
GATE = Gate(
    (
        Criterion(Metric.ACCURACY, Reference.TEACHER, margin=Decimal("0.2"), binding=True),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    rounds=3,
    held_out_rows=90,
)
PEOPLE = {Role.SPONSOR: "sam", Role.DRIVER: "dan", Role.VALIDATOR: "vera", Role.OPERATOR: "olga"}
WORDS = {"money": ("refund", "invoice", "charge", "credit"), "post": ("parcel", "courier", "delivery", "tracking")}


def by(person: str) -> Actor:
    uid = os.getuid() if person == "ada" else 90_000 + [*PEOPLE.values(), "bob"].index(person)
    return Actor(person, f"account uid {uid}")


def traffic() -> Iterator[dict[str, str]]:
    """Write 420 rows, each with a canary of its own; the recorded teacher errs on every tenth."""
    chance = random.Random(5)
    for number in range(420):
        label = ("money", "post")[number % 2]
        noise = ["".join(chance.choices("abcdefghijklmnoprstuvwz", k=7)) for _ in range(5)]
        canary = "canary" + "".join(chance.choices("bcdfghjklm", k=14))
        wrong = {"money": "post", "post": "money"}[label]
        yield {
            "input": " ".join([chance.choice(WORDS[label]), canary, *noise]),
            "teacher_output": wrong if number % 10 == 0 else label,
            "gold": label,
            "segment": ("de", "en", "fr")[number % 3],
        }


def opened(folder: Path, gate: Gate) -> Project:
    """A play whose gate is drafted, and a file of traffic next to it."""
    project = Project.create(folder / "team.distill", "Team", "ada", "Ada", Actor(None, f"account uid {os.getuid()}"))
    for number, person in enumerate((*PEOPLE.values(), "bob"), 90_000):
        actions.enrol_person(project, by("ada"), person, person, uid=number)
    actions.open_play(project, by("sam"), "mail-topic", PlayKind.COST)
    for role, person in PEOPLE.items():
        actions.assign_role(project, 1, by("sam"), role, person)
    actions.fill_worksheet(project, 1, by("dan"), NUMBERS, "invoice")
    actions.qualify(project, 1, by("dan"))
    actions.edit_gate(project, 1, by("dan"), gate)
    (folder / "calls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in traffic()))
    return project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A play whose data set is frozen, through the door all the way."""
    project = opened(tmp_path_factory.mktemp("review"), GATE)
    actions.lock_gate(project, 1, by("sam"))
    data_runs.import_traffic(project, 1, by("dan"), project.path.parent / "calls.jsonl")
    actions.set_teacher(project, 1, by("dan"), None)
    data_runs.build_data(project, 1, by("dan"))
    data_runs.freeze_data(project, 1, by("dan"))
    return project


# --- the lock --------------------------------------------------------------------------------------------------------

SEGMENTS = Criterion(Metric.ACCURACY, Reference.TEACHER, EVERY_SEGMENT, margin=Decimal("0.1"))


def test_a_segment_that_could_never_be_proven_is_merged_filled_or_only_watched(tmp_path: Path) -> None:
    project = opened(tmp_path, replace(GATE, criteria=(*GATE.criteria, SEGMENTS)))
    data_runs.import_traffic(project, 1, by("dan"), tmp_path / "calls.jsonl")
    with pytest.raises(Refused) as refused:
        actions.lock_gate(project, 1, by("sam"))
    assert [objection.rule for objection in refused.value.objections] == ["gate.unprovable"] * 3
    assert "in segment 'de'" in str(refused.value)
    watched = tuple(replace(SEGMENTS, scope=f"segment: {name}", watch_only="few rows") for name in ("de", "en", "fr"))
    actions.edit_gate(project, 1, by("dan"), replace(GATE, criteria=(*GATE.criteria, SEGMENTS, *watched)))
    actions.lock_gate(project, 1, by("sam"))


def test_a_range_that_does_not_hold_the_worksheets_number_is_not_locked(tmp_path: Path) -> None:
    wrong = Range("build_cost", Decimal(5000), Decimal(6000), "quotes", "2026-01-31")
    project = opened(tmp_path, replace(GATE, ranges=(wrong,)))
    with pytest.raises(Refused, match=r"the range 5000 to 6000 must contain the worksheet's value, which is 4000"):
        actions.lock_gate(project, 1, by("sam"))
    actions.edit_gate(project, 1, by("dan"), replace(GATE, ranges=(replace(wrong, low=Decimal(3000)),)))
    actions.lock_gate(project, 1, by("sam"))


def test_a_lock_fixes_teacher_segments_methods_and_numbers_with_their_source_and_time(tmp_path: Path) -> None:
    project = opened(tmp_path, GATE)
    data_runs.import_traffic(project, 1, by("dan"), tmp_path / "calls.jsonl")
    actions.set_teacher(project, 1, by("dan"), None)
    assert locked_facts(project.dossier(1)) is None
    actions.lock_gate(project, 1, by("sam"))
    facts = locked_facts(project.dossier(1))
    assert facts is not None
    assert facts.teacher == LockedTeacher(source=TeacherSource.RECORDED, name="recorded outputs", digest="")
    assert facts.segments == {"de": "0.3333", "en": "0.3333", "fr": "0.3333"}
    assert set(facts.methods) == {"accuracy", "payback_months"}
    value, source, at = facts.numbers["build_cost"]
    assert (value, source) == ("4000", "invoice") and at.startswith("20")
    assert facts.roles == {role.value: person for role, person in PEOPLE.items()}


def test_after_the_lock_the_teacher_is_not_exchanged(tmp_path: Path) -> None:
    project = opened(tmp_path, GATE)
    actions.set_teacher(project, 1, by("dan"), None)
    actions.lock_gate(project, 1, by("sam"))
    other = SetTeacher(TeacherSource.LOCAL, True, "sha256:" + "a" * 64)
    found = objections(Action.SET_TEACHER, project.dossier(1), by("dan"), other)
    assert [objection.rule for objection in found] == ["gate.teacher"]
    actions.set_teacher(project, 1, by("dan"), None)


def test_a_locked_gate_and_what_it_fixed_change_by_no_statement(tmp_path: Path) -> None:
    project = opened(tmp_path, GATE)
    actions.lock_gate(project, 1, by("sam"))
    connection = sqlite3.connect(project.path)
    for change in ("facts = '{}'", "content = '{}'", "locked_at = NULL"):
        with pytest.raises(sqlite3.IntegrityError, match="a locked gate never changes"):
            connection.execute(f"UPDATE gate SET {change}")
    connection.close()


def test_a_play_that_is_started_anew_shows_both_gates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = opened(tmp_path, GATE)
    about = ["--project", str(project.path)]
    assert main([*about, "gate", "compare", "P-001"]) == exits.USAGE
    assert "has no predecessor" in capsys.readouterr().err
    actions.lock_gate(project, 1, by("sam"))
    actions.kill(project, 1, by("sam"), "The bar was wrong.")
    after = actions.open_play(project, by("sam"), "mail-topic again", PlayKind.COST, predecessor=1)
    actions.assign_role(project, after, by("sam"), Role.DRIVER, "dan")
    actions.edit_gate(project, after, by("dan"), replace(GATE, held_out_rows=120, predecessor="P-001"))
    assert main([*about, "--json", "gate", "compare", "P-002"]) == exits.DONE
    told = json.loads(capsys.readouterr().out)
    assert (told["before"], told["now"]) == ("P-001", "P-002")
    assert [line["what"] for line in told["lines"] if line["moved"]] == ["held_out_rows"]
    shown = "\n".join(line.plain for line in gate_tab.gate(load(project, after, by("dan")), 118))
    assert "GOALPOSTS  compared with P-001 mail-topic" in shown and "moved" in shown


def held_out(project: Project) -> frozen.Rows:
    data = project.dossier(1).data_set
    assert data is not None
    return frozen.load(project.artifacts.path(data.artifact), Split.HELD_OUT)


def refusal(project: Project, person: str, row: int, **more: bool) -> list[str]:
    with pytest.raises(Refused) as refused:
        actions.open_row(project, 1, by(person), row, **more)
    return [objection.rule for objection in refused.value.objections]


# --- the sealed split ------------------------------------------------------------------------------------------------


def test_a_stranger_to_the_play_opens_no_held_out_row(made: Project) -> None:
    assert refusal(made, "bob", int(held_out(made).rows[0])) == ["held_out.sealed"]


def test_a_builder_opens_no_held_out_row_unknowingly(made: Project) -> None:
    row = int(held_out(made).rows[0])
    entries = made.project_dossier().audit_size
    assert refusal(made, "dan", row) == ["held_out.burns"]
    assert made.project_dossier().audit_size == entries
    assert not made.dossier(1).opened


def test_only_a_held_out_row_is_opened(made: Project) -> None:
    assert refusal(made, "vera", 10**9) == ["held_out.none"]
    training = next(row for row in range(10) if row not in held_out(made).rows)
    assert refusal(made, "vera", training) == ["held_out.none"]


@pytest.fixture(scope="module")
def evaluated(made: Project) -> Project:
    """The validator opens one row and the driver burns another; then a real student is trained and evaluated."""
    rows = held_out(made)
    actions.open_row(made, 1, by("vera"), int(rows.rows[0]))
    actions.open_row(made, 1, by("dan"), int(rows.rows[1]), burn=True)
    one_round(made)
    return made


def one_round(project: Project) -> None:
    with workers_here():
        finished(project, actions.start_run(project, 1, by("dan"), SPEC))
        finished(project, actions.evaluate(project, 1, by("dan")))


def test_the_validators_look_is_logged_and_burns_nothing_and_a_builders_does(evaluated: Project) -> None:
    rows, dossier = held_out(evaluated), evaluated.dossier(1)
    assert {row.person_id: row.input_digest for row in dossier.opened} == {
        "vera": rows.digests[0],
        "dan": rows.digests[1],
    }
    assert dossier.burnt == {rows.digests[1]}


def test_who_builds_later_burns_what_they_saw_before(made: Project, evaluated: Project) -> None:
    dossier = evaluated.dossier(1)
    later = replace(dossier, opened=dossier.opened, builders={**dossier.builders, "vera": ("drive",)})
    assert later.burnt == set(held_out(evaluated).digests[:2])


def test_a_burnt_row_is_in_no_evaluation(evaluated: Project) -> None:
    record, rows = evaluated.dossier(1).record, held_out(evaluated)
    assert record is not None
    assert len(record.rows) == len(rows) - 1
    assert int(rows.rows[1]) not in record.rows and int(rows.rows[0]) in record.rows


def test_a_record_says_how_sure_the_student_was_and_which_pattern_a_row_is_of(evaluated: Project) -> None:
    record = evaluated.dossier(1).record
    assert record is not None
    assert len(record.confidence) == len(record.pattern) == len(record.key) == len(record.rows)
    assert min(record.confidence) >= CERTAIN // 2 and len(set(record.confidence)) > 10


def test_a_record_says_what_each_row_scores_and_what_the_student_was_sure_of_agrees(evaluated: Project) -> None:
    record = evaluated.dossier(1).record
    assert record is not None and len(record.labels) == 2
    scores = record.scores["brier_score"]
    assert set(scores) == {"student", "baseline"}  # the recorded teacher gave labels without probabilities
    for row, sure in enumerate(record.confidence):
        off = CERTAIN - sure if record.student[row] == record.gold[row] else sure
        assert scores["student"][row] == pytest.approx(off * off / CERTAIN, abs=2)
    (means,) = rates.score_means(record)
    assert means.rows == len(record.rows) and 0 < means.means["student"] < 0.25
    assert sorted(record.pattern) == list(range(len(record.rows)))


@pytest.fixture(scope="module")
def second(evaluated: Project) -> Project:
    """Another round, with new data and a new student."""
    actions.iterate(evaluated, 1, by("dan"))
    data_runs.build_data(evaluated, 1, by("dan"))
    data_runs.freeze_data(evaluated, 1, by("dan"))
    one_round(evaluated)
    return evaluated


def test_a_burnt_row_moves_to_validation_and_the_held_out_split_shrinks(second: Project) -> None:
    first, now = (d for d in second.dossier(1).data_sets)
    before, after = (frozen.splits_of(second.artifacts.path(data.artifact)) for data in (first, now))
    (burnt,) = second.dossier(1).burnt
    assert before[burnt] is Split.HELD_OUT and after[burnt] is Split.VALIDATION
    held = [{digest for digest, split in each.items() if split is Split.HELD_OUT} for each in (before, after)]
    assert held[1] == held[0] - {burnt}


def test_opening_a_row_is_possible_only_once_there_is_one() -> None:
    stages = {stage.value for stage, action in NEXT_STAGE if action is Action.OPEN_ROW}
    assert stages == {"train", "decide", "live"}


# --- canaries: no held-out text anywhere but in traffic and data sets ------------------------------------------------


def canaries(project: Project) -> list[str]:
    burnt = project.dossier(1).burnt
    rows = held_out(project)
    found = [text.split()[1] for text, digest in zip(rows.inputs, rows.digests, strict=True) if digest not in burnt]
    assert len(found) > 80 and all(word.startswith("canary") for word in found)
    return found


def test_no_held_out_text_reaches_log_messages_results_or_records(second: Project) -> None:
    secret = [word.encode() for word in canaries(second)]
    data = {t.artifact for t in second.dossier(1).traffic} | {d.artifact for d in second.dossier(1).data_sets}
    allowed = {second.artifacts.path(digest) for digest in data}
    looked = 0
    for path in [*second.path.parent.glob("team.distill*"), *second.artifacts.folder.rglob("*")]:
        if path.is_file() and path not in allowed:
            content, looked = subprocess.check_output(["cat", path]), looked + 1  # read here, SQLite's locks would go
            assert not any(word in content for word in secret), path.name
    assert looked > 20


def copied(project: Project, folder: Path) -> Project:
    connection = sqlite3.connect(project.path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    shutil.copytree(project.path.parent, folder / "copy")
    return Project.open(folder / "copy" / "team.distill")


def test_no_held_out_text_ships(second: Project, tmp_path: Path) -> None:
    copy = copied(second, tmp_path)
    actions.set_maintenance(copy, 1, by("dan"), 400, 90)
    sign_offs.sign_off(copy, 1, by("vera"), Opinion.APPROVE, "Looked at it.")
    dossier = copy.dossier(1)
    write_content(tmp_path / "bundle", copy.artifacts, dossier, dossier.sign_offs[-1], queries.entries(copy, 1))
    secret = [word.encode() for word in canaries(second)]
    files = [path for path in (tmp_path / "bundle").rglob("*") if path.is_file()]
    assert {"MODEL_CARD.md", "log.jsonl", "evaluation.json"} <= {path.name for path in files}
    for path in files:
        assert not any(word in path.read_bytes() for word in secret), path.name


# --- failures to page through ----------------------------------------------------------------------------------------


def test_a_builder_pages_through_validation_and_the_validator_through_the_held_out_split(second: Project) -> None:
    dossier = second.dossier(1)
    assert dossier.record is not None
    for person in ("dan", "sam", "olga", "bob"):
        found = failures.failures(second, dossier, by(person))
        assert found is not None and found.split is Split.VALIDATION
        assert set(found.record.key).isdisjoint(dossier.record.key)
    sealed = failures.failures(second, dossier, by("vera"))
    assert sealed is not None and sealed.split is Split.HELD_OUT and sealed.order


def test_the_validators_look_at_a_failure_is_logged_and_burns_nothing(second: Project) -> None:
    found = failures.failures(second, second.dossier(1), by("vera"))
    assert found is not None
    burnt, size = second.dossier(1).burnt, second.dossier(1).project.audit_size
    seen = failures.look(second, by("vera"), found, 1)
    assert seen.split is Split.HELD_OUT and seen.input and seen.student != seen.gold
    after = second.dossier(1)
    assert after.project.audit_size == size + 1 and after.burnt == burnt


def test_failures_that_the_teacher_has_right_come_first_and_show_both_answers(second: Project) -> None:
    found = failures.failures(second, second.dossier(1), by("dan"))
    assert found is not None and found.order
    size = second.dossier(1).project.audit_size
    seen = [failures.look(second, by("dan"), found, number) for number in range(1, len(found.order) + 1)]
    assert [each.teacher_right for each in seen] == sorted((each.teacher_right for each in seen), reverse=True)
    assert all(each.student != each.gold and each.teacher and each.sure for each in seen)
    assert second.dossier(1).project.audit_size == size


def test_the_commands_of_a_review_refuse_and_answer(
    second: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = ["--project", str(second.path)]
    row = str(held_out(second).rows[4])
    assert main([*about, "row", "open", "P-001", row]) == exits.REFUSED
    assert main([*about, "eval", "failures", "P-001", "--first", "0"]) == exits.USAGE
    (tmp_path / "there.html").write_text("mine")
    assert main([*about, "report", "P-001", str(tmp_path / "there.html")]) == exits.BAD_INPUT
    assert (tmp_path / "there.html").read_text() == "mine"
    capsys.readouterr()
    assert main([*about, "--json", "eval", "failures", "P-001", "--count", "1"]) == exits.DONE
    (seen,) = json.loads(capsys.readouterr().out)
    assert seen["split"] == "validation" and seen["student"] != seen["gold"]
    assert main([*about, "report", "P-001", str(tmp_path / "new.html")]) == exits.DONE
    assert (tmp_path / "new.html").read_text().startswith("<!doctype html>")
    assert main([*about, "verify"]) == exits.DONE
    assert "stored verdicts are reproduced" in capsys.readouterr().out


async def test_the_key_f_pages_through_failures_and_hostile_text_stays_text(second: Project, tmp_path: Path) -> None:
    app = DistillApp(copied(second, tmp_path).path, play=1)
    async with app.run_test(size=(80, 24)) as pilot:

        async def until(done: Callable[[], bool]) -> None:
            for _ in range(1200):
                if done():
                    return
                await pilot.pause(0.05)
            raise AssertionError("it never came")

        await until(lambda: isinstance(app.screen, PlayScreen) and app.screen.view is not None)
        await pilot.press("f")
        await until(lambda: isinstance(app.screen, FailureSheet) and app.screen.shown is not None)
        sheet = app.screen
        assert isinstance(sheet, FailureSheet) and sheet.shown is not None
        assert "(validation)" in str(sheet.query_one(".form-title", Static).content)
        await pilot.press("j")
        await until(lambda: sheet.shown is not None and sheet.shown.number == 2)
        sheet.shown = replace(sheet.shown, input="\x1b[31m[/x]\u202e[@click=app.quit]x[/]\n" * 9, student="[bold]\x07")
        sheet.draw()
        shown = str(sheet.query_one("#row", Static).content)
        assert "[/x]" in shown and "[@click=app.quit]" in shown
        assert not any(mark in shown for mark in ("\x1b", "\u202e", "\x07"))
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, PlayScreen))


# --- the review, everywhere ------------------------------------------------------------------------------------------


def test_rounds_are_compared_and_the_sponsor_reads_it_all_without_a_held_out_text(second: Project) -> None:
    dossier = second.dossier(1)
    found = review.of(dossier)
    page, told = html.report(found, ()), "\n".join(report.evaluation(found))
    value = json.dumps(report.evaluation_json(found), default=str)
    for text in (page, told, value):
        assert (" fixed, " in text and "Not measured" in text) or "not_measured" in text
        assert not any(word in text for word in canaries(second))
    assert "script" not in page.replace("scripts", "") and "http" not in page.replace("http-equiv", "")
    assert page.index("Gate ") < page.index("Judgements")


def test_hostile_words_reach_no_markup_and_no_terminal(second: Project) -> None:
    dossier = second.dossier(1)
    assert dossier.record is not None
    evil = "<script>alert(1)</script>\x1b[31m\u202e[/x]&"
    dossier = replace(dossier, play=replace(dossier.play, name=evil, summary=evil))
    labels = (evil, "post")
    record = replace(dossier.record, labels=labels, segments=(evil, "en", "fr"))
    dressed = replace(dossier, looked=Looked.at(record, dossier.judgements))
    page, told = html.report(review.of(dressed), ()), "\n".join(report.evaluation(review.of(dressed)))
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not any(mark in text for text in (page, told) for mark in ("\x1b", "\u202e"))


def test_every_stored_verdict_comes_out_again_and_one_that_was_altered_does_not(
    second: Project, tmp_path: Path
) -> None:
    found = list(verdicts.check(second))
    assert [(each.play, each.round, each.trouble) for each in found] == [("P-001", 1, ""), ("P-001", 2, "")]
    copy = copied(second, tmp_path)
    connection = sqlite3.connect(copy.path)
    connection.execute("DROP TRIGGER evaluation_never_updated")
    connection.execute("UPDATE evaluation SET passed = 1 - passed WHERE round = 2")
    connection.commit()
    connection.close()
    first, altered = verdicts.check(copy)
    assert not first.trouble
    assert altered.trouble.startswith("Evaluation 2 of P-001, round 2: it says ")
    record = copy.artifacts.path(copy.dossier(1).evaluations[0].record)
    record.write_text(record.read_text().replace('"majority":', '"majority": '))
    assert "cannot be used: it was altered" in next(iter(verdicts.check(copy))).trouble


# --- the arithmetic of a review --------------------------------------------------------------------------------------


def measured(student: list[int], teacher: list[int], gold: list[int], **more: object) -> Record:
    count = len(student)
    return Record(
        labels=("no", "yes"),
        rows=tuple(range(count)),
        gold=tuple(gold),
        teacher=tuple(teacher),
        student=tuple(student),
        baseline=(0,) * count,
        majority=0,
        segment=(-1,) * count,
        segments=(),
        group=tuple(range(count)),
        **more,  # type: ignore[arg-type]
    )


def test_right_and_wrong_are_counted_on_rows_that_have_both() -> None:
    record = measured([1, 0, 1, 0, 1], [1, 1, 0, 0, -1], [1, 1, 1, 1, 1])
    found = errors.right_and_wrong(record)
    assert (found.both, found.teacher_only, found.student_only, found.neither, found.rows) == (1, 1, 1, 1, 4)


def test_confusions_are_sorted_by_how_often_the_student_makes_them() -> None:
    record = measured([1, 1, 1, 0, 0], [1, 0, 0, 1, 1], [0, 0, 0, 1, 1])
    found = [(each.label, each.predicted, each.student, each.teacher) for each in errors.confusions(record)]
    assert found == [("no", "yes", 3, 1), ("yes", "no", 2, 0)]


def test_calibration_compares_confidence_with_being_right() -> None:
    sure = tuple([6_000] * 50 + [9_000] * 50)
    record = measured([1] * 100, [1] * 100, [1] * 30 + [0] * 20 + [1] * 45 + [0] * 5, confidence=sure)
    found = errors.calibration(record)
    assert found is not None and len(found.bins) == 10
    assert sum(each.rows for each in found.bins) == 100
    assert found.bins[0].sure == pytest.approx(0.6) and found.bins[-1].sure == pytest.approx(0.9)
    assert errors.calibration(measured([1], [1], [1])) is None


def test_the_segment_that_may_be_worst_comes_first_after_all_rows() -> None:
    student = [1] * 60 + [0] * 20 + [1] * 40
    record = replace(
        measured(student, [1] * 120, [1] * 120),
        segment=(0,) * 60 + (1,) * 40 + (2,) * 20,
        segments=("good", "bad", "few"),
    )
    found = [each.scope for each in errors.by_danger(rates.segment_rates(record))]
    assert found == ["all", "segment: bad", "segment: few", "segment: good"]


def test_a_change_counts_what_was_fixed_and_broken_on_shared_rows() -> None:
    before = measured([1, 0, 0, 1], [1] * 4, [1] * 4, key=(1, 2, 3, 4))
    now = measured([0, 1, 1, 1], [1] * 4, [1] * 4, key=(1, 2, 3, 9))
    found = errors.change(before, now)
    assert found is not None and (found.rows, found.fixed, found.broken) == (3, 2, 1)
    assert found.sentence.startswith("Since the round before, on 3 rows that both students answered: 2 fixed, 1 broken")
    assert errors.change(before, measured([1], [1], [1])) is None


# --- new traffic that belongs with held-out rows ---------------------------------------------------------------------


def test_an_import_says_what_of_it_belongs_with_held_out_rows_and_none_of_it_trains(second: Project) -> None:
    rows = held_out(second)
    near = rows.inputs[3].replace(rows.inputs[3].split()[-1], "another")
    fresh = "a sentence about nothing that anybody wrote before in this play"
    file = second.path.parent / "more.jsonl"
    texts = [rows.inputs[2].upper(), near, fresh]
    file.write_text("".join(json.dumps({"input": text, "teacher_output": "post"}) + "\n" for text in texts))
    actions.iterate(second, 1, by("dan"))
    report = data_runs.import_traffic(second, 1, by("dan"), file)
    assert report["held_out"] == {"same": 1, "near": 1, "group": 0}
    counts = data_runs.build_data(second, 1, by("dan"))
    assert counts["tally"]["contaminated"] == 1

"""What is held out stays unseen, what was decided comes out again, and a review in ten minutes misses nothing."""

import json
import os
import random
from collections.abc import Iterator
from decimal import Decimal

import pytest

from distill_tui import actions, gates, launch, rules
from distill_tui.dataset import frozen
from distill_tui.gates import Criterion, Gate
from distill_tui.project import Project
from distill_tui.rules import Actor, Refused
from distill_tui.spec import Spec
from distill_tui.terms import Action, Metric, PlayKind, Reference, Role, RunStatus, Split, StudentKind

SPEC = Spec(
    student=StudentKind.STATIC, hidden=32, alpha=0.0, epochs=12, patience=12, learning_rate=5e-2, max_tokens=24, seed=3
)
NUMBERS = {
    "calls_per_month": "900000",
    "teacher_cost_per_1k": "2.40",
    "threshold_per_month": "1000",
    "window_days": "60",
    "machine_price_per_hour": "0.08",
    "serving_cost_per_month": "60",
    "build_cost": "4000",
    "sample_share": "0.01",
}
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
    return Actor(person, f"account of {person}")


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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A play whose data set is frozen, through the door all the way."""
    folder = tmp_path_factory.mktemp("review")
    project = Project.create(folder / "team.distill", "Team", "ada", "Ada", Actor(None, f"account uid {os.getuid()}"))
    for number, person in enumerate((*PEOPLE.values(), "bob"), 90_000):
        actions.enrol_person(project, by("ada"), person, person, uid=number)
    actions.open_play(project, by("sam"), "mail-topic", PlayKind.COST)
    for role, person in PEOPLE.items():
        actions.assign_role(project, 1, by("sam"), role, person)
    actions.fill_worksheet(project, 1, by("dan"), NUMBERS, "invoice")
    actions.qualify(project, 1, by("dan"))
    actions.edit_gate(project, 1, by("dan"), GATE)
    actions.lock_gate(project, 1, by("sam"))
    (folder / "calls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in traffic()))
    actions.import_traffic(project, 1, by("dan"), folder / "calls.jsonl")
    actions.set_teacher(project, 1, by("dan"), None)
    actions.build_data(project, 1, by("dan"))
    actions.freeze_data(project, 1, by("dan"))
    return project


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
    entries = made.dossier().audit_size
    assert refusal(made, "dan", row) == ["held_out.burns"]
    assert made.dossier().audit_size == entries
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
    for started in (
        lambda: actions.start_run(project, 1, by("dan"), SPEC),
        lambda: actions.evaluate(project, 1, by("dan")),
    ):
        run = launch.wait(project, started(), lambda run: None)
        assert run.status is RunStatus.FINISHED, run.error


def test_the_validators_look_is_logged_and_burns_nothing_and_a_builders_does(evaluated: Project) -> None:
    rows, dossier = held_out(evaluated), evaluated.dossier(1)
    assert {row.person_id: row.input_digest for row in dossier.opened} == {
        "vera": rows.digests[0],
        "dan": rows.digests[1],
    }
    assert dossier.burnt == {rows.digests[1]}


def test_who_builds_later_burns_what_they_saw_before(made: Project, evaluated: Project) -> None:
    dossier = evaluated.dossier(1)
    later = rules.Dossier(opened=dossier.opened, builders={**dossier.builders, "vera": ("drive",)})
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
    assert min(record.confidence) >= gates.CERTAIN // 2 and len(set(record.confidence)) > 10
    assert sorted(record.pattern) == list(range(len(record.rows)))


@pytest.fixture(scope="module")
def second(evaluated: Project) -> Project:
    """Another round, with new data and a new student."""
    actions.iterate(evaluated, 1, by("dan"))
    actions.build_data(evaluated, 1, by("dan"))
    actions.freeze_data(evaluated, 1, by("dan"))
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
    stages = {stage.value for stage, action in rules.NEXT_STAGE if action is Action.OPEN_ROW}
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
            content, looked = path.read_bytes(), looked + 1
            assert not any(word in content for word in secret), path.name
    assert looked > 20

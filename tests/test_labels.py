"""Two vocabularies that never meet, and looks that can measure nothing: each is found before anything irreversible."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tui import actions
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.dataset import frozen
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.split import Candidate, SplitRule, assign
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.judging import judge
from distill_tui.gates.power import power
from distill_tui.gates.usable import Need, SegmentRows, expected, total
from distill_tui.monitor import plan as observe
from distill_tui.rules.actor import Actor
from distill_tui.rules.data import counts, findings
from distill_tui.rules.labels import reading, settling
from distill_tui.rules.measurable import held_out_rows
from distill_tui.rules.next_step import next_step
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import objections
from distill_tui.runs import classification
from distill_tui.store import tables
from distill_tui.store.project import Project
from distill_tui.tasks.label_map import LabelMap, Spelled, Vocabulary, alike, read
from distill_tui.terms import Action, FindingLevel, Metric, PlayKind, Reference, Role, Split, Stage, Verdict
from distill_tui.ui.play.data_tab import traffic
from distill_tui.ui.play.view import View
from support import data_runs
from support.by_hand import by_hand
from support.training import spoilt, teacher  # noqa: F401

DANA = Actor("dana", f"account uid {os.getuid()}")
SAM = Actor("sam", "account uid 4001")
AGAINST_TEACHER = Criterion(Metric.ACCURACY, Reference.TEACHER, margin=Decimal("0.3"), binding=True)
GATE = Gate((AGAINST_TEACHER,), held_out_rows=40, rounds=1)
NUMBERS = {
    "calls_per_month": "90000", "days_of_traffic": "30", "terms_permit_training": "1",
    "price_change": "1", "terms_change": "0", "availability": "0",
}  # fmt: skip
LABELS = ("money", "post", "refund_x")
WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("alo", "emi", "irun", "otesk", "uvan")]
Row = Mapping[str, Any]


def sentence(number: int) -> str:
    return " ".join(Random(number).choices(WORDS, k=10))


def rows(count: int = 200, written: Callable[[int, str], Row] = lambda n, label: {}) -> list[Row]:
    """Calls whose gold and answer are the same label, but for what is written otherwise."""
    plain = ({"input": sentence(n), "gold": LABELS[n % 3], "teacher_output": LABELS[n % 3]} for n in range(count))
    return [row | written(n, LABELS[n % 3]) for n, row in enumerate(plain)]


def jsonl(folder: Path, calls: Sequence[Row], name: str = "calls.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(call, ensure_ascii=False) + "\n" for call in calls))
    return path


def opened(folder: Path, gate: Gate = GATE) -> Project:
    """A play that is about to lock its gate."""
    project = Project.create(folder / "team.distill", "Team", "dana", "Dana", DANA)
    for uid, person in ((4001, "sam"), (4002, "vera"), (4003, "olga")):
        actions.enrol_person(project, DANA, person, person, uid=uid)
    play = actions.open_play(project, DANA, "intent", PlayKind.STABILITY)
    people = {Role.SPONSOR: "sam", Role.DRIVER: "dana", Role.VALIDATOR: "vera", Role.OPERATOR: "olga"}
    for role, person in people.items():
        actions.assign_role(project, play, DANA, role, person)
    actions.fill_worksheet(project, play, DANA, NUMBERS, "made up")
    actions.confirm_terms(project, play, DANA, "Acme", "3.1", "2026-01-01", True)
    actions.qualify(project, play, DANA)
    actions.edit_gate(project, play, DANA, gate)
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A play at `data`, its gate locked before any traffic came."""
    project = opened(tmp_path)
    actions.lock_gate(project, 1, SAM)
    return project


def taken(project: Project, calls: Sequence[Row]) -> None:
    data_runs.import_traffic(project, 1, DANA, jsonl(project.path.parent, calls))
    actions.set_teacher(project, 1, DANA, None)


def run(project: Project, *words: str) -> int:
    return main(["--project", str(project.path), *words])


def rules_of(action: Action, project: Project) -> set[str]:
    return {each.rule for each in objections(action, project.dossier(1), DANA)}


def data_of(project: Project) -> Path:
    data = project.dossier(1).data_set
    assert data is not None
    return project.artifacts.path(data.artifact)


# --- how names are matched -------------------------------------------------------------------------------------------

SPELLED = [
    ("money", "Money", "case"),
    ("money", "MONEY", "case"),
    ("money", "money.", "punctuation"),
    ("money", "**money**", "punctuation"),
    ("money", "`money`", "punctuation"),
    ("money", "“Money”", "punctuation"),
    ("money", "- money", "punctuation"),
    ("money", "### Money:", "punctuation"),
    ("refund_x", "Refund_x ", "case"),
    ("refund_x", "refund-x", "separators"),
    ("refund_x", "Refund X.", "separators"),
    ("refund_x", "refundX", "separators"),
    ("CardLost2", "card lost2", "separators"),
    ("1", "1.0", "whole number"),
    ("3.0", "3", "whole number"),
    ("0", "-0.00", "whole number"),
    ("café", unicodedata.normalize("NFD", "café"), "Unicode form"),
    ("Ångström", unicodedata.normalize("NFD", "ångström"), "case"),
    ("ｇｏｏｄ", "good", "Unicode form"),
    ("money", "mo\u200bney", "Unicode form"),
    ("money", "\u2068Money\u2069", "case"),
    ("money", "<b>money</b>", "punctuation"),
    ("money", "✅ Money", "punctuation"),
    ("money", "money ❤\ufe0f", "punctuation"),
    ("café", "Cafe", "accents"),
    ("iade", "İade", "accents"),
    ("2", "LABEL_2", "id2label"),
    ("LABEL_7", "7", "id2label"),
    ("LABEL_7", "7.0", "id2label"),
]


@pytest.mark.parametrize(("label", "written", "way"), SPELLED, ids=lambda each: repr(each)[:30])
def test_a_name_is_matched_by_its_spelling_and_only_once_a_person_confirms_it(
    label: str, written: str, way: str
) -> None:
    found = read(Vocabulary(gold={label: 9, "another": 9}, answers={written: 5}), {})
    (name,) = found.proposed
    assert (name.name, name.label, name.way) == (written, label, way) and alike(label, written)
    assert found.map.of(written) is None and found.answers == (5, 5)
    known = read(Vocabulary(gold={label: 9, "another": 9}, answers={written: 5}), {written: label, label: label})
    assert known.proposed == () and known.map.of(written) == label == known.map.of(label)


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        (("money", "post"), "sarcastic"),
        (("C", "C++"), "C#"),  # what a name ends with is part of it
        (("+", "-"), "!"),
        (("1.5", "2"), "1"),
        (("post", "postal"), "posta"),
        (("negative", "positive"), "not positive"),
    ],
)
def test_a_name_that_stands_for_no_label_or_for_several_is_not_matched(labels: tuple[str, ...], written: str) -> None:
    found = read(Vocabulary(gold=dict.fromkeys(labels, 9), answers={written: 5}), {})
    assert set(found.labels) == set(labels)
    assert [(each.name, each.label) for each in found.unmatched] == [(written, None)] and found.answers == (0, 5)
    two = read(Vocabulary(gold={"us": 5}, choices=("Us", "US")), {})
    assert two.labels == ("Us", "US") and two.gold == (0, 5), "both labels are as near"


def test_numbers_are_the_outputs_of_a_teacher_unless_its_labels_are_numbers() -> None:
    named = read(Vocabulary(gold={"0": 9, "2": 4, "3": 1}, choices=("neg", "mid", "pos")), {})
    assert {each.name: each.label for each in named.names if each.gold} == {"0": "neg", "2": "pos", "3": None}
    stars = read(Vocabulary(gold={"0": 9, "1": 9}, choices=("1", "2", "3", "4", "5")), {})
    assert {each.name: each.label for each in stars.names if each.gold} == {"0": None, "1": "1"}


def test_labels_keep_the_order_of_the_teacher_and_probabilities_move_with_their_names() -> None:
    vocabulary = Vocabulary(gold={"money": 9, "post": 9, "oos": 2}, choices=("LABEL_0", "LABEL_1", "LABEL_2"))
    found = read(vocabulary, {"LABEL_0": "post", "LABEL_1": "money", "LABEL_2": "money", "oos": "oos"}).map
    assert found.labels == ("post", "money", "oos")
    assert found.shares(vocabulary.choices, [0.2, 0.3, 0.5]) == [0.2, 0.8, 0.0]


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8, unique=True), st.data())
def test_a_label_always_stands_for_itself_and_a_confirmed_map_proposes_nothing_more(
    names: list[str], data: st.DataObject
) -> None:
    gold = {name: data.draw(st.integers(1, 99)) for name in names}
    found = read(Vocabulary(gold=gold), {})
    assert all(found.map.of(label) == label for label in found.labels)
    assert found.gold == (sum(gold.values()), sum(gold.values())), "every name is a label, or is spelled like one"
    settled = {each.name: each.label for each in found.names}
    again = read(Vocabulary(gold=gold), settled)
    assert again.proposed == () and again.labels == found.labels and again.gold == found.gold


# --- files whose two columns do not meet -----------------------------------------------------------------------------


def as_csv(folder: Path) -> Path:
    """Ints that became floats in one column: gold `1.0`, answers `1`."""
    with (folder / "floats.csv").open("w", newline="") as out:
        write = csv.writer(out)
        write.writerow(["input", "gold", "teacher_output"])
        write.writerows([sentence(n), f"{n % 3}.0" if n % 5 else "", str(n % 3)] for n in range(200))
    return folder / "floats.csv"


def as_parquet(folder: Path) -> Path:
    """A column of doubles with NaN, as pandas writes whole numbers with gaps."""
    gold = [float(n % 3) if n % 5 else float("nan") for n in range(200)]
    table = {"input": [sentence(n) for n in range(200)], "gold": gold, "teacher_output": [n % 3 for n in range(200)]}
    pq.write_table(pa.table(table), folder / "floats.parquet")
    return folder / "floats.parquet"


def test_doubles_with_gaps_are_read_as_whole_numbers_and_a_fraction_is_refused_by_its_column(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_runs.import_traffic(project, 1, DANA, as_parquet(tmp_path))
    found = reading(project.dossier(1))
    assert found.labels == ("0", "1", "2") and not found.proposed and found.gold == (160, 160)
    pq.write_table(pa.table({"input": ["a b", "c d"], "gold": [0.5, 1.25]}), tmp_path / "shares.parquet")
    assert run(project, "import", "P-001", str(tmp_path / "shares.parquet")) == exits.BAD_INPUT
    assert "'gold' is 0.5: a label or a name is text or a whole number" in capsys.readouterr().err


def test_whole_floats_in_a_csv_are_matched_and_nothing_is_dropped(project: Project, tmp_path: Path) -> None:
    data_runs.import_traffic(project, 1, DANA, as_csv(tmp_path))
    actions.set_teacher(project, 1, DANA, None)
    assert next_step(project.dossier(1)) is Action.MAP_LABELS
    with pytest.raises(Refused, match=r"written with different names: “0” as 0\.0"):
        actions.build_data(project, 1, DANA)
    assert run(project, "labels", "P-001", "--confirm") == exits.DONE
    assert next_step(project.dossier(1)) is Action.BUILD_DATA
    tally = data_runs.build_data(project, 1, DANA)["tally"]
    assert (tally["unknown_outputs"], tally["unknown_gold"], tally["without_teacher"]) == (0, 0, 0)


WRITTEN: dict[str, Callable[[int, str], Row]] = {
    "case": lambda n, label: {"teacher_output": label.title()},
    "points": lambda n, label: {"teacher_output": f"{label}."},
    "bold": lambda n, label: {"teacher_output": f"**{label}**"},
    "gold in capitals": lambda n, label: {"gold": label.upper()},
    "spaces inside": lambda n, label: {"teacher_output": label.replace("_", " ")},
    "numbers": lambda n, label: {"gold": f"{n % 3}.0", "teacher_output": f"LABEL_{n % 3}"},
    "NFD": lambda n, label: {"gold": f"é{label}", "teacher_output": unicodedata.normalize("NFD", f"é{label}")},
    "probabilities": lambda n, label: {
        "teacher_output": None,
        "teacher_probabilities": {f"{each}.": 0.8 if each == label else 0.1 for each in LABELS},
    },
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=list(WRITTEN))
def test_two_spellings_are_seen_with_counts_confirmed_once_and_frozen_with_the_data(
    project: Project, written: Callable[[int, str], Row], capsys: pytest.CaptureFixture[str]
) -> None:
    path = jsonl(project.path.parent, rows(200, written))
    assert run(project, "import", "P-001", str(path), "--preview") == exits.DONE
    assert "proposed" in capsys.readouterr().out
    taken(project, rows(200, written))
    assert "labels.unconfirmed" in rules_of(Action.BUILD_DATA, project)
    assert run(project, "labels", "P-001") == exits.DONE
    assert "matched by the spelling, and not confirmed yet: “" in capsys.readouterr().out
    assert run(project, "labels", "P-001", "--confirm", "--json") == exits.DONE
    shown = json.loads(capsys.readouterr().out)
    assert shown["gold"] == [200, 200] and shown["answers"] == [200, 200] and len(shown["labels"]) == 3
    data_runs.build_data(project, 1, DANA)
    data_runs.freeze_data(project, 1, DANA)
    held_out = frozen.load(data_of(project), Split.HELD_OUT)
    assert len(held_out) == 40 and (held_out.gold >= 0).all() and (held_out.gold == held_out.teacher).all()
    named = frozen.label_map_of(data_of(project))
    assert named.labels == held_out.labels == tuple(shown["labels"])
    assert counts(project.dossier(1)).names == named.names  # type: ignore[union-attr]


def test_a_shard_without_answers_and_rows_that_contradict_themselves_are_shown_before_they_are_built(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    def shares(n: int, label: str) -> Row:
        best = label if n != 7 else LABELS[(LABELS.index(label) + 1) % 3]
        return {"teacher_probabilities": {each: 0.8 if each == best else 0.1 for each in LABELS}}

    folder = project.path.parent / "shards"
    folder.mkdir()
    calls = rows(240, shares)
    jsonl(folder, calls[:160], "a.jsonl")
    jsonl(folder, [{"input": row["input"], "gold": row["gold"]} for row in calls[160:]], "b.jsonl")
    without = "b.jsonl (0 of 80 rows) has no teacher output and no teacher probabilities; of the other files, 160"
    contradicts = "In 1 of the 160 rows with an answer and probabilities, the answer is not the label"
    assert run(project, "import", "P-001", str(folder), "--preview") == exits.DONE
    shown = capsys.readouterr().out
    assert f"! {without}" in shown and f"! {contradicts}" in shown and "answers: in 160 rows, 160 stand for" in shown
    assert run(project, "import", "P-001", str(folder)) == exits.DONE
    shown = capsys.readouterr().err
    assert f"! {without}" in shown and f"! {contradicts}" in shown
    actions.set_teacher(project, 1, DANA, None)
    data_runs.build_data(project, 1, DANA)
    found = {each.id.rpartition("-")[0]: each.says for each in findings(project.dossier(1))}
    assert found["lacking"].startswith(f"shards: {without}")
    shown = " ".join(" ".join(line.plain for line in traffic(View(project.dossier(1), DANA), 400)).split())
    assert without in shown and contradicts in shown, "on the tab Data too"


@pytest.mark.parametrize(
    ("names", "like"),
    [
        (["LOGIN"], ("login",)),
        (["**Re-fund.**"], ("re_fund",)),
        (["login"], ()),
        (["sarcastic"], ()),
        (["C", "LOGIN"], ("login",)),  # C is as near to c as to the c of full width
        (["LOGIN", "Login ", "re fund"], ("login", "re_fund")),
    ],
)
def test_a_name_outside_the_labels_is_named_with_the_one_that_it_is_spelled_like(
    names: list[str], like: tuple[str, ...]
) -> None:
    labels = ("login", "re_fund", "c", "ｃ")
    assert Spelled(labels).like(names) == like


def test_the_map_is_part_of_the_digest(project: Project) -> None:
    taken(project, rows(200))
    first = data_runs.build_data(project, 1, DANA), project.dossier(1).data_set
    actions.map_labels(project, 1, DANA, {"post": "letters"})
    second = data_runs.build_data(project, 1, DANA), project.dossier(1).data_set
    assert first[1] and second[1] and first[1].digest != second[1].digest
    path = data_of(project)
    whole = pq.read_table(path)
    metadata = dict(whole.schema.metadata)
    assert json.loads(metadata[b"names"]) == {"post": "letters"}
    pq.write_table(whole.replace_schema_metadata(metadata | {b"names": b"{}"}), path.with_suffix(".other"))
    assert f"sha256:{frozen.content_digest(path)}" == second[1].digest
    assert f"sha256:{frozen.content_digest(path.with_suffix('.other'))}" != second[1].digest


# --- later rounds ----------------------------------------------------------------------------------------------------


def in_round_two(project: Project, calls: Sequence[Row], *, mapped: Mapping[str, str | None] = {}) -> None:
    """A play whose first data set is frozen, and that is back at its data."""
    taken(project, calls)
    if mapped or reading(project.dossier(1)).proposed:
        actions.map_labels(project, 1, DANA, {**mapped, **settling(reading(project.dossier(1)), mapped).names})
    data_runs.build_data(project, 1, DANA)
    for each in [each.id for each in findings(project.dossier(1)) if each.level is FindingLevel.MUST]:
        actions.accept_findings(project, 1, DANA, [each], "It is known.")
    data_runs.freeze_data(project, 1, DANA)
    with by_hand(project) as session:
        row = session.get(tables.Play, 1)
        assert row is not None
        row.round, row.stage = 2, Stage.DATA
        session.add(row)


@pytest.mark.parametrize(
    ("words", "stood"),
    [
        (("money=post",), "“money” stood for money"),
        (("money=",), "“money” stood for money"),
        (("Post.=money",), "“Post.” stood for post"),
        (("odd=money",), "“odd” stood for no label"),
    ],
)
def test_a_name_keeps_the_meaning_by_which_an_earlier_round_was_judged(
    project: Project, words: tuple[str, ...], stood: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def written(n: int, label: str) -> Row:
        return {"teacher_output": "Post." if n % 3 == 1 else "odd" if n % 60 == 0 else label}

    in_round_two(project, rows(200, written), mapped={"odd": None})
    before = reading(project.dossier(1))
    assert run(project, "labels", "P-001", *words, "--confirm") == exits.REFUSED
    said = capsys.readouterr().err
    assert f"In round 1 {stood}" in said and "open a new play" in said
    assert reading(project.dossier(1)) == before
    actions.map_labels(project, 1, DANA, {"Post.": "post", "odd": None})  # the same meaning again


def test_a_name_that_comes_in_a_later_round_is_a_label_only_once_it_is_confirmed(project: Project) -> None:
    """The first round needed no map: its labels are kept all the same."""
    in_round_two(project, rows(200))
    assert project.dossier(1).play.label_map == "{}"
    new = [{"input": sentence(700 + n), "gold": "shipping", "teacher_output": "MONEY"} for n in range(300)]
    data_runs.import_traffic(project, 1, DANA, jsonl(project.path.parent, new, "new.jsonl"))
    found = reading(project.dossier(1))
    assert found.labels == LABELS and found.gold == (200, 500)
    assert [(each.name, each.label) for each in found.proposed] == [("MONEY", "money")], "not the other way round"
    actions.map_labels(project, 1, DANA, {"shipping": "shipping", "MONEY": "money"})
    assert reading(project.dossier(1)).labels == tuple(sorted((*LABELS, "shipping")))
    data_runs.build_data(project, 1, DANA)
    assert frozen.labels_of(data_of(project)) == tuple(sorted((*LABELS, "shipping")))
    assert frozen.label_map_of(data_of(project)).names == {"MONEY": "money"}


def test_a_draft_that_was_built_by_another_map_is_not_frozen(project: Project) -> None:
    taken(project, rows(200, lambda n, label: {"teacher_output": "Post." if n % 3 == 1 else label}))
    actions.map_labels(project, 1, DANA, {"Post.": "post"})
    data_runs.build_data(project, 1, DANA)
    assert "labels.moved" not in rules_of(Action.FREEZE_DATA, project)
    actions.map_labels(project, 1, DANA, {"Post.": "money"})
    with pytest.raises(Refused, match="changed after the build: `distill-tui data build P-001`"):
        actions.freeze_data(project, 1, DANA)
    data_runs.build_data(project, 1, DANA)
    assert "labels.moved" not in rules_of(Action.FREEZE_DATA, project)


def test_a_draft_is_not_frozen_without_what_came_after_it(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    taken(project, rows(200))
    data_runs.build_data(project, 1, DANA)
    assert next_step(project.dossier(1)) is Action.FREEZE_DATA
    more = [row | {"input": sentence(700 + n)} for n, row in enumerate(rows(60))]
    data_runs.import_traffic(project, 1, DANA, jsonl(project.path.parent, more, "more.jsonl"))
    assert run(project, "data", "freeze", "P-001") == exits.REFUSED
    assert "Traffic was imported or dropped after the build" in capsys.readouterr().err
    assert next_step(project.dossier(1)) is Action.BUILD_DATA
    assert data_runs.build_data(project, 1, DANA)["tally"]["rows"] == 260
    assert run(project, "teacher", "P-001", "--recorded", "--labels", ",".join(LABELS)) == exits.DONE
    with pytest.raises(Refused, match="Another teacher was chosen after the build"):
        actions.freeze_data(project, 1, DANA)
    data_runs.build_data(project, 1, DANA)
    data_runs.freeze_data(project, 1, DANA)


@pytest.mark.parametrize("few", [1, 3])
def test_a_teacher_that_is_right_on_one_sided_rows_is_not_called_ignorant(project: Project, few: int) -> None:
    calls = [{"input": sentence(n), "gold": said, "teacher_output": said} for n, said in enumerate(
        ["no"] * few + ["yes"] * (300 - few)
    )]  # fmt: skip
    taken(project, calls)
    data_runs.build_data(project, 1, DANA)
    said = [each.says for each in findings(project.dossier(1)) if each.id.startswith("teacher-")]
    assert not [each for each in said if "does not know this task" in each]


# --- what stands for no label ----------------------------------------------------------------------------------------


def few(share: float, name: str, column: str) -> Callable[[int, str], Row]:
    return lambda n, label: {column: name} if n % 100 < 100 * share else {}


@pytest.mark.parametrize(
    ("column", "finding", "said"),
    [("teacher_output", "answer", "answers of the teacher"), ("gold", "gold", "gold labels")],
)
def test_more_than_a_few_names_without_a_label_stop_the_freeze_unless_accepted_by_name(
    project: Project, column: str, finding: str, said: str
) -> None:
    strange = [row | few(0.1, "other thing", column)(n, "") for n, row in enumerate(rows(300))]
    taken(project, rows(300))
    actions.map_labels(project, 1, DANA, {"money": "money"})
    data_runs.import_traffic(project, 1, DANA, jsonl(project.path.parent, [
        row | {"input": sentence(900 + n)} for n, row in enumerate(strange)
    ], "more.jsonl"))  # fmt: skip
    data_runs.build_data(project, 1, DANA)
    (found,) = [each for each in findings(project.dossier(1)) if each.id.startswith(f"{finding}-")]
    assert found.level is FindingLevel.MUST and f"30 of 600 {said}" in found.says and "“other thing” (30)" in found.says
    with pytest.raises(Refused, match="stand for none of the task's labels"):
        actions.freeze_data(project, 1, DANA)
    actions.accept_findings(project, 1, DANA, [found.id], "They are out of scope.")
    assert "data.finding" not in rules_of(Action.FREEZE_DATA, project)


def test_a_few_answers_without_a_label_are_counted_and_count_as_wrong(project: Project) -> None:
    taken(project, rows(300, few(0.01, "I cannot tell.", "teacher_output")))
    counted = data_runs.build_data(project, 1, DANA)
    (found,) = [each for each in findings(project.dossier(1)) if each.id.startswith("answer-")]
    assert found.level is FindingLevel.NOTE and counted["tally"]["unknown_outputs"] == 3
    teacher_of = counted["audit"]["teacher"]
    outside = frozen.load(data_of(project), Split.TRAIN).outside.sum()
    outside += frozen.load(data_of(project), Split.VALIDATION).outside.sum()
    assert teacher_of["rows"] == 260 and teacher_of["teacher"] == 260 - outside, "over all its rows"


def test_the_teacher_is_judged_over_all_its_rows_in_an_evaluation_too(project: Project) -> None:
    import numpy as np

    taken(project, rows(300, few(0.5, "no idea", "teacher_output")))
    data_runs.build_data(project, 1, DANA)
    held_out = frozen.load(data_of(project), Split.HELD_OUT)
    right = np.eye(3, dtype=np.float32)[held_out.gold]
    columns = classification.columns(held_out, right, right, 0, {})
    assert columns["labels"] == (*LABELS, classification.NO_LABEL)
    from distill_tui.gates.record import Record

    (judged,) = judge(GATE, Record(**columns))
    assert judged.n == 40 and judged.student == 1 and judged.verdict is Verdict.HOLDS
    assert judged.reference == 1 - held_out.outside.sum() / 40 and held_out.outside.sum() > 5


def test_a_teacher_that_answers_label_0_is_matched_by_name_or_stops_the_freeze(
    project: Project, tmp_path: Path, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbered = spoilt(teacher, tmp_path / "numbered", id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"})
    data_runs.import_traffic(project, 1, DANA, jsonl(tmp_path, rows(150)))
    data_runs.try_teacher(project, 1, DANA, numbered)
    assert run(project, "labels", "P-001") == exits.DONE
    said = capsys.readouterr().out
    assert "150 of the 150 rows with gold stand for no label: “money” (50)" in said and "“LABEL_0”" in said
    names = tmp_path / "names.csv"
    names.write_text('name,label\nLABEL_0,money\n"LABEL_1",post\nLABEL_2,refund_x\n')
    assert run(project, "labels", "P-001", "--file", str(names), "--confirm") == exits.DONE
    found = reading(project.dossier(1))
    assert found.labels == LABELS and found.gold == (150, 150)
    data_runs.try_teacher(project, 1, DANA, teacher)  # another teacher has other words: nothing is confirmed any more
    assert reading(project.dossier(1)).labels == ("good", "fine", "bad")


@pytest.mark.parametrize(("count", "each"), [(101, 1), (151, 1.5)])
def test_many_labels_on_few_rows_are_confirmed_or_are_free_text(project: Project, count: int, each: float) -> None:
    named = [f"intent number {n:03}" for n in range(count - 1)] + ["oos"]
    calls = [
        {"input": sentence(n), "gold": named[n % count], "teacher_output": named[n % count]}
        for n in range(int(count * each))
    ]
    taken(project, calls)
    assert rules_of(Action.BUILD_DATA, project) == {"labels.many"}
    assert run(project, "labels", "P-001", "--confirm") == exits.DONE
    assert reading(project.dossier(1)).labels == tuple(sorted(named))
    assert not rules_of(Action.BUILD_DATA, project)


def test_a_hundred_and_fifty_intents_and_one_out_of_scope_work_from_logged_answers(project: Project) -> None:
    named = [f"intent number {n:03}" for n in range(150)] + ["oos"]
    taken(
        project, [{"input": sentence(n), "gold": named[n % 151], "teacher_output": named[n % 151]} for n in range(453)]
    )
    data_runs.build_data(project, 1, DANA)
    assert frozen.labels_of(data_of(project)) == tuple(sorted(named))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nonsense=money", "--confirm"), "Neither gold nor the teacher uses “nonsense”"),
        (("money=post", "post=money", "--confirm"), "stands for post, and post for money"),
        (("money=post", "refund_x=post", "--confirm"), "only one label (post)"),
        (("money",), "is not NAME=VALUE"),
    ],
)
def test_a_map_that_cannot_be_is_refused(
    project: Project, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    taken(project, rows(60))
    assert run(project, "labels", "P-001", *words) in (exits.REFUSED, exits.USAGE)
    assert says in capsys.readouterr().err and project.dossier(1).play.label_map == "{}"


def test_a_name_may_be_settled_otherwise_than_proposed(project: Project) -> None:
    taken(project, rows(120, lambda n, label: {"teacher_output": "Post." if n % 3 == 1 else label}))
    assert run(project, "labels", "P-001", "Post.=money", "--confirm") == exits.DONE
    assert reading(project.dossier(1)).map == LabelMap(LABELS, {"Post.": "money"})
    assert run(project, "labels", "P-001", "Post.=", "--confirm") == exits.DONE
    assert reading(project.dossier(1)).answers == (80, 120) and not reading(project.dossier(1)).proposed


# --- a look that can measure nothing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("column", [{}, {"teacher_output": ""}, {"teacher_output": None}])
def test_a_recorded_teacher_that_recorded_nothing_is_refused(project: Project, column: Row) -> None:
    calls = [{"input": row["input"], "gold": row["gold"]} | column for row in rows(60)]
    data_runs.import_traffic(project, 1, DANA, jsonl(project.path.parent, calls))
    with pytest.raises(Refused, match="None of the 60 imported rows has an output of a teacher"):
        actions.set_teacher(project, 1, DANA, None)
    assert next_step(project.dossier(1)) is Action.SET_TEACHER


def test_a_recorded_teacher_that_was_chosen_before_the_traffic_came_is_refused_at_the_build(project: Project) -> None:
    actions.set_teacher(project, 1, DANA, None)
    calls = [{"input": row["input"], "gold": row["gold"]} for row in rows(60)]
    data_runs.import_traffic(project, 1, DANA, jsonl(project.path.parent, calls))
    assert "teacher.not_recorded" in rules_of(Action.BUILD_DATA, project)
    assert next_step(project.dossier(1)) is Action.SET_TEACHER


@pytest.mark.parametrize(
    ("criterion", "lacks"),
    [
        (Criterion(Metric.ACCURACY, threshold=Decimal("0.5"), binding=True), "gold"),
        (Criterion(Metric.ACCURACY, Reference.BASELINE, margin=Decimal("0.1"), binding=True), "gold"),
        (Criterion(Metric.BRIER, threshold=Decimal("0.4"), binding=True), "gold"),
    ],
)
def test_a_gate_that_the_traffic_cannot_measure_is_not_locked(tmp_path: Path, criterion: Criterion, lacks: str) -> None:
    project = opened(tmp_path, replace(GATE, criteria=(criterion,)))
    calls = [{"input": row["input"], "teacher_output": row["teacher_output"]} for row in rows(60)]
    data_runs.import_traffic(project, 1, DANA, jsonl(tmp_path, calls))
    with pytest.raises(Refused, match=f"it needs {lacks}, and none of the 60 imported rows has that"):
        actions.lock_gate(project, 1, SAM)
    data_runs.import_traffic(project, 1, DANA, jsonl(tmp_path, rows(90)[60:], "gold.jsonl"))
    actions.lock_gate(project, 1, SAM)


ONE_LABEL: dict[str, Sequence[Row]] = {
    "tool calls with null content": [{"input": sentence(n), "gold": "yes", "teacher_output": None} for n in range(90)],
    "one class in both": [{"input": sentence(n), "gold": "yes", "teacher_output": "yes"} for n in range(90)],
    "one class and its variants": [{"input": sentence(n), "teacher_output": ("Yes", "yes.")[n % 2]} for n in range(90)],
}


@pytest.mark.parametrize("calls", ONE_LABEL.values(), ids=list(ONE_LABEL))
def test_a_classification_with_fewer_than_two_labels_is_never_frozen(project: Project, calls: Sequence[Row]) -> None:
    actions.set_teacher(project, 1, DANA, None)
    data_runs.import_traffic(project, 1, DANA, jsonl(project.path.parent, calls))
    assert "labels.few" in rules_of(Action.BUILD_DATA, project)
    answered = any(row.get("teacher_output") for row in calls)
    step = next_step(project.dossier(1))
    assert step is (Action.IMPORT_TRAFFIC if answered else Action.SET_TEACHER), "what cannot help is not proposed"


def test_a_teacher_that_gives_every_row_one_label_is_found_at_the_freeze(project: Project) -> None:
    calls = [{"input": sentence(n), "teacher_probabilities": {"yes": 0.9, "no": 0.1}} for n in range(90)]
    taken(project, calls)
    data_runs.build_data(project, 1, DANA)
    with pytest.raises(Refused, match="only one label"):
        actions.freeze_data(project, 1, DANA)


# --- the rows that were promised -------------------------------------------------------------------------------------


def with_gold(share: float, count: int = 400) -> list[Row]:
    draw = Random(3)
    return [row | ({} if draw.random() < share else {"gold": None}) for row in rows(count)]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_held_out_rows_are_those_that_can_judge_as_the_gate_promised(project: Project, share: float) -> None:
    taken(project, with_gold(share))
    data_runs.build_data(project, 1, DANA)
    held_out, validation = (frozen.load(data_of(project), split) for split in (Split.HELD_OUT, Split.VALIDATION))
    assert len(held_out) == 40 and (held_out.gold >= 0).all() and (validation.gold >= 0).any()
    assert not [each for each in findings(project.dossier(1)) if each.id.startswith("ungraded-")]
    (note,) = power(GATE, held_out=counts(project.dossier(1)).usable)  # type: ignore[union-attr]
    assert note.rows == 40


def test_a_promise_that_cannot_be_kept_is_named_before_the_lock_at_the_freeze_and_before_the_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = opened(tmp_path)
    data_runs.import_traffic(project, 1, DANA, jsonl(tmp_path, with_gold(0.05)))
    there = total(SegmentRows("", *[len(with_gold(0.05))] * 5) for _ in range(0))
    assert there == 0 and run(project, "gate", "power", "P-001") == exits.DONE
    assert "of 40 held-out rows have gold and an answer of the teacher" in capsys.readouterr().out
    actions.lock_gate(project, 1, SAM)
    actions.set_teacher(project, 1, DANA, None)
    data_runs.build_data(project, 1, DANA)
    (found,) = [each for each in findings(project.dossier(1)) if each.id.startswith("ungraded-")]
    assert found.level is FindingLevel.MUST and "the gate promised 40 rows" in found.says
    with pytest.raises(Refused, match=r"Only .* of the 40 held-out rows have gold and an answer of the teacher"):
        actions.freeze_data(project, 1, DANA)
    assert run(project, "gate", "power", "P-001") == exits.DONE
    usable = counts(project.dossier(1)).usable  # type: ignore[union-attr]
    assert f"({total(usable, Need.BOTH)} of 40 held-out rows" in capsys.readouterr().out


def test_a_gate_of_more_held_out_rows_than_are_imported_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = opened(tmp_path, replace(GATE, held_out_rows=300))
    assert run(project, "gate", "power", "P-001") == exits.DONE
    assert "are imported" not in capsys.readouterr().out, "nothing is known before there is traffic"
    data_runs.import_traffic(project, 1, DANA, jsonl(tmp_path, rows(200)))
    assert run(project, "gate", "power", "P-001") == exits.DONE
    said = capsys.readouterr().out
    assert "The gate asks for 300 held-out rows, and only 200 rows are imported. Import more to train on." in said


SEGMENTS = st.lists(
    st.tuples(st.integers(1, 300), st.floats(0, 1), st.floats(0, 1)).map(
        lambda drawn: (drawn[0], int(drawn[0] * drawn[1]), int(drawn[0] * drawn[2]))
    ),
    min_size=1,
    max_size=4,
)


@given(SEGMENTS, st.integers(1, 400), st.booleans())
def test_what_is_expected_of_the_held_out_rows_is_never_more_than_there_is(
    drawn: list[tuple[int, int, int]], wanted: int, by_time: bool
) -> None:
    traffic = [SegmentRows(f"s{at}", n, gold, said, min(gold, said), 0) for at, (n, gold, said) in enumerate(drawn)]
    gate = replace(GATE, held_out_rows=wanted, by_time=by_time)
    found = expected(gate, traffic)
    assert abs(total(found) - min(wanted, total(traffic))) <= len(traffic)
    for each, there in zip(found, traffic, strict=True):
        assert all(0 <= each.of(need) <= there.of(need) + 1 for need in Need)
        assert each.both <= min(each.gold, each.teacher) + 1


@given(st.lists(st.booleans(), min_size=12, max_size=60), st.integers(2, 8))
def test_the_split_holds_out_rows_that_can_judge_first_and_leaves_validation_its_share(
    judged: list[bool], wanted: int
) -> None:
    candidates = [
        Candidate(f"{n:064x}", sentence(5_000 + n), "ab"[n % 2], judged=able) for n, able in enumerate(judged)
    ]
    rule = SplitRule(seed=1, held_out_rows=wanted, validation_share=Decimal("0.2"), needs=Need.BOTH)
    places = assign(candidates, rule, {})
    held_out = [able for able, place in zip(judged, places, strict=True) if place is Split.HELD_OUT]
    assert len(held_out) == wanted
    able = sum(judged)
    assert sum(held_out) >= min(wanted, int(able * 0.8)) or able < 2


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), min_size=6, max_size=25), st.integers(2, 10))
def test_groups_of_which_some_rows_can_judge_are_held_out_before_those_that_cannot(
    groups: list[tuple[int, int]], wanted: int
) -> None:
    rows = [(at, n < able) for at, (size, able) in enumerate(groups) for n in range(size)]
    candidates = [
        Candidate(f"{n:064x}", sentence(9_000 + n), "all", (f"g{group}",), judged=able)
        for n, (group, able) in enumerate(rows)
    ]
    if len(rows) <= wanted + 4:
        return
    rule = SplitRule(seed=1, held_out_rows=wanted, validation_share=Decimal("0.1"), needs=Need.BOTH)
    places = assign(candidates, rule, {})
    homes = {group: {place for (other, _), place in zip(rows, places, strict=True) if other == group}
             for group in range(len(groups))}  # fmt: skip
    assert all(len(places) == 1 for places in homes.values()), "a group is in one split"
    assert 1 <= places.count(Split.HELD_OUT) <= wanted + 4
    assert len(places) == len(rows)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_by_time_the_latest_rows_that_can_judge_are_held_out(tmp_path: Path, share: float) -> None:
    """Rows in that period without gold are left out and counted: they would be later than what is judged."""
    project = opened(tmp_path, replace(GATE, by_time=True))
    calls = [
        row | {"time": f"2026-0{1 + n // 80}-{1 + n % 80 // 4:02}T0{n % 4}:00:00Z"}
        for n, row in enumerate(with_gold(share))
    ]
    taken(project, calls)
    (note,) = [each for each in power(GATE, held_out=held_out_rows(project.dossier(1))) if each.rows is not None]
    assert note.rows == 40, "and the gate's tab says so before the lock"
    actions.lock_gate(project, 1, SAM)
    tally = data_runs.build_data(project, 1, DANA)["tally"]
    held_out, validation, training = (
        frozen.load(data_of(project), split) for split in (Split.HELD_OUT, Split.VALIDATION, Split.TRAIN)
    )
    assert len(held_out) == 40 and (held_out.gold >= 0).all()
    assert (validation.gold >= 0).any() and len(validation) > 20 and len(training) > 150
    assert tally["straddling"] == 400 - len(held_out) - len(validation) - len(training)
    assert not [each for each in findings(project.dossier(1)) if each.id.startswith("ungraded-")]
    data_runs.freeze_data(project, 1, DANA)


def test_by_time_gold_that_is_older_than_the_period_is_not_held_out_and_that_is_named(tmp_path: Path) -> None:
    project = opened(tmp_path, replace(GATE, by_time=True))
    calls = [
        row | {"time": f"2026-0{1 + n // 80}-{1 + n % 80 // 4:02}T0{n % 4}:00:00Z"} | ({} if n < 120 else {"gold": ""})
        for n, row in enumerate(rows(400))
    ]
    taken(project, calls)
    actions.lock_gate(project, 1, SAM)
    data_runs.build_data(project, 1, DANA)
    assert len(frozen.load(data_of(project), Split.HELD_OUT)) == 40
    (found,) = [each for each in findings(project.dossier(1)) if each.id.startswith("ungraded-")]
    assert (
        found.level is FindingLevel.MUST
        and "None of the 40 held-out rows has gold, and 120 other rows have" in found.says
    )
    with pytest.raises(Refused, match="only bounded by how often student and teacher differ"):
        data_runs.freeze_data(project, 1, DANA)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=12, max_size=60),
    st.integers(2, 8),
    st.integers(0, 4),
)
def test_by_time_every_open_row_is_earlier_than_every_held_out_row(
    drawn: list[tuple[bool, int]], wanted: int, groups: int
) -> None:
    candidates = [
        Candidate(
            f"{n:064x}", sentence(5_000 + n), "ab"[n % 2], (f"g{n % 7}",) if n % 7 < groups else (),
            f"2026-01-{1 + n // 4:02}T{hour:02}", judged=able,
        )
        for n, (able, hour) in enumerate(drawn)
    ]  # fmt: skip
    rule = SplitRule(seed=1, held_out_rows=wanted, validation_share=Decimal("0.2"), by_time=True, needs=Need.BOTH)
    try:
        places = assign(candidates, rule, {})
    except BadInput:
        return
    of = {split: [row.time or "" for row, at in zip(candidates, places, strict=True) if at is split] for split in Split}
    open_times = of[Split.TRAIN] + of[Split.VALIDATION]
    assert of[Split.HELD_OUT] and (not open_times or max(open_times) < min(of[Split.HELD_OUT]))
    assert assign(candidates[::-1], rule, {})[::-1] == places, "whatever the order of the rows"


def test_rows_that_are_missing_are_named_by_what_they_must_have() -> None:
    few = [SegmentRows("all", 40, 20, 30, 15, 0)]
    said = {note.criterion.words: note.sentence for note in power(
        replace(GATE, criteria=(
            replace(AGAINST_TEACHER, margin=Decimal("0.02")),
            Criterion(Metric.ACCURACY, threshold=Decimal("0.97")),
            Criterion(Metric.AGREEMENT, threshold=Decimal("0.97")),
            Criterion(Metric.P95_LATENCY, threshold=Decimal(50)),
            Criterion(Metric.BRIER, threshold=Decimal("0.01")),
        )), held_out=few)}  # fmt: skip
    against, floor, agreement, latency, brier = said.values()
    assert "held-out rows with gold and an answer of the teacher, accept" in against
    assert "held-out rows with gold, lower the floor" in floor and "(20 of 40 held-out rows have gold)" in floor
    assert "held-out rows with an answer of the teacher, lower" in agreement
    assert "so add 19 held-out rows." in latency and "held-out rows with gold" in brier
    assert not [each for each in said.values() if " rows, accept" in each or "add rows" in each]


# --- the live feed ---------------------------------------------------------------------------------------------------


def watched(answers: Sequence[str]) -> observe.Monitor:
    """A monitor after these answers of the teacher, to rows that the student answers with a label."""
    from distill_tui.store import tables

    plan = observe.Plan({"": 0.5}, {"": (1, 100)}, 600, 120, "")
    monitor = observe.Monitor(plan, observe.Scored(answers=LABELS))
    for n, answer in enumerate(answers):
        monitor.add(
            tables.Observation(
                play_id=1, bundle_id=1, feed_id=1, day="2026-02-01", input_digest=f"{n:064x}", probe=0, segment="all",
                answer="money", teacher=answer, asked=0, uncertainty=0.1, distance=0.1, length=9, excerpt="",
            )
        )  # fmt: skip
    return monitor


def test_answers_outside_the_labels_are_named_from_the_first_and_make_amber_when_they_are_more_than_a_few() -> None:
    assert watched(["money"] * 100).findings() == []
    one = watched(["money"] * 99 + ["sarcastic"])
    (found,) = one.findings()
    assert found.what == observe.ANSWERS and "“sarcastic” (1)" in found.sentence and one.standing.value == "steady"
    many = watched(["money", "money", "money", "Positive.", "sarcastic"] * 20)
    assert many.standing.value == "look"
    assert "“Positive.” (20), “sarcastic” (20)" in next(f.sentence for f in many.findings() if f.what == "answers")

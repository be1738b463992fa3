"""Sets of labels in traffic: lists, JSON, delimited text, an object of marks, one column a label."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill_tui.dataset import readers, set_columns
from distill_tui.dataset.audit import counts, coverage
from distill_tui.dataset.build import build, write
from distill_tui.dataset.frozen import content_digest, load
from distill_tui.dataset.opening import BadInput
from distill_tui.dataset.readers import ColumnMapping, TrafficRow
from distill_tui.dataset.split import SplitRule
from distill_tui.dataset.traffic import import_traffic
from distill_tui.gates.gate import Gate
from distill_tui.rules.results import Reject
from distill_tui.tasks.label_map import LabelMap
from distill_tui.teachers import decisions
from distill_tui.teachers.description import DECISIONS, SYSTEM_ONE, Described
from distill_tui.terms import Split, Task, TeacherSource
from support import sets

RULE = SplitRule(3, 60, 0.2)


def table(path: Path, rows: list[dict[str, object]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0]])
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, **columns: str | bool) -> list[TrafficRow | Reject]:
    mapping = ColumnMapping("text", **columns) if columns else readers.guess_mapping(path)  # type: ignore[arg-type]
    return list(readers.read_rows(path, readers.with_sets(mapping, path)))


def golds(path: Path, **columns: str | bool) -> list[str | None]:
    return [row.gold for row in read(path, **columns) if isinstance(row, TrafficRow)]


WANTED = ['["a", "b"]', '["b"]', "[]"]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("list.jsonl", [["b", "a", "a"], ["b"], []]),
        ("list.parquet", [["b", "a"], ["b"], []]),
        ("json.csv", ['["b", "a"]', '["b"]', "[]"]),
        ("python.csv", ["['b', 'a']", "['b']", "[]"]),
        ("marks.jsonl", [{"a": 1, "b": True}, {"a": 0, "b": "yes"}, {"a": 0, "b": 0}]),
        ("model.jsonl", ['```json\n{"labels": ["a", "b"]}\n```', '{"labels": ["b"]}', '{"labels": []}']),
    ],
)
def test_sets_are_read_however_they_are_written(tmp_path: Path, name: str, cells: list[object]) -> None:
    path = table(tmp_path / name, [{"text": f"t{at}", "tags": cell} for at, cell in enumerate(cells)])
    assert golds(path) == WANTED, "found by the usual name of the column"


@pytest.mark.parametrize("separator", [";", "|", ", ", "\n"])
def test_the_separator_of_texts_is_found_in_the_data(tmp_path: Path, separator: str) -> None:
    cells = [separator.join(labels) for labels in (("a", "b"), ("b",), ("a", "c"), ("c", "b"), ("a",), ("b", "a"))]
    path = table(tmp_path / "t.csv", [{"text": f"t{at}", "labels": cell} for at, cell in enumerate(cells)])
    assert golds(path)[:2] == ['["a", "b"]', '["b"]']
    assert readers.with_sets(readers.guess_mapping(path), path).separator == separator.strip(" ")


def test_a_comma_inside_of_labels_is_no_separator(tmp_path: Path) -> None:
    cells = ["Reds, pinks", "Blues"] * 4
    assert set_columns.separator_of(cells) == ""


def test_an_empty_cell_is_missing_unless_it_is_said_to_be_the_empty_set(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", [{"text": "one", "tags": "a;b"}, {"text": "two", "tags": ""}])
    assert golds(path, gold="tags", separator=";") == ['["a", "b"]', None]
    mapping = ColumnMapping("text", gold="tags", several=True, separator=";", empty_set=True)
    assert [row.gold for row in readers.read_rows(path, mapping)] == ['["a", "b"]', "[]"]  # type: ignore[union-attr]


def test_one_column_a_label_is_marked_by_0_and_1(tmp_path: Path) -> None:
    rows = [
        {"text": "x", "spam": 1, "rude": 0, "p_spam": 0.9, "p_rude": 0.2},
        {"text": "y", "spam": 0, "rude": 0, "p_spam": 0.1, "p_rude": 0.3},
        {"text": "z", "spam": None, "rude": None, "p_spam": None, "p_rude": None},
        {"text": "w", "spam": 1, "rude": None, "p_spam": 0.5, "p_rude": 0.5},
        {"text": "v", "spam": "maybe", "rude": 0, "p_spam": 0.5, "p_rude": 0.5},
    ]
    path = table(tmp_path / "t.jsonl", rows)
    found = read(path, gold="spam,rude", teacher_probabilities="p_spam,p_rude")
    assert [row.gold for row in found[:3] if isinstance(row, TrafficRow)] == ['["spam"]', "[]", None]
    assert found[0].teacher_probabilities == {"p_spam": 0.9, "p_rude": 0.2}, "each for itself: no sum of 1"  # type: ignore[union-attr]
    reasons = [row.reason for row in found[3:] if isinstance(row, Reject)]
    assert "'rude' is empty, and other labels of the row are marked" in reasons[0]
    assert "'spam' is “maybe”, and a column of one label holds 0 or 1" in reasons[1]


def test_names_are_counted_and_matched_label_by_label(tmp_path: Path) -> None:
    rows = [{"text": f"t{at}", "gold": ["Billing", "login"], "teacher_output": ["billing"]} for at in range(20)]
    out = tmp_path / "out.parquet"
    path = table(tmp_path / "t.jsonl", rows)
    mapping = readers.with_sets(readers.guess_mapping(path), path)
    report = import_traffic(path, mapping, out)
    assert report.names.gold == {"Billing": 20, "login": 20} and report.names.answers == {"billing": 20}
    assert report.disagreement == 1.0
    named = LabelMap(("billing", "login"), {"Billing": "billing"})
    data = build([out], {}, SplitRule(1, 4, 0.2), named, task=Task.MULTILABEL)
    assert {row.gold for row in data.rows} == {'["billing", "login"]'}
    lost = build([out], {}, SplitRule(1, 4, 0.2), LabelMap(("billing", "login")), task=Task.MULTILABEL)
    assert lost.tally.unknown_gold == 20 and lost.unmatched_gold == {'["Billing", "login"]': 20}
    assert all(row.gold is None for row in lost.rows)


def built(tmp_path: Path, rows: list[dict[str, object]]):  # type: ignore[no-untyped-def]
    path, out = sets.write(tmp_path / "t.jsonl", rows), tmp_path / "out.parquet"
    import_traffic(path, readers.with_sets(readers.guess_mapping(path), path), out)
    return build([out], {}, RULE, LabelMap(sets.LABELS), task=Task.MULTILABEL)


def test_a_data_set_keeps_its_task_its_sets_and_the_probability_of_each_label(tmp_path: Path) -> None:
    data = built(tmp_path, sets.rows(200, 1, gold=0.7))
    digest = write(data, tmp_path / "d.parquet")
    rows = load(tmp_path / "d.parquet", Split.TRAIN)
    assert (
        rows.task is Task.MULTILABEL and rows.labels == sets.LABELS and digest == content_digest(tmp_path / "d.parquet")
    )
    assert not rows.outside.any() and ((rows.gold >= 0) == [text is not None for text in rows.gold_texts]).all()
    assert rows.soft.shape == (len(rows), 4) and rows.soft.max() <= 1 and (rows.soft.sum(axis=1) > 1).any()
    found = counts.count(tmp_path / "d.parquet", Gate((), held_out_rows=60))
    assert sum(found.of(split) for split in Split) == 200 and set(found.trained) == set(sets.LABELS)


def test_probabilities_of_some_labels_only_are_not_used_and_are_counted(tmp_path: Path) -> None:
    rows = [
        row | {"teacher_probabilities": {"billing": 0.9}, "teacher_output": ["billing"]} for row in sets.rows(150, 1)
    ]
    data = built(tmp_path, rows)
    assert all(row.teacher_probabilities is None for row in data.rows)
    assert data.tally.partial_probabilities == len(data.rows)


def test_an_answer_that_its_own_probabilities_contradict_is_refused(tmp_path: Path) -> None:
    rows = [row | {"teacher_output": [*sets.LABELS]} for row in sets.rows(150, 1)]
    shares = dict.fromkeys(sets.LABELS, 0.001)
    with pytest.raises(BadInput, match="the probabilities say otherwise than the answer; the first has “billing”"):
        built(tmp_path, [row | {"teacher_probabilities": shares} for row in rows])


def test_the_audit_names_labels_that_never_or_always_occur_and_those_that_come_together(tmp_path: Path) -> None:
    rows = sets.rows(300, 2)
    for row in rows:
        truth = {"login", *(["billing", "delivery"] if "billing" in row["gold"] else [])}  # type: ignore[operator]
        row |= {"gold": sorted(truth), "teacher_output": sorted(truth), "teacher_probabilities": None}
    data = built(tmp_path, rows)
    found = coverage.audit(data.rows, data.since, Gate((), held_out_rows=60), data.labels, (), Task.MULTILABEL)
    says = {each.id.split("-")[0]: each.says for each in found.findings}
    assert "Label praise has no row in any split." in says["missing"]
    assert says["always"] == "Label login is in 300 of 300 rows: it distinguishes none."
    assert says["together"].startswith(
        "Labels that come together on 95% of their rows or more: billing with delivery ("
    )
    label = {each.value: each for each in found.axes["label"]}
    assert label["login"].traffic == 1.0 and label["billing"].traffic < 0.6


# --- teachers --------------------------------------------------------------------------------------------------------


def described(api: str = "", labels: str = "a,b,c") -> Described:
    made = Described.chosen(TeacherSource.ENDPOINT, "m", labels, "", "http://localhost/v1", api=api)
    return made.for_sets()


def test_a_chat_is_asked_for_a_list_and_read_as_one() -> None:
    teacher = described()
    assert teacher.problem() is None and "JSON list" in teacher.prompt("x") and "a, b, c" in teacher.prompt("x")
    for said, wanted in (
        ('["a", "C"]', '["a", "c"]'),
        ("```json\n[]\n```", "[]"),
        ("b, a", '["a", "b"]'),
        ("b", '["b"]'),
        ("None.", "[]"),
        ("- a", '["a"]'),
        ('{"labels": ["b"]}', '["b"]'),
        ('["a", "z"]', None),
        ("I cannot say.", None),
    ):
        assert teacher.read(said) == wanted, said
    again = Described.from_json(teacher.to_json())
    assert again == teacher and again.several
    one = Described.chosen(TeacherSource.ENDPOINT, "m", "a,b,c", "", "http://localhost/v1")
    assert "several" not in one.to_json(), "a teacher of one label keeps its name in the cache"


def test_a_prompted_local_model_is_refused_for_sets() -> None:
    made = Described.chosen(TeacherSource.PROMPTED, "m", "a,b", "").for_sets()
    assert "scores labels against each other, so it cannot give several" in (made.problem() or "")


@pytest.mark.parametrize("api", [SYSTEM_ONE, DECISIONS])
def test_a_decision_api_is_asked_one_predicate_a_label(api: str) -> None:
    teacher = described(api)
    body = decisions.body_of(teacher, "the text")
    key = "noul" if api == SYSTEM_ONE else "probability"
    if api == SYSTEM_ONE:
        questions = body["questions"]
        assert isinstance(questions, dict) and {each["type"] for each in questions.values()} == {"noul"}
        answers: object = {"a": {"type": key, key: 0.9}, "b": {"type": key, key: 0.2}, "c": {"type": key, key: 0.5}}
    else:
        assert [each["type"] for each in body["questions"]] == ["predicate"] * 3  # type: ignore[attr-defined]
        shares = {"a": 0.9, "b": 0.2, "c": 0.5}
        answers = [{"type": "predicate", "name": label, key: share} for label, share in shares.items()]
    found = decisions.read(teacher, {"model": "m-1", "answers": answers, "usage": {"input_tokens": 7}}, "the text")
    assert found.label == '["a", "c"]' and found.shares == (0.9, 0.2, 0.5) and found.tokens_in == 7
    with pytest.raises(ValueError, match="no decision about “a”"):
        decisions.read(teacher, {"answers": {} if api == SYSTEM_ONE else []}, "x")
    many = described(api, ",".join(f"l{n}" for n in range(200)))
    assert "answers 128 questions a request; there are 200" in (many.problem() or "")

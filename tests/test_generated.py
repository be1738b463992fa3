"""Answers that are texts: which two are the same, how alike two are, and what a record keeps of them."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu import sentence_chrf

from distill_tui.gates import written
from distill_tui.gates.gate import ANY_ORDER
from distill_tui.gates.record import Record
from distill_tui.review import errors
from distill_tui.runs import generation
from distill_tui.tasks import answer_text, default_gate, gate_problems, row_scores
from distill_tui.terms import Metric, PlayKind, Task
from distill_tui.training.predictor import WrittenAnswer

VALUES = st.recursive(st.text(max_size=6) | st.none() | st.integers(), lambda v: st.lists(v, max_size=3)
                      | st.dictionaries(st.text(max_size=4), v, max_size=3), max_leaves=8)  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"city": "Ames", "zip": "50010"}', ' {"zip":"50010",\n"city":"Ames"} '),
        ('{"city": "Ames", "zip": ""}', '{"city": "Ames"}'),
        ('{"city": " Ames ", "unit": null}', '{"city": "Ames"}'),
        ("  two   words ", "two words"),
        ("Café", "Cafe\u0301"),
    ],
)
def test_answers_that_say_the_same_are_spelled_the_same(one: str, other: str) -> None:
    assert answer_text.spelled(one) == answer_text.spelled(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"city": "Ames"}', '{"town": "Ames"}'),
        ('{"city": "Ames"}', '{"city": "ames"}'),
        ("[1, 2]", "[2, 1]"),
        ("Ames", '"Ames"'),
    ],
)
def test_answers_that_say_something_else_are_not(one: str, other: str) -> None:
    assert answer_text.spelled(one) != answer_text.spelled(other)


@pytest.mark.parametrize("text", ['{"a": NaN}', "{" * 3000, '{"a": 1', "[" * 100_000, "{]", "\ud800", "", "{}"])
def test_what_is_no_json_is_a_text_and_breaks_nothing(text: str) -> None:
    assert isinstance(answer_text.spelled(text), str)
    assert answer_text.field_f1("{}", text) in (None, 1.0)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
def test_an_answer_keeps_its_spelling_and_is_its_own_match(value: object) -> None:
    text = json.dumps(value)
    assert answer_text.spelled(answer_text.spelled(text)) == answer_text.spelled(text)
    assert answer_text.field_f1(text, text) == 1.0


def test_the_fields_in_which_an_answer_is_apart_from_gold_are_named() -> None:
    gold = '{"number": "12", "street": {"name": "Elm", "kind": "St"}, "units": ["a", "b"]}'
    assert (
        answer_text.differing_fields(
            '{"units": ["a", "b"], "street": {"kind": "St", "name": "Elm"}, "number": "12"}', gold
        )
        == ()
    )
    answer = '{"number": 12, "street": {"name": "Oak", "kind": "St"}, "units": ["a"], "zip": "1"}'
    assert answer_text.differing_fields(answer, gold) == ("street.name", "units", "zip")
    assert answer_text.differing_fields("no JSON", '{"number": "12"}') == ("number",)
    assert (
        answer_text.differing_fields('{"number": "12"}', "a text") == answer_text.differing_fields("[1]", "[2]") == ()
    )


def test_field_f1_counts_the_fields_that_both_hold() -> None:
    gold = '{"city": "Ames", "zip": "50010", "unit": null}'
    assert answer_text.field_f1('{"city": "Ames"}', gold) == pytest.approx(2 / 3)  # one of one given, of two wanted
    assert answer_text.field_f1('{"city": "Ames", "zip": "1", "state": "IA"}', gold) == pytest.approx(2 / 5)
    assert answer_text.field_f1("no JSON", gold) == 0
    assert answer_text.field_f1('{"city": ""}', '{"unit": null}') == 1.0
    assert answer_text.field_f1('{"city": "Ames"}', "Ames") is None, "gold that is no JSON has no fields"


@pytest.mark.parametrize(
    ("said", "read"),
    [('```json\n{"a": 1}\n```', '{"a": 1}'), ("  yes \n", "yes"), (" \n ", None), ("```\n\n```", None)],
)
def test_an_answer_is_taken_out_of_its_fence(said: str, read: str | None) -> None:
    assert answer_text.read(said) == read


def test_row_scores_are_those_of_sacrebleu_and_none_where_there_is_no_gold() -> None:
    gold = ["the cat sat", None, ""]
    found = row_scores.of_answers(gold, {"student": ["the cat sits", "x", "y"], "teacher": [None, "x", ""]})
    assert Metric.FIELD_F1 not in found, "no gold is JSON"
    wanted = round(100 * sentence_chrf("the cat sits", ["the cat sat"]).score)
    assert found[Metric.CHRF] == {"student": (wanted, -1, 0), "teacher": (-1, -1, 10_000)}


class Rows(SimpleNamespace):
    """Rows as `frozen.load` gives them, as far as a record needs them."""

    def __init__(self, golds: list[str | None], teacher: list[str]) -> None:
        inputs = tuple(f"{word} street in some town of {word}" for word in ("lake", "church", "mill")[: len(golds)])
        super().__init__(
            rows=np.arange(len(golds)), gold_texts=tuple(golds), teacher_texts=tuple(teacher), inputs=inputs,
            digests=tuple(f"{number:<064x}" for number in range(len(golds))), segments=("all",) * len(golds),
            groups=(None,) * len(golds), weights=np.ones(len(golds)), lists="ordered",
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.inputs)


def test_a_record_of_answers_is_judged_by_exact_match_and_by_its_row_scores() -> None:
    split = Rows(['{"city": "Ames"}', '{"city": "Troy"}', None], ['{"city":"Ames"}', "Troy", '{"city":"X"}'])
    answers = ('{"city":"Ames", "zip":""}', "nothing", '{"city":"X"}')
    said = [WrittenAnswer(text, 0.9) for text in answers]
    arms = {"gold": [WrittenAnswer("{}", 0.9)] * 3}
    columns = generation.columns(split, said, ["{}", None, "{}"], "{}", arms)  # type: ignore[arg-type]
    record = Record(**columns)
    assert record.task is Task.GENERATION
    right = [record.student[at] == record.gold[at] for at in range(2)]
    assert right == [True, False] and record.gold[2] == -1
    assert record.student[2] == record.teacher[2], "they say the same in other spellings"
    assert record.scores[Metric.FIELD_F1]["student"] == (10_000, 0, -1)
    assert errors.confusions(record) == [], "answers are no labels, and held-out ones are not quoted"
    assert Record.from_json(record.to_json()) == record


# --- lists, in their order or in any --------------------------------------------------------------------------------

GOLD = '{"tags": ["red", "blue"], "parts": [{"name": "nut", "n": 2}, {"name": "bolt", "n": 1.0}]}'
TURNED = '{"parts": [{"n": 1, "name": "bolt"}, {"n": 2, "name": "nut"}], "tags": ["blue", "red"]}'


def test_the_order_of_a_list_counts_as_the_gate_says_in_exact_match_and_field_f1_alike() -> None:
    assert answer_text.spelled(TURNED) != answer_text.spelled(GOLD)
    assert answer_text.field_f1(TURNED, GOLD) == 0, "no value is where gold has it"
    assert answer_text.differing_fields(TURNED, GOLD) == ("parts.n", "parts.name", "tags")
    assert answer_text.spelled(TURNED, ANY_ORDER) == answer_text.spelled(GOLD, ANY_ORDER)
    assert answer_text.field_f1(TURNED, GOLD, ANY_ORDER) == 1.0
    assert answer_text.differing_fields(TURNED, GOLD, ANY_ORDER) == ()
    twice = '{"tags": ["red", "red", "blue"]}'
    assert answer_text.spelled(twice, ANY_ORDER) != answer_text.spelled('{"tags": ["red", "blue"]}', ANY_ORDER)


@given(VALUES.filter(lambda value: isinstance(value, list)), st.randoms(use_true_random=False))
def test_in_any_order_a_shuffled_list_is_the_same_and_spelling_it_again_changes_nothing(
    value: Any, chance: Any
) -> None:
    mixed = list(value)
    chance.shuffle(mixed)
    text, other = json.dumps(value), json.dumps(mixed)
    said = answer_text.spelled(text, ANY_ORDER)
    assert said == answer_text.spelled(other, ANY_ORDER) == answer_text.spelled(answer_text.spelled(text), ANY_ORDER)
    assert answer_text.field_f1(other, text, ANY_ORDER) == 1.0


def test_a_gate_fixes_how_lists_are_compared_and_a_record_goes_by_it() -> None:
    gate = default_gate(PlayKind.STABILITY, Task.GENERATION)
    loose = replace(gate, lists=ANY_ORDER)
    assert "lists" not in written.to_json(gate) and written.from_json(written.to_json(loose)) == loose
    assert written.from_toml(written.to_toml(loose)) == loose and written.digest(loose) != written.digest(gate)
    wrong = gate_problems(replace(gate, lists="sets"), PlayKind.STABILITY, Task.GENERATION)
    assert "lists is 'sets'; it is 'ordered' or 'any order'." in wrong
    labels = gate_problems(loose, PlayKind.STABILITY, Task.CLASSIFICATION)
    assert any("this play's answers are labels" in each for each in labels)
    for lists, right in ((gate.lists, False), (loose.lists, True)):
        split = Rows([GOLD], [GOLD])
        split.lists = lists
        columns = generation.columns(split, [WrittenAnswer(TURNED, 0.9)], [None], "{}", {})  # type: ignore[arg-type]
        assert (columns["student"] == columns["gold"]) is right
        assert columns["scores"][Metric.FIELD_F1]["student"] == (10_000 if right else 0,)

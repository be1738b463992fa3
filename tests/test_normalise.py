"""Extraction that normalises: values that an answer writes otherwise than they stand in the text, and closed sets."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tui.dataset.audit import written_answers
from distill_tui.dataset.build import Row
from distill_tui.spec import Spec
from distill_tui.tasks import answer_text, normalise
from distill_tui.terms import FindingLevel, Split
from distill_tui.training import predict
from distill_tui.training.generation import Pairs, train
from distill_tui.training.loop import Places
from distill_tui.training.students import fields

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
NAMES = [
    "Ana Silva",
    "Bob Meyer",
    "Chen Wei",
    "Dora Klein",
    "Emil Novak",
    "Fatima Noor",
    "Gus Holm",
    "Hana Sato",
    "Ivo Petrov",
    "Jane Doe",
]
URGENCY = {
    "high": ("as soon as possible", "this is urgent", "we cannot wait"),
    "normal": ("when you get to it", "as usual", "in the normal way"),
    "low": ("no hurry at all", "whenever it suits", "take your time"),
}


def message(chance: random.Random) -> tuple[str, str]:
    """Write a message of a customer, and what a teacher extracts: copied, normalised, chosen, nested and listed."""
    day = date(2024, 1, 1) + timedelta(chance.randrange(1000))
    hour, minute = chance.randrange(7, 20), chance.choice((0, 15, 30, 45))
    cents, digits = chance.randrange(50_000, 400_000), f"{chance.randrange(2 * 10**9, 10**10 - 1)}"
    name, urgency = chance.choice(NAMES), chance.choice(sorted(URGENCY))
    amount = f"{cents // 100:,}.{cents % 100:02}"
    written = chance.choice(
        (day.isoformat(), f"{day.month}/{day.day}/{day.year}", f"{MONTHS[day.month - 1]} {day.day}, {day.year}")
    )
    clock = chance.choice(
        (f"{hour:02}:{minute:02}", f"{(hour - 1) % 12 + 1}:{minute:02} {'am' if hour < 12 else 'pm'}")
    )
    call = chance.choice((f"({digits[:3]}) {digits[3:6]}-{digits[6:]}", f"+1 {digits[:3]} {digits[3:6]} {digits[6:]}"))
    rest = [f"The bill is ${amount}", f"Call {call}", chance.choice(URGENCY[urgency]).capitalize()]
    chance.shuffle(rest)
    said = f"{name} wants it on {written} at {clock}. {'. '.join(rest)}."
    answer = {
        "customer": name,
        "date": day.isoformat(),
        "time": f"{hour:02}:{minute:02}",
        "bill": {"amount": cents / 100, "currency": "USD"},
        "phone": f"+1{digits}",
        "urgency": urgency,
        "mood": f"{chance.choice(('ab', 'cd'))}{chance.randrange(10**6)}x",  # stands nowhere, and is not a closed set
    }
    return said, json.dumps(answer)


def messages(count: int, seed: int) -> Pairs:
    chance = random.Random(seed)
    made = [message(chance) for _ in range(count)]
    return Pairs(tuple(text for text, _ in made), tuple(answer for _, answer in made), np.ones(count, dtype=np.float32))


def known(pairs: Pairs) -> Sequence[str]:
    """The answers without the field that cannot be taught."""
    found = []
    for text in pairs.outputs:
        answer = json.loads(str(text))
        del answer["mood"]
        found.append(answer_text.spelled(json.dumps(answer)))
    return found


# --- values --------------------------------------------------------------------------------------------------------


@given(st.dates(date(2001, 1, 1), date(2099, 12, 31)))
def test_a_day_is_read_in_every_usual_form(day: date) -> None:
    month = MONTHS[day.month - 1]
    for text in (day.isoformat(), f"{month} {day.day}, {day.year}", f"{day.day} {month[:3]} {day.year}",
                 f"{day.day}. {month} {day.year}", f"{day.day}th of {month} {day.year}"):  # fmt: skip
        assert normalise.date(text, "dmy") == normalise.date(text, "mdy") == day.isoformat(), text
    assert normalise.date(f"{day.day}.{day.month}.{day.year}", "dmy") == day.isoformat()
    assert normalise.date(f"{day.month}/{day.day}/{day.year % 100:02}", "mdy") == day.isoformat()


@pytest.mark.parametrize("text", ["31 February 2024", "13/13/2024", "0/1/2024", "Smarch 3, 2024", "2024", ""])
def test_what_is_not_a_day_is_not_made_one(text: str) -> None:
    assert normalise.date(text, "dmy") is None


@pytest.mark.parametrize(
    ("text", "form", "value"),
    [
        ("1,234.50", ".", "1234.5"), ("1.234,50", ",", "1234.5"), ("1 234,5", ",", "1234.5"), ("007", ".", "7"),
        ("689.00", ".", "689"), ("689", ".2", "689.00"), ("-3.10", ".", "-3.1"), ("1'000", ".", "1000"),
        ("1.2.3", ".", None), ("", ".", None), ("-", ".", None),
    ],
)  # fmt: skip
def test_a_number_is_read_by_the_mark_of_its_decimals(text: str, form: str, value: str | None) -> None:
    assert normalise.number(text, form) == value


@pytest.mark.parametrize(
    ("text", "usual", "value"),
    [
        ("1.234,50", ".", "1234.5"), ("1,234.50", ",", "1234.5"), ("672,64", ".", "672.64"), ("672.6", ",", "672.6"),
        ("7 255,49", ".", "7255.49"), ("1.234.567", ".", "1234567"), ("12,34,567.5", ",", "1234567.5"),
        ("0.125", ",", "0.125"), ("1234.500", ",", "1234.5"), ("1,234", ".", "1234"), ("1,234", ",", "1.234"),
        ("26.10.2024", ",", None), ("1.234,5,6", ".", None),
    ],
)  # fmt: skip
def test_only_one_mark_before_three_digits_is_read_as_is_usual(text: str, usual: str, value: str | None) -> None:
    assert normalise.number(text, usual) == value


def test_a_day_that_fits_one_order_alone_is_read_in_it() -> None:
    assert normalise.date("13/5/2026", "mdy") == normalise.date("5/13/2026", "dmy") == "2026-05-13"
    assert normalise.date("5/6/2026", "mdy") == "2026-05-06" and normalise.date("5/6/2026", "dmy") == "2026-06-05"


def test_a_number_ends_where_its_sentence_does() -> None:
    text = "The price was $ 1 801. 8 persons, phone 0434/7323438. 7 May; room 77, 4 475,00 in all"
    assert [said for *_, said in normalise.found_in(text, "number", ".")] == [
        "1801", "8", "434", "7323438", "7", "77", "4475",
    ]  # fmt: skip
    assert [said for *_, said in normalise.found_in(text, "phone", "+49")] == ["+494347323438"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3 pm", "15:00"),
        ("12:05 a.m.", "00:05"),
        ("12 PM", "12:00"),
        ("15h30", "15:30"),
        ("25:10", None),
        ("7:75", None),
    ],
)
def test_a_time_is_read_in_every_usual_form(text: str, value: str | None) -> None:
    assert normalise.time(text, "") == value


def test_a_phone_number_gets_the_country_that_the_answers_have() -> None:
    assert normalise.phone("(0)30 / 1234-567", "+49") == "+49301234567"
    assert normalise.phone("0049 30 1234567", "+49") == normalise.phone("+49 30 1234567", "+49") == "+49301234567"
    assert normalise.phone("030 1234567", "") == "0301234567"


@given(st.decimals(-(10**9), 10**9, allow_nan=False, places=4))
def test_numbers_are_compared_by_value_wherever_they_stand(number: object) -> None:
    one, other = (answer_text.spelled('{"a": [{"b": N}]}'.replace("N", text)) for text in (f"{number}", f"{number}00"))
    assert one == other


def test_numbers_of_another_value_and_texts_of_digits_stay_apart() -> None:
    assert (
        answer_text.spelled('{"a": 689.0}') == answer_text.spelled('{"a": 689}') == answer_text.spelled('{"a": 6.89e2}')
    )
    assert answer_text.spelled('{"a": 689.01}') != answer_text.spelled('{"a": 689}')
    assert answer_text.spelled('{"zip": "01234"}') != answer_text.spelled('{"zip": "1234"}')
    assert answer_text.spelled('{"a": 1e999999999}') and answer_text.spelled('{"a": N}'.replace("N", "9" * 5000))


def test_an_object_that_has_a_name_twice_is_not_json() -> None:
    assert answer_text.spelled('{"a": 1, "a": 2}') != answer_text.spelled('{"a": 2}')
    assert answer_text.field_f1('{"a": 2}', '{"a": 1, "a": 2}') is None
    assert fields.flat('{"a": "x", "a": "y"}') is None


# --- the shape -----------------------------------------------------------------------------------------------------


def test_each_field_is_taught_in_its_way_and_what_cannot_be_taught_is_named() -> None:
    found = messages(300, 1)
    marked = fields.mark(found.inputs, [str(answer) for answer in found.outputs])
    ways = dict(
        sentence.rstrip(".").split(": ", 1)
        for sentence in marked.by_field
        if ": " in sentence and "left" not in sentence
    )
    assert ways == {
        "customer": "copied",
        "date": "read as a date",
        "time": "read as a time",
        "bill.amount": "read as a number",
        "bill.currency": "chosen from 1 values",
        "phone": "read as a phone",
        "urgency": "chosen from 3 values",
    }
    assert "mood is left out: 0% of its 300 values" in marked.left_out
    assert marked.misshapen == 0 and all(row is not None for row in marked.spans)


def test_nested_objects_and_lists_are_read_and_written_by_path() -> None:
    answers = [
        '{"who": {"name": "Ana", "age": 3}, "tags": ["red", "blue"]}',
        '{"who": {"name": "Bo", "age": 14}, "tags": ["red"]}',
    ]
    texts = ["Ana is 3, red and blue", "Bo is 14 and red"]
    marked = fields.mark(texts * 20, answers * 20)
    for text, answer, spans, picks in zip(texts, answers, marked.spans, marked.picks, strict=False):
        assert spans is not None
        values = [marked.shape.value(at, text, spans[at]) for at in range(len(spans))]
        for at, pick in zip(marked.shape.chosen, picks, strict=True):
            values[at] = marked.shape.fields[at].choices[pick - 1] if pick else None
        assert answer_text.spelled(marked.shape.write(values)) == answer_text.spelled(answer)
    again = fields.Shape.from_dict(json.loads(json.dumps(marked.shape.to_dict())))
    assert again == marked.shape


def test_a_student_copies_normalises_and_chooses_and_its_program_says_the_same(tmp_path: Path) -> None:
    spec = Spec.from_mapping(
        {
            "student": "tagger",
            "hidden": 64,
            "depth": 1,
            "epochs": 10,
            "learning_rate": 4e-3,
            "vocabulary": 1000,
            "controls": "",
        }
    )
    places = Places(None, tmp_path / "checkpoints", tmp_path / "student", None)
    for _ in train(spec, messages(500, 2), messages(60, 3), places):
        pass
    test = messages(200, 4)
    said = predict.answers(tmp_path / "student", test.inputs, threads=1)
    right = [answer_text.spelled(one.text) == wanted for one, wanted in zip(said, known(test), strict=True)]
    assert sum(right) / len(right) > 0.9, [one.text for one, fits in zip(said, right, strict=True) if not fits][:5]
    assert sum(path.stat().st_size for path in (tmp_path / "student").rglob("*") if path.is_file()) < 10_000_000


# --- findings ------------------------------------------------------------------------------------------------------


def row(number: int, answer: str | None, split: Split = Split.TRAIN) -> Row:
    return Row(number, f"{number:064x}", "text", None, "all", None, split, 1.0, answer, None)


def test_broken_fenced_and_cut_answers_are_a_grave_finding_with_counts() -> None:
    whole = [row(n, '{"a": 1}') for n in range(20)]
    assert not list(written_answers.findings(whole)) and not list(
        written_answers.findings([row(1, "plain"), row(2, "{")])
    )
    bad = ['{"a": 1', '{"a": 1, "b": "x', "```json\n{}\n```", '{"a": 1,, "b": 2}', '{"a": 1, "a": 2}', "I cannot."]
    rows = [*whole, *(row(30 + n, answer) for n, answer in enumerate(bad))]
    (found,) = written_answers.findings([*rows, row(50, '{"a"', Split.HELD_OUT), row(51, None)])
    assert found.level is FindingLevel.MUST
    assert "7 of 27 answers" in found.says and "3 cut off" in found.says and "1 of them are held out" in found.says
    assert "1 in a code fence" in found.says and "1 broken" in found.says and "1 with a name twice" in found.says

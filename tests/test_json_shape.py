"""The shape of JSON answers: whatever keeps to it is JSON of the names and kinds that the teacher's answers have."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_tui.tasks.json_shape import Grammar, shape_of

PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())


def objects(of: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.one_of(st.sampled_from("abc"), st.text(max_size=3)), of, max_size=4)


VALUES = st.recursive(PLAIN, lambda of: st.one_of(st.lists(of, max_size=3), objects(of)), max_leaves=8)
LETTERS = [*b'{}[],: \n"\\/ubtx-+.eE0123456789truefalsn', 0xC3, 0xA9]


def accepts(grammar: Grammar, text: str) -> bool:
    return grammar.walk(grammar.start, text.encode("utf-8", "surrogatepass")) == ()


@pytest.mark.parametrize("answers", [[], ["it is red"], ['{"a": 1}', "[1]"], ['{"a": 1, "a": 2}'], ['{"a": NaN}']])
def test_answers_that_are_not_all_objects_have_no_shape(answers: list[str]) -> None:
    assert shape_of(answers) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"zip": null}',
        '{"zip": "1", "city": "Rome"} ',
        '{"zip":  "1", "city": "Rome"}',
        '{"zip": 1, "city": "Rome"}',
        '{"zip": "1", "city": "Rome", "city": "Rome"}',
        '{"zip": "1", "town": "Rome"}',
        '{"zip": "1", "city": "Rome",}',
        '{"zip": "1" "city": "Rome"}',
        '{"zip": "1", "city": "Rome", "parts": [1]}',
        '{"zip": "\x01", "city": "Rome"}',
        '{"zip": "\\x", "city": "Rome"}',
        '{"zip": nul, "city": "Rome"}',
        '{"zip": "1", "city": "Rome", "n": 01}',
        '{"zip": "1", "city": "Rome", "n": 1.}',
    ],
)
def test_what_is_not_of_the_shape_is_refused(text: str) -> None:
    shape = shape_of(['{"zip": "1", "city": "Rome", "parts": ["a"], "n": 1.5}', '{"city": "Lima", "zip": null}'])
    assert shape is not None and shape["always"] == ["city", "zip"]
    assert not accepts(Grammar(shape), text)


@settings(deadline=None)
@given(st.lists(objects(VALUES), min_size=1, max_size=4), st.sampled_from([None, 1]))
def test_the_answers_that_a_shape_is_of_keep_to_it(values: list[Any], indent: int | None) -> None:
    answers = [json.dumps(value, indent=indent, ensure_ascii=False) for value in values]
    if any("\\u" in answer for answer in answers):  # a name with a control character may be
        return  # spelled in two ways
    shape = shape_of(answers)
    assert shape is not None
    kept = Grammar(json.loads(json.dumps(shape)))  # as answer.json has it
    for answer in answers:
        assert accepts(kept, answer)


@settings(deadline=None, max_examples=200)
@given(st.lists(objects(VALUES), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_whatever_keeps_to_a_shape_is_json_of_its_names_and_kinds(values: list[Any], seed: int) -> None:
    """A walk among the bytes that may come next, which prefers those that close, and where it ends."""
    shape = shape_of(map(json.dumps, values))
    assert shape is not None
    grammar, random, said = Grammar(shape), Random(seed), bytearray()
    state = grammar.start
    names = [byte for name in _names(shape) for byte in json.dumps(name, ensure_ascii=False).encode()]
    for _ in range(2000):
        if not state:
            break
        order = [*random.sample(LETTERS, len(LETTERS)), *names, *range(256)]
        if len(said) > 60:
            order = [*b'"}],:', *order]
        byte = next(each for each in order if grammar.step(state, each) is not None)
        state = grammar.step(state, byte) or ()
        said.append(byte)
    assert state == (), "it ends"
    found = json.loads(said.decode("utf-8", "replace"))
    assert _fits(shape, found)


def _names(shape: dict[str, Any]) -> list[str]:
    return [*shape.get("names", {}), *(name for part in shape.get("names", {}).values() for name in _names(part))]


def _fits(shape: dict[str, Any], value: Any) -> bool:
    kinds = {dict: "object", list: "list", str: "string", bool: str(value).lower(), type(None): "null"}
    if kinds.get(type(value), "number") not in shape["kinds"]:
        return False
    if isinstance(value, dict):
        known = set(shape["always"]) <= set(value) <= set(shape["names"])
        return known and all(_fits(shape["names"][name], each) for name, each in value.items())
    return all(_fits(shape["items"], each) for each in value) if isinstance(value, list) else True

"""The shape of JSON answers, and which bytes may come next in one. Standard library only.

A shape lists which kinds of value the teacher's answers have at a place, which names an object has, which of them
always, what a list holds, and how many blanks stand together between values at most. The module's own text is part of
the model card's program.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

NUMBER = {  # what may follow in a number, by what it has so far; a kind with "." in it may end there
    "-": {"0": "0.", "19": "i."},
    "0.": {".": "f", "eE": "e"},
    "i.": {"09": "i.", ".": "f", "eE": "e"},
    "f": {"09": "f."},
    "f.": {"09": "f.", "eE": "e"},
    "e": {"+-": "s", "09": "x."},
    "s": {"09": "x."},
    "x.": {"09": "x."},
}
WORDS = {"true": b"true", "false": b"false", "null": b"null"}
BLANKS = b" \t\n\r"
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
State = tuple[Any, ...]  # frames, the innermost last; empty at the end of the answer


def shape_of(answers: Iterable[str]) -> dict[str, Any] | None:
    """Return the shape of JSON objects; None where an answer is none, or there is no answer."""
    found: dict[str, Any] = {}
    blanks = 0
    for answer in answers:
        try:
            value = json.loads(answer, object_pairs_hook=_pairs, parse_constant=_refused)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        _take(found, value)
        blanks = max(blanks, *map(len, re.findall(r"[ \t\n\r]*", STRING.sub("", answer.strip()))))
    return found | {"blanks": blanks} if found else None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)


def _refused(constant: str) -> None:
    raise ValueError(constant)


def _take(shape: dict[str, Any], value: Any) -> None:
    kinds = {dict: "object", list: "list", str: "string", bool: str(value).lower(), type(None): "null"}
    kind = kinds.get(type(value), "number")
    kinds_there = shape.setdefault("kinds", [])
    if kind not in kinds_there:
        kinds_there.append(kind)
        kinds_there.sort()
    if kind == "object":
        first = "names" not in shape
        names = shape.setdefault("names", {})
        shape["always"] = sorted(value if first else set(shape["always"]) & set(value))
        for name, each in value.items():
            _take(names.setdefault(name, {}), each)
    if kind == "list":
        for each in value:
            _take(shape.setdefault("items", {}), each)


class Grammar:
    """Which bytes may follow each other in an answer of a shape: its names, each once, its kinds, nothing after it."""

    def __init__(self, shape: dict[str, Any]) -> None:
        self.shapes, self.blanks = [shape], int(shape["blanks"])
        self.below: list[dict[str, int]] = []  # of each shape the number of what is below each name, or of its items
        for each in self.shapes:  # grows
            parts = {**{f"n{name}": part for name, part in each.get("names", {}).items()}, "items": each.get("items")}
            found = {}
            for name, part in parts.items():
                if part:
                    found[name] = len(self.shapes)
                    self.shapes.append(part)
            self.below.append(found)
        self.start: State = (("value", 0),)

    def step(self, state: State, byte: int) -> State | None:
        """Return the state after a byte; None where it may not stand there."""
        if not state:
            return None
        (kind, *rest), outer = state[-1], state[:-1]
        return getattr(self, f"_{kind}")(outer, byte, *rest)  # type: ignore[no-any-return]

    def _blank(self, outer: State, byte: int, so_far: int) -> State | None:
        if byte not in BLANKS:
            return self.step(outer, byte)
        return (*outer, ("blank", so_far + 1)) if so_far < self.blanks else None

    def _value(self, outer: State, byte: int, at: int) -> State | None:
        kinds, letter = self.shapes[at]["kinds"], chr(byte)
        if byte in BLANKS and outer:
            return self._blank((*outer, ("value", at)), byte, 0)
        if letter == "{" and "object" in kinds:
            return (*outer, ("object", at, (), "first"))
        if letter == "[" and "list" in kinds:
            return (*outer, ("list", at, "first"))
        if letter == '"' and "string" in kinds:
            return (*outer, ("string",))
        if "number" in kinds and (letter == "-" or (letter.isascii() and letter.isdigit())):
            return (*outer, ("number", {"-": "-", "0": "0."}.get(letter, "i.")))
        for word, text in WORDS.items():
            if word in kinds and text[0] == byte:
                return (*outer, ("word", text[1:]))
        return None

    def _string(self, outer: State, byte: int) -> State | None:
        if byte == 0x22:
            return outer
        if byte == 0x5C:
            return (*outer, ("escape",))
        return None if byte < 0x20 else (*outer, ("string",))

    def _escape(self, outer: State, byte: int) -> State | None:
        if byte == 0x75:
            return (*outer, ("code", 4))
        return (*outer, ("string",)) if byte in b'"\\/bfnrt' else None

    def _code(self, outer: State, byte: int, left: int) -> State | None:
        if byte not in b"0123456789abcdefABCDEF":
            return None
        return (*outer, ("code", left - 1) if left > 1 else ("string",))

    def _word(self, outer: State, byte: int, left: bytes) -> State | None:
        if byte != left[0]:
            return None
        return (*outer, ("word", left[1:])) if left[1:] else outer

    def _number(self, outer: State, byte: int, so_far: str) -> State | None:
        letter = chr(byte)
        for letters, then in NUMBER[so_far].items():
            ranged = letters in ("09", "19")
            if letters[0] <= letter <= letters[1] if ranged else letter in letters:
                return (*outer, ("number", then))
        return self.step(outer, byte) if "." in so_far else None  # what ends a number is of what it stands in

    def _object(self, outer: State, byte: int, at: int, used: tuple[str, ...], place: str) -> State | None:
        here = ("object", at, used)
        if byte in BLANKS:
            return self._blank((*outer, (*here, place)), byte, 0)
        if byte == 0x7D and place in ("first", "after") and set(self.shapes[at]["always"]) <= set(used):
            return outer
        if byte == 0x22 and place in ("first", "name") and self._open(at, used):
            return (*outer, (*here, "after"), ("spelling", at, used, b""))
        if byte == 0x2C and place == "after" and self._open(at, used):
            return (*outer, (*here, "name"))
        return None

    def _open(self, at: int, used: tuple[str, ...]) -> list[str]:
        return [name for name in self.shapes[at]["names"] if name not in used]

    def _spelling(self, outer: State, byte: int, at: int, used: tuple[str, ...], so_far: bytes) -> State | None:
        spelled = {json.dumps(name, ensure_ascii=False)[1:].encode(): name for name in self._open(at, used)}
        now = so_far + bytes([byte])
        if now in spelled:
            name = spelled[now]
            whole = (*outer[:-1], ("object", at, tuple(sorted((*used, name))), "after"))
            return (*whole, ("value", self.below[at][f"n{name}"]), ("colon",))
        if any(each.startswith(now) for each in spelled):
            return (*outer, ("spelling", at, used, now))
        return None

    def _colon(self, outer: State, byte: int) -> State | None:
        if byte in BLANKS:
            return self._blank((*outer, ("colon",)), byte, 0)
        return outer if byte == 0x3A else None

    def _list(self, outer: State, byte: int, at: int, place: str) -> State | None:
        if byte in BLANKS:
            return self._blank((*outer, ("list", at, place)), byte, 0)
        if byte == 0x5D and place in ("first", "after"):
            return outer
        items = self.below[at].get("items")
        if items is None:
            return None
        if place == "first":
            return self._value((*outer, ("list", at, "after")), byte, items)
        return (*outer, ("list", at, "after"), ("value", items)) if byte == 0x2C else None

    def walk(self, state: State | None, text: bytes) -> State | None:
        """Return the state after some bytes; None where one may not stand there."""
        for byte in text:
            if state is None:
                return None
            state = self.step(state, byte)
        return state

"""Written answers: how one is read, in which spelling two are compared, and how similar they are.

An answer is a text, or a JSON object of extracted fields. Pure, standard library only.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any

from distill_tui.digests import sorted_json

_FENCED = re.compile(r"\A```\w*\s*\n(.*)\n\s*```\Z", re.DOTALL)
_EMPTY: tuple[Any, ...] = (None, "", [], {})  # a field with one of these counts as absent


def read(reply: str) -> str | None:
    """Extract the answer from a teacher's reply: without outer blanks and a code fence; None where nothing is left."""
    text = reply.strip()
    fenced = _FENCED.match(text)
    return (fenced[1].strip() if fenced else text) or None


def spelled(text: str) -> str:
    """Return the spelling in which answers are compared; exact match is equality of it.

    JSON objects and lists: names in order, no blanks between, empty fields left out, blanks around values too. Other
    texts: Unicode's composed form, runs of blanks as one.
    """
    value = _json(text)
    if value is None:
        return _plain(text)
    return sorted_json(_bare(value))


def field_f1(answer: str, gold: str) -> float | None:
    """Compute the F1 of an answer's fields against gold's, 0 to 1; None where gold is not JSON.

    A field is the path to a value and the value; 2·(in both) / (in the answer + in gold), and 1 where neither has any.
    Elements of a list are compared in any order.
    """
    truth = _json(gold)
    if truth is None:
        return None
    wanted, given = Counter(_fields(_bare(truth))), Counter(_fields(_bare(_json(answer))))
    total = wanted.total() + given.total()
    return 2 * (wanted & given).total() / total if total else 1.0


def differing_fields(answer: str, gold: str) -> tuple[str, ...]:
    """Return the fields in which an answer differs from gold, where gold is JSON: `street`, or `parts.street`."""
    if _json(gold) is None:
        return ()
    wanted, given = (Counter(_fields(_bare(_json(text)))) for text in (gold, answer))
    names = {".".join(each for each in path if each != "[]") for path, _ in (wanted - given) + (given - wanted)}
    return tuple(sorted(names - {""}))


def _json(text: str) -> Any:
    """Parse a JSON object or list; None for anything else, also for what only Python accepts as JSON."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(text, parse_constant=_refuse, parse_int=str, parse_float=str)
        json.dumps(value, ensure_ascii=False).encode()  # an escape can name half a character, which UTF-8 cannot hold
    except (ValueError, RecursionError):
        return None
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _bare(value: Any) -> Any:
    """Drop empty fields and insignificant blanks."""
    if isinstance(value, dict):
        inner = {_plain(name): _bare(each) for name, each in value.items()}
        return {name: each for name, each in inner.items() if each not in _EMPTY}
    if isinstance(value, list):
        return [each for each in map(_bare, value) if each not in _EMPTY]
    return _plain(value) if isinstance(value, str) else value


def _fields(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _fields(each, (*path, name))
    elif isinstance(value, list):
        for each in value:
            yield from _fields(each, (*path, "[]"))
    elif value not in _EMPTY:
        yield path, str(value)

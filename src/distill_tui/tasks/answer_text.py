"""Written answers: how one is read, in which spelling two are compared, and how similar they are.

An answer is a text, or a JSON object of extracted fields. Pure, standard library only.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from distill_tui.digests import sorted_json
from distill_tui.gates.gate import ANY_ORDER, ORDERED
from distill_tui.tasks import normalise

_FENCED = re.compile(r"\A```\w*\s*\n(.*)\n\s*```\Z", re.DOTALL)
_ELEMENT = re.compile(r"\[\d*\]")
LONGEST_NUMBER = 60  # digits
NAME_TWICE = "a name twice"
CUT, BROKEN, FENCED, TWICE, OTHER = "cut off", "broken", "in a code fence", "with a name twice", "not JSON"
_EMPTY: tuple[object, ...] = (None, "", [], {})  # a field with one of these counts as absent


def read(reply: str) -> str | None:
    """Extract the answer from a teacher's reply: without outer blanks and a code fence; None where nothing is left."""
    text = reply.strip()
    fenced = _FENCED.match(text)
    return (fenced[1].strip() if fenced else text) or None


def is_object(text: str) -> bool:
    return isinstance(_json(text), dict)


def trouble(text: str) -> str:
    """Return what is wrong with an answer that should be JSON; empty for nothing."""
    said = text.strip()
    if said.startswith("```"):
        return FENCED
    if said[:1] not in ("{", "["):
        return OTHER
    try:
        json.loads(said, parse_constant=_refuse, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        return CUT if error.pos >= len(said) or said[-1] not in "}]" else BROKEN
    except (ValueError, RecursionError) as error:
        return TWICE if str(error) == NAME_TWICE else BROKEN
    return ""


def spelled(text: str, lists: str = ORDERED) -> str:
    """Return the spelling in which answers are compared; exact match is equality of it.

    JSON objects and lists: names in order, no blanks between, empty fields left out, blanks around values too, numbers
    by their value (689.0 is 689), elements of a list in their order, or sorted where they count in any order. An object
    that has a name twice is a text. Other texts: Unicode's composed form, runs of blanks as one.
    """
    value = _json(text)
    if value is None:
        return _plain(text)
    return sorted_json(_bare(value, lists))


def field_f1(answer: str, gold: str, lists: str = ORDERED) -> float | None:
    """Compute the F1 of an answer's fields against gold's, 0 to 1; None where gold is not JSON.

    A field is the path to a value and the value; 2·(in both) / (in the answer + in gold), and 1 where neither has any.
    The path has the position in a list, except where lists count in any order.
    """
    truth = _json(gold)
    if truth is None:
        return None
    wanted, given = (Counter(_fields(_bare(value, lists), lists)) for value in (truth, _json(answer)))
    total = wanted.total() + given.total()
    return 2 * (wanted & given).total() / total if total else 1.0


def differing_fields(answer: str, gold: str, lists: str = ORDERED) -> tuple[str, ...]:
    """Return the fields in which an answer differs from gold, where gold is JSON: `street`, or `parts.street`."""
    if _json(gold) is None:
        return ()
    wanted, given = (Counter(_fields(_bare(_json(text), lists), lists)) for text in (gold, answer))
    names = {
        ".".join(each for each in path if not _ELEMENT.fullmatch(each))
        for path, _ in (wanted - given) + (given - wanted)
    }
    return tuple(sorted(names - {""}))


def _json(text: str) -> object:
    """Parse a JSON object or list; None for anything else, also for what only Python accepts as JSON."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(
            text, parse_constant=_refuse, parse_int=_number, parse_float=_number, object_pairs_hook=_once
        )
        json.dumps(value, ensure_ascii=False).encode()  # an escape can name half a character, which UTF-8 cannot hold
    except (ValueError, RecursionError):
        return None
    return value


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _number(text: str) -> str:
    """Return a number in the one spelling of its value; one of absurd size as it is written."""
    digits, _, exponent = text.lower().partition("e")
    if len(digits) > LONGEST_NUMBER or len(exponent) > 4:
        return text
    return normalise.value(text)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(NAME_TWICE)
    return found


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _bare(value: object, lists: str) -> object:
    """Drop empty fields and insignificant blanks; sort lists that count in any order."""
    if isinstance(value, dict):
        inner = {_plain(name): _bare(each, lists) for name, each in value.items()}
        return {name: each for name, each in inner.items() if each not in _EMPTY}
    if isinstance(value, list):
        kept = [each for each in (_bare(each, lists) for each in value) if each not in _EMPTY]
        return sorted(kept, key=sorted_json) if lists == ANY_ORDER else kept
    return _plain(value) if isinstance(value, str) else value


def _fields(value: object, lists: str, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _fields(each, lists, (*path, name))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _fields(each, lists, (*path, "[]" if lists == ANY_ORDER else f"[{at}]"))
    elif value not in _EMPTY:
        yield path, str(value)

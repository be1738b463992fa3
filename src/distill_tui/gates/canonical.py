"""The canonical form that digests are taken of, and reading it strictly: no floats, no name twice, no surprises."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, is_dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from distill_tui.digests import canonical
from distill_tui.terms import Assurance, Metric, Reference

DIGITS = 18  # the longest number that a gate may hold, before and after the point


def plain(value: Any) -> Any:
    """Turn a gate or a record into dicts, lists, strings, integers, booleans and None."""
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        written = [each for each in fields(value) if not (each.metadata.get("silent") and _silent(value, each))]
        return {each.name: plain(getattr(value, each.name)) for each in written}
    return value


def _silent(value: Any, each: Field[Any]) -> bool:
    return bool(getattr(value, each.name) == each.default)


def decimal_text(number: Decimal) -> str:
    """Write a number in one way only: no exponent, no trailing zeros."""
    if not number.is_finite():
        return str(number)
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def a_string(value: object, name: str) -> str:
    """Read text; a TOML date counts as such. Raises ValueError with one sentence."""
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        raise ValueError(f"{name} is {show(value)}; write it as text in quotes.")
    return value


def a_whole_number(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 10**DIGITS:
        raise ValueError(f"{name} is {show(value)}; give a whole number.")
    return value


def a_boolean(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {show(value)}; write true or false.")
    return value


def a_number(value: object, name: str) -> Decimal:
    """Read an exact number. Raises ValueError with one sentence."""
    try:
        number = Decimal(value) if isinstance(value, int | str | Decimal) and not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or too_long(number):
        raise ValueError(f"{name} is {show(value)}; give a number of at most {DIGITS} digits, like 0.05.")
    return number


def one_of(words: type[Metric] | type[Reference] | type[Assurance]) -> Callable[[object, str], object]:
    def read(value: object, name: str) -> object:
        try:
            return words(str(value) if isinstance(value, str) else "")
        except ValueError:
            raise ValueError(f"{name} is {show(value)}; it is one of {', '.join(words)}.") from None

    return read


def show(value: object) -> str:
    """Quote a value for a sentence, shortened."""
    text = str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def too_long(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return number != 0 and (number.adjusted() >= DIGITS or not isinstance(exponent, int) or exponent < -DIGITS)


def strict_json(text: str, thing: str) -> dict[str, object]:
    """Read JSON without duplicate names, floats, NaN or infinity."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = dict(pairs)
        if len(names) < len(pairs):
            twice = next(name for index, (name, _) in enumerate(pairs) if name in dict(pairs[:index]))
            raise ValueError(f"The {thing} has {show(twice)} twice; keep one.")
        return names

    def refuse(number: str) -> object:
        raise ValueError(f"The {thing} holds {show(number)}; it takes whole numbers and text only.")

    try:
        values = json.loads(text, object_pairs_hook=once, parse_float=refuse, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"The {thing} is not JSON: {error}.") from None
    except RecursionError:
        raise ValueError(f"The {thing} is not JSON: it is nested too deeply.") from None
    except ValueError as error:
        reason = str(error)
        raise ValueError(
            reason if reason.startswith("The ") else f"The {thing} holds a number that is too long."
        ) from None
    if not isinstance(values, dict):
        raise ValueError(f"The {thing} is not a JSON object.")
    if "\\ud" in text.lower():
        try:
            canonical(values)
        except UnicodeEncodeError:
            raise ValueError(f"The {thing} holds an escape of half a character; write the character itself.") from None
    return values

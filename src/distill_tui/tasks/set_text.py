"""Sets of labels as people and models write them: lists, JSON, Python lists, text with separators, marks of 0 and 1.

Pure; raises ValueError with the reason where something is not a set of labels.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from decimal import Decimal

from distill_tui.tasks import answer_text

_YES, _NO = ("1", "true", "yes", "y", "x"), ("0", "false", "no", "n")


def there(value: object) -> object:
    """Take NaN, which pandas writes for a missing value, as missing."""
    return None if isinstance(value, float) and math.isnan(value) else value


def mark(value: object, name: str) -> bool | None:
    """Read whether a row has a label; None where the cell is empty."""
    value = there(value)
    text = str(int(value)) if isinstance(value, float | Decimal) and value == int(value) else str(value).strip().lower()
    if value is None or not text:
        return None
    if text not in (*_YES, *_NO):
        raise ValueError(f"'{name}' is “{text[:40]}”, and a column of one label holds 0 or 1")
    return text in _YES


def labels_in(value: object, name: str, separator: str) -> list[str]:
    """Return the labels in a value of a column, or in a model's answer, as they are written there."""
    if isinstance(value, str):
        text = answer_text.read(value) or ""
        parsed = _parsed(text)
        if parsed is None:
            return [part.strip() for part in (text.split(separator) if separator else [text]) if part.strip()]
        value = parsed
    if isinstance(value, Mapping):
        lists = [each for each in value.values() if isinstance(each, list)]
        if len(lists) == 1 and len(value) == 1:  # {"labels": [...]}, as models write it
            return labels_in(lists[0], name, separator)
        marks = {str(label): mark(has, f"{name}.{label}") for label, has in value.items()}
        return [label for label, has in marks.items() if has]
    if isinstance(value, list | tuple):
        return [_label(each, name) for each in value]
    return [_label(value, name)]


def _parsed(text: str) -> object:
    """Parse JSON, or a list as Python writes it; None for other text."""
    if text[:1] not in ("[", "{"):
        return None
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(text) if len(text) < 10_000 else None
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return found


def _label(value: object, name: str) -> str:
    value = there(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    text = value.strip() if isinstance(value, str) else ""
    if not text or "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
        raise ValueError(f"'{name}' has a label that is empty or no text")
    return text

"""Read sets of labels: lists, JSON, text with separators, an object of marks, or one column a label.

A set is kept as text in one spelling (`gates.label_sets`). An empty cell says nothing; an empty list is the empty set.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from distill_tui.gates.label_sets import written
from distill_tui.tasks.set_text import labels_in, mark, there

SEPARATORS = ("\n", "|", ";", ",")  # that are looked for, in this order
USUAL = ("labels", "tags", "topics", "intents", "categories", "policies", "emotions", "keywords", "classes", "codes")


def columns_of(name: str) -> list[str]:
    """Return the columns that a mapped name stands for: of one column a label, a JSON list of them."""
    if name.startswith("["):
        try:
            names = json.loads(name)
        except ValueError:
            return [name]
        if isinstance(names, list) and all(isinstance(each, str) for each in names):
            return names
    return [name]


def several(named: str, there: Sequence[str]) -> str:
    """Return how columns that are named with commas are kept, where each is a column and the whole is none."""
    parts = [part.strip() for part in named.split(",")]
    if named in there or len(parts) < 2 or not all(part in there for part in parts):
        return named
    return json.dumps(parts, ensure_ascii=False)


def separator_of(cells: Iterable[object]) -> str:
    """Find the separator of the labels in texts: the first one that leaves parts which repeat; "" for none."""
    texts = [cell.strip() for cell in cells if isinstance(cell, str) and cell.strip() and cell.strip()[0] not in "[{"]
    whole = Counter(texts)
    for separator in SEPARATORS:
        parts = Counter(part.strip() for text in texts for part in text.split(separator) if part.strip())
        if any(separator in text for text in texts) and len(parts) < len(whole):
            return separator
    return ""


def read(record: Mapping[str, object], name: str, separator: str, *, empty_set: bool) -> str | None:
    """Read a set of labels from its column or columns; None where it is missing. Raises ValueError with the reason."""
    names = columns_of(name)
    if len(names) > 1:
        return _of_columns(record, names)
    value = there(record.get(names[0]))
    if isinstance(value, str) and not value.strip():
        value = None
    if value is None:
        return written(()) if empty_set else None
    return written(labels_in(value, names[0], separator))


def _of_columns(record: Mapping[str, object], names: Sequence[str]) -> str | None:
    marks = {name: mark(record.get(name), name) for name in names}
    missing = [name for name, has in marks.items() if has is None]
    if len(missing) == len(names):
        return None
    if missing:
        raise ValueError(f"'{missing[0]}' is empty, and other labels of the row are marked; write 0 or 1")
    return written(name for name, has in marks.items() if has)

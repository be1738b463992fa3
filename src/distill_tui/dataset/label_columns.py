"""Find columns whose values look like labels, with how many values each has; propose one as gold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

USUAL = (  # names under which data sets keep gold labels, apart from those that mean nothing else
    *("intent", "category", "class", "class_name", "classification", "label_text", "label_name", "labels"),
    *("sentiment", "topic", "tag", "annotation", "rating", "type"),
)
LEAST_ROWS = 10  # filled, below which a column's values are not judged
LONGEST = 80  # characters of a label
FILLED, REPEATED = 0.5, 2  # share of the rows that have a value; rows for each value, on average

Values = Mapping[str, frozenset[str]]


def label_like(rows: Iterable[Mapping[str, object]]) -> dict[str, frozenset[str]]:
    """Return the columns of few short values that repeat, with their values, in the order of the columns."""
    read, filled, values, other = 0, dict[str, int](), dict[str, set[str]](), set[str]()
    for row in rows:
        read += 1
        for name, value in row.items():
            text = _label(value)
            if value is None or text == "":
                continue
            if text is None:
                other.add(name)
                continue
            filled[name] = filled.get(name, 0) + 1
            values.setdefault(name, set()).add(text)
    return {
        name: frozenset(found)
        for name, found in values.items()
        if name not in other
        and filled[name] >= max(LEAST_ROWS, FILLED * read)
        and 2 <= len(found) <= filled[name] / REPEATED
    }


def _label(value: object) -> str | None:
    """Return a value as a label; None for what cannot be one."""
    if isinstance(value, bool | int):
        return str(value)
    text = value.strip() if isinstance(value, str) else None
    return text if text is not None and len(text) <= LONGEST and "\n" not in text else None


def gold_of(candidates: Values, taken: Mapping[str, str | None]) -> str | None:
    """Propose a column as gold where none has one of its names; None where no column, or more than one, fits.

    `taken` are the columns by their meaning. The segment may be gold by another name; next to a teacher's answers it is
    only where the two have values in common.
    """
    answers = candidates.get(taken.get("teacher_output") or "", frozenset())
    mapped = {column for meaning, column in taken.items() if column and meaning != "segment"}
    fitting = [name for name in candidates if name not in mapped and _shares(candidates[name], answers, taken)]
    usual = sorted(
        (name for name in fitting if name.casefold() in USUAL), key=lambda name: USUAL.index(name.casefold())
    )
    others = [name for name in fitting if name != taken.get("segment")]
    return next(iter(usual), others[0] if len(others) == 1 else None)


def _shares(values: frozenset[str], answers: frozenset[str], taken: Mapping[str, str | None]) -> bool:
    if not taken.get("teacher_output"):
        return True
    folded = {answer.casefold() for answer in answers}
    return 2 * sum(value.casefold() in folded for value in values) >= len(values)

"""Read the labels that a person names: with commas and CSV quoting, or in a file."""

from __future__ import annotations

import csv
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

_ENDINGS = (".txt", ".csv", ".tsv", ".json", ".jsonl")
_SINGLE = ("'", "‘", "’", "`")


def label_list(named: str) -> tuple[str, ...]:
    """Return labels: of a file one a line, else of one line with commas; quotes keep a comma. Raises ValueError."""
    with suppress(OSError):  # a long list is too long for a path
        if Path(named).is_file():
            return tuple(_whole(line.strip()) for line in _lines(Path(named)) if line.strip())
    labels = tuple(label.strip() for label in _fields(named)) if named.strip() else ()
    if len(labels) == 1 and Path(named).suffix in _ENDINGS:
        raise ValueError(f"There is no file {named}. Name a file with one label a line, or write a,b,c.")
    for one, other in pairwise(labels):
        if one[:1] in _SINGLE and one[-1:] not in _SINGLE and other[-1:] in _SINGLE:
            raise ValueError(f'The labels cannot be read: {one}, {other}. Quote a label that has a comma by " ".')
    return labels


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not UTF-8. Save it as UTF-8, one label a line.") from None


def _whole(line: str) -> str:
    """A line of a file is one label, whatever commas are in it; quotes around all of it are not part of it."""
    fields = _fields(line) if line.startswith('"') else []
    return fields[0].strip() if len(fields) == 1 else line


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ValueError(f"The labels cannot be read ({error}). Write a,b,c, and quote a label with a comma.") from None

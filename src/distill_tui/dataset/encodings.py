"""Name the likely encoding of bytes that are not UTF-8, and find texts that were decoded wrongly before. Pure."""

from __future__ import annotations

import re

LATIN, OTHER = "Windows-1252 (Latin-1)", "GB18030, Shift JIS or Windows-1251"
_RUN = re.compile(rb"[\x80-\xff]{3}")


def cure(raw: bytes) -> str:
    """Return the likely encoding and the command: in Latin script at most two bytes above 127 follow each other."""
    if _RUN.search(raw):
        return f"it may be {OTHER}: `iconv -f ENCODING -t UTF-8` converts the file"
    return f"it looks like {LATIN}: `iconv -f WINDOWS-1252 -t UTF-8` converts the file"


def escaped(text: str) -> bytes:
    """Return the bytes of a text that was decoded with surrogate escapes."""
    return text.encode(errors="surrogateescape")


_TWICE = re.compile("[\u00c2\u00c3][\u0080-\u00bf\u0152-\u0192\u02c6-\u2122]|\u00e2\u20ac[\u0090-\u2122]|\ufffd")


def garbled(text: str) -> str:
    """Return the first word that was decoded wrongly before it was saved, like `GrÃ¼ÃŸe`; else an empty text."""
    found = None if text.isascii() else _TWICE.search(text)
    if found is None:
        return ""
    start = text.rfind(" ", 0, found.start()) + 1
    return text[start:].split(" ", 1)[0][:40]


def garbled_says(rows: int, of: int, example: str) -> str:
    return (
        f"{rows:,} of {of:,} rows were decoded wrongly before they were saved, like “{example}”. Convert the original "
        "file again, as UTF-8."
    )

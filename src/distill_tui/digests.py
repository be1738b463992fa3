"""Canonical JSON, and the SHA-256 of bytes, files and folders (standard library only).

There is one way to write JSON that is compared, digested or signed. A file's digest is of its bytes. A folder's digest
is of its manifest: the canonical JSON of `{relative name: SHA-256}`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple


def canonical(value: object) -> bytes:
    """Write the JSON that is digested and signed: `sorted_json` in UTF-8.

    Raises TypeError at a float, and at a key that is not text, so that one value has one text.
    """
    _refuse_floats(value)
    return sorted_json(value).encode()


def sorted_json(value: object) -> str:
    """Write JSON with sorted keys, no spaces, and characters as they are; floats as Python writes them."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise TypeError("canonical JSON holds no floats; write the number as text")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError("canonical JSON has text keys only")
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)


def digest_of(content: bytes | str) -> str:
    """Return the digest of bytes, or of a text in UTF-8."""
    return "sha256:" + hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def chained(seq: object, previous: object, content: object) -> str:
    """Return the digest of an entry of the audit log: of its number, the digest before it, and its content's digest."""
    return digest_of(canonical([seq, previous, content]))


def file_digest(path: Path) -> str:
    """Return the digest of a file, read in blocks."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def folder_manifest(folder: Path) -> dict[str, str]:
    """List every file of a folder with its digest. Raises ValueError at anything that is not a plain file."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ValueError(f"{path.name} in {folder.name} is a symbolic link; replace it by the file itself.")
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = file_digest(path)
        elif not path.is_dir():
            raise ValueError(f"{path.name} in {folder.name} is neither a file nor a folder; remove it.")
    return found


def folder_digest(folder: Path) -> str:
    """Return the digest of a folder: that of its manifest."""
    return digest_of(canonical(folder_manifest(folder)))


class Part(NamedTuple):
    """The digests from one, included, to another, not included."""

    start: str = ""
    end: str = "g"  # after every hexadecimal digit


EVERY_ROW = Part()
DIGITS = 4  # of a digest that divide parts


def parts(rows: int, most: int) -> list[Part]:
    """Divide all digests into equal parts, so that each has about so many of the rows at most, in their order."""
    count = min(max(1, -(-rows // most)), 16**DIGITS)
    bounds = [f"{16**DIGITS * number // count:0{DIGITS}x}" for number in range(1, count)]
    return [Part(start, end) for start, end in zip(("", *bounds), (*bounds, "g"), strict=True)]

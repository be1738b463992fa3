"""Licence texts of some 2,600 tokens with the category that AboutCode's people gave each: the data of this sample.

They come out of the wheel of licensedcode-data, which the package installer of this Python downloads; this repository
holds none of them.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import fetch

PACKAGE = "licensedcode-data==32.1.0"
DIGEST = "18f60bde6dbabbc0a925d45ed80089cdbb7168156a2a1c118737198f9b743b96"
CATEGORIES = ("Commercial", "Copyleft", "Copyleft Limited", "Permissive", "Proprietary Free", "Source-available")
LEAST, LONG = 400, 1_500  # words of a text that is taken, and of one that is long
_FRONT = re.compile(r"---\n(.*?)\n---\n?(.*)", re.DOTALL)
_FIELD = re.compile(r"^(\w+): (.*)$", re.MULTILINE)


def download() -> bytes:
    """Return the wheel, checked against its digest. Raises BadInput."""
    return fetch.download(PACKAGE, DIGEST, wheel=True)


def texts(wheel: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield (licence, category, text) of every licence, and of every rule that is a whole text of one licence."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        names = sorted(archive.namelist())
        parts = {name: _FRONT.match(archive.read(name).decode("utf-8", "replace")) for name in names
                 if name.startswith(("licensedcode/data/licenses/", "licensedcode/data/rules/"))}  # fmt: skip
    found = {name: (dict(_FIELD.findall(part[1])), part[2]) for name, part in parts.items() if part}
    category = {about["key"]: about["category"] for about, _ in found.values() if "category" in about}
    for about, text in found.values():
        licence = about.get("key") or about.get("license_expression", "")
        if licence in category and about.get("language", "en") == "en":
            yield licence, category[licence], " ".join(text.split())


def rows(wheel: bytes) -> list[dict[str, Any]]:
    """Return the long texts of the six large categories, each once, with the licence as group."""
    found: dict[str, dict[str, Any]] = {}
    for licence, category, text in texts(wheel):
        words = text.count(" ") + 1
        if words >= LEAST and category in CATEGORIES:
            segment = "long" if words >= LONG else "shorter"
            found.setdefault(text.lower(), {"input": text, "gold": category, "segment": segment, "group": licence})
    return [*found.values()]

"""Debian's packages with the tags that people gave them: a short description, and some of 68 tags.

The lists are those of the machine's own apt (`apt-cache dumpavail`), so no file is fetched and none is kept here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from typing import Any

LEAST = 200  # packages that have a tag; rarer ones are left out
_FIELD = re.compile(r"^([A-Z][A-Za-z0-9-]*):((?:.*\n)(?: .*\n)*)", re.MULTILINE)


def dumped() -> str:
    """Return apt's list of packages. Raises SystemExit where this machine has none."""
    program = shutil.which("apt-cache")
    if program is None:
        raise SystemExit("This sample reads apt's list of packages, and there is no apt-cache here.")
    text = subprocess.run([program, "dumpavail"], capture_output=True, check=True).stdout.decode("utf-8", "replace")
    if "\nTag:" not in text:
        raise SystemExit("apt's list has no package with tags; run `apt-get update` on Debian or Ubuntu.")
    return text


def tagged(text: str) -> Iterator[dict[str, Any]]:
    """Yield packages that have a description and tags: input, all tags, section as segment, source as group."""
    for block in text.split("\n\n"):
        fields = {name: " ".join(value.split()) for name, value in _FIELD.findall(block + "\n")}
        tags = [tag.strip() for tag in fields.get("Tag", "").split(",") if tag.strip()]
        if tags and fields.get("Description"):
            source = fields.get("Source", fields["Package"]).split()[0]
            section = fields.get("Section", "").rpartition("/")[2]
            yield {
                "input": f"{fields['Package']}: {fields['Description']}",
                "gold": tags,
                "segment": section,
                "group": source,
            }


def rows(text: str) -> list[dict[str, Any]]:
    """Return the packages with their frequent tags, each description once; some are left with none."""
    found = {row["input"]: row for row in tagged(text)}
    counted = Counter(tag for row in found.values() for tag in row["gold"])
    kept = {tag for tag, count in counted.items() if count >= LEAST}
    sections = {section for section, count in Counter(row["segment"] for row in found.values()).most_common(8)}
    return [
        row
        | {
            "gold": sorted(kept.intersection(row["gold"])),
            "segment": row["segment"] if row["segment"] in sections else "other",
        }
        for _, row in sorted(found.items())
    ]

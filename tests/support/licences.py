"""List what the program is built on and under which licences: `make licences` writes docs/licences.md.

The set is constraints.txt; the licences are those that the installed packages state. A package that is not installed
keeps the line that the page has.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as plain

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "licences.md"
STATED_ELSEWHERE = {"pysqlite3": "Zlib"}  # in its licence file only
NONE = "states none"
STATES_NONE = frozenset({"textual-speedups"})  # of an extra that a user asks for by name
WORDS = {  # how packages write the same licence
    "apache": "Apache-2.0", "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache 2.0 license": "Apache-2.0",
    "apache software license": "Apache-2.0", "mit license": "MIT", "bsd": "BSD-3-Clause", "bsd license": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause", "3-clause bsd license": "BSD-3-Clause", "isc license": "ISC",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
}  # fmt: skip
FREE = frozenset(  # may be passed on next to code under Apache-2.0; MPL-2.0 binds changes of its own files only
    {
        *("Apache-2.0", "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Zlib", "PSF-2.0", "CC0-1.0"),
        *("BSL-1.0", "CNRI-Python", "MPL-2.0"),
    }
)
EXTRAS = ("serve", "endpoint", "otel", "slurm", "launch", "lora", "gguf", "sample", "web", "speedups")
GROUPS = {
    "program": "`pip install distill-tui`",
    "extra": f"an extra ({', '.join(f'`{each}`' for each in EXTRAS)})",
    "development": "tests and benchmarks",
}


def pinned() -> dict[str, str]:
    """Return the exact set: version by name."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line)


def licence(name: str) -> str:
    """Return the licence that an installed package states. Raises PackageNotFoundError."""
    found = metadata.metadata(name)
    listed = [line.rsplit(" :: ", 1)[1] for line in found.get_all("Classifier") or () if " :: OSI Approved :: " in line]
    stated = found.get("License-Expression") or ""
    short = (found.get("License") or "").strip()
    if not stated:
        stated = short if short and "\n" not in short and len(short) < 60 else " AND ".join(dict.fromkeys(listed))
    stated = stated or STATED_ELSEWHERE.get(plain(name), NONE)
    return WORDS.get(stated.casefold(), stated)


def parts(expression: str) -> set[str]:
    """Return the licences of an expression, without what joins them."""
    words = re.sub(r" WITH [\w.-]+", "", expression.replace("(", " ").replace(")", " "))
    return {WORDS.get(each.strip().casefold(), each.strip()) for each in re.split(r" AND | OR ", words)}


def reached(extras: tuple[str, ...]) -> set[str]:
    """Return the packages that the program needs with these extras, those that they need in turn among them."""
    found: set[str] = set()
    todo = [Requirement(f"distill-tui[{','.join(extras)}]")]
    while todo:
        wanted = todo.pop()
        key = f"{plain(wanted.name)}[{','.join(sorted(wanted.extras))}]"
        if key in found:
            continue
        found |= {key, plain(wanted.name)}
        try:
            needs = metadata.requires(wanted.name) or ()
        except metadata.PackageNotFoundError:
            continue
        for each in map(Requirement, needs):
            chosen = [{"extra": extra} for extra in (*wanted.extras, "")]
            if each.marker is None or any(each.marker.evaluate(one) for one in chosen):
                todo.append(each)
    return found


def lines() -> dict[str, str]:
    """Return the table's line of each package; of one that is not installed, the line that the page has."""
    kept = {name: line for line, name in re.findall(r"^(\| (\S+) \|.*)$", PAGE.read_text(), re.M)}
    program, extra = reached(()), reached(EXTRAS)
    found = {}
    for name, version in sorted(pinned().items(), key=lambda pair: plain(pair[0])):
        group = "program" if plain(name) in program else "extra" if plain(name) in extra else "development"
        try:
            found[name] = f"| {name} | {version} | {licence(name)} | {group} |"
        except metadata.PackageNotFoundError:
            found[name] = kept.get(name, f"| {name} | {version} | not installed | {group} |")
    return found


def page() -> str:
    """Write the page."""
    table = lines()
    groups = "\n".join(f"- {name}: {what}" for name, what in GROUPS.items())
    counts = [sum(line.endswith(f"| {group} |") for line in table.values()) for group in GROUPS]
    return f"""# What it is built on, and under which licences

`make licences` writes this page from `constraints.txt` and from what the installed packages state. A test compares
both, and fails where a package states a licence that does not go with Apache-2.0. MPL-2.0 binds changes of the
package's own files only. {len(table)} packages: {counts[0]} of the program, {counts[1]} of extras, {counts[2]} for
development.

{groups}

| package | version | licence | needed by |
|---|---|---|---|
""" + "".join(f"{line}\n" for line in table.values())


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(page())

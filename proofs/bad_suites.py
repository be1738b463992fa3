"""The public suites of CSV, TOML, encodings and confusable letters through the readers and the names.

    python proofs/bad_suites.py
    python proofs/bad_suites.py --suites DIR   # the packages were fetched to here before

csv-spectrum (npm, MIT), the samples of chardet's source (PyPI, LGPL) and the table of confusable-homoglyphs (PyPI, MIT)
are fetched into a temporary folder and never kept; the TOML cases are CPython's own, where its tests are installed.
Each file is right, or refused in one line; memory is measured over all of it, imports taken off.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from bad_input import STRICT, import_file, one_line
from distill_tui import actions, gates
from distill_tui.dataset import records
from distill_tui.rules.objection import Refused
from distill_tui.store.project import Project
from support.story import actor
from trials import MEMORY, NAME, Row, beginnings, table, trouble

MOST = 200  # MB of memory, imports included
PIP = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", "."]
PACKAGES = {
    "csv-spectrum-*.tgz": ["npm", "pack", "csv-spectrum@2.0.0"],
    "chardet-*.tar.gz": [*PIP, "--no-build-isolation", "--no-binary", ":all:", "chardet==5.2.0"],
    "confusable_homoglyphs-*.whl": [*PIP, "confusable-homoglyphs==3.3.1"],
}


def fetch(folder: Path) -> None:
    """Fetch the packages through the registries' own clients; what cannot be had is not tried."""
    for words in PACKAGES.values():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(words, cwd=folder, capture_output=True, timeout=120, check=True)


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpack a package to look at its data."""
    if archive.suffix == ".whl":
        zipfile.ZipFile(archive).extractall(folder)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    return folder


def csv_spectrum(folder: Path) -> Row:
    """Each file gives the values that the suite names; one that is not UTF-8 is set aside, and told."""
    lost, odd = [], []
    files = sorted(folder.glob("package/csvs/*.csv"))
    for path in files:
        wanted = json.loads((folder / "package" / "json" / f"{path.stem}.json").read_bytes().decode("utf-8", "replace"))
        found = [record for _, record in records.records(path, records.column_names(path))]
        if not isinstance(wanted, list):  # the suite's own slip: this answer is of another file
            odd.append(path.stem)
        elif plain(found) != plain(wanted):
            lost.append(f"{path.name}: {found!r:.100} instead of {wanted!r:.100}")
    return Row("csv-spectrum", len(files), f"each value as the suite has it; {', '.join(odd)}: read only", lost)


def plain(value: object) -> str:
    """Write a value with one kind of line end."""
    return json.dumps(value, sort_keys=True).replace("\\r\\n", "\\n")


def toml_cases() -> Row:
    """What is no TOML is refused in one line, and what is TOML and no gate as well."""
    try:
        from test import test_tomllib
    except ImportError:
        return Row("TOML cases of CPython", 0, "not tried: this Python has no tests installed", [])
    lost, files = [], sorted((Path(test_tomllib.__file__).parent / "data").rglob("*.toml"))
    for path in files:
        body = path.read_bytes().decode("utf-8", "surrogateescape")
        wrong = one_line(lambda body=body: gates.from_toml(body), (ValueError,))  # type: ignore[misc]
        lost += [f"{path.stem}: {wrong}"] if wrong else []
        with contextlib.suppress(ValueError):
            if gates.from_toml(body).criteria:  # one without any is not written yet, and cannot be locked
                lost.append(f"{path.stem}: it was taken for a gate")
    return Row("TOML cases of CPython as a gate", len(files), "refused in one line", lost)


def encodings(folder: Path) -> Row:
    """Texts in 30 encodings as traffic, in each form: whole, or refused, or its rows set aside, with the reason."""
    lost, tried, kinds = [], 0, set()
    for path in sorted(folder.glob("chardet-*/tests/*/*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        tried, kinds = tried + 1, kinds | {path.parent.name}
        for suffix in (".csv", ".jsonl", ".tsv"):
            for begin in (b"", b"input,teacher_output\n" if suffix == ".csv" else b""):
                copy = folder / f"sample{suffix}"
                copy.write_bytes(begin + data)
                wrong = one_line(lambda copy=copy: import_file(copy))  # type: ignore[misc]
                lost += [f"{path.parent.name}/{path.name} as {suffix}: {wrong}"] if wrong else []
        for what, read in STRICT.items():
            body = data.decode("utf-8", "surrogateescape")
            wrong = one_line(lambda read=read, body=body: read(body), (ValueError,))  # type: ignore[misc]
            lost += [f"{path.parent.name}/{path.name} as {what}: {wrong}"] if wrong else []
    return Row("texts in other encodings", tried, f"{len(kinds)} encodings, through every reader", lost)


def confusables(folder: Path) -> Row:
    """No letter that looks like one of `dan` makes another `dan`."""
    confused = json.loads((folder / "confusable_homoglyphs" / "confusables.json").read_text(encoding="utf-8"))
    names = [
        "dan".replace(letter, other["c"])
        for letter in "dan"
        for other in confused.get(letter, [])
        if "dan".replace(letter, other["c"]) != "dan"
    ]
    lost = []
    with tempfile.TemporaryDirectory(dir=MEMORY) as parent:
        path = beginnings(Path(parent))["decided"] / NAME
        project = Project.open(path)
        for name in names:
            try:
                actions.enrol_person(project, actor("mia"), name, "x")
                lost.append(f"{name!a} was enrolled")
            except Refused:
                pass
        project.close()
        lost += [wrong] if (wrong := trouble(path)) else []
    return Row("confusable letters in an id", len(names), "each refused", lost)


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="not used: the suites are what they are")
    parser.add_argument("--suites", type=Path, help="a folder with the packages")
    given, started, rows = parser.parse_args(), time.monotonic(), []
    before = megabytes()
    suites = {
        "csv-spectrum-*.tgz": csv_spectrum,
        "chardet-*.tar.gz": encodings,
        "confusable_homoglyphs-*.whl": confusables,
    }
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        source = given.suites or Path(place)
        if given.suites is None:
            fetch(source)
        rows.append(toml_cases())
        for at, (name, suite) in enumerate(suites.items()):
            archive = next(source.glob(name), None)
            if archive is None:
                rows.append(Row(name, 0, "not tried: no registry was reached", []))
            else:
                rows.append(suite(unpacked(archive, Path(place) / f"suite{at}")))
    most = megabytes()
    rows.append(Row("memory", 1, f"at most {most:.0f} MB, of which the imports are {before:.0f}", []))
    if most > MOST:
        rows[-1].lost.append(f"more than {MOST} MB")
    print(f"suites: {time.monotonic() - started:,.0f} s")
    return table(rows)


if __name__ == "__main__":
    sys.exit(main())

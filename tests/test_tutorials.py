"""Every tutorial is typed as it stands, by the real commands; what it says they print, they print."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # they train and judge a student, and judge it once more

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
FENCE = re.compile(r"^```(sh|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def steps(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Each block of commands, with the lines that are said to be printed."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    for number, (kind, text) in enumerate(found):
        if kind == "sh":
            told = found[number + 1] if number + 1 < len(found) else ("sh", "")
            yield text, told[1].splitlines() if told[0] == "text" else []


def typed(block: str, cwd: Path, root: Path) -> str:
    """Run a block as a shell would; gives all that it printed."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DISTILL_", "SSH_"))}
    env = clean | {"PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}", "DISTILL_THREADS": "1"}
    done = subprocess.run(["bash", "-e", "-c", block], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def is_printed(line: str, printed: str) -> bool:
    """Whether a line was printed; … stands for anything."""
    return re.search(".*".join(map(re.escape, line.split("…"))), printed) is not None


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample at its usual place, and the two programs on the PATH."""
    folder = tmp_path_factory.mktemp("tutorials")
    (folder / "bin").mkdir()
    for name, words in (("distill-tui", f"{shlex.quote(sys.executable)} -m distill_tui"), ("python", sys.executable)):
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        program.chmod(0o755)
    for part in ("sample_projects/practice", "docs/tutorials"):
        shutil.copytree(ROOT / part, folder / part)
    return folder


@pytest.fixture(scope="module")
def driven(root: Path) -> dict[str, Path]:
    """Type the driver's tutorial once; gives a copy of the folder as it was before each numbered section."""
    page, kept, section = root / "docs" / "tutorials" / "driver.md", {}, ""
    practice = root / "practice"
    for block, told in steps(page):
        heading = re.findall(r"^## (\d+\.)", page.read_text().partition(block)[0], re.MULTILINE)
        if heading and heading[-1] != section:
            section = heading[-1]
            kept[section] = root / f"before-{section}"
            shutil.copytree(practice, kept[section])
        printed = typed(block, practice if practice.exists() else root, root)
        missing = [line for line in told if not is_printed(line, printed)]
        assert not missing, f"{block}\nprints\n{printed}\nand not {missing}"
    shutil.rmtree(practice)
    return kept


def test_the_drivers_tutorial_is_true(driven: dict[str, Path]) -> None:
    assert list(driven) == [f"{number}." for number in range(1, 9)]


@pytest.mark.parametrize("page", [page for page in TUTORIALS if page.stem != "driver"], ids=lambda page: page.stem)
def test_a_tutorial_is_true(page: Path, driven: dict[str, Path], root: Path) -> None:
    (begins, _), *others = steps(page)
    until = re.search(r"--until (\S+)", begins)
    assert until is not None
    practice = root / "practice"
    shutil.copytree(driven[until[1]], practice)  # what its first block makes, made once for all
    try:
        for block, told in others:
            printed = typed(block, practice, root)
            missing = [line for line in told if not is_printed(line, printed)]
            assert not missing, f"{block}\nprints\n{printed}\nand not {missing}"
    finally:
        shutil.rmtree(practice)


def test_practice_goes_as_far_as_it_is_told_and_overwrites_nothing(root: Path) -> None:
    program = "sample_projects/practice/practice.py"
    typed(f"python {program} short --until 2.", root, root)
    assert (root / "short" / "practice.distill").exists() and (root / "short" / "keys" / "vera.pub").exists()
    done = subprocess.run([sys.executable, program, "short"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1 and "is there already" in done.stderr

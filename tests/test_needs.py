"""A machine without a program that some tests use: they are skipped and one last line names it; CI fails instead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import needs

ASKS = 'from support import needs\n\n\ndef test_a_session():\n    needs.program("sshd")\n'
HOOK = "from tests.conftest import pytest_unconfigure  # noqa: F401\n"
ROOT = Path(__file__).parents[1]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of one test that wants sshd, on a machine without it."""
    (tmp_path / "test_it.py").write_text(ASKS)
    (tmp_path / "conftest.py").write_text(HOOK)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def outcome(suite: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    program = "import shutil, sys, pytest; shutil.which = lambda *a, **k: None; sys.exit(pytest.main(sys.argv[1:]))"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    clean = {name: value for name, value in os.environ.items() if name != "REQUIRE_ALL"}
    words = ("-p", "no:cacheprovider", "-q", *words)
    return subprocess.run(
        [sys.executable, "-c", program, *words], cwd=suite, capture_output=True, text=True, timeout=60,
        env=clean | {"PYTHONPATH": paths, **env},
    )  # fmt: skip


def test_ci_fails_where_a_program_is_missing(suite: Path) -> None:
    done = outcome(suite, REQUIRE_ALL="1")
    assert done.returncode == 1 and "apt-get install openssh-server" in done.stdout


def test_elsewhere_the_last_line_names_what_to_install(suite: Path) -> None:
    done = outcome(suite)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].endswith("sshd (1 test). To run them: apt-get install openssh-server")


def test_a_skip_for_another_reason_is_not_named() -> None:
    assert needs.last_line(["Skipped: root may write everywhere"]) == ""


def test_ci_installs_what_the_tests_ask_for() -> None:
    asked = {
        name
        for file in [*ROOT.glob("tests/*.py"), *ROOT.glob("tests/support/*.py")]
        for name in needs.PACKAGES
        if f'needs.program("{name}")' in file.read_text() or f'needs.missing("{name}")' in file.read_text()
    }
    script = (ROOT / ".ci" / "run").read_text()
    assert asked and not [name for name in asked if f"({needs.PACKAGES[name]})" not in script]

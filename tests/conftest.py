"""What every test begins with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import settings

from distill_tui.store import sqlite
from support import needs

# One SQLite library in one process: a second one that closes a file takes away the locks that the first holds on it.
sys.modules["sqlite3"] = sqlite.module

# Before any command is: else modules wait for their first use, and two threads of a screen must not load one at once.
import_module("distill_tui.ui.app")

# The suite gives one answer for one tree; `make slow` explores again each time (--hypothesis-profile=default).
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def state_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set a state folder for what tests share, too: its workers wait for no run of another process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("shared-state")))
        yield


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return each test a state folder of its own: no test reads or writes what the person who runs it left behind."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


def pytest_unconfigure(config: pytest.Config) -> None:
    """Name, in the very last line, the programs without which tests were skipped."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    line = needs.last_line(report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple))
    if line:
        reporter.write_line(line, yellow=True)

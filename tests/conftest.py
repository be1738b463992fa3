"""What every test begins with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

from distill_tui.store import sqlite

# One SQLite library in one process: a second one that closes a file takes away the locks that the first holds on it.
sys.modules["sqlite3"] = sqlite.module

# The suite gives one answer for one tree; `make slow` explores anew each time (--hypothesis-profile=default).
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a state folder of its own: no test reads or writes what the person who runs it left behind."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder

"""Runs of real workers, awaited."""

from __future__ import annotations

import time
from collections.abc import Callable

from distill_tui.rules import entities
from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.terms import RunStatus


def seen(project: Project, run_id: int) -> entities.Run:
    run = queries.run(project, run_id)
    assert run is not None
    return run


def until(project: Project, run_id: int, reached: Callable[[entities.Run], bool], seconds: float = 400) -> entities.Run:
    """Wait until a run is where it should be; one that failed on the way fails the test."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run = seen(project, run_id)
        if reached(run):
            return run
        assert run.status is not RunStatus.FAILED, run.error
        time.sleep(0.05)
    raise AssertionError(f"run {run_id} is {seen(project, run_id)}")

"""How fast a run goes, over the last ten seconds, and how long it still takes: the same words in every front end."""

from __future__ import annotations

from collections import deque

from distill_tui.rules import entities
from distill_tui.rules.training import OF_DATA
from distill_tui.terms import RunKind, RunStatus

WINDOW = 10.0  # seconds
EVEN = (
    RunKind.TRAIN,
    RunKind.REHEARSE,
    RunKind.REPEAT,
    RunKind.LABEL,
    *OF_DATA,
)  # the steps of other runs take different times


class Pace:
    """The steps of runs as they were seen."""

    def __init__(self) -> None:
        self._seen: dict[int, deque[tuple[float, int]]] = {}

    def rate(self, run: entities.Run, now: float) -> float | None:
        """Note how far a run is at this time, and return its steps per second; None while it is not known."""
        if run.status is not RunStatus.RUNNING or not run.step or run.kind not in EVEN:
            self._seen.pop(run.id, None)
            return None
        seen = self._seen.setdefault(run.id, deque())
        if seen and run.step < seen[-1][1]:
            seen.clear()  # it was resumed
        seen.append((now, run.step))
        while len(seen) > 2 and now - seen[1][0] >= WINDOW:
            seen.popleft()
        since, first = seen[0]
        return (run.step - first) / (now - since) if now > since and run.step > first else None


def at_its_end(run: entities.Run) -> bool:
    """Whether all steps of a run are done, and it still works on its result."""
    return run.status is RunStatus.RUNNING and 0 < run.total <= run.step


def share(run: entities.Run) -> str:
    """Return how much is done: 100% only of a run that has ended."""
    if not run.total:
        return ""
    done = 100 * min(1.0, run.step / run.total)
    return f"{min(done, 99) if run.status.active else done:.0f}%"


def left(run: entities.Run, rate: float | None) -> str:
    """Return how long a run still takes, with its unit; empty where that is not known."""
    if at_its_end(run):
        return "finishing"
    if not rate or not run.total or run.status is not RunStatus.RUNNING:
        return ""
    return f"{duration((run.total - run.step) / rate)} left"


def duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    return f"{round(whole / 60)} min" if whole < 5400 else f"{whole / 3600:.1f} h"


def unit(kind: RunKind) -> str:
    return "rows" if kind is RunKind.LABEL or kind in OF_DATA else "steps"

"""Modules that load at their first use, so that `--help`, completion and `list` do not wait for SQLModel (0.7 s).

Each file of commands imports what it needs at its top. A module named here is then present but empty until one of its
attributes is read (`importlib.util.LazyLoader`). Import it as a module (`from distill_tui.store import queries`):
importing a name from it loads it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types

NAMES = (
    "distill_tui.actions",
    "distill_tui.bundles.bundle",
    "distill_tui.dataset.browse",
    "distill_tui.dataset.frozen",
    "distill_tui.dataset.readers",
    "distill_tui.dataset.traffic",
    "distill_tui.dataset.window",
    "distill_tui.gates",
    "distill_tui.monitor.history",
    "distill_tui.monitor.plan",
    "distill_tui.people.identity",
    "distill_tui.people.log_heads",
    "distill_tui.people.remembered",
    "distill_tui.people.signatures",
    "distill_tui.people.ssh_client",
    "distill_tui.people.ssh_server",
    "distill_tui.reports.data",
    "distill_tui.reports.html",
    "distill_tui.reports.text",
    "distill_tui.review.controls",
    "distill_tui.rounds.cost_estimate",
    "distill_tui.rounds.requests",
    "distill_tui.rounds.variations",
    "distill_tui.rules.decide",
    "distill_tui.rules.gate",
    "distill_tui.rules.next_step",
    "distill_tui.rules.permission",
    "distill_tui.rules.spot_checks",
    "distill_tui.rules.training",
    "distill_tui.rules.who",
    "distill_tui.runs.executors.local",
    "distill_tui.store.backup",
    "distill_tui.store.doctor",
    "distill_tui.store.glance",
    "distill_tui.store.json_columns",
    "distill_tui.store.migrations",
    "distill_tui.store.project",
    "distill_tui.store.queries",
    "distill_tui.store.sqlite",
    "distill_tui.store.verdicts",
    "distill_tui.teachers.description",
)


def defer() -> None:
    """Make each module load at its first use, unless it is loaded already."""
    for name in NAMES:
        if name in sys.modules:
            continue
        room, _, child = name.rpartition(".")
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None, name
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        setattr(sys.modules[room], child, module)


def loaded(name: str) -> bool:
    """Check whether a module is present and not waiting for its first use."""
    return type(sys.modules.get(name)) is types.ModuleType


def load() -> None:
    """Load what is not loaded yet: before threads start, for two of them must not load one module at once."""
    for name in NAMES:
        _ = importlib.import_module(name).__doc__


defer()

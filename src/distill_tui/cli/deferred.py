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

_MODULES = {
    "": "actions tasks",
    "bundles": "export gguf verify",
    "cli.plans": "drive of_play plan_file steps tryout",
    "dataset": "browse feeds frozen opening play_data practice previews readers records traffic window",
    "dataset.traces": "call_mapping",
    "gates": "compare gate power problems written",
    "monitor": "alarm_feed history plan refresh routes",
    "people": "identity log_heads practice_keys remembered signatures ssh_client ssh_server",
    "reports": "data html labels pace text tryout_page",
    "review": "climb controls deferral headline review sections",
    "rounds": "batches call_mappings cost_estimate play_traffic requests variations",
    "rules": "alarm data decide gate labels measurable next_step permission requests results restored separation "
    "spot_checks training who",
    "runs.executors": "files local place",
    "serving": "command feed",
    "store": "backup disks doctor exposure gateway glance json_columns lineage migrations project project_file prune "
    "queries sqlite verdicts",
    "teachers": "description",
}
NAMES = [
    f"distill_tui.{room}.{module}".replace("..", ".")
    for room, modules in _MODULES.items()
    for module in modules.split()
]


def defer() -> None:
    """Make each module load at its first use, unless it is loaded already, or the screens run: they load in threads."""
    for name in NAMES if "distill_tui.ui.app" not in sys.modules else ():
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

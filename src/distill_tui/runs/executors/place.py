"""Where a run works: on this machine, as Slurm jobs, or as shards that anything can run. Kept in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from distill_tui.rules.results import decode, encode
from distill_tui.store.artifacts import write_whole
from distill_tui.terms import Executor, RunKind

FILE = "executor.json"
AWAY = (RunKind.TRAIN, RunKind.LABEL)  # the kinds that can leave this machine: the others measure or write it


@dataclass(frozen=True, kw_only=True)
class Place:
    """An executor and what it was given. Slurm's settings are those of one job."""

    on: Executor = Executor.LOCAL
    folder: str = ""  # of the shards; empty: in the run's own folder, which nodes must then share
    shards: int = 1  # a labelling run is split by rows, a training run by arms; one shard is a whole training run
    partition: str = ""
    minutes: int = 720
    cpus: int = 1
    gpus: int = 0
    memory_gb: int = 4

    def with_settings(self, given: Mapping[str, str]) -> Place:
        """Return it with settings as they are written, like {"minutes": "60"}. Raises ValueError."""
        known = {each.name for each in fields(self)} - {"on", "folder", "shards"}
        values: dict[str, Any] = {}
        for name, text in given.items():
            if name not in known:
                raise ValueError(f"Slurm setting '{name}' is unknown; settings: {', '.join(sorted(known))}.")
            if name != "partition" and not text.isdecimal():
                raise ValueError(f"Slurm setting {name}={text} is not a whole number.")
            values[name] = text if name == "partition" else int(text)
        return replace(self, **values)

    def problem(self, kind: RunKind) -> str:
        """Return why a run of this kind cannot work here; empty where it can."""
        if self.on is Executor.LOCAL:
            return ""
        if kind not in AWAY:
            return f"A run of kind {kind.value} works on this machine only; --on is for training and labelling."
        if self.on is Executor.FILES and not self.folder:
            return "--on files needs a folder for the shards: --to FOLDER."
        if self.gpus and kind is RunKind.LABEL:
            return "A local teacher answers on processors; leave out --slurm gpus."
        if self.shards < 1:
            return f"A {kind.value} run cannot be split into {self.shards} shards."
        return ""


HERE = Place()


def write(run_folder: Path, place: Place) -> None:
    run_folder.mkdir(parents=True, exist_ok=True)
    write_whole(run_folder / FILE, encode(place).encode())


def read(run_folder: Path) -> Place:
    """Return where a run works; this machine where nothing else was asked for. Raises ValueError."""
    try:
        text = (run_folder / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return HERE
    try:
        return decode(Place, text)
    except ValueError as error:
        raise ValueError(f"{FILE} in the run's folder cannot be read ({error}); start the run again.") from None

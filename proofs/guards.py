"""Each proof seen to fail: one guard of the program is taken away, and the proof that covers it must find a loss.

A guard is taken away in a process of its own, in which the proof then runs small. The objections of the rules and the
triggers are taken away one by one in `histories.py`. Not here: how fast sessions are, which is a figure, and whether a
sync reaches the disk, which only a power cut could show.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from distill_tui import actions
from distill_tui import spec as specs
from distill_tui.bundles import verify
from distill_tui.cli import call
from distill_tui.gates import written
from distill_tui.runs import worker
from distill_tui.runs.claim import Claim
from distill_tui.runs.executors import local
from distill_tui.store import (
    artifacts,
    audit_log,
    backup,
    cards,
    doctor,
    migrations,
    project,
    queries,
    sessions,
    sqlite,
    whole_check,
)
from distill_tui.teachers import cache
from distill_tui.training import checkpoints, folders, replace
from kit import Bench, Row
from support.story import GATE

# --- what stands in the place of a guard ----------------------------------------------------------------------------


@contextmanager
def no_lock(path: Path, patience: float | None = None) -> Iterator[None]:
    """Let every process write at once."""
    yield


def plain_begin() -> None:
    """Begin a write as a read, as SQLAlchemy does by default."""
    sessions.BEGIN = "BEGIN"


def separate_entry(connection: Any, *entry: Any, append: Any = audit_log.append) -> Any:
    """Commit the rows, and the log entry in a second transaction."""
    connection.execute("COMMIT")
    time.sleep(0.02)
    connection.execute("BEGIN IMMEDIATE")
    return append(connection, *entry)


def early_acknowledgement(*words: Any, comment: Any = actions.comment) -> None:
    """Return from a comment before it is stored."""
    threading.Timer(0.05, comment, words).start()
    time.sleep(0.02)


def in_place(self: artifacts.Artifacts, path: Path) -> str:
    """Write an artifact under its final name, piece by piece."""
    digest = artifacts.folder_digest(path) if path.is_dir() else artifacts.file_digest(path)
    for source in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
        target = self.path(digest) / source.relative_to(path) if path.is_dir() else self.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb", buffering=0) as file:
            data = source.read_bytes()
            for at in range(0, len(data), 4096):
                file.write(data[at : at + 4096])
    return digest


def file_first(path: Path, making: Path, copy: Any = backup._copy_file) -> None:
    """Name the backup before its artifacts are there."""
    copy(path, making)
    if making.name.endswith(".making"):
        copy(path, making.with_name(making.name[1:].removesuffix(".making")))


def step_by_step(path: Path) -> None:
    """Upgrade a file without a transaction around all steps."""
    connection = sqlite.connect(path)
    if connection.execute("PRAGMA user_version").fetchone()[0] != migrations.VERSION:
        migrations.migrate(connection)
    connection.close()


def forget_random_state() -> None:
    import torch

    torch.set_rng_state = lambda state: None


def file_by_file(fresh: Path, target: Path) -> None:
    """Move the files of a folder one after the other, instead of the folder."""
    target.mkdir(exist_ok=True)
    for each in sorted(fresh.iterdir()):
        each.rename(target / each.name)
    fresh.rmdir()


def token_of_the_run(claimed: Claim) -> str | None:
    """Return the token that the run has now, not the one of this claim."""
    run = queries.run(claimed.project, claimed.id)
    return None if run is None else run.token


def in_batches(folder: Path, teacher: str, answer: Any, add: Any = cache.add_answer, batch: list[Any] = []) -> None:  # noqa: B006
    """Keep answers twenty at a time; only the very first at once."""
    batch.append(answer)
    if len(batch) == 20 or not cache.answered(folder, teacher):
        for each in batch:
            add(folder, teacher, each)
        batch.clear()


def by_the_wall_clock(folder: Path, run: Any) -> float:
    since = datetime.fromisoformat(run.heartbeat_at or run.created_at)
    return abs((datetime.now(UTC) - since).total_seconds())


# --- the guards -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guard:
    """How a guard is taken away, and which proof must find a loss."""

    proof: str
    replaced: tuple[tuple[Any, str, Any], ...] = ()  # target, name, what stands in its place
    more: Callable[[], None] = lambda: None
    scale: float = 1.0
    everywhere: str = ""  # Python that every process runs first, where the proof starts real programs

    def take_away(self) -> None:
        for target, name, value in self.replaced:
            setattr(target, name, value)
        self.more()


NO_LOCK = (project, "write_lock", no_lock)
SEPARATE = ((audit_log, "append", separate_entry),)
IN_PLACE = ((artifacts.Artifacts, "store", in_place),)
STEPS = (project, "migrate", step_by_step)
FILE_BY_FILE = tuple((module, "move_into_place", file_by_file) for module in (checkpoints, replace))
NO_FINDING = (doctor, "file", lambda path: iter(()))
LOOSE = classmethod(lambda cls, text: cls(**json.loads(text)))
ANY_FOLDER = tuple((folders, name, lambda *_: None) for name in ("_strange", "_custom_code", "_weights"))
TRACEBACK = (worker, "in_a_line", lambda error: "".join(traceback.format_exception(error)))
NO_CHAIN = ((whole_check, "trouble", lambda connection, artifacts=None: ""),)
IN_THE_SESSION = """import subprocess
made = subprocess.Popen.__init__
subprocess.Popen.__init__ = lambda self, *words, **how: made(self, *words, **how | {'start_new_session': False})
"""
SUBJECTS = ("histories", "kills", "concurrency", "damage", "disk", "clocks", "hostile_input", "sessions")
GUARDS = {
    "the write lock": Guard("8 writers on one file", (NO_LOCK,), plain_begin, 0.01),
    "the lock while a file is created": Guard("6 create and open one file", (NO_LOCK,), scale=0.1),
    "one transaction, at each call": Guard("SIGKILL at each call during gate lock", SEPARATE),
    "one transaction, at random": Guard("SIGKILL during gate lock", SEPARATE, scale=0.1),
    "stored before it is acknowledged": Guard(
        "SIGKILL of writers", ((actions, "comment", early_acknowledgement),), scale=0.05
    ),
    "an artifact's name last": Guard("SIGKILL at each call during import", IN_PLACE),
    "an artifact's name last, full disk": Guard("full disk", IN_PLACE, scale=0.05),
    "a backup's name last": Guard("SIGKILL at each call during backup", ((backup, "_copy_file", file_first),)),
    "an upgrade in one transaction": Guard("SIGKILL at each call during upgrade", (STEPS,)),
    "an upgrade in one transaction, failing disk": Guard("failing disk during upgrade", (STEPS,)),
    "an upgrade under the lock": Guard("6 upgrade one file", (NO_LOCK, STEPS), scale=0.1),
    "one line for a disk's error": Guard(
        "failing disk during gate lock", ((call, "bad_input", lambda error, command: None),)
    ),
    "one line for a disk's error in a worker": Guard("failing disk during training", (TRACEBACK,)),
    "the random state of a checkpoint": Guard("SIGKILL during training", more=forget_random_state, scale=0.1),
    "a checkpoint's name last": Guard("SIGKILL at each call during training", FILE_BY_FILE),
    "the token of a claim": Guard(
        "SIGSTOP of a worker past its replacement",
        ((Claim, "token", property(token_of_the_run, lambda self, token: None)),),
        scale=0.01,
    ),
    "each answer kept at once": Guard("SIGKILL during labelling", ((cache, "add_answer", in_batches),), scale=0.05),
    "a clock that is not set": Guard(
        "leases while clocks are set", ((local, "_waited", by_the_wall_clock),), scale=0.05
    ),
    "the cards that the door writes": Guard(
        "histories of several people", ((cards, "write", lambda *_: None),), scale=0.002
    ),
    "the chain of the log": Guard("one byte of the log", NO_CHAIN, scale=0.02),
    "the digests of files": Guard(
        "one byte of another artifact", ((artifacts.Artifacts, "trouble", lambda self, digest: None),), scale=0.02
    ),
    "the manifest of a bundle": Guard("one byte of a bundle", ((verify, "STEPS", verify.STEPS[1:]),), scale=0.04),
    "the check of a file that is opened": Guard(
        "project file cut or changed", ((project, "see_whole", lambda path: None), NO_FINDING), scale=0.1
    ),
    "no code in a model folder": Guard("hostile model folders", ANY_FOLDER),
    "a spec read strictly": Guard("mutated files", ((specs.Spec, "from_json", LOOSE),), scale=0.02),
    "a gate read strictly": Guard("TOML cases of CPython", ((written, "from_toml", lambda text: GATE),)),
    "a board that polls twice a second": Guard(
        "3 open boards", scale=0.01, everywhere="from distill_tui.ui import file_watch\nfile_watch.POLL = 4.0"
    ),
    "a worker in a session of its own": Guard(
        "terminals dropped during a run", scale=0.02, everywhere=IN_THE_SESSION
    ),
}  # fmt: skip


def without(name: str) -> Callable[[Bench], Row]:
    def proof(bench: Bench) -> Row:
        guard, row = GUARDS[name], Row(f"without {name}", 1)
        subject = next(each for each in SUBJECTS if guard.proof in import_module(each).PROOFS)
        lost, output = bench.without(subject, guard.proof, name, guard.scale, guard.everywhere, bench.folder)
        row.require(lost, f"{guard.proof} finds nothing: {output}")
        row.detail = f"{guard.proof}: {lost[0]:.150}" if lost else ""
        return row

    return proof


PROOFS = {f"without {name}": without(name) for name in GUARDS}

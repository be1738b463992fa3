"""Each harness seen to fail: one guard of the program is taken away, and the harness that watches it must say so.

    python proofs/guards.py                    # all of them; some minutes
    python proofs/guards.py --only turn        # the guards whose name holds this word
    python proofs/guards.py --list

A guard is taken away in a process of its own, in which its harness then runs small. What a rule objects to, and what a
trigger refuses, is taken away one by one in `people.py`. Not here: `writes.py`, which has the door without its lock
beside it in every run; how quick twenty sessions are, which is a figure; and whether a sync reaches the disk, which
only a power cut could show.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from distill_tui import actions, gates
from distill_tui import spec as specs
from distill_tui.bundles import verify
from distill_tui.cli import call as calls
from distill_tui.runs import worker
from distill_tui.runs.claim import Claim
from distill_tui.runs.executors import local
from distill_tui.store import artifacts, audit_log, backup, doctor, migrations, project, sessions, sqlite, tables
from distill_tui.teachers import cache
from distill_tui.training import checkpoints, export, folders
from trials import Row, library, table

HERE = Path(__file__).parent
NOTHING: Any = lambda *_, **__: iter(())  # noqa: E731  # a rule, or a look, that finds nothing


# --- guards taken away ----------------------------------------------------------------------------------------------


@contextmanager
def nobodys_turn(path: Path, patience: float | None = None) -> Iterator[None]:
    """No lock around a write."""
    yield


def without_turns() -> None:
    """Nobody waits for their turn, and a write begins as a read: what SQLAlchemy does by itself."""
    NO_LOCK()
    made = sessions.engine
    sessions.engine = lambda path, begin: made(path, "BEGIN")


def apart(connection: Any, *entry: Any) -> Any:
    """Commit what was done, and log it afterwards."""
    connection.execute("COMMIT")
    time.sleep(0.02)
    connection.execute("BEGIN IMMEDIATE")
    return LOG(connection, *entry)


LOG = audit_log.append


def told_first(*words: Any) -> None:
    """Say that a comment is kept, and keep it a moment later."""
    threading.Timer(0.05, COMMENT, words).start()
    time.sleep(0.02)


COMMENT = actions.comment


def in_place(self: artifacts.Artifacts, path: Path) -> str:
    """Write an artifact under its name from the beginning, piece by piece."""
    digest = artifacts.folder_digest(path) if path.is_dir() else artifacts.file_digest(path)
    for source in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
        target = self.path(digest) / source.relative_to(path) if path.is_dir() else self.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb", buffering=0) as file:
            data = source.read_bytes()
            for at in range(0, len(data), 4096):
                file.write(data[at : at + 4096])
    return digest


def file_first(path: Path, making: Path) -> None:
    """Copy the file under the backup's own name, before its artifacts are there."""
    COPY(path, making)
    if making.name.endswith(".making"):
        COPY(path, making.with_name(making.name[1:].removesuffix(".making")))


COPY = backup._copy_file


def step_by_step(path: Path) -> None:
    """Bring a file up to date without a transaction around it."""
    connection = sqlite.connect(path)
    if connection.execute("PRAGMA user_version").fetchone()[0] != migrations.VERSION:
        migrations.migrate(connection)
    connection.close()


def forgetful() -> None:
    """Go on from a checkpoint with another random state than the one that it was made in."""
    import torch

    torch.set_rng_state = lambda state: None


def file_by_file(fresh: Path, target: Path) -> None:
    """Move the files of a folder one after the other, instead of the whole folder by its name."""
    target.mkdir(exist_ok=True)
    for each in sorted(fresh.iterdir()):
        each.rename(target / each.name)
    fresh.rmdir()


def without_whole_folders() -> None:
    """Give a checkpoint, and a trained student, its name before its files are in it."""

    checkpoints.move_into_place = export.move_into_place = file_by_file


def whoever_has_it(claimed: Claim) -> str | None:
    """Take the token of whoever has the run now for one's own."""
    with claimed.project.read() as session:
        run = session.get(tables.Run, claimed.id)
    return None if run is None else run.token


def by_the_score(folder: Path, teacher: str, answer: Any) -> None:
    """Keep what a teacher answered once twenty answers are there; only the very first one at once."""
    ANSWERS.append(answer)
    if len(ANSWERS) == 20 or not cache.answered(folder, teacher):
        for each in ANSWERS:
            ADD(folder, teacher, each)
        ANSWERS.clear()


ADD, ANSWERS = cache.add_answer, list[Any]()


def by_the_wall(folder: Path, run: Any) -> float:
    """Say how long a queued run waits by the clock that people set."""
    from datetime import UTC, datetime

    since = datetime.fromisoformat(run.heartbeat_at or run.created_at)
    return abs((datetime.now(UTC) - since).total_seconds())


def loose(cls: Any, text: str) -> Any:
    """Read a spec without looking at what is in it."""
    import json

    return cls(**json.loads(text))


def any_toml(text: str) -> Any:
    """Take anything for a gate."""
    from support.story import GATE

    return GATE


def put(target: Any, name: str, value: Any) -> Callable[[], None]:
    """Give what puts something in the place of a guard."""
    return lambda: setattr(target, name, value)


def several(*steps: Callable[[], None]) -> Callable[[], None]:
    """Do one after the other."""
    return lambda: [step() for step in steps] and None  # type: ignore[func-returns-value]


@dataclass(frozen=True)
class Guard:
    """How a guard is taken away, and who must notice."""

    take_away: Callable[[], None]
    harness: str  # the program and its words
    everywhere: str = ""  # Python that every process runs first, where the harness starts real programs

    @property
    def words(self) -> list[str]:
        """The harness's command line."""
        return self.harness.split("|")


NO_LOCK = put(project, "write_lock", nobodys_turn)
ALL_FINE = put(doctor, "file", lambda path: iter(()))

GUARDS = {
    "the turn to write": Guard(without_turns, "storms.py|--only|8 writers|--scale|0.01"),
    "a lock while a file is made": Guard(NO_LOCK, "storms.py|--only|6 make|--scale|0.1"),
    "deed and entry in one transaction, killed at a call": Guard(
        put(audit_log, "append", apart), "storms_disk.py|--first|--only|killed at: gate lock"
    ),
    "deed and entry in one transaction, killed at a moment": Guard(
        put(audit_log, "append", apart), "storms.py|--only|SIGKILL: gate lock|--scale|0.1"
    ),
    "done before it is told": Guard(
        put(actions, "comment", told_first), "storms.py|--only|SIGKILL: writers|--scale|0.05"
    ),
    "a name only for what is whole, killed": Guard(
        put(artifacts.Artifacts, "store", in_place), "storms_disk.py|--first|--only|killed at: import"
    ),
    "a name only for what is whole, disk full": Guard(
        put(artifacts.Artifacts, "store", in_place), "storms_disk.py|--first|--only|full disk|--scale|0.05"
    ),
    "a backup's name last": Guard(
        put(backup, "_copy_file", file_first), "storms_disk.py|--first|--only|killed at: backup"
    ),
    "an upgrade in one transaction, killed at a call": Guard(
        put(project, "migrate", step_by_step), "storms_disk.py|--first|--only|killed at: upgrade"
    ),
    "an upgrade in one transaction, disk fails": Guard(
        put(project, "migrate", step_by_step), "storms_disk.py|--first|--only|failing disk: upgrade"
    ),
    "an upgrade in its turn": Guard(
        several(NO_LOCK, put(project, "migrate", step_by_step)),
        "storms_files.py|--only|upgrade at once|--scale|0.1",
    ),
    "one line for what a disk says": Guard(
        put(calls, "bad_input", lambda error, call: None), "storms_disk.py|--first|--only|failing disk: gate lock"
    ),
    "the random state of a checkpoint": Guard(forgetful, "storms_training.py|--kills|8"),
    "a checkpoint's name last": Guard(without_whole_folders, "storms_disk.py|--first|--only|killed at: a training"),
    "one line for what a disk says to a worker": Guard(
        put(worker, "in_a_line", lambda error: "".join(traceback.format_exception(error))),
        "storms_disk.py|--first|--only|failing disk: a training",
    ),
    "the token of a claim": Guard(
        put(Claim, "token", property(whoever_has_it, lambda self, token: None)),
        "storms.py|--only|SIGSTOP|--scale|0.01",
    ),
    "each answer kept as it comes": Guard(
        put(cache, "add_answer", by_the_score), "storms_teacher.py|--kills|8"
    ),
    "a clock that nobody sets": Guard(
        put(local, "_waited", by_the_wall), "storms_clocks.py|--only|leases|--scale|0.05"
    ),
    "the chain of the log": Guard(put(audit_log, "chain_trouble", lambda session: ""), "flips.py|--flips|200"),
    "the digests of files": Guard(
        put(artifacts.Artifacts, "trouble", lambda self, digest: None), "flips.py|--flips|200"
    ),
    "the manifest of a verify": Guard(put(verify, "STEPS", verify.STEPS[1:]), "flips.py|--flips|400"),
    "a look at the file when it is opened": Guard(
        several(put(project, "see_whole", lambda path: None), ALL_FINE),
        "storms_files.py|--only|project file|--scale|0.1",
    ),
    "no code in a model folder": Guard(
        several(
            put(folders, "_strange", lambda folder: None),
            put(folders, "_custom_code", lambda folder, config: None),
            put(folders, "_weights", lambda folder: None),
        ),
        "bad_input.py|--only|model",
    ),
    "a spec read strictly": Guard(
        put(specs.Spec, "from_json", classmethod(loose)), "bad_input.py|--only|mutated|--scale|0.05"
    ),
    "a spec read strictly, fuzzed": Guard(
        put(specs.Spec, "from_json", classmethod(loose)), "fuzz.py|--plain|--only|spec|--seconds|5"
    ),
    "a gate read strictly": Guard(put(gates, "from_toml", any_toml), "bad_suites.py|--suites|."),
    "a board that looks twice a second": Guard(
        lambda: None, "storms_files.py|--only|board|--scale|0.01", "import distill_tui.ui.app as app\napp.POLL = 4.0"
    ),
    "a worker in a session of its own": Guard(
        lambda: None,
        "sessions.py|--only|drops|--terminals|2",
        "import subprocess\nmade = subprocess.Popen.__init__\nsubprocess.Popen.__init__ = lambda self, *words, **how: "
        "made(self, *words, **how | {'start_new_session': False})",
    ),
}  # fmt: skip


# --- the table ------------------------------------------------------------------------------------------------------


def one(name: str) -> int:
    """Take a guard away in this process, and run its harness; gives its exit code."""
    guard = GUARDS[name]
    guard.take_away()
    sys.argv = guard.words
    try:
        runpy.run_path(str(HERE / guard.words[0]), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def noticed(name: str, folder: Path) -> tuple[list[str], str]:
    """Run a harness in a process that has a guard less; gives the losses that it told of, and how it ended."""
    guard, rows = GUARDS[name], folder / "rows"
    rows.touch()
    environment = os.environ | {"PROVED": str(rows)}
    for program, source, variable in (
        ("storms_disk.py", "failing_disk.c", "DISK"),
        ("storms_clocks.py", "moved_clock.c", "CLOCK"),
    ):
        if guard.words[0] == program:
            there = str(library(source, folder))
            environment |= {"LD_PRELOAD": there, variable: there}
    if guard.everywhere:
        (folder / "sitecustomize.py").write_text(guard.everywhere)
        environment["PYTHONPATH"] = os.pathsep.join([str(folder), environment.get("PYTHONPATH", "")])
    words = [sys.executable, __file__, "--one", name]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=folder, errors="replace")
    lost = [loss for line in rows.read_text().splitlines() for loss in json.loads(line)["lost"]]
    return lost, f"exit {done.returncode}, {(done.stdout + done.stderr)[-600:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="the guards whose name holds this word")
    parser.add_argument("--list", action="store_true", help="name them, and who watches each")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        return one(given.one)
    if given.list:
        print("\n".join(f"{name}: {' '.join(guard.words)}" for name, guard in GUARDS.items()))
        return 0
    alive, tried, harnesses = [], 0, set()
    for name in (each for each in GUARDS if given.only in each):
        with tempfile.TemporaryDirectory() as folder:
            lost, end = noticed(name, Path(folder))
        tried += 1
        harnesses.add(GUARDS[name].words[0])
        if lost:
            print(f"without {name}: {' '.join(GUARDS[name].words[:4])} says {lost[0]:.150}", flush=True)
        else:
            alive.append(f"without {name} nobody notices: {end}")
            print(alive[-1], flush=True)
    return table([Row("guards taken from the harnesses", tried, f"noticed by {len(harnesses)} harnesses", alive)])


if __name__ == "__main__":
    sys.exit(main())

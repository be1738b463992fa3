"""A play at `decide` that was made by real work, once a session: real files, real keys, a real student.

Ada keeps the project by the account that runs the tests and holds no role. Dan drives, Vera validates, Sam sponsors and
Olga operates, each by a key. The teacher's recorded answers are wrong on every tenth row, so that student and teacher
differ on some held-out rows; the gate is held.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from distill_tui import actions
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.written import digest
from distill_tui.people import identity, log_heads, signatures
from distill_tui.people.keys import PublicKey
from distill_tui.rules.actor import Actor
from distill_tui.runs.executors import local
from distill_tui.spec import Spec
from distill_tui.store.project import Project
from distill_tui.store.sqlite import module as sqlite3
from distill_tui.terms import Assurance, Metric, Opinion, PlayKind, Reference, Role, RunStatus, StudentKind
from support import data_runs
from support.live_play import workers_here

ROLES = {Role.SPONSOR: "sam", Role.DRIVER: "dan", Role.VALIDATOR: "vera", Role.OPERATOR: "olga"}
PEOPLE = (*ROLES.values(), "bob")  # bob is enrolled and holds no role
NUMBERS = {
    "calls_per_month": "900000",
    "teacher_cost_per_1k": "2.40",
    "threshold_per_month": "1000",
    "window_days": "60",
    "machine_price_per_hour": "0.08",
    "serving_cost_per_month": "60",
    "build_cost": "4000",
    "sample_share": "0.01",
}
GATE = Gate(
    criteria=(
        Criterion(Metric.ACCURACY, Reference.TEACHER, margin=Decimal("0.05"), binding=True),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    rounds=2,
    held_out_rows=120,
    minimum_assurance=Assurance.SIGNED,
)
SPEC = Spec(
    student=StudentKind.STATIC,
    hidden=32,
    alpha=0.0,
    epochs=20,
    patience=20,
    learning_rate=5e-2,
    vocabulary=2000,
    max_tokens=24,
)
WORDS = {
    "money": ("refund", "invoice", "charge", "credit", "payment"),
    "post": ("parcel", "courier", "delivery", "tracking", "package"),
}


@dataclass
class Play:
    """A copy of the project in a folder of its own, opened; what its persons do."""

    folder: Path
    project: Project
    id: int = 1

    @property
    def path(self) -> Path:
        return self.project.path

    def key(self, person: str) -> Path:
        return self.folder / "keys" / person

    def by(self, person: str) -> Actor:
        """Prove a person by the key that is theirs; ada by her account."""
        dossier = self.project.project_dossier()
        return identity.by_account(dossier) if person == "ada" else identity.by_key(dossier, self.key(person))

    def public(self, person: str) -> PublicKey:
        return signatures.read_public_key(Path(f"{self.key(person)}.pub").read_text())

    def sign(self, opinion: Opinion = Opinion.APPROVE, comment: str = "Looked at it.", by: str = "vera") -> int:
        return actions.sign_off(self.project, self.id, self.by(by), opinion, comment, key=self.key(by))

    def ship(self, by: str = "dan") -> Path:
        return actions.ship(self.project, self.id, self.by(by), key=self.key(by))

    def sql(self, *statements: str, values: tuple[Any, ...] = ()) -> None:
        """Do what a person with a plain `sqlite3` does; foreign keys are off there."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            for statement in statements:
                connection.execute(statement, values)
        finally:
            connection.close()


def traffic(soft: bool) -> Iterator[dict[str, Any]]:
    """Write 480 rows: a word that tells the label among words that do not; the recorded teacher errs on every tenth.

    Where it is `soft`, the teacher's probabilities were recorded too, and an eighth of the rows has no gold.
    """
    chance = random.Random(1)
    others = ["".join(chance.choices("abcdefghijklmnoprstuvwz", k=6)) for _ in range(80)]
    for number in range(480):
        label = ("money", "post")[number % 2]
        words = [chance.choice(WORDS[label]), *chance.sample(others, 7)]
        chance.shuffle(words)
        wrong = {"money": "post", "post": "money"}[label]
        said = wrong if number % 10 in (0, 1) and number % 20 < 10 else label
        yield {
            "input": " ".join(words),
            "teacher_output": said,
            "gold": None if soft and number % 8 == 7 else label,
            "segment": ("de", "en", "fr")[number % 3],
        } | ({"teacher_probabilities": {name: 0.8 if name == said else 0.2 for name in WORDS}} if soft else {})


@cache
def _made(spec: Spec, soft: bool, gate: Gate) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="real-play-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "keys").mkdir(mode=0o700)
    account = Actor(None, f"account uid {os.getuid()}")
    project = Project.create(folder / "team.distill", "Team", "ada", "Ada Admin", account)
    play = Play(folder, project)
    for person in PEOPLE:
        make_key(play.key(person))
        actions.enrol_person(project, play.by("ada"), person, person.capitalize(), key=play.public(person))
    actions.open_play(project, play.by("sam"), "mail-topic", PlayKind.COST)
    for role, person in ROLES.items():
        actions.assign_role(project, play.id, play.by("sam"), role, person)
    actions.fill_worksheet(project, play.id, play.by("dan"), NUMBERS, "invoice")
    actions.qualify(project, play.id, play.by("dan"))
    actions.edit_gate(project, play.id, play.by("dan"), gate)
    actions.lock_gate(project, play.id, play.by("sam"), digest(gate))
    (folder / "calls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in traffic(soft)))
    dan = play.by("dan")
    data_runs.import_traffic(project, play.id, dan, folder / "calls.jsonl")
    actions.set_teacher(project, play.id, dan, None)
    data_runs.build_data(project, play.id, dan)
    data_runs.freeze_data(project, play.id, dan)
    with workers_here():
        finished(project, actions.start_run(project, play.id, dan, spec))
        finished(project, actions.evaluate(project, play.id, dan))
    actions.set_maintenance(project, play.id, play.by("olga"), 400, 90)
    assert project.dossier(play.id).passed, [j.sentence for j in project.dossier(play.id).judgements]
    project.close()
    connection = sqlite3.connect(project.path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return folder


def finished(project: Project, run_id: int) -> None:
    """Wait for a worker's end, and see that it is a good one."""
    run = local.wait(project, run_id, lambda _: None)
    assert run.status is RunStatus.FINISHED, run.error


def make_key(path: Path, kind: str = "ed25519", *more: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *more, "-N", "", "-C", "", "-f", str(path)], check=True)


def copy_to(folder: Path, spec: Spec = SPEC, *, soft: bool = False, gate: Gate = GATE) -> Play:
    """Return a copy of the play at `decide`, opened; its student is of this spec, its teacher recorded, or soft too."""
    shutil.copytree(_made(spec, soft, gate), folder / "team", ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    return opened(folder / "team")


def opened(folder: Path) -> Play:
    """Open a fresh copy; what this account saw of another one is forgotten."""
    connection = sqlite3.connect(folder / "team.distill")
    (uid,) = connection.execute("SELECT uid FROM project").fetchone()
    connection.close()
    log_heads.file(uid).unlink(missing_ok=True)
    return Play(folder, Project.open(folder / "team.distill"))


def gate_with(**changes: Any) -> Gate:
    """Return the gate of the play with something else in it."""
    return replace(GATE, **changes)

"""A small play that ships, for tests of what comes after: real data sets, real training, real workers.

Its teacher knows two ways of saying each thing. Before the launch customers use one of them; the other comes later, in
the segment `app`, and the student has never seen it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from unittest import mock

from distill_tui import actions
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.people import practice_keys, signatures
from distill_tui.rounds import cost_estimate
from distill_tui.rules.actor import Actor
from distill_tui.runs import worker
from distill_tui.runs.executors import cores, local
from distill_tui.spec import Spec
from distill_tui.store.project import Project
from distill_tui.teachers.description import Described
from distill_tui.terms import Metric, Opinion, PlayKind, Role, StudentKind, Task
from support import data_runs

DANA = Actor("dana", f"account uid {os.getuid()}")
SAM, VERA, OLGA = (Actor(name, f"account uid {uid}") for name, uid in (("sam", 4001), ("vera", 4002), ("olga", 4003)))
ROLES = {Role.SPONSOR: SAM, Role.DRIVER: DANA, Role.VALIDATOR: VERA, Role.OPERATOR: OLGA}


def shipped_with_keys(project: Project, play: int, folder: Path) -> tuple[Path, str]:
    """Sign off with a key of the validator's, ship with one of the driver's; return the bundle and who signed off."""
    practice_keys.make(folder, ("dana", "vera"))
    public = {name: signatures.read_public_key((folder / f"{name}.pub").read_text()) for name in ("dana", "vera")}
    for name, key in public.items():
        actions.add_key(project, DANA, name, key)
    actions.rehearse(project, play, OLGA)
    actions.sign_off(project, play, VERA, Opinion.APPROVE, "Looked.", key=folder / "vera")
    return actions.ship(project, play, DANA, key=folder / "dana"), public["vera"].fingerprint


SAID = {
    "refund": ("refund money return cash", "reimburse chargeback rebate repay"),
    "delivery": ("parcel late courier shipping", "dispatch carrier depot transit"),
    "login": ("password account signin locked", "credentials authenticate token reset"),
}
FILLER = [
    f"{a}{b}" for a in ("ba", "do", "ki", "lu", "me", "no", "pa", "ru") for b in ("ran", "sel", "tim", "vok", "zed")
]
SPEC = Spec(student=StudentKind.STATIC, hidden=32, epochs=10, learning_rate=2e-2, vocabulary=400, alpha=0.0)
GATE = Gate(
    (Criterion(Metric.AGREEMENT, threshold=Decimal("0.8"), binding=True),),
    rounds=2,
    held_out_rows=200,
    baseline="majority",
)
NUMBERS = {
    "calls_per_month": "90000",
    "days_of_traffic": "30",
    "terms_permit_training": "1",
    "price_change": "1",
    "terms_change": "0",
    "availability": "0",
}


def rows(
    count: int, seed: int, *, start: str = "2026-01-01", days: int = 30, new: float = 0.0, noise: float = 0.02
) -> list[dict[str, str]]:
    """Make calls of the teacher over some days; `new` is the share of `app` that speaks the new way."""
    random, first = Random(seed), date.fromisoformat(start)
    made = []
    for number in range(count):
        label, segment = random.choice(sorted(SAID)), random.choice(("app", "web"))
        way = 1 if segment == "app" and random.random() < new else 0
        words = [
            *random.sample(SAID[label][way].split(), 2),
            *random.sample(FILLER, 5),
            "".join(random.choices("bdfgklmnprstvz", k=6)),
        ]
        random.shuffle(words)
        said = random.choice(sorted(SAID)) if random.random() < noise else label
        day = first + timedelta(number * days // count)
        made.append({"input": " ".join(words), "teacher_output": said, "segment": segment, "time": f"{day}T12:00:00Z"})
    return made


def write(path: Path, calls: list[dict[str, str]]) -> Path:
    """Write calls as JSONL."""
    path.write_text("".join(json.dumps(call) + "\n" for call in calls))
    return path


def replay(project: Project, play: int, actor: Actor, path: Path) -> int:
    """Observe a file whose days lie before the ship, as a replay of earlier traffic does."""
    return actions.observe(project, play, actor, path, any_time=True)


@contextmanager
def workers_here() -> Iterator[None]:
    """Let workers run in this process, one after the other, so that torch is imported once."""

    def start(project: Project, run_id: int) -> None:
        with mock.patch.object(os, "nice"), mock.patch.object(cores, "spare", return_value=None):  # torch was used
            worker.main([str(project.path), str(run_id)])

    with mock.patch.object(local, "start", start):
        yield


def opened(folder: Path, name: str, task: Task, gate: Gate, scale: str = "") -> tuple[Project, int]:
    """Open a play of a task in a new project, qualify it, and write its gate."""
    project = Project.create(folder / "play.distill", name, "dana", "Dana", Actor(None, DANA.proof))
    return project, _gated(project, name, task, gate, scale)


def _gated(project: Project, name: str, task: Task, gate: Gate, scale: str = "") -> int:
    for person in (SAM, VERA, OLGA):
        actions.enrol_person(project, DANA, person.person or "", "", uid=int(person.proof.split()[-1]))
    play = actions.open_play(project, DANA, name, PlayKind.STABILITY, task=task, scale=scale)
    for role, actor in ROLES.items():
        actions.assign_role(project, play, DANA, role, actor.person or "")
    actions.fill_worksheet(project, play, DANA, NUMBERS, "made up")
    actions.confirm_terms(project, play, DANA, "Acme", "3.1", "2026-01-01", True)
    actions.qualify(project, play, DANA)
    actions.edit_gate(project, play, DANA, gate)
    return play


def shipped(
    folder: Path,
    gate: Gate = GATE,
    teacher: Described | None = None,
    limits: dict[str, str] = {},  # noqa: B006
    calls: list[dict[str, str]] | None = None,
    spec: Spec = SPEC,
    task: Task = Task.CLASSIFICATION,
) -> tuple[Project, int]:
    """Take a play from nothing to live; its teacher is recorded, or described and asked within limits."""
    project = Project.create(folder / "live.distill", "live", "dana", "Dana", Actor(None, DANA.proof))
    play = _gated(project, "intent", task, gate)
    actions.lock_gate(project, play, SAM)
    data_runs.import_traffic(project, play, DANA, write(folder / "first.jsonl", calls or rows(900, 1)))
    actions.set_teacher(project, play, DANA, teacher)
    actions.set_maintenance(project, play, OLGA, 600, 60)
    if teacher is not None:
        cost_estimate.estimate_labels(
            project.artifacts, project.dossier(play), limits
        )  # one row is tried before a paid run
        actions.label(project, play, DANA, limits)
    trained_and_judged(project, play, spec)
    actions.rehearse(project, play, OLGA)
    sign_and_ship(project, play)
    return project, play


def trained_and_judged(project: Project, play: int, spec: Spec = SPEC) -> None:
    """Build, freeze, train, evaluate."""
    data_runs.build_data(project, play, DANA)
    data_runs.freeze_data(project, play, DANA)
    actions.start_run(project, play, DANA, spec)
    actions.evaluate(project, play, DANA)


def sign_and_ship(project: Project, play: int) -> None:
    """Sign off and go live."""
    actions.sign_off(project, play, VERA, Opinion.APPROVE, "Looked.")
    actions.ship(project, play, DANA)

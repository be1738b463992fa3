"""A latency play from nothing to a locked gate, by its people, through the door."""

from __future__ import annotations

import json
import os
import random
from decimal import Decimal
from pathlib import Path

from distill_tui import actions
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.rules.actor import Actor
from distill_tui.spec import Spec
from distill_tui.store.project import Project
from distill_tui.terms import Metric, PlayKind, Reference, Role, StudentKind
from support import data_runs

DAN = Actor("dan", f"account uid {os.getuid()}")
SAM, VERA = Actor("sam", "account uid 4001"), Actor("vera", "account uid 4002")
WORDS = {"bad": ("awful", "broken", "hate"), "good": ("lovely", "superb", "adore")}
FILLERS = ("the", "product", "arrived", "today", "and", "it", "was", "really", "quite", "something", "indeed", "box")
NUMBERS = {
    "calls_per_month": "900000", "teacher_p95_ms": "900", "target_p95_ms": "50", "abandoned_share": "0.04",
    "share_of_top_patterns": "0.8",
}  # fmt: skip
GATE = Gate(
    criteria=(
        Criterion(Metric.P95_LATENCY, threshold=Decimal(500), binding=True),
        Criterion(Metric.ACCURACY, Reference.TEACHER, margin=Decimal("0.3")),
    ),
    rounds=2,
    held_out_rows=150,
)

QUICK = Spec(student=StudentKind.STATIC, hidden=32, vocabulary=300, max_tokens=24, learning_rate=0.03, epochs=2)
LONG = Spec(
    student=StudentKind.SCRATCH, hidden=64, depth=2, vocabulary=300, max_tokens=24, learning_rate=1e-3, epochs=6,
    patience=6, controls=(),
)  # fmt: skip


def sentences(count: int) -> list[dict[str, object]]:
    """Make calls with gold, a segment and the teacher's probabilities."""
    draw, rows = random.Random(5), []
    for number in range(count):
        label = draw.choice(sorted(WORDS))
        words = [*draw.sample(FILLERS, 6), f"n{number}", draw.choice(WORDS[label])]
        draw.shuffle(words)
        sure = draw.uniform(0.7, 0.99)
        rows.append({
            "input": " ".join(words), "gold": label, "segment": draw.choice(("shop", "mail")),
            "teacher_probabilities": {name: sure if name == label else 1 - sure for name in WORDS},
        })  # fmt: skip
    return rows


def locked(folder: Path, gate: Gate = GATE) -> tuple[Project, int]:
    """Take a play to its locked gate: four people, four roles, a worksheet that holds."""
    project = Project.create(folder / "team.distill", "Team", "dan", "Dan", Actor(None, DAN.proof))
    for uid, person in ((4001, "sam"), (4002, "vera"), (4003, "olga")):
        actions.enrol_person(project, DAN, person, person, uid=uid)
    play = actions.open_play(project, DAN, "as-you-type", PlayKind.LATENCY)
    people = {Role.SPONSOR: "sam", Role.DRIVER: "dan", Role.VALIDATOR: "vera", Role.OPERATOR: "olga"}
    for role, person in people.items():
        actions.assign_role(project, play, DAN, role, person)
    actions.fill_worksheet(project, play, DAN, NUMBERS)
    actions.qualify(project, play, DAN)
    actions.edit_gate(project, play, DAN, gate)
    actions.lock_gate(project, play, SAM)
    return project, play


def imported(project: Project, play: int, rows: int, *, answered: bool = True, soft: bool = True) -> None:
    """Import made-up calls; unless `answered`, their inputs alone; unless `soft`, without probabilities."""
    file, calls = project.path.parent / "calls.jsonl", sentences(rows)
    lines = calls if answered else [{"input": call["input"]} for call in calls]
    if not soft:
        lines = [{"input": call["input"], "gold": call["gold"], "teacher": call["gold"]} for call in calls]
    file.write_text("".join(json.dumps(row) + "\n" for row in lines))
    data_runs.import_traffic(project, play, DAN, file)


def frozen(folder: Path, rows: int = 1200, *, soft: bool = True) -> tuple[Project, int]:
    """Take a play with a recorded teacher to its frozen data set; unless `soft`, with answers and no probabilities."""
    project, play = locked(folder)
    imported(project, play, rows, soft=soft)
    actions.set_teacher(project, play, DAN, None)
    data_runs.build_data(project, play, DAN)
    data_runs.freeze_data(project, play, DAN)
    return project, play

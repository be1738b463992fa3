"""Staged projects, and the app on them, for tests of screens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlmodel import Session

from distill_tui import actions
from distill_tui.cli.app import COMMANDS
from distill_tui.gates.record import Record
from distill_tui.rules.actor import Actor
from distill_tui.rules.results import AuditTables, AxisValue, Cell, Finding, ImportReport, Reject, encode
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.project import Project, now
from distill_tui.terms import FindingLevel, PlayKind, Role, RunKind, RunStatus, Split, Stage, Task, TeacherSource
from distill_tui.ui.app import DistillApp
from distill_tui.ui.play.screen import PlayScreen
from support.by_hand import by_hand
from support.real_play import NUMBERS
from support.results import data_counts, trained

HOSTILE = "[red]x[/] \x1b[31mboo\x07 \u202eevil\u202c [@click=app.quit]q[/] 宽"


WIDE, NARROW = (120, 36), (80, 24)


MINE = f"account uid {os.getuid()}"


DANA, DAN, VERA = Actor("dana", MINE), Actor("dan", "account uid 4001"), Actor("vera", "account uid 4002")


ROLES = {Role.SPONSOR: "dana", Role.DRIVER: "dan", Role.VALIDATOR: "vera", Role.OPERATOR: "olaf"}


DIGEST = "sha256:" + "5e" * 32


@contextmanager
def put(project: Project, play: int) -> Iterator[Session]:
    """Write rows of a play by another way than the door: its card is then computed again."""
    with by_hand(project) as session:
        session.connection().exec_driver_sql("DELETE FROM play_card WHERE play_id = ?", (play,))
        yield session


def a_project(folder: Path) -> Project:
    made = Project.create(folder / "support.distill", "support-bot", "dana", "Dana", Actor(None, MINE))
    for number, person in enumerate(("dan", "vera", "olaf"), start=4001):
        actions.enrol_person(made, DANA, person, person, uid=number)
    return made


def qualifying(
    project: Project, name: str = "refund-intent", kind: PlayKind = PlayKind.COST, task: Task = Task.CLASSIFICATION
) -> int:
    return actions.open_play(project, DANA, name, kind, summary="Which refund does the customer mean?", task=task)


def at_gate(project: Project, name: str = "refund-intent", task: Task = Task.CLASSIFICATION) -> int:
    play = qualifying(project, name, task=task)
    for role, person in ROLES.items():
        actions.assign_role(project, play, DANA, role, person)
    actions.fill_worksheet(project, play, DAN, NUMBERS, "billing of May")
    actions.qualify(project, play, DAN)
    return play


def at_data(project: Project, name: str = "refund-intent", task: Task = Task.CLASSIFICATION) -> int:
    play = at_gate(project, name, task)
    actions.lock_gate(project, play, DANA)
    return play


def with_draft(project: Project, name: str = "refund-intent", text: str = "support") -> int:
    play = at_data(project, name)
    why = f"no input in {text}"
    report = ImportReport(rows=9212, rejects=14, gold_share=0.98, first_rejects=(Reject(7, why),), reasons=((why, 12),))
    splits = {Split.TRAIN: 7020, Split.VALIDATION: 780, Split.HELD_OUT: 1000}
    cells = tuple(
        Cell(split, label, segment, rows // 6)
        for split, rows in splits.items()
        for segment in ("en-US", "de-DE", text)
        for label in ("refund", "invoice")
    )
    counts = data_counts(
        splits,
        [Finding("thin-0a1b2c", FindingLevel.NOTE, f"Segment {text} has 21 held-out rows only.")],
        cells=cells,
        groups=5120,
        tally={"duplicates_merged": 412, "gold_conflicts": 3},
        audit=AuditTables(
            axes={"segment": (AxisValue(text, 0.4, 20, 9, 21, 9, 1),)},
            pii=(),
            teacher=None,
            teacher_says="The teacher is right on 91.0% (88.0% to 93.2%) of 500 rows with gold.",
        ),
    )
    with put(project, play) as session:
        found = session.get(tables.Play, play)
        assert found is not None
        found.teacher_source, found.teacher_name = TeacherSource.RECORDED, f"recorded outputs {text}"[:60]
        session.add(found)
        session.add(
            tables.Traffic(
                play_id=play, round=1, name=f"{text}.jsonl", source_digest=DIGEST, artifact=DIGEST, mapping="{}",
                rows=9212, rejects=14, report=encode(report), imported_at=now(),
            )
        )  # fmt: skip
        session.add(
            tables.DataSet(
                play_id=play, round=1, artifact=DIGEST, digest=DIGEST, labels='["delivery", "invoice"]', counts=counts,
                built_at=now(),
            )
        )  # fmt: skip
    return play


def set_stage(project: Project, play: int, stage: Stage) -> None:
    with put(project, play) as session:
        found = session.get(tables.Play, play)
        assert found is not None
        found.stage, found.stage_since = stage, now()
        session.add(found)


def frozen(project: Project, name: str = "refund-intent", text: str = "support") -> int:
    play = with_draft(project, name, text)
    with put(project, play) as session:
        data = session.get(tables.DataSet, project.dossier(play).data_set.id)  # type: ignore[union-attr]
        assert data is not None
        data.frozen_at = now()
        session.add(data)
    set_stage(project, play, Stage.TRAIN)
    return play


def add_run(project: Project, play: int, status: RunStatus, **more: Any) -> int:
    columns = {"kind": RunKind.TRAIN, "step": 474, "total": 1000, "message": "epoch 1 of 2"} | more
    with put(project, play) as session:
        run = tables.Run(
            play_id=play, round=1, status=status, spec=Spec().to_json(), started_by="dan", created_at=now(), **columns
        )
        session.add(run)
        session.flush()
        assert run.id is not None
        for step in range(0, run.step + 1, 10):
            score = 0.9 + step / 20000 if step and step % 100 == 0 else None
            session.add(
                tables.RunPoint(
                    run_id=run.id, step=step, loss=2.4 / (1 + step / 80), validation=score, rows_per_second=210
                )
            )
        return run.id


def training(project: Project, name: str = "refund-intent", text: str = "support") -> int:
    play = frozen(project, name, text)
    add_run(project, play, RunStatus.RUNNING, message=f"epoch 1 of 2 {text}")
    return play


def record(right: int = 940, text: str = "de-DE", rows: int = 1000) -> Record:
    """Make up a record; `right`, and what teacher and baseline get right, are per thousand rows."""
    gold = tuple(i % 3 for i in range(rows))
    wrong = [(g + 1) % 3 for g in gold]
    said = {name: tuple(gold[i] if (i * 7) % 1000 < n else wrong[i] for i in range(rows)) for name, n in
            (("student", right), ("teacher", 955), ("baseline", 820))}  # fmt: skip
    return Record(
        labels=("refund", "invoice", "delivery"),
        rows=tuple(range(rows)),
        gold=gold,
        teacher=said["teacher"],
        student=said["student"],
        baseline=said["baseline"],
        majority=0,
        segment=tuple(i % 4 for i in range(rows)),
        segments=("en-US", text, "fr-FR", "es-MX"),
        group=tuple(range(rows)),
        latency_us={
            "student": tuple(tuple(2000 + (i * 13) % 900 for i in range(100)) for _ in range(3)),
            "teacher": tuple(tuple(21000 + (i * 13) % 9000 for i in range(100)) for _ in range(3)),
        },
        parameters={"student": 4_400_000, "teacher": 22_700_000},
        bytes={"student": 17_600_000, "teacher": 90_900_000},
        payback_inputs=NUMBERS,
    )


def deciding(
    project: Project, name: str = "refund-intent", right: int = 950, text: str = "de-DE", rows: int = 1000
) -> int:
    play = frozen(project, name, text)
    result = trained(0.947, validation_rows=780, seconds=84.2)
    student = add_run(
        project, play, RunStatus.FINISHED, step=1000, artifact=DIGEST, result=result, message="", ended_at=now()
    )
    judged = record(right, text, rows)
    digest = project.artifacts.store_bytes(judged.to_json().encode())
    run = add_run(project, play, RunStatus.FINISHED, kind=RunKind.EVALUATE, step=0, total=0, student_run=student)
    dossier = project.dossier(play)
    assert dossier.gate is not None and dossier.gate_row is not None and dossier.gate_row.digest is not None
    with put(project, play) as session:
        session.add(
            tables.Evaluation(
                play_id=play, round=1, run_id=student, evaluation_run=run, gate_digest=dossier.gate_row.digest,
                data_digest=DIGEST, model=DIGEST, record=digest, passed=1, reproduced=0, recorded_at=now(),
            )
        )  # fmt: skip
    set_stage(project, play, Stage.DECIDE)
    return play


def killed(project: Project, name: str = "refund-intent") -> int:
    play = at_data(project, name)
    actions.kill(project, play, DANA, "The provider's terms changed.")
    return play


def live(project: Project, name: str = "refund-intent") -> int:
    play = deciding(project, name)
    with put(project, play) as session:
        session.add(
            tables.SignOff(
                play_id=play, round=1, person_id="vera", opinion="approve", assurance="account", statement=b"{}",
                comment="checked de-DE by hand", recorded_at=now(),
            )
        )  # fmt: skip
        session.flush()
        session.add(
            tables.Bundle(play_id=play, round=1, digest=DIGEST, sign_off_id=1, shipped_by="dan", shipped_at=now())
        )
    set_stage(project, play, Stage.LIVE)
    return play


MAKERS = (qualifying, at_gate, at_data, with_draft, frozen, training, deciding, killed, live)


async def settled(pilot: Any) -> None:
    """Wait until the play is loaded and everything that was asked for is done."""
    for _ in range(300):
        await pilot.pause(0.02)
        screens = [s for s in pilot.app.screen_stack if isinstance(s, PlayScreen)]
        busy = [worker for worker in pilot.app.workers if not worker.is_finished]
        if screens and all(screen.view is not None for screen in screens) and not busy:
            break
    await pilot.pause()


def an_app(project: Project, play: int | None, actor: Actor = DANA) -> DistillApp:
    app = DistillApp(project.path, play=play, commands=COMMANDS.typed)
    app.actor = actor
    app.file_watch.reap = lambda: None  # type: ignore[method-assign]  # no worker stands behind the runs made here
    app.file_watch.look_up = lambda: None  # type: ignore[method-assign]  # the actor is who this test says
    return app

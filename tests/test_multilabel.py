"""A play whose answers are sets of labels, from the first traffic to a watched student: refusals, then what works."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from distill_tui import actions
from distill_tui.bundles import predict, retrain
from distill_tui.bundles import student as bundled
from distill_tui.bundles.student import BundledStudent
from distill_tui.bundles.verify import verify_bundle
from distill_tui.cli.app import main
from distill_tui.gates import label_scores
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.monitor import history
from distill_tui.review import review
from distill_tui.serving import wire
from distill_tui.serving.students import Students
from distill_tui.spec import Spec
from distill_tui.store.project import Project, ProjectError
from distill_tui.tasks import loaders
from distill_tui.terms import (
    Control,
    Metric,
    Opinion,
    PlayKind,
    Reference,
    RunStatus,
    Standing,
    Task,
    Verdict,
)
from distill_tui.training import classification, folders
from distill_tui.training.examples import Examples
from distill_tui.training.loop import Places
from distill_tui.ui.play import data_tab, evidence, gate_tab
from distill_tui.ui.play.view import load
from support import card_program, gateway, live_play, sets
from support.live_play import DANA, OLGA, SAM, VERA, shipped_with_keys, workers_here

GATE = Gate(
    (
        Criterion(Metric.MICRO_F1, Reference.TEACHER, margin=Decimal("0.1"), binding=True),
        Criterion(Metric.MACRO_F1, threshold=Decimal("0.7")),
        Criterion(Metric.RECALL, scope="every label", threshold=Decimal("0.6")),
        Criterion(Metric.PRECISION, scope="label: billing", threshold=Decimal("0.6")),
        Criterion(Metric.LABEL_F1, Reference.TEACHER, "label: praise", margin=Decimal("0.2")),
        Criterion(Metric.HAMMING, threshold=Decimal("0.2")),
        Criterion(Metric.ACCURACY, Reference.BASELINE, margin=Decimal("0.2")),
        Criterion(Metric.AGREEMENT, threshold=Decimal("0.5")),
    ),
    rounds=2,
    held_out_rows=250,
    validation_share=Decimal("0.3"),
)
SPEC = ("student=ngram", "epochs=12", "learning_rate=0.05")
ASKED = "baran invoice dosel refund password kitim locked luvok"  # as the traffic asks: two words a label


def opened(folder: Path, gate: Gate = GATE) -> tuple[Project, int]:
    """Open a multilabel play and write its gate."""
    return live_play.opened(folder, "tags", Task.MULTILABEL, gate)


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with workers_here():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made, _ = opened(tmp_path)
    yield made
    made.close()


def command(project: Path, *words: str) -> None:
    assert main(["--project", str(project), *words]) == 0, words


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A multilabel play at `decide`: what the driver does is done by command."""
    folder = tmp_path_factory.mktemp("multilabel") / "made"
    folder.mkdir()
    project, play = opened(folder)
    actions.lock_gate(project, play, SAM)
    project.close()
    file, at = sets.write(folder / "first.jsonl", sets.rows(1000, 1)), folder / "play.distill"
    with workers_here():
        command(at, "import", "P-001", str(file))
        command(at, "teacher", "P-001", "--recorded")
        command(at, "data", "build", "P-001")
        command(at, "data", "freeze", "P-001")
        command(at, "train", "P-001", *SPEC)
        command(at, "eval", "P-001")
    project = Project.open(at)
    actions.set_maintenance(project, play, OLGA, 600, 60)
    project.close()
    return folder


@pytest.fixture
def decided(judged: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(judged, tmp_path / "copy")
    made = Project.open(tmp_path / "copy" / "play.distill")
    yield made
    made.close()


def test_a_student_is_judged_by_sets_and_by_labels(decided: Project) -> None:
    dossier = decided.dossier(1)
    record = dossier.record
    assert record is not None and record.task is Task.MULTILABEL
    verdicts = {each.sentence: each.verdict for each in dossier.judgements}
    assert len(verdicts) == 8 + 3, "recall is judged for each of four labels"
    assert set(verdicts.values()) == {Verdict.HOLDS}, verdicts
    found = review.of(dossier)
    assert found is not None and {each.label for each in found.by_label} == set(sets.LABELS)
    assert record.controls.keys() == {Control.HARD}


def test_the_rest_of_the_way_ship_predict_and_retrain(decided: Project, tmp_path: Path) -> None:
    actions.rehearse(decided, 1, OLGA)
    assert json.loads(decided.dossier(1).runs[-1].result)["same"] is True
    actions.sign_off(decided, 1, VERA, Opinion.APPROVE, "Looked.")
    there = actions.ship(decided, 1, DANA)
    assert [each.rule for each in verify_bundle(there).problems] == ["sign_off.unsigned", "bundle.unsigned"]
    words = [sys.executable, "-m", "distill_tui", "predict", str(there), ASKED, "--json"]
    said = json.loads(subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path).stdout)
    assert said["answer"] == ["billing", "login"] and set(said["probabilities"]) == set(sets.LABELS)
    student = bundled.read(there)
    program = loaders.FORMS[student.form].program_for(several=True)
    names = card_program.run(program, student.folder)
    for text in (ASKED, "bakiran", "thanks, my parcel came late"):
        (own,) = predict.answers(student, [text])
        assert names["answer"](text) == own["answer"]
        assert names["predict"](text) == pytest.approx(own["probabilities"], abs=1e-5)
    assert len(set(folders.thresholds(student.folder))) > 1, "thresholds were fitted"
    card = (there / "MODEL_CARD.md").read_text()
    assert "Labels: billing, delivery, login, praise." in card and "def answer(text)" in card
    data = decided.artifacts.path(decided.dossier(1).data_sets[-1].artifact)
    made = retrain.make(there, data, tmp_path / "again", None, None, None)
    assert made["same_student"] and made["same_data"]
    actions.observe(
        decided, 1, OLGA, sets.write(tmp_path / "feb.jsonl", sets.rows(300, 3, start="2026-02")), any_time=True
    )
    run = decided.dossier(1).runs[-1]
    assert run.status is RunStatus.FINISHED, run.error
    assert history.life(decided, decided.dossier(1)) is not None
    assert decided.dossier(1).standing is Standing.STEADY
    odd = [row | {"teacher_output": '["sarcasm"]', "teacher_probabilities": None} for row in sets.rows(300, 4)]
    actions.observe(decided, 1, OLGA, sets.write(tmp_path / "mar.jsonl", odd), any_time=True)
    assert json.loads(decided.dossier(1).runs[-1].result)["outside"] == {'["sarcasm"]': 300}


# --- the gateway -----------------------------------------------------------------------------------------------------


async def test_the_gateways_student_answers_with_the_set_as_json(decided: Project) -> None:
    run = decided.dossier(1).runs[-2]
    assert run.artifact is not None
    folder = decided.artifacts.path(run.artifact)
    student = BundledStudent(folder, "sha256:test", Task.MULTILABEL, "ngram", sets.LABELS, 1, 64, 0.0)
    students = Students(student, 1)
    await students.start()
    try:
        said = await students.ask(ASKED)
    finally:
        await students.close()
    assert json.loads(said.text) == ["billing", "login"] and students.labels == sets.LABELS
    reply = wire.reply(wire.Asked(wire.PREDICT, "x"), said, students.labels, "tags")
    assert isinstance(reply, list) and {each["label"] for each in reply[:2]} == {"billing", "login"}


def test_a_bundle_that_is_served_answers_with_sets_over_http(decided: Project, tmp_path: Path) -> None:
    there, signer = shipped_with_keys(decided, 1, tmp_path / "keys")
    words = (str(there), "--signer", signer, "--mode", "cascade", "--served-log", str(tmp_path / "log"))
    with gateway.process(*words, folder=tmp_path / "log") as (found, _):
        found.until(lambda: found.health()["status"] == "ok", 60)
        said = found.chat(ASKED)
        assert said.headers["x-distill-route"] == "student"
        assert json.loads(said.json()["choices"][0]["message"]["content"]) == ["billing", "login"]
        shares = {each["label"]: each["score"] for each in found.http.post("/predict", json={"inputs": ASKED}).json()}
        assert set(shares) == set(sets.LABELS) and min(shares["billing"], shares["login"]) > max(
            shares["delivery"], shares["praise"]
        )
        question = {"type": "choice", "criteria": {"billing": "", "login": ""}}
        asked = {"state": ASKED, "questions": {"topic": question}}
        refused = found.http.post("/v1/systemone", json=asked)
        assert refused.status_code >= 400 and refused.headers.get("x-distill-route") != "student"


# --- teachers on this machine ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small transformer of several labels, as `save_pretrained` leaves it."""
    folder = tmp_path_factory.mktemp("teacher")
    taught = sets.rows(700, 9)
    marks = np.array([[int(label in row["gold"]) for label in sets.LABELS] for row in taught], dtype=np.int64)
    texts = tuple(row["input"] for row in taught)
    part = Examples(texts[:600], marks[:600], None, np.ones(600, dtype=np.float32))
    rest = Examples(texts[600:], marks[600:], None, np.ones(100, dtype=np.float32))
    spec = Spec.from_mapping(
        {"student": "scratch", "hidden": 48, "depth": 2, "epochs": 18, "learning_rate": 1e-3, "alpha": 0}
        | {"vocabulary": 400, "patience": 18, "batch_size": 8}
    )
    list(classification.train(spec, sets.LABELS, part, rest, Places(None, folder / "checkpoints", folder / "model")))
    return folder / "model"


def test_a_model_of_one_label_cannot_teach_it(project: Project, model: Path, tmp_path: Path) -> None:
    actions.lock_gate(project, 1, SAM)
    other = tmp_path / "one"
    shutil.copytree(model, other)
    folders.set_settings(other, {"problem_type": "single_label_classification"})
    with pytest.raises(ProjectError, match="gives one label for each text, and this play's answers are sets"):
        actions.try_teacher(project, 1, DANA, other)
    single = actions.open_play(project, DANA, "one", PlayKind.STABILITY)
    assert "open a play with --task multilabel" in str(folders.check_answers(model, sets=False))
    assert project.dossier(single).play.task is Task.CLASSIFICATION


def test_an_encoder_learns_from_a_local_model_of_several_labels(
    project: Project, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    actions.lock_gate(project, 1, SAM)
    rows = [row | {"teacher_output": None, "teacher_probabilities": None} for row in sets.rows(600, 2, gold=0.8)]
    file = sets.write(tmp_path / "calls.jsonl", rows)
    command(project.path, "import", "P-001", str(file))
    command(project.path, "teacher", "P-001", str(model))
    assert "It was tried on 16 rows" in capsys.readouterr().err
    command(project.path, "label", "P-001")
    command(project.path, "data", "build", "P-001")
    command(project.path, "data", "accept", "P-001", "--all", "-m", "small")
    command(project.path, "data", "freeze", "P-001")
    small = ("epochs=4", "learning_rate=2e-3", "controls=", "ladder=static,layers 0", "enough=1.0", "hidden=32")
    command(project.path, "train", "P-001", *small)
    command(project.path, "eval", "P-001")
    dossier = project.dossier(1)
    record, result = dossier.record, json.loads(dossier.runs[-2].result)
    assert record is not None and {rung["rung"] for rung in result["rungs"]} == {"static", "layers 0"}
    micro = label_scores.evidence(Criterion(Metric.MICRO_F1), record, "all", None, "")
    as_student = replace(record, student=record.teacher)
    teacher = label_scores.evidence(Criterion(Metric.MICRO_F1), as_student, "all", None, "")
    assert micro.student > 0.6 and teacher.student > 0.85
    assert record.scores["brier_score"]["teacher"][0] >= 0


# --- many labels -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_hundred_labels_fit_a_screen_of_80_by_24(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = Criterion(Metric.RECALL, scope="every label", threshold=Decimal("0.2"), watch_only="Rare labels.")
    micro = Criterion(Metric.MICRO_F1, threshold=Decimal("0.3"), binding=True)
    project, play = opened(tmp_path, Gate((micro, every), rounds=1, held_out_rows=300, baseline="majority"))
    actions.lock_gate(project, play, SAM)
    rows = sets.rows(1000, 5, wrong=0.001, words_of=sets.many(200), share=0.05)
    command(project.path, "import", "P-001", str(sets.write(tmp_path / "wide.jsonl", rows)))
    command(project.path, "teacher", "P-001", "--recorded")
    command(project.path, "data", "build", "P-001")
    command(project.path, "data", "freeze", "P-001")
    command(project.path, "train", "P-001", "student=ngram", "epochs=6", "learning_rate=0.1", "controls=")
    command(project.path, "eval", "P-001")
    view = load(project, 1, VERA)
    for draw in (data_tab.data, gate_tab.gate, evidence.evaluation, evidence.decide):
        lines = [line.plain for line in draw(view, 78)]
        assert [line for line in lines if cell_len(line) > 78] == [] and len(lines) < 160, draw
    found = review.of(project.dossier(1))
    assert found is not None and len(found.by_label) == 200
    capsys.readouterr()
    command(project.path, "eval", "show", "P-001")
    shown = capsys.readouterr().out
    assert "175 more labels with a higher F1: `eval show --json` lists all." in shown
    grouped = re.findall(r"Recall \(every label\) (?:is )?(\w+) in (\d+) of 200, the \w+: Recall of label", shown)
    own = re.findall(r"^\S+ +(\w+) +Recall of label '", shown, re.MULTILINE)
    assert sum(int(number) for _, number in grouped) + len(own) == 200 and "unproven" in dict(grouped)
    assert all(own.count(verdict) <= 12 for verdict in {*own})
    command(project.path, "labels", "P-001")
    assert "and 140 more; --json lists all." in capsys.readouterr().out
    project.close()

"""A student's confidence is calibrated by one temperature in its last layer: no answer changes, in every form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_tui.digests import folder_digest
from distill_tui.review import errors
from distill_tui.spec import Spec
from distill_tui.terms import Control, Task
from distill_tui.training import calibration, predict
from distill_tui.training.classification import LabelRows
from distill_tui.training.examples import Examples
from distill_tui.training.export import onnx_int8
from distill_tui.training.loop import Places
from support import records

LABELS = ("no", "yes")
NGRAM = {"student": "ngram", "max_tokens": 16, "epochs": 40, "learning_rate": 0.1}
STATIC = {"student": "static", "max_tokens": 16, "epochs": 40, "patience": 40, "hidden": 16, "learning_rate": 0.03}
SPECS = {kind: Spec.from_mapping({"alpha": 0.0} | more) for kind, more in (("ngram", NGRAM), ("static", STATIC))}
FILLER = [a + b + c for a in "bdkl" for b in "aeiou" for c in ("ran", "sel", "tim", "vok")]


def rows(count: int, seed: int, noise: float = 0.25) -> Examples:
    """Texts whose label is a word of theirs, but for a share of them: no student can be surer than that."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, count)
    texts = tuple(" ".join([*random.choice(FILLER, 6), LABELS[label]]) for label in truth)
    flipped = random.random(count) < noise
    return Examples(texts, np.where(flipped, 1 - truth, truth), None, np.ones(count, dtype=np.float32))


def arms(training: Examples, validation: Examples) -> LabelRows:
    nothing = np.full(len(validation.inputs), -1)
    return LabelRows(LABELS, training, {Control.HARD: training}, validation, validation.labels, nothing)


def trained(folder: Path, spec: Spec, validation: Examples) -> Path:
    known = arms(rows(400, 1), validation)
    for _ in known.train(spec, known.training, Places(None, folder / "checkpoints", folder / "student")):
        pass
    return folder / "student"


def error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The expected calibration error in ten bins."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    bins = np.minimum((sure * 10).astype(int), 9)
    return float(sum(abs(sure[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins)))


def off(rows: int, keys: int, task: Task = Task.CLASSIFICATION) -> str:
    """The cure of a student that is .9 sure and right half of the time, with this many validation rows."""
    sure = replace(records.record(0.5, rows=200), confidence=(9_000,) * 200, task=task)
    validation = replace(records.record(0.5, rows=rows), key=tuple(range(0, keys * rows, keys)))
    found = errors.calibration(sure, validation)
    assert found is not None and found.error == pytest.approx(0.4)
    return found.cure


def test_a_confidence_that_is_off_comes_with_its_cure() -> None:
    assert "it was not calibrated. That takes 50 rows" in off(90, 1) and "Import more traffic" in off(90, 1)
    assert "there were 30." in off(90, 1)
    assert "although 150 validation rows calibrated it" in off(150, 3)
    assert "as an order only" in off(150, 3, Task.GENERATION)
    near = replace(records.record(0.9, rows=200), confidence=(9_000,) * 200)
    found = errors.calibration(near, records.record(0.5, rows=90))
    assert found is not None and found.cure == ""


def test_few_rows_calibrate_nothing_and_none_are_set_aside(tmp_path: Path) -> None:
    validation = rows(90, 2)
    assert not calibration.calibrates(validation.inputs).any()
    student = trained(tmp_path, SPECS["ngram"], validation)
    assert "calibrated_by" not in json.loads((student / "config.json").read_text())


@pytest.mark.parametrize("kind", SPECS)
def test_confidence_is_nearer_to_the_truth_and_no_answer_changes(tmp_path: Path, kind: str) -> None:
    validation, fresh = rows(450, 2), rows(900, 3)
    student = trained(tmp_path, SPECS[kind], validation)
    before, after = (
        predict.probabilities(folder, fresh.inputs, threads=1, max_tokens=16)
        for folder in (tmp_path / "uncalibrated", student)
    )
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    assert error(after, fresh.labels) < min(0.08, 0.6 * error(before, fresh.labels))
    if kind == "static":
        onnx_int8(student, tmp_path / "onnx")
        small = predict.probabilities(tmp_path / "onnx", fresh.inputs, threads=1, max_tokens=16)
        assert error(small, fresh.labels) < 0.08
    again = trained(tmp_path / "again", SPECS[kind], validation)
    assert folder_digest(again) == folder_digest(student)  # a recipe gives the same student


def test_the_rows_that_calibrate_neither_stop_the_training_nor_choose_the_rung() -> None:
    validation = rows(450, 2)
    aside = calibration.calibrates(validation.inputs)
    assert 100 < aside.sum() < 200
    known = arms(rows(50, 1), validation)
    shares = np.eye(2, dtype=np.float32)[validation.labels]
    shares[aside] = 1 - shares[aside]  # wrong on those rows only
    assert known.score(shares) == 1.0


@settings(max_examples=10, deadline=None)
@given(st.floats(0.3, 6.0), st.integers(2, 5), st.integers(0, 1000))
def test_a_temperature_is_found_again(real: float, labels: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (4_000, labels))
    shares = np.exp(logits / real)
    shares /= shares.sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) > random.random((4_000, 1))).argmax(axis=1)
    stated = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert calibration.temperature(stated.astype(np.float32), truth) == pytest.approx(real, rel=0.2)


def test_sure_and_right_everywhere_stays_finite() -> None:
    shares = np.array([[1.0, 0.0], [0.0, 1.0]] * 30, dtype=np.float32)
    assert calibration.temperature(shares, np.array([0, 1] * 30)) > 0

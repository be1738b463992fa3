"""What a student of several labels minimises, and from which probability on a label is in its answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from distill_tui.spec import Spec
from distill_tui.terms import Control, StudentKind
from distill_tui.training import calibration, folders, predict, thresholds
from distill_tui.training.baseline import fit_sets
from distill_tui.training.classification import LabelRows, agreed
from distill_tui.training.examples import Examples, known
from distill_tui.training.loop import Places
from distill_tui.training.objective import set_distillation_loss, set_logit_loss
from distill_tui.training.predictor import SetShares

GENERATOR = torch.Generator().manual_seed(3)
LOGITS = torch.randn(5, 4, generator=GENERATOR)
SOFT = torch.rand(5, 4, generator=GENERATOR)
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0])


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_soft_term_is_the_divergence_of_each_label_by_itself(temperature: float) -> None:
    labels = torch.full((5, 4), -1)
    _, soft, hard = set_distillation_loss(LOGITS, labels, SOFT, WEIGHTS, temperature, 1.0)
    p = torch.sigmoid(torch.logit(SOFT) / temperature)
    q = torch.sigmoid(LOGITS / temperature)
    divergence = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    wanted = (divergence.mean(dim=1) * WEIGHTS / WEIGHTS.sum()).sum() * temperature**2
    assert soft.item() == pytest.approx(wanted.item(), rel=1e-4) and hard.item() == 0
    exact = torch.logit(SOFT)
    assert set_distillation_loss(exact, labels, SOFT, WEIGHTS, temperature, 1.0)[1].item() == pytest.approx(0, abs=1e-5)
    assert set_logit_loss(exact, SOFT, WEIGHTS).item() == pytest.approx(0, abs=1e-6)


def test_the_hard_term_is_binary_cross_entropy_and_rows_without_a_set_have_none() -> None:
    labels = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [-1, -1, -1, -1], [1, 1, 1, 1], [0, 1, 0, 0]])
    nothing = torch.full((5, 4), torch.nan)
    loss, soft, hard = set_distillation_loss(LOGITS, labels, nothing, WEIGHTS, 2.0, 0.0)
    each = F.binary_cross_entropy_with_logits(LOGITS, labels.clamp_min(0).float(), reduction="none").mean(dim=1)
    each[2] = 0
    assert hard.item() == pytest.approx(((WEIGHTS / WEIGHTS.sum()) * each).sum().item(), rel=1e-5)
    assert soft.item() == 0 and loss.item() == pytest.approx(hard.item())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(12, 60))
def test_a_fitted_threshold_has_the_highest_f1_of_all(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    has = random.random(rows) < 0.5
    shares = np.clip(np.round(random.normal(0.35, 0.2, rows) + 0.3 * has, 2), 0.03, 0.97).astype(np.float32)
    if not has.any():
        return
    found = thresholds.best(shares, has)
    mine = f1_score(has, shares >= found)
    others = [f1_score(has, shares >= cut) for cut in np.unique(shares)]
    assert mine == pytest.approx(max(others))


def test_a_rare_label_shares_the_threshold_of_all() -> None:
    random = np.random.default_rng(1)
    truth = (random.random((400, 3)) < (0.4, 0.3, 0.01)).astype(np.int64)
    shares = np.clip(random.random((400, 3)) * 0.5 + truth * 0.3, 0, 1).astype(np.float32)
    fitted = thresholds.fitted(shares, truth)
    assert fitted[2] == thresholds.best(shares.ravel(), truth.ravel() > 0) and len(fitted) == 3


def test_one_temperature_undoes_overconfidence() -> None:
    random = np.random.default_rng(2)
    odds = random.normal(0, 1.5, (4000, 3))
    truth = (random.random((4000, 3)) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    too_sure = (1 / (1 + np.exp(-3 * odds))).astype(np.float32)
    assert calibration.temperature_of_sets(too_sure, truth) == pytest.approx(3, rel=0.1)


def test_an_answer_is_the_labels_at_or_above_their_threshold_and_as_sure_as_its_least_sure_label() -> None:
    made = SetShares(
        np.array([[0.9, 0.4, 0.1], [0.2, 0.2, 0.2]], dtype=np.float32), np.array([0.5, 0.3, 0.5], np.float32)
    )
    assert made.answers(("a", "b", "c")) == ['["a", "b"]', "[]"]
    assert made.confidence.tolist() == pytest.approx([0.4, 0.8])


def test_agreement_on_sets_is_the_f1_of_their_labels() -> None:
    said, truth = np.array([[1, 0], [1, 1], [0, 0]]), np.array([[1, 0], [0, 1], [0, 0]])
    assert agreed(said, truth) == pytest.approx(f1_score(truth, said, average="micro"))
    assert agreed(np.array([1, 2]), np.array([1, 0])) == 0.5
    assert known(np.array([[0, 1], [-1, -1]])).tolist() == [True, False]


def test_the_baseline_learns_each_label_and_a_label_that_never_occurs_costs_nothing() -> None:
    random = np.random.default_rng(4)
    marks = (random.random((300, 3)) < (0.5, 0.3, 0.0)).astype(np.int64)
    words = np.array(["red", "blue", "green"])
    texts = [" ".join([*words[row > 0], f"word{random.integers(20)}"]) for row in marks]
    marks[:5] = -1
    found = fit_sets(texts, marks, 1)(["red word1", "blue red", "word3"])
    assert found.answers(("r", "b", "g")) == ['["r"]', '["b", "r"]', "[]"]
    empty = fit_sets([" "] * 20, np.ones((20, 2), dtype=np.int64), 1)([" "])
    assert empty.answers(("r", "b")) == ['["b", "r"]']


def test_labels_that_few_rows_have_are_learnt_and_get_thresholds_though_few_rows_have_gold(tmp_path: Path) -> None:
    draw, labels = np.random.default_rng(3), tuple(f"l{n}" for n in range(30))

    def rows(count: int, gold: int) -> Examples:
        marks = (draw.random((count, len(labels))) < 0.04).astype(np.int64)
        texts = [" ".join([f"row{draw.integers(500)}", *(f"w{n} v{n}" for n in np.flatnonzero(row))]) for row in marks]
        soft = np.where(marks > 0, 0.45, 0.02).astype(np.float32)  # a teacher that is never more than half sure
        known_rows = np.where(np.arange(count)[:, None] < gold, marks, -1)
        return Examples(tuple(texts), known_rows, soft, np.ones(count, dtype=np.float32))

    training, asked = rows(1_200, 0), rows(300, 20)
    assert asked.soft is not None
    said = (asked.soft > 0.4).astype(np.int64)
    validation = Examples(asked.inputs, said, None, asked.weights)
    known_rows = LabelRows(labels, training, dict.fromkeys(Control, training), validation, asked.labels, said)
    spec = Spec(student=StudentKind.NGRAM, epochs=30, learning_rate=0.05, batch_size=64, temperature=1.0, alpha=1.0)
    places = Places(None, tmp_path / "checkpoints", tmp_path / "student")
    scores = [step.validation for step in known_rows.train(spec, training, places) if step.validation is not None]
    assert len(scores) > 3, "it goes on while all labels are still rarer than half"
    assert all(each < 0.5 for each in folders.thresholds(tmp_path / "student"))
    shares = predict.probabilities(tmp_path / "student", validation.inputs, threads=1)
    assert agreed(predict.sets(tmp_path / "student", shares).chosen, said) > 0.9

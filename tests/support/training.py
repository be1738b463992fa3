"""Tiny teachers, examples and runs of the training loop."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from distill_tui.spec import Spec
from distill_tui.training import classification, export, vocabulary
from distill_tui.training.examples import Examples
from distill_tui.training.loop import Places, Step

LABELS = ("bad", "fine", "good")


WORDS = {0: ("awful", "broken", "hate"), 1: ("table", "colour", "weighs"), 2: ("lovely", "superb", "adore")}


FILLERS = ("the", "product", "arrived", "today", "and", "it", "was", "really", "quite", "something", "indeed")


SPEC = Spec(
    layers=(0, 1), hidden=64, depth=1, vocabulary=200, max_tokens=24, learning_rate=3e-3, batch_size=16, epochs=4
)


def texts_and_labels(count: int, seed: int) -> tuple[tuple[str, ...], np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    texts = []
    for label in labels:
        words = [*random.choice(FILLERS, random.integers(3, 12)), random.choice(WORDS[int(label)])]
        texts.append(" ".join(random.permutation(words)))
    return tuple(texts), labels.astype(np.int64)


def soft_from(labels: np.ndarray) -> np.ndarray:
    return np.where(np.eye(3)[labels] > 0, 0.9, 0.05).astype(np.float32)


def examples(count: int = 240, seed: int = 0, soft: bool = True, gold: bool = True) -> Examples:
    texts, labels = texts_and_labels(count, seed)
    return Examples(
        texts,
        labels if gold else np.full(count, -1, dtype=np.int64),
        soft_from(labels) if soft else None,
        np.ones(count, dtype=np.float32),
    )


def run(
    spec: Spec, folder: Path, teacher: Path | None, training: Examples | None = None, start: Path | None = None
) -> list[Step]:
    steps = classification.train(
        spec,
        LABELS,
        training or examples(),
        examples(60, seed=1),
        Places(teacher, folder / "checkpoints", folder / "student", start),
    )
    return list(steps)


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_teacher(tmp_path_factory.mktemp("models") / "teacher")


def made_teacher(folder: Path, layers: int = 3) -> Path:
    """Make a tiny BERT of random weights with a tokenizer of its own."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = vocabulary.train(examples(400, seed=2).inputs, 300)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=64,
        id2label=dict(enumerate(reversed(LABELS))),  # in another order than the play's, on purpose
        label2id={label: number for number, label in enumerate(reversed(LABELS))},
    )
    export.write(transformers.BertForSequenceClassification(config).eval(), tokenizer, folder)
    return folder


def spoilt(teacher: Path, folder: Path, **changes: object) -> Path:
    """A copy of the teacher's folder with other words in its config; None takes a key out."""
    folder.mkdir()
    for path in teacher.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config = {key: value for key, value in {**config, **changes}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    return folder

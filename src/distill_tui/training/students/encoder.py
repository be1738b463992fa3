"""Encoders of stock transformers: what the kinds that train one share, so that the folder needs none of our code."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from distill_tui.spec import Spec
from distill_tui.training import export, models, vocabulary
from distill_tui.training.models import Floats
from distill_tui.training.predictor import Predictor

# their layers are named "layer.N" and their word embeddings "word_embeddings"
FAMILIES = ("bert", "electra", "roberta", "xlm-roberta", "distilbert")
WORDS = "word_embeddings.weight"


@dataclass(frozen=True)
class Student:
    """A transformers model and the tokenizer that belongs to it."""

    model: Any
    tokenizer: Any

    def tokenise(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        return models.tokenise(self.tokenizer, texts, max_tokens)

    def logits(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return models.logits(self.model, rows)

    def description(self) -> str:
        return str(self.tokenizer.backend_tokenizer.to_str())

    def save(self, folder: Path) -> None:
        export.save(self.model, self.tokenizer, folder)


def from_layers(
    spec: Spec,
    labels: tuple[str, ...],
    layers: tuple[int, ...],
    texts: Sequence[str],
    teacher: Any,
    tokenizer: Any,
    kind: Any = transformers.AutoModelForSequenceClassification,
) -> Student:
    """Make a classifier of texts, or of tokens, from some layers of a teacher.

    Where the vocabulary can be pruned, it keeps the pieces that the texts use.
    """
    kept = None
    if vocabulary.is_word_piece(tokenizer) and teacher.config.model_type in FAMILIES:
        tokenizer, kept = vocabulary.prune(tokenizer, texts, spec.vocabulary)
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers = len(layers)
    config.vocab_size = len(kept) if kept else config.vocab_size
    head = _head_rows(teacher.config, labels)
    student = fresh(spec, labels, tokenizer, config, kind.from_config)
    student.model.load_state_dict(_inherited(student.model.state_dict(), teacher.state_dict(), layers, kept, head))
    return student


def small(spec: Spec, labels: tuple[str, ...], tokenizer: Any, kind: Any) -> Student:
    """Make a BERT with random weights of the spec's width and depth, that classifies texts or tokens."""
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden,
        num_hidden_layers=spec.depth,
        num_attention_heads=attention_heads(spec.hidden),
        intermediate_size=4 * spec.hidden,
        max_position_embeddings=max(spec.max_tokens, 128),
    )
    return fresh(spec, labels, tokenizer, config, kind)


def fresh(spec: Spec, labels: tuple[str, ...], tokenizer: Any, config: Any, make: Callable[[Any], Any]) -> Student:
    """Make a model of a config with random weights, with its labels and the ids of the tokenizer's special tokens.

    The folder cuts texts where training did, whatever program loads it.
    """
    config.pad_token_id = tokenizer.pad_token_id
    for ours, theirs in (("bos", "cls"), ("eos", "sep"), ("cls", "cls"), ("sep", "sep"), ("mask", "mask")):
        if getattr(config, f"{ours}_token_id", None) is not None:
            setattr(config, f"{ours}_token_id", getattr(tokenizer, f"{theirs}_token_id"))
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    config.problem_type = "single_label_classification"
    tokenizer.model_max_length = spec.max_tokens
    return Student(make(config), tokenizer)


def _inherited(
    student: dict[str, torch.Tensor],
    teacher: dict[str, torch.Tensor],
    layers: tuple[int, ...],
    kept: list[int] | None,
    head: list[int] | None,
) -> dict[str, torch.Tensor]:
    """Copy each of the student's tensors from its layer in the teacher; tensors without a match stay random."""
    result = {}
    for name, fresh in student.items():
        old = teacher.get(re.sub(r"\blayer\.(\d+)\.", lambda match: f"layer.{layers[int(match[1])]}.", name))
        if old is not None and kept is not None and name.endswith(WORDS):
            old = old[kept]
        if old is not None and _is_output(name):
            old = old[head] if head is not None else None
        result[name] = old.clone() if old is not None and old.shape == fresh.shape else fresh
    return result


def _is_output(name: str) -> bool:
    return name in ("classifier.weight", "classifier.bias", "classifier.out_proj.weight", "classifier.out_proj.bias")


def _head_rows(config: Any, labels: tuple[str, ...]) -> list[int] | None:
    """Return the teacher's output for each label; None where the two do not have the same labels."""
    theirs = [config.id2label[number] for number in range(config.num_labels)]
    return [theirs.index(label) for label in labels] if sorted(theirs) == sorted(labels) else None


def attention_heads(hidden: int) -> int:
    """Choose heads of about 32 columns: the largest number that divides the width."""
    return next(heads for heads in range(max(1, hidden // 32), 0, -1) if hidden % heads == 0)


def student_tokenizer(spec: Spec, texts: Sequence[str], source: tuple[Any, Any] | None) -> tuple[Any, list[int] | None]:
    """Prune the teacher's tokenizer where it can be pruned; otherwise train one on the rows."""
    if source is not None and vocabulary.is_word_piece(source[1]):
        return vocabulary.prune(source[1], texts, spec.vocabulary)
    return vocabulary.train(texts, spec.vocabulary), None


def load_start(spec: Spec, start: Path) -> tuple[Any, Any]:
    """Load the encoder that a student starts from. Raises ValueError where it reads fewer tokens than the spec asks."""
    model, tokenizer = models.load_for(transformers.AutoModelForSequenceClassification, start)
    most = models.positions(model.config)
    if spec.max_tokens > most:
        raise ValueError(f"max_tokens is {spec.max_tokens}, and {start.name} reads at most {most} tokens.")
    return model, tokenizer


def open_folder(folder: Path, threads: int, max_tokens: int) -> Predictor[Floats]:
    """Open a classifier with plain transformers."""
    model, tokenizer = models.load(folder)

    def prepare(texts: Sequence[str]) -> list[list[int]]:
        return models.tokenise(tokenizer, texts, max_tokens)

    def run(rows: Sequence[Sequence[int]]) -> Floats:
        with torch.inference_mode():
            probabilities: Floats = torch.softmax(models.logits(model, rows), dim=-1).numpy()
        return probabilities

    def embed(texts: Sequence[str]) -> Floats:
        """Average the input of the classification head over the tokens of a text."""
        rows = prepare(texts)
        embeddings = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
        for positions in models.by_length([len(row) for row in rows], 64):
            ids, mask = models.pad([rows[position] for position in positions], model.config.pad_token_id or 0)
            with torch.inference_mode():
                states = model.base_model(input_ids=ids, attention_mask=mask)[0]
                weights = mask[:, :, None].float()
                embeddings[positions] = ((states * weights).sum(dim=1) / weights.sum(dim=1)).numpy()
        return embeddings

    return Predictor(prepare, run, embed)

"""The rungs of the ladder: a student before its first step, from a teacher's layers, from nothing, or static.

Every student is a stock transformers architecture, so that whoever gets the folder needs none of our code.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from distill_tui.spec import Spec
from distill_tui.terms import StudentKind
from distill_tui.training import models, vocabulary

FAMILIES = (
    "bert",
    "electra",
    "roberta",
    "xlm-roberta",
    "distilbert",
)  # layers named "layer.N", words "word_embeddings"
WORDS = "word_embeddings.weight"
NO_TEACHER = "A student from the teacher's layers needs the teacher's folder; choose scratch or static."


@dataclass(frozen=True)
class Student:
    """A model and the tokenizer that belongs to it."""

    model: Any
    tokenizer: Any


def build(spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Path | None) -> Student:
    """Make the untrained student of a spec; a pure function of its arguments (and of the teacher's files).

    `texts` are the training rows: they choose the vocabulary. Raises ValueError with one sentence where the teacher
    cannot give what the spec asks for.
    """
    torch.manual_seed(spec.seed)
    source = models.load(teacher) if teacher else None
    if spec.student is StudentKind.LAYERS:
        if source is None:
            raise ValueError(NO_TEACHER)
        student = _from_layers(spec, labels, texts, *source)
    elif spec.student is StudentKind.SCRATCH:
        student = _from_scratch(spec, labels, texts, source)
    else:
        student = _static(spec, labels, texts, source)
    student.tokenizer.model_max_length = spec.max_tokens  # whoever loads the folder cuts texts as they were judged
    return student


def _from_layers(spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Any, tokenizer: Any) -> Student:
    """Start from chosen layers of the teacher (Sanh et al. 2019 took every second one) and its own head."""
    problem = _unsuitable(teacher.config, spec)
    if problem:
        raise ValueError(problem)
    kept = None
    if vocabulary.is_word_piece(tokenizer):
        tokenizer, kept = vocabulary.prune(tokenizer, texts, spec.vocabulary)
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers = len(spec.layers)
    config.vocab_size = len(kept) if kept else config.vocab_size
    _number_special_tokens(config, tokenizer)
    head = _head_rows(teacher.config, labels)
    _name_labels(config, labels)
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    model.load_state_dict(_inherited(model.state_dict(), teacher.state_dict(), spec.layers, kept, head))
    return Student(model, tokenizer)


def _from_scratch(spec: Spec, labels: tuple[str, ...], texts: Sequence[str], source: tuple[Any, Any] | None) -> Student:
    """Start a small BERT from random weights."""
    tokenizer, _ = _tokenizer(spec, texts, source)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden,
        num_hidden_layers=spec.depth,
        num_attention_heads=_heads(spec.hidden),
        intermediate_size=4 * spec.hidden,
        max_position_embeddings=max(spec.max_tokens, 128),
    )
    _number_special_tokens(config, tokenizer)
    _name_labels(config, labels)
    return Student(transformers.BertForSequenceClassification(config), tokenizer)


def _static(spec: Spec, labels: tuple[str, ...], texts: Sequence[str], source: tuple[Any, Any] | None) -> Student:
    """Average token embeddings and put a small head on them: no attention, and word order does not matter.

    EuroBERT with no layers is just that, in stock transformers: embeddings, RMS norm, mean, dense, GELU, linear.
    (ModernBERT looks the same but divides by the number of its layers when it starts.)
    """
    tokenizer, kept = _tokenizer(spec, texts, source)
    config = transformers.EuroBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden,
        num_hidden_layers=0,
        num_attention_heads=1,
        num_key_value_heads=1,
        intermediate_size=1,
        max_position_embeddings=max(spec.max_tokens, 128),
        classifier_pooling="mean",
        mask_token_id=tokenizer.mask_token_id or 0,
    )
    _number_special_tokens(config, tokenizer)
    _name_labels(config, labels)
    model = transformers.EuroBertForSequenceClassification(config)
    if source is not None and kept is not None:
        words = source[0].get_input_embeddings().weight.detach()[kept]
        _start_words(model.get_input_embeddings().weight, words)
    return Student(model, tokenizer)


def _tokenizer(spec: Spec, texts: Sequence[str], source: tuple[Any, Any] | None) -> tuple[Any, list[int] | None]:
    """Prune the teacher's tokenizer where it can be pruned; otherwise train one on the rows."""
    if source is not None and vocabulary.is_word_piece(source[1]):
        return vocabulary.prune(source[1], texts, spec.vocabulary)
    return vocabulary.train(texts, spec.vocabulary), None


@torch.no_grad()
def _start_words(target: torch.Tensor, words: torch.Tensor) -> None:
    """Start static embeddings from the principal components of the teacher's (PCA), scaled to unit spread.

    words (tokens, teacher's width) -> target (tokens, student's width); columns beyond the teacher's stay random.
    """
    centred = words - words.mean(dim=0)
    values, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    width = min(target.shape[1], words.shape[1])
    projected = centred @ directions[:, values.argsort(descending=True)[:width]]
    target[:, :width] = projected / projected.std().clamp_min(1e-8)


def _unsuitable(config: Any, spec: Spec) -> str | None:
    if config.model_type not in FAMILIES:
        return (
            f"The teacher is a {config.model_type}; layers can be taken from {', '.join(FAMILIES)}: "
            "choose scratch or static for the student."
        )
    absent = [layer for layer in spec.layers if not 0 <= layer < config.num_hidden_layers]
    if absent:
        return f"The teacher has layers 0 to {config.num_hidden_layers - 1}, and the spec asks for layer {absent[0]}."
    if spec.max_tokens > models.positions(config):
        return f"max_tokens is {spec.max_tokens}, and the teacher reads at most {models.positions(config)} tokens."
    return None


def _inherited(
    student: dict[str, torch.Tensor],
    teacher: dict[str, torch.Tensor],
    layers: tuple[int, ...],
    kept: list[int] | None,
    head: list[int] | None,
) -> dict[str, torch.Tensor]:
    """Take each of the student's tensors from its layer in the teacher; what has no match stays random."""
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
    """Find the teacher's output for each of our labels; none where the two do not name the same labels."""
    theirs = [config.id2label[number] for number in range(config.num_labels)]
    return [theirs.index(label) for label in labels] if sorted(theirs) == sorted(labels) else None


def _name_labels(config: Any, labels: tuple[str, ...]) -> None:
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    config.problem_type = "single_label_classification"


def _number_special_tokens(config: Any, tokenizer: Any) -> None:
    """A pruned vocabulary gives special tokens new ids, and the config must not name the old ones."""
    config.pad_token_id = tokenizer.pad_token_id
    for ours, theirs in (("bos", "cls"), ("eos", "sep"), ("cls", "cls"), ("sep", "sep"), ("mask", "mask")):
        if getattr(config, f"{ours}_token_id", None) is not None:
            setattr(config, f"{ours}_token_id", getattr(tokenizer, f"{theirs}_token_id"))


def _heads(hidden: int) -> int:
    """Give attention heads of about 32 columns, as many as divide the width."""
    return next(heads for heads in range(max(1, hidden // 32), 0, -1) if hidden % heads == 0)

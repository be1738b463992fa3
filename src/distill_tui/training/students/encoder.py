"""Encoders of stock transformers: what the kinds that train one share, so that the folder needs none of our code."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import transformers

from distill_tui.gates.cut import Cut
from distill_tui.spec import Spec
from distill_tui.training import export, lengths, models, vocabulary
from distill_tui.training.folders import READING, several
from distill_tui.training.models import Floats, Window
from distill_tui.training.predictor import Predictor
from distill_tui.training.starts import FAMILIES, too_long

if TYPE_CHECKING:
    from distill_tui.training.models import Config, Model, Tokenizer

WORDS = "word_embeddings.weight"
NEAR = 16  # tokens that a layer sees, half of them before


@dataclass(frozen=True)
class Student:
    """A transformers model and the tokenizer that belongs to it."""

    model: Model
    tokenizer: Tokenizer
    windows: bool = False  # whether a longer text is read in windows, whose logits are averaged

    @property
    def window(self) -> Window | None:
        return models.window(self.tokenizer) if self.windows else None

    @property
    def max_tokens(self) -> int:
        return int(self.tokenizer.model_max_length)

    def tokenise(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        return (
            models.whole(self.tokenizer, texts) if self.windows else models.tokenise(self.tokenizer, texts, max_tokens)
        )

    def logits(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return models.pooled(self.model, rows, self.window)

    def description(self) -> str:
        return str(self.tokenizer.backend_tokenizer.to_str())

    def save(self, folder: Path) -> None:
        export.save(self.model, self.tokenizer, folder)
        if self.windows:
            (folder / READING).write_text(json.dumps({"windows": True}) + "\n", encoding="utf-8")


def from_layers(
    spec: Spec,
    labels: tuple[str, ...],
    layers: tuple[int, ...],
    texts: Sequence[str],
    teacher: Model,
    tokenizer: Tokenizer,
    kind: type[transformers.AutoModel] = transformers.AutoModelForSequenceClassification,
) -> Student:
    """Make a classifier of texts, or of tokens, from some layers of a teacher.

    Where the vocabulary can be pruned, it keeps the pieces that the texts use.
    """
    kept = None
    if vocabulary.is_word_piece(tokenizer) and teacher.config.model_type in FAMILIES:
        tokenizer, kept = vocabulary.prune(tokenizer, [*map(models.speakable, texts)], spec.vocabulary)
    spec = lengths.settled(spec, lambda: models.lengths(tokenizer, texts), models.positions(teacher.config))
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers = len(layers)
    config.vocab_size = len(kept) if kept else config.vocab_size
    head = _head_rows(teacher.config, labels)
    student = fresh(spec, labels, tokenizer, config, kind.from_config)
    student.model.load_state_dict(_inherited(student.model.state_dict(), teacher.state_dict(), layers, kept, head))
    return student


def small(
    spec: Spec, labels: tuple[str, ...], texts: Sequence[str], tokenizer: Tokenizer, kind: Callable[[Config], Model]
) -> Student:
    """Make a BERT with random weights of the spec's width and depth, that classifies texts or tokens."""
    spec = lengths.settled(spec, lambda: models.lengths(tokenizer, texts), lengths.MOST)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden,
        num_hidden_layers=spec.depth,
        num_attention_heads=attention_heads(spec.hidden),
        intermediate_size=4 * spec.hidden,
        max_position_embeddings=max(spec.max_tokens, 128),
    )
    return fresh(spec, labels, tokenizer, config, kind)


def near(
    spec: Spec, labels: tuple[str, ...], texts: Sequence[str], tokenizer: Tokenizer, kind: Callable[[Config], Model]
) -> Student:
    """Make a ModernBERT (Warner et al. 2024) with random weights that classifies tokens.

    Its positions are relative, and every second layer sees `NEAR` tokens around each: some hundred rows teach it which
    words stand before a value, which a BERT of this size learns from thousands.
    """
    spec = lengths.settled(spec, lambda: models.lengths(tokenizer, texts), lengths.MOST)
    width = spec.hidden + spec.hidden % 2
    config = transformers.ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=spec.depth,
        num_attention_heads=attention_heads(width, parts=2),
        intermediate_size=2 * width,
        max_position_embeddings=max(spec.max_tokens, 128),
        global_attn_every_n_layers=2,
        local_attention=NEAR,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")),
    )
    return fresh(spec, labels, tokenizer, config, kind)


def fresh(
    spec: Spec,
    labels: tuple[str, ...],
    tokenizer: Tokenizer,
    config: Config,
    make: Callable[[Config], Model],
) -> Student:
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
    models.without_types(tokenizer)
    return Student(make(config), tokenizer, spec.windows)


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


def _head_rows(config: Config, labels: tuple[str, ...]) -> list[int] | None:
    """Return the teacher's output for each label; None where the two do not have the same labels."""
    theirs = [config.id2label[number] for number in range(config.num_labels)]
    return [theirs.index(label) for label in labels] if sorted(theirs) == sorted(labels) else None


def attention_heads(hidden: int, parts: int = 1) -> int:
    """Choose heads of about 32 columns: the largest number that divides the width into heads of so many equal parts."""
    return next(heads for heads in range(max(1, hidden // 32), 0, -1) if hidden % (heads * parts) == 0)


def student_tokenizer(
    spec: Spec,
    texts: Sequence[str],
    source: tuple[Model, Tokenizer] | None,
) -> tuple[Tokenizer, list[int] | None]:
    """Prune the teacher's tokenizer where it can be pruned; otherwise train one on the rows."""
    texts = [*map(models.speakable, texts)]
    if source is not None and vocabulary.is_word_piece(source[1]):
        return vocabulary.prune(source[1], texts, spec.vocabulary)
    return vocabulary.train(texts, spec.vocabulary), None


def load_start(spec: Spec, start: Path) -> tuple[Model, Tokenizer]:
    """Load the encoder that a student starts from. Raises ValueError where it reads fewer tokens than the spec asks."""
    model, tokenizer = models.load_for(transformers.AutoModelForSequenceClassification, start, new_head=True)
    for problem in too_long(spec, start, models.positions(model.config)):
        raise ValueError(problem)
    return model, tokenizer


def open_folder(folder: Path, threads: int, max_tokens: int | None = None) -> Predictor[Floats]:
    """Open a classifier with plain transformers."""
    torch.set_num_threads(threads)
    model, tokenizer = models.load(folder)
    window, sets = models.window_of(folder, tokenizer), several(folder)

    def prepare(texts: Sequence[str]) -> list[list[int]]:
        return models.tokenise(tokenizer, texts, max_tokens) if window is None else models.whole(tokenizer, texts)

    def run(rows: Sequence[Sequence[int]]) -> Floats:
        with torch.inference_mode():
            logits = models.pooled(model, rows, window)
            probabilities: Floats = (torch.sigmoid(logits) if sets else torch.softmax(logits, dim=-1)).numpy()
        return probabilities

    def embed(texts: Sequence[str]) -> Floats:
        """Average the input of the classification head over the tokens of a text, in windows over those of each."""
        whole = prepare(texts)
        parts = [(at, part) for at, row in enumerate(whole) for part in (window.parts(row) if window else [row])]
        summed = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
        counts = np.zeros((len(texts), 1), dtype=np.float32)
        for positions in models.by_length([len(part) for _, part in parts], 64, models.TOKENS):
            places, rows = [parts[position][0] for position in positions], [parts[each][1] for each in positions]
            ids, mask = models.pad(rows, model.config.pad_token_id or 0)
            with torch.inference_mode():
                states = model.base_model(input_ids=ids, attention_mask=mask, **models.types(rows, mask))[0]
                weights = mask[:, :, None].float()
            np.add.at(summed, places, (states * weights).sum(dim=1).numpy())
            np.add.at(counts, places, weights.sum(dim=1).numpy())
        return np.divide(summed, counts, out=summed)

    def cut(texts: Sequence[str]) -> Cut:
        return models.cut(tokenizer, texts, max_tokens, windows=window is not None)

    return Predictor(prepare, run, cut, embed)

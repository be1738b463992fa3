"""A local encoder that stays as it is, and a small head: the strongest cheap student where there is little gold.

The encoder reads each text once. Training sees only the vectors, so an epoch takes a second, and the student
keeps what the encoder knows of words that no training row has.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

from distill_tui.digests import folder_digest
from distill_tui.gates.cut import Cut
from distill_tui.spec import Spec
from distill_tui.training import checkpoints, export, heads, lengths, models
from distill_tui.training.folders import HEAD, READING, READS_FIRST, first_token, several
from distill_tui.training.heads import Head, Headed
from distill_tui.training.models import Floats, Window
from distill_tui.training.predictor import Predictor
from distill_tui.training.starts import too_long

if TYPE_CHECKING:
    from distill_tui.training.models import Tokenizer

NO_FOLDER = "A frozen student starts from a local encoder, and none was given."
PART = 1024  # texts whose vectors are kept at once: a kill costs no more
BATCH = 64


@dataclass(frozen=True)
class FrozenStudent:
    """An encoder and its head, with the interface of `LabelStudent`; the model that is trained is the head."""

    headed: Headed
    digest: str  # of the encoder's folder
    windows: bool = False  # whether a longer text is read in windows, whose logits are averaged
    known: dict[tuple[int, ...], torch.Tensor] = field(default_factory=dict)  # the vector of each part that was read

    @property
    def window(self) -> Window | None:
        return models.window(self.headed.tokenizer) if self.windows else None

    @property
    def model(self) -> Head:
        return self.headed.head

    @property
    def max_tokens(self) -> int:
        return int(self.headed.tokenizer.model_max_length)

    def tokenise(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        return _tokens(self.headed.tokenizer, texts, max_tokens, self.window)

    def logits(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return models.averaged(self._logits, rows, self.window)

    def _logits(self, parts: Sequence[Sequence[int]]) -> torch.Tensor:
        vectors = torch.stack([self.known[tuple(part)] for part in parts])
        logits: torch.Tensor = self.model(vectors.to(self.model.classifier.weight.device))
        return logits

    def read(self, training: Sequence[Sequence[int]], validation: Sequence[Sequence[int]], kept: Path) -> None:
        """Have the encoder read all rows, or take their vectors from `kept`, and scale the head to the training rows.

        The vectors are a function of the rows alone, whichever arm of a run computed them.
        """
        taught, ahead = (_parts(rows, self.window) for rows in (training, validation))
        rows = sorted({*taught, *ahead}, key=lambda row: (len(row), row))
        for at in range(0, len(rows), PART):
            part = rows[at : at + PART]
            name = hashlib.sha256(json.dumps([self.digest, self.headed.first, part]).encode()).hexdigest()
            path = kept / f"vectors-{name[:32]}.safetensors"
            vectors = checkpoints.kept(path, lambda part=part: {"vectors": self._vectors(part)})["vectors"]  # type: ignore[misc]
            self.known.update(zip(part, vectors, strict=True))
        self.model.fit_scale(torch.stack([self.known[part] for part in taught]))

    def _vectors(self, rows: Sequence[tuple[int, ...]]) -> torch.Tensor:
        return torch.cat([self.headed.vectors_of(rows[at : at + BATCH]) for at in range(0, len(rows), BATCH)])

    def description(self) -> str:
        return self.digest + str(self.headed.tokenizer.backend_tokenizer.to_str())

    def save(self, folder: Path) -> None:
        """Write the encoder as plain transformers does, and the head next to it."""
        export.save(self.headed.encoder, self.headed.tokenizer, folder)
        save_file(self.model.tensors(), folder / HEAD)
        if self.windows:
            (folder / READING).write_text(json.dumps({"windows": True}) + "\n", encoding="utf-8")


def build(
    spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Path | None, start: Path | None
) -> FrozenStudent:
    """Load the encoder in `start` and make its head: linear at depth 1, else with one layer of the spec's width."""
    if start is None:
        raise ValueError(NO_FOLDER)
    encoder, tokenizer = models.load_for(transformers.AutoModel, start, new_head=True)
    most = models.positions(encoder.config)
    for problem in too_long(spec, start, most):
        raise ValueError(problem)
    spec = lengths.settled(spec, lambda: models.lengths(tokenizer, texts), min(most, tokenizer.model_max_length))
    tokenizer.model_max_length = spec.max_tokens
    models.without_types(tokenizer)
    first = first_token(start)
    encoder.config.id2label = dict(enumerate(labels))
    encoder.config.label2id = {label: number for number, label in enumerate(labels)}
    encoder.config.problem_type = "single_label_classification"
    setattr(encoder.config, READS_FIRST, first)
    head = Head(encoder.config.hidden_size, spec.hidden if spec.depth > 1 else 0, len(labels))
    headed = Headed(encoder.requires_grad_(False), tokenizer, head, first)
    return FrozenStudent(headed, folder_digest(start), spec.windows)


def _tokens(
    tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int | None, window: Window | None
) -> list[list[int]]:
    return models.tokenise(tokenizer, texts, max_tokens) if window is None else models.whole(tokenizer, texts)


def _parts(rows: Sequence[Sequence[int]], window: Window | None) -> list[tuple[int, ...]]:
    """Return what the encoder reads of the rows: each whole, or its windows."""
    return [tuple(part) for row in rows for part in ([row] if window is None else window.parts(row))]


def open_folder(folder: Path, threads: int, max_tokens: int | None = None) -> Predictor[Floats]:
    """Open encoder and head with plain transformers."""
    torch.set_num_threads(threads)
    headed, sets = heads.load(folder), several(folder)
    window = models.window_of(folder, headed.tokenizer)

    def prepare(texts: Sequence[str]) -> list[list[int]]:
        return _tokens(headed.tokenizer, texts, max_tokens, window)

    def of_parts(parts: Sequence[Sequence[int]]) -> torch.Tensor:
        logits: torch.Tensor = headed.head(headed.vectors_of(parts))
        return logits

    def run(rows: Sequence[Sequence[int]]) -> Floats:
        with torch.inference_mode():
            logits = models.averaged(of_parts, rows, window)
            probabilities: Floats = (torch.sigmoid(logits) if sets else torch.softmax(logits, dim=-1)).numpy()
        return probabilities

    def embed(texts: Sequence[str]) -> Floats:
        parts = [(at, part) for at, row in enumerate(prepare(texts)) for part in _parts([row], window)]
        summed = np.zeros((len(texts), headed.encoder.config.hidden_size), dtype=np.float32)
        counts = np.zeros((len(texts), 1), dtype=np.float32)
        for positions in models.by_length([len(part) for _, part in parts], BATCH, models.TOKENS):
            places, read = [parts[each][0] for each in positions], [parts[each][1] for each in positions]
            np.add.at(summed, places, headed.vectors_of(read).numpy())
            np.add.at(counts, places, 1.0)
        return np.divide(summed, counts, out=summed)

    def cut(texts: Sequence[str]) -> Cut:
        return models.cut(headed.tokenizer, texts, max_tokens, windows=window is not None)

    return Predictor(prepare, run, cut, embed)

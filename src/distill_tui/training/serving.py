"""A student as it ships: opened from its folder, whatever its form, and asked in batches of texts.

What is judged and timed goes through here, so that it is the artifact that is judged and not a float model beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill_tui.training import models, ngrams
from distill_tui.training.folders import form, tokens_read
from distill_tui.training.models import Floats

Row = Sequence[int]


@dataclass(frozen=True)
class Served:
    """A student that answers: texts are cut into rows of numbers, and rows are run."""

    cut: Callable[[Sequence[str]], list[list[int]]]
    run: Callable[[Sequence[Row]], Floats]  # label probabilities, (rows, labels)
    alone: bool = False  # whether an answer depends on the batch that a text is in, so that texts are asked one by one

    def answer(self, text: str) -> Floats:
        """Answer one request: the probabilities of its labels, (labels,)."""
        probabilities: Floats = self.run(self.cut([text]))[0]
        return probabilities


def open_folder(folder: Path, *, threads: int, max_tokens: int = 512) -> Served:
    """Open a student's, or a teacher's, folder. Raises ValueError with one sentence. Sets torch's threads."""
    torch.set_num_threads(threads)
    kind = form(folder)
    if kind == "ngram":
        return _ngrams(folder)
    if kind == "onnx":
        return _onnx(folder, threads, max_tokens)
    model, tokenizer = models.load(folder)

    def run(rows: Sequence[Row]) -> Floats:
        with torch.inference_mode():
            shares: Floats = torch.softmax(models.logits(model, rows), dim=-1).numpy()
        return shares

    return Served(lambda texts: models.tokenise(tokenizer, texts, max_tokens), run)


def _ngrams(folder: Path) -> Served:
    cut, logits = ngrams.reader(folder)
    return Served(lambda texts: [cut(text) for text in texts], lambda rows: _softmax(np.stack([*map(logits, rows)])))


def _onnx(folder: Path, threads: int, max_tokens: int) -> Served:
    """Run model.onnx by ONNX Runtime, its texts cut by `tokenizers` alone: transformers would take longer to cut."""
    import onnxruntime
    import tokenizers

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    tokenizer: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(min(max_tokens, tokens_read(folder)))

    def cut(texts: Sequence[str]) -> list[list[int]]:
        if len(texts) == 1:  # one request needs no second thread
            return [tokenizer.encode(models.speakable(texts[0])).ids]
        return [encoded.ids for encoded in tokenizer.encode_batch([models.speakable(text) for text in texts])]

    def run(rows: Sequence[Row]) -> Floats:
        ids, mask = models.side_by_side(rows, 0)  # what stands under the mask changes nothing
        return _softmax(session.run(None, {"input_ids": ids, "attention_mask": mask})[0])

    return Served(cut, run, alone=True)  # activations are rounded by a scale that the whole batch shares


def _softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    summed: Floats = shares / shares.sum(axis=1, keepdims=True)
    return summed

"""A classifier exported to ONNX with 8-bit weights, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import tokenizers

from distill_tui.gates.cut import Cut
from distill_tui.training import arrays
from distill_tui.training.arrays import Floats, Window
from distill_tui.training.folders import ONNX, reads_windows, several, tokens_read
from distill_tui.training.predictor import Predictor


def open_folder(folder: Path, threads: int, max_tokens: int | None = None) -> Predictor[Floats]:
    """Open the folder; `tokenizers` alone cuts its texts, because transformers takes longer to cut than to run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(folder / ONNX, options, providers=["CPUExecutionProvider"])
    tokenizer, whole = _tokenizer(folder), _tokenizer(folder)
    window = Window.of(tokens_read(folder), *(whole.encode(text).ids for text in ("", "a")))
    windows = reads_windows(folder)
    shares = arrays.sigmoid if several(folder) else arrays.softmax
    most = min(max_tokens or tokens_read(folder), tokens_read(folder))
    if not windows:
        tokenizer.enable_truncation(most)

    def spoken(text: str) -> str | tuple[str, str]:
        return (None if windows else arrays.spoken_pair(text)) or arrays.speakable(text)

    def cut(texts: Sequence[str]) -> Cut:
        lengths = [len(each.ids) for each in whole.encode_batch([*map(spoken, texts)])]
        return Cut.of(lengths, [0 if windows else max(0, length - most) for length in lengths])

    def prepare(texts: Sequence[str]) -> list[list[int]]:
        if len(texts) == 1:  # one request needs no second thread
            one = spoken(texts[0])
            return [(tokenizer.encode(one) if isinstance(one, str) else tokenizer.encode(*one)).ids]
        return [encoded.ids for encoded in tokenizer.encode_batch([*map(spoken, texts)])]

    def logits(rows: Sequence[Sequence[int]]) -> Floats:
        ids, mask = arrays.side_by_side(rows, 0)  # padding is masked, so its id does not matter
        found: Floats = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return found

    def pooled(row: Sequence[int]) -> Floats:
        """Average the logits of a row's windows, each in a batch of its own as the whole row would be."""
        mean: Floats = np.mean([logits([part])[0] for part in window.parts(row)], axis=0)
        return mean

    def run(rows: Sequence[Sequence[int]]) -> Floats:
        return shares(np.stack([*map(pooled, rows)]) if windows else logits(rows))

    return Predictor(
        prepare, run, cut, one_by_one=True
    )  # activations are rounded by a scale that the whole batch shares


def _tokenizer(folder: Path) -> tokenizers.Tokenizer:
    """Load a tokenizer that cuts and pads nothing."""
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer

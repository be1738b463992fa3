"""One temperature for a student's confidence, written into its last layer (Guo et al. 2017).

It is fitted on validation rows that did not stop the training and did not choose the rung. Dividing a linear last layer
by it divides the logits, so every form that ships has it, no program needs to know of it, and no answer changes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from distill_tui.dataset.row_identity import input_digest
from distill_tui.gates.aside import LEAST, aside, key
from distill_tui.training import predict, thresholds
from distill_tui.training.arrays import Floats
from distill_tui.training.folders import HEAD, LABELS, NGRAMS, set_settings
from distill_tui.training.replace import replace_folder

WIDEST = 4.0  # the natural logarithm of the largest temperature, and of one over the smallest
_ENDS = ("classifier.weight", "classifier.bias", "classifier.out_proj.weight", "classifier.out_proj.bias")


def calibrates(inputs: Sequence[str]) -> NDArray[np.bool_]:
    """Mark the validation rows that are set aside, by the digest of their text: see `gates.aside`."""
    chosen = np.zeros(len(inputs), dtype=bool)
    chosen[aside([key(input_digest(text)) for text in inputs])] = True
    return chosen


def temperature(probabilities: Floats, truth: NDArray[np.int64]) -> float:
    """Return the temperature of the least cross-entropy, by golden section: the loss is convex in its inverse."""
    logits = np.log(np.clip(probabilities.astype(np.float64), 1e-12, 1.0))
    rows = np.arange(len(truth))

    def loss(inverse: float) -> float:
        scaled = logits * inverse
        top = scaled.max(axis=1)
        summed = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((summed - scaled[rows, truth]).mean())

    return _least(loss)


def temperature_of_sets(probabilities: Floats, truth: NDArray[np.int64]) -> float:
    """Return the temperature of the least binary cross-entropy over all labels, (rows, labels)."""
    shares = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    odds, sign = np.log(shares / (1 - shares)), np.where(truth > 0, -1.0, 1.0)
    return _least(lambda inverse: float(np.logaddexp(0, sign * odds * inverse).mean()))


def _least(loss: Callable[[float], float]) -> float:
    """Return one over the inverse temperature with the least loss, by golden section."""
    low, high, golden = np.exp(-WIDEST), np.exp(WIDEST), (np.sqrt(5) - 1) / 2
    for _ in range(80):
        one, other = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, other) if loss(one) <= loss(other) else (one, high)
    return round(float(2 / (low + high)), 4)


def calibrated(raw: Path, out: Path, texts: Sequence[str], truth: NDArray[np.int64], max_tokens: int) -> float:
    """Write a calibrated copy of a student's folder to `out`, whole or not at all; return its temperature.

    Where an answer is a set of labels (truth is (rows, labels)), it also fits from which probability on each is in it.
    Where too few of the rows have a truth, the confidence stays as it is: a temperature of 1.
    """
    several = truth.ndim == 2
    known = (truth >= 0).all(axis=1) if several else truth >= 0
    enough, divisor = int(known.sum()) >= LEAST, 1.0
    if enough:
        found = predict.probabilities(raw, texts, threads=1, max_tokens=max_tokens)
        divisor = (temperature_of_sets if several else temperature)(found[known], truth[known])

    def fill(folder: Path) -> None:
        shutil.copytree(raw, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)
        if enough:
            _divide(folder, divisor)
        if enough and several:
            shares = predict.probabilities(folder, texts, threads=1, max_tokens=max_tokens)
            set_settings(folder, {"thresholds": thresholds.fitted(shares[known], truth[known])})

    replace_folder(out, fill)
    return divisor


def _divide(folder: Path, divisor: float) -> None:
    """Divide the last layer's weights and bias, and state in config.json by what.

    A language model's last layer gives all tokens, and is often that of its first: labels.json has the temperature.
    """
    if (folder / LABELS).is_file():
        asked = json.loads((folder / LABELS).read_text(encoding="utf-8")) | {"temperature": divisor}
        (folder / LABELS).write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")
        set_settings(folder, {"calibrated_by": divisor})
        return
    names = ("weight", "bias") if (folder / NGRAMS).is_file() else _ENDS
    file = folder / (HEAD if (folder / HEAD).is_file() else "model.safetensors")
    tensors = load_file(file)
    ends = [name for name in names if name in tensors]
    if not ends:  # a kind of model whose last layer has another name stays as it is, and states no temperature
        return
    for name in ends:
        tensors[name] = (tensors[name] / np.float32(divisor)).astype(tensors[name].dtype)
    save_file(tensors, file, metadata={"format": "pt"})
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings["calibrated_by"] = divisor
    (folder / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")

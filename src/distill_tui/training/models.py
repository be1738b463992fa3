"""A model folder in memory: load it, cut texts into tokens, run it in batches of like length.

The one place that loads weights. Only local files, only safetensors, never code from the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from distill_tui.training.folders import check_encoder_folder, check_model_folder

Floats = NDArray[np.float32]
LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}  # for every load


def load(folder: Path) -> tuple[Any, Any]:
    """Load a classifier and its tokenizer with plain transformers, ready to predict.

    Raises ValueError with one sentence where the folder is not a local safetensors classifier.
    """
    return load_for(transformers.AutoModelForSequenceClassification, folder, check_model_folder)


def load_for(kind: Any, folder: Path, check: Callable[[Path], str | None] = check_encoder_folder) -> tuple[Any, Any]:
    """Load a folder by a class of transformers; a head that the folder lacks gets random weights.

    Raises ValueError with one sentence where the folder does not pass the check.
    """
    problem = check(folder)
    if problem:
        raise ValueError(problem)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
        model = kind.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **LOCAL)
    except Exception as error:  # transformers raises a dozen types for one bad folder
        raise ValueError(f"{folder} does not load: {' '.join(str(error).split())[:200]}") from error
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions(model.config))
    return model.eval(), tokenizer


def tokenizer_of(folder: Path) -> Any:
    """Load a folder's tokenizer alone. Raises ValueError with one sentence."""
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
    except Exception as error:
        raise ValueError(f"The tokenizer of {folder} does not load: {' '.join(str(error).split())[:200]}") from error


def positions(config: Any) -> int:
    """Return the most tokens that a model can read at once."""
    first = 2 if "roberta" in config.model_type else 0  # RoBERTa's family counts from 2
    return int(config.max_position_embeddings) - first if hasattr(config, "max_position_embeddings") else 1_000_000


def tokenise(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Cut each text into at most `max_tokens` token ids, special tokens included; nothing is padded.

    Never more than the tokenizer's model can read, and never none: a text without any token becomes one padding token.
    """
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(
        [speakable(text) for text in texts],
        truncation=True,
        max_length=min(max_tokens, tokenizer.model_max_length),
        padding=False,
        return_attention_mask=False,
    )["input_ids"]
    return [row or [tokenizer.pad_token_id or 0] for row in ids]


def speakable(text: str) -> str:
    """Replace half a surrogate pair, which JSON can carry and UTF-8 cannot, by a question mark."""
    return text.encode("utf-8", "replace").decode()


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask = side_by_side(rows, padding)
    return torch.from_numpy(ids), torch.from_numpy(mask)


def side_by_side(rows: Sequence[Sequence[int]], padding: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad token rows on the right: ids and mask, both (rows, longest), int64; the mask is 1 on real tokens."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, padding, np.int64)
    ids[mask] = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
    return ids, mask.astype(np.int64)


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Group positions into batches of similar length, longest first: little padding, and peak memory comes first."""
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def logits(model: Any, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Run one batch of token rows through a classifier: (rows, labels)."""
    ids, mask = (tensor.to(model.device) for tensor in pad(rows, model.config.pad_token_id or 0))
    result: torch.Tensor = model(input_ids=ids, attention_mask=mask).logits
    return result


def states(model: Any, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Run one batch: logits (rows, labels), and each layer's output averaged over a text, (rows, layers, width)."""
    ids, mask = (tensor.to(model.device) for tensor in pad(rows, model.config.pad_token_id or 0))
    result = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    share = (mask / mask.sum(dim=1, keepdim=True))[:, :, None]
    means = [(hidden * share).sum(dim=1) for hidden in result.hidden_states[1:]]  # the first is before any layer
    return result.logits, torch.stack(means, dim=1)


def softmax(logits: Floats) -> Floats:
    """Compute probabilities in plain numpy, (rows, labels)."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    summed: Floats = shares / shares.sum(axis=1, keepdims=True)
    return summed

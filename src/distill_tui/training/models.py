"""A model folder in memory: load it, cut texts into tokens, run it in batches of like length.

The one place that loads weights. Only local files, only safetensors, never code from the folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from distill_tui.training.folders import check_model_folder

Floats = NDArray[np.float32]


def load(folder: Path) -> tuple[Any, Any]:
    """Load a classifier and its tokenizer with plain transformers, ready to predict.

    Raises ValueError with one sentence where the folder is not a local safetensors classifier.
    """
    problem = check_model_folder(folder)
    if problem:
        raise ValueError(problem)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, **local
        )
    except Exception as error:  # transformers raises a dozen types for one bad folder
        raise ValueError(f"{folder} does not load: {' '.join(str(error).split())[:200]}") from error
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions(model.config))
    return model.eval(), tokenizer


def positions(config: Any) -> int:
    """Give the most tokens that a model can read at once."""
    first = 2 if "roberta" in config.model_type else 0  # RoBERTa's family counts from 2
    return int(config.max_position_embeddings) - first if hasattr(config, "max_position_embeddings") else 1_000_000


def tokenise(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Cut each text into at most `max_tokens` token ids, special tokens included; nothing is padded.

    Never more than the tokenizer's model can read, and never none: a text without any token becomes one padding token.
    Half a surrogate pair, which JSON can carry and UTF-8 cannot, becomes a question mark.
    """
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(
        [text.encode("utf-8", "replace").decode() for text in texts],
        truncation=True,
        max_length=min(max_tokens, tokenizer.model_max_length),
        padding=False,
        return_attention_mask=False,
    )["input_ids"]
    return [row or [tokenizer.pad_token_id or 0] for row in ids]


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay token rows side by side: ids and mask, both (rows, longest), int64; the mask is 1 on real tokens."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[number, : len(row)] = 1
    return ids, mask


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Group positions into batches of like length, longest first: less padding, and the worst memory comes first."""
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def logits(model: Any, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Run one batch of token rows through a classifier: (rows, labels)."""
    ids, mask = pad(rows, model.config.pad_token_id or 0)
    result: torch.Tensor = model(input_ids=ids, attention_mask=mask).logits
    return result


def probabilities(
    model: Any, rows: Sequence[Sequence[int]], batches: Iterable[list[int]]
) -> Iterator[tuple[list[int], Floats]]:
    """Yield for each batch its positions and the label probabilities, (batch, labels) float32."""
    for positions in batches:
        with torch.inference_mode():
            scores = logits(model, [rows[position] for position in positions])
        yield positions, torch.softmax(scores, dim=-1).numpy()

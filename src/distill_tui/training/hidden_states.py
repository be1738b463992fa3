"""The outputs of an encoder's layers, averaged over each text: what a student may learn from besides the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from distill_tui.training import models

if TYPE_CHECKING:
    from distill_tui.training.models import Model


def states(model: Model, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Run one batch: logits (rows, labels), and each layer's output averaged over a text, (rows, layers, width)."""
    ids, mask = (tensor.to(model.device) for tensor in models.pad(rows, model.config.pad_token_id or 0))
    result = model(input_ids=ids, attention_mask=mask, output_hidden_states=True, **models.types(rows, mask))
    share = (mask / mask.sum(dim=1, keepdim=True))[:, :, None]
    means = [(hidden * share).sum(dim=1) for hidden in result.hidden_states[1:]]  # the first is before any layer
    return result.logits, torch.stack(means, dim=1)


def of_teacher(teacher: Path, texts: Sequence[str], layers: Sequence[int], most: int) -> dict[str, torch.Tensor]:
    """Compute the teacher's hidden states of the student's layers, (rows, layers, width)."""
    model, tokenizer = models.load(teacher)
    rows = models.tokenise(tokenizer, texts, most)
    found = torch.zeros(len(rows), len(layers), model.config.hidden_size)
    for positions in models.by_length([len(row) for row in rows], 64):
        with torch.inference_mode():
            _, means = states(model, [rows[position] for position in positions])
        found[positions] = means[:, list(layers)]
    return {"states": found}

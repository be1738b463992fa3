"""An encoder that stays as it is, with a small head on one vector of each text: a folder of both, and their logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file

from distill_tui.training import models
from distill_tui.training.folders import HEAD, first_token

if TYPE_CHECKING:
    from distill_tui.training.models import Model, Tokenizer


LEAST = 0.25  # of the mean deviation of all columns: no column is divided by less


class Head(torch.nn.Module):
    """A linear layer, or a dense layer with GELU before it, on vectors whose columns are brought to one scale."""

    centre: torch.Tensor
    scale: torch.Tensor

    def __init__(self, width: int, hidden: int, labels: int) -> None:
        """Make a head with random weights; with `hidden` 0 it is linear."""
        super().__init__()
        self.dense = torch.nn.Linear(width, hidden) if hidden else None
        self.classifier = torch.nn.Linear(hidden or width, labels)
        self.register_buffer("centre", torch.zeros(width), persistent=False)
        self.register_buffer("scale", torch.ones(width), persistent=False)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Compute logits (rows, labels) of vectors (rows, width)."""
        scaled = (vectors - self.centre) / self.scale
        logits: torch.Tensor = self.classifier(scaled if self.dense is None else F.gelu(self.dense(scaled)))
        return logits

    @torch.no_grad()
    def fit_scale(self, vectors: torch.Tensor) -> None:
        """Bring each column of vectors like these (rows, width) to mean 0 and standard deviation 1.

        A column that hardly varies stays small: brought to 1, the rounding of 8-bit weights in it would drown the rest.
        """
        deviations = vectors.std(dim=0, correction=0)
        self.centre.copy_(vectors.mean(dim=0))
        self.scale.copy_(deviations.clamp_min(float(deviations.mean()) * LEAST + 1e-6))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return its weights with the scale folded into the first layer, so that a program needs no scale."""
        found = {name: tensor.detach() for name, tensor in self.state_dict().items()}
        first = "classifier" if self.dense is None else "dense"
        weight = found[f"{first}.weight"] / self.scale
        shifted = {f"{first}.weight": weight, f"{first}.bias": found[f"{first}.bias"] - weight @ self.centre}
        return {name: tensor.contiguous() for name, tensor in (found | shifted).items()}


@dataclass(frozen=True)
class Headed:
    """An encoder, its tokenizer, and the head that is trained."""

    encoder: Model
    tokenizer: Tokenizer
    head: Head
    first: bool  # whether the vector of a text is that of its first token; else the mean over its tokens

    def vectors(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Compute the vector of each text of a padded batch, (rows, width)."""
        states: torch.Tensor = self.encoder(input_ids=ids, attention_mask=mask)[0]
        if self.first:
            return states[:, 0]
        shares = mask[:, :, None].to(states.dtype)
        return (states * shares).sum(dim=1) / shares.sum(dim=1)

    def vectors_of(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        with torch.inference_mode():
            found = self.vectors(*models.pad(rows, self.encoder.config.pad_token_id or 0))
        return found.clone()  # outside of inference mode, so that a head can be trained on it


class Whole(torch.nn.Module):
    """Encoder and head as one function of two tensors, as ONNX needs it."""

    def __init__(self, headed: Headed) -> None:
        super().__init__()
        self.headed, self.encoder, self.head = headed, headed.encoder, headed.head

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.headed.vectors(input_ids, attention_mask))
        return logits


def load(folder: Path) -> Headed:
    """Load encoder, tokenizer and head of a student's folder. Raises ValueError with one sentence."""
    encoder, tokenizer = models.load_for(transformers.AutoModel, folder, new_head=True)
    tensors = load_file(folder / HEAD)
    width, hidden = encoder.config.hidden_size, len(tensors.get("dense.bias", ()))
    head = Head(width, hidden, len(tensors["classifier.bias"]))
    head.load_state_dict(tensors)
    return Headed(encoder, tokenizer, head.eval(), first_token(folder))

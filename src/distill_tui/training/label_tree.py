"""The texts of labels as a tree of tokens, by which a language model gives each label a probability.

Only tokens on the way to a label are possible, so every answer is a label: at each node where texts part, the model's
probabilities of the next tokens are those of its logits among these alone. The probability of a label is the product
on its way, and those of all labels sum to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

Path = tuple[int, ...]


@dataclass(frozen=True)
class LabelTree:
    """The tokens of each label's text, with the token that ends it: none begins another."""

    texts: tuple[Path, ...]

    @classmethod
    def of(cls, labels: Sequence[str], tokens: Sequence[Sequence[int]], stop: int) -> LabelTree:
        """Make the tree of labels that are spelled by these tokens. Raises ValueError where two are spelled alike."""
        seen: dict[Path, str] = {}
        for label, ids in zip(labels, tokens, strict=True):
            other = seen.setdefault((*ids, stop), label)
            if other != label or stop in ids:
                raise ValueError(
                    f"The tokens of this model spell the labels '{other}' and '{label}' alike; rename one of them."
                    if other != label
                    else f"The label '{label}' holds the token that ends a text; rename it."
                )
        return cls(tuple(seen))

    @cached_property
    def _next(self) -> dict[Path, list[int]]:
        """The tokens that may follow each path on which texts part."""
        found: dict[Path, set[int]] = {}
        for text in self.texts:
            for at, token in enumerate(text):
                found.setdefault(text[:at], set()).add(token)
        return {path: sorted(tokens) for path, tokens in sorted(found.items()) if len(tokens) > 1}

    @cached_property
    def nodes(self) -> list[Path]:
        """The paths after which a model is asked, and those that lead there; the first is empty: the prompt's end."""
        return sorted({(), *(path[:at] for path in self._next for at in range(len(path) + 1))})

    @cached_property
    def ancestors(self) -> torch.Tensor:
        """Whether each node but the first is, or follows, each other one, (nodes - 1, nodes - 1)."""
        rest = self.nodes[1:]
        rows = [[node[: len(other)] == other for other in rest] for node in rest]
        return torch.tensor(rows, dtype=torch.bool).reshape(len(rest), len(rest))

    @cached_property
    def _tables(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The node of each parting, its tokens side by side, which of them are real, and which each label takes."""
        width = max(map(len, self._next.values()), default=1)
        where = torch.tensor([self.nodes.index(path) for path in self._next])
        tokens = torch.zeros(len(self._next), width, dtype=torch.int64)
        real, taken = torch.zeros_like(tokens, dtype=torch.bool), torch.zeros(len(self.texts), len(self._next), width)
        for row, (path, after) in enumerate(self._next.items()):
            tokens[row, : len(after)], real[row, : len(after)] = torch.tensor(after), True
            for label, text in enumerate(self.texts):
                if text[: len(path)] == path:
                    taken[label, row, after.index(text[len(path)])] = 1
        return where, tokens, real, taken.flatten(1)

    def log_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Compute those of the labels, (rows, labels), from the logits after each node, (rows, nodes, vocabulary)."""
        where, tokens, real, taken = (each.to(logits.device) for each in self._tables)
        among = logits[:, where[:, None], tokens].float().masked_fill(~real, -torch.inf).log_softmax(dim=-1)
        logs: torch.Tensor = among.masked_fill(~real, 0).flatten(1) @ taken.T
        return logs

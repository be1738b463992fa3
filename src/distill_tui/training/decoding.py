"""Greedy decoding by a causal language model, many rows at a time, each row's prompt read once."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
import transformers

from distill_tui.training import models

if TYPE_CHECKING:
    from distill_tui.training.guide import Guide
    from distill_tui.training.models import Model

MIN_PREFIX = 16  # tokens; reading fewer again takes less time than sharing them


class NotFinite(ValueError):
    """A model's outputs are NaN or infinite."""


def left_padded(rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pad token rows on the left: ids, mask and positions, (rows, longest) each."""
    ids, mask = models.side_by_side([row[::-1] for row in rows], padding)
    mask = mask[:, ::-1].copy()
    positions = np.maximum(mask.cumsum(axis=1) - 1, 0)
    return torch.from_numpy(ids[:, ::-1].copy()), torch.from_numpy(mask), torch.from_numpy(positions)


def forward(
    model: Model,
    ids: torch.Tensor | None,
    mask: torch.Tensor | None,
    positions: torch.Tensor | None,
    **more: object,
) -> transformers.utils.ModelOutput:
    """Run a model on left-padded rows, on the model's device."""
    ids, mask, positions = (each if each is None else each.to(model.device) for each in (ids, mask, positions))
    parameters = _parameters(type(model).forward)
    if "position_ids" in parameters:  # other models count the mask themselves
        more["position_ids"] = positions
    if "logits_to_keep" not in parameters:  # other models return all of them, the last ones last
        more.pop("logits_to_keep", None)
    return model(input_ids=ids, attention_mask=mask, **more)


@dataclass(frozen=True)
class Prefix:
    """The tokens that all prompts begin with, read once: a template with examples takes longer to read than a text."""

    tokens: tuple[int, ...] = ()
    cache: transformers.DynamicCache | None = None

    def cut(self, rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Left-pad what follows the prefix: ids, the mask of prefix and rest, and positions in the whole."""
        ids, mask, positions = left_padded([row[len(self.tokens) :] for row in rows], padding)
        return ids, torch.nn.functional.pad(mask, (len(self.tokens), 0), value=1), positions + len(self.tokens)

    def cache_for(self, rows: int) -> transformers.DynamicCache | None:
        """Return the key-value cache of the prefix, repeated for each row; None where it is empty."""
        if self.cache is None:
            return None
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(rows)
        return cache


@torch.inference_mode()
def shared_prefix(model: Model, rows: Sequence[list[int]]) -> Prefix:
    """Read the common prefix of all rows; empty where it is short, or where the model's cache cannot be repeated."""
    first, last = min(rows, default=[]), max(rows, default=[])
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    tokens = tuple(first[: min(same, min(map(len, rows), default=1) - 1)])
    if len(rows) < 2 or len(tokens) < MIN_PREFIX:
        return Prefix()
    result = forward(model, *left_padded([tokens], 0), logits_to_keep=1, use_cache=True)
    cache = result.get(cache_argument(model))
    return Prefix(tokens, cache) if type(cache) is transformers.DynamicCache else Prefix()


@torch.inference_mode()
def write(
    model: Model,
    rows: Sequence[Sequence[int]],
    max_tokens: int,
    stops: Sequence[int],
    padding: int,
    prefix: Prefix = Prefix(),
    guide: Guide | None = None,
) -> tuple[list[list[int]], list[float]]:
    """Continue each row greedily: the answers without their stop token, and their log-probabilities, stop included.

    Rows that have ended leave the batch. An answer is cut off after `max_tokens`. With a guide, each token is the
    likeliest of those that it allows; its log-probability is that among all.
    """
    argument, stop_ids = cache_argument(model), torch.tensor([*stops], device=model.device)
    ids, mask, positions = (each.to(model.device) for each in prefix.cut(rows, padding))
    answers: list[list[int]] = [[] for _ in rows]
    logs, running, cache = torch.zeros(len(rows)), torch.arange(len(rows)), prefix.cache_for(len(rows))
    states = [] if guide is None else [guide.grammar.start] * len(rows)
    for _ in range(max_tokens):
        needed = None if bool(mask.all()) else mask  # no mask is faster than one that masks nothing
        result = forward(model, ids, needed, positions, logits_to_keep=1, use_cache=True, **{argument: cache})
        shares = result.logits[:, -1].float().log_softmax(dim=-1)
        log, token = shares.max(dim=-1)
        if guide is not None:
            allowed = guide.allowed([states[row] for row in running.tolist()]).to(shares.device)
            log, token = shares.masked_fill(~allowed, -torch.inf).max(dim=-1)
        if not bool(torch.isfinite(log).all()):
            raise NotFinite("The model gives NaN or infinite outputs; save it again in float32.")
        logs[running] += log.cpu()
        cache, going = result[argument], (~torch.isin(token, stop_ids)).nonzero().flatten()
        if len(going) < len(token):
            if not len(going):
                break
            cache.batch_select_indices(going)
            running = running[going.cpu()]
            token, mask, positions = token[going], mask[going], positions[going]
        for row, chosen in zip(running.tolist(), token.tolist(), strict=True):
            answers[row].append(chosen)
            if guide is not None:
                states[row] = guide.after(states[row], chosen)
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        ids, positions = token[:, None], positions[:, -1:] + 1
    return answers, logs.tolist()


def cache_argument(model: Model) -> str:
    """Return the name of the model's key-value cache argument."""
    return "cache" if "cache" in _parameters(type(model).forward) else "past_key_values"  # in older releases


@lru_cache
def _parameters(function: Callable[..., object]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)

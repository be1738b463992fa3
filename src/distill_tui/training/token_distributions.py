"""A local teacher's probabilities of each token of each answer, asked once and kept in a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers

from distill_tui.teachers.description import Described
from distill_tui.training import checkpoints, decoding, local_teachers, models
from distill_tui.training.objective import IGNORED

if TYPE_CHECKING:
    from distill_tui.training.models import Model

TOP = 64  # the largest of the teacher's probabilities of one token are learnt, and the sum of the rest as one
NEVER = -1e9  # the log-probability of an impossible token
TINY = 1e-30  # a rest below counts as this: that of no tokens has no logarithm


@dataclass(frozen=True)
class TokenDistributions:
    """A teacher's distribution over each token of each answer: the likeliest tokens, and the rest as one."""

    tops: list[torch.Tensor]  # for each answer (tokens, TOP) token numbers
    logs: list[torch.Tensor]  # for each answer (tokens, TOP + 1) log-probabilities, softened; the last is the rest's
    temperature: float

    def divergence(
        self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, batch: Sequence[int]
    ) -> torch.Tensor:
        """Compute T^2 KL(p_T || q_T), the weighted mean over tokens; merging the rest makes it a lower bound.

        logits (rows, tokens, vocabulary); targets (rows, tokens), IGNORED for padding; weights (rows,).
        """
        shape = targets.shape
        tops = torch.zeros(*shape, self.tops[batch[0]].shape[1], dtype=torch.int64)
        log_p = torch.zeros(*shape, tops.shape[2] + 1)
        for row, at in enumerate(batch):
            count = len(self.tops[at])
            tops[row, -count:], log_p[row, -count:] = self.tops[at], self.logs[at]
        tops, log_p, targets, weights = (each.to(logits.device) for each in (tops, log_p, targets, weights))
        log_q = with_rest((logits / self.temperature).log_softmax(dim=-1), tops)
        divergence = (log_p.exp() * (log_p - log_q)).sum(dim=2) * self.temperature**2
        shares = weights[:, None] * (targets != IGNORED)
        return (shares * divergence).sum() / shares.sum()


def distributions(
    teacher: Path, asked: Described, texts: Sequence[str], answers: Sequence[list[int]], temperature: float, kept: Path
) -> TokenDistributions:
    """Compute the teacher's softened distribution over each token of each answer, or read it from the file `kept`.

    Every token that ends an answer for the teacher, like the end of a line, counts as the student's stop token.
    """
    found = checkpoints.kept(kept, lambda: _all(teacher, asked, texts, answers, temperature))
    lengths = [len(answer) for answer in answers]
    return TokenDistributions([*found["tops"].long().split(lengths)], [*found["logs"].split(lengths)], temperature)


def _all(
    teacher: Path, asked: Described, texts: Sequence[str], answers: Sequence[list[int]], temperature: float
) -> dict[str, torch.Tensor]:
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, teacher)
    room = replace(asked, max_tokens=max(map(len, answers)))
    prompts = local_teachers.prompts(model, tokenizer, texts, room)
    prefix = decoding.shared_prefix(model, prompts)
    stops = local_teachers.stop_tokens(model, tokenizer, asked)
    rows = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    made: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    for positions in models.by_length([len(row) for row in rows], 16):
        made |= _batch(model, positions, rows, answers, temperature, prefix, stops)
    tops, logs = (torch.cat([made[at][part] for at in range(len(rows))]) for part in (0, 1))
    return {"tops": tops.int(), "logs": logs}


@torch.inference_mode()
def _batch(
    model: Model,
    positions: Sequence[int],
    rows: Sequence[list[int]],
    answers: Sequence[list[int]],
    temperature: float,
    prefix: decoding.Prefix,
    stops: list[int],
) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    ids, mask, places = prefix.cut([rows[at] for at in positions], 0)
    longest, cache = max(len(answers[at]) for at in positions), prefix.cache_for(len(positions))
    logits = decoding.forward(
        model,
        ids,
        mask,
        places,
        logits_to_keep=longest + 1,
        use_cache=cache is not None,
        **{decoding.cache_argument(model): cache},
    ).logits[:, -longest - 1 : -1]
    shares = (logits.float() / temperature).log_softmax(dim=-1)
    stop = answers[positions[0]][-1]
    ended = shares[..., stops].logsumexp(dim=-1) if stop in stops else shares[..., stop]
    shares[..., stops], shares[..., stop] = NEVER, ended
    tops = shares.topk(min(TOP, shares.shape[-1]), dim=-1).indices
    whole = with_rest(shares, tops)
    return {at: (tops[row, -len(answers[at]) :], whole[row, -len(answers[at]) :]) for row, at in enumerate(positions)}


def with_rest(shares: torch.Tensor, tops: torch.Tensor) -> torch.Tensor:
    """Return the log-probabilities of some tokens, and of all others as one: (..., tops + 1), which sum to 1.

    shares (..., vocabulary) are log-probabilities of all tokens. None is renormalised. The rest is summed and not
    subtracted from 1: its gradient lives where a student gives it next to nothing and the teacher does not.
    """
    rest = shares.scatter(-1, tops, NEVER).logsumexp(dim=-1, keepdim=True).clamp_min(math.log(TINY))
    return torch.cat([shares.gather(-1, tops), rest], dim=-1)

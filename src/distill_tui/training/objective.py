"""What is minimised: the terms of the distillation loss, and the protocol by which the training loop asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F

IGNORED = -100  # the target of a token without one
MIN_PROBABILITY = 1e-6  # lower ones are raised to this: a teacher's logit of -40 counts no more than one of -14


@dataclass(frozen=True)
class LossTerms:
    """The terms of a loss, each a weighted mean over the rows of a batch; the spec has the weight of each."""

    soft: float = 0.0  # KL divergence from the teacher's softened probabilities, weighted by alpha
    hard: float = 0.0  # cross-entropy with the hard labels, weighted by 1 - alpha
    logit: float = 0.0  # squared distance from the teacher's logits, weighted by logit_mse
    hidden: float = 0.0  # cosine distance from the teacher's hidden states, weighted by hidden_cosine


class Objective(Protocol):
    """A model, its training rows, and a loss of several terms, as the training loop sees them."""

    @property
    def model(self) -> torch.nn.Module: ...  # the loop updates it in place

    lengths: list[int]  # tokens in each row
    term_weights: dict[str, float]  # the weight of each term in the loss
    identity: str  # digest of everything that determines the run

    def terms(self, batch: list[int]) -> dict[str, torch.Tensor]: ...  # a term of weight 0 may be left out
    def batch_weight(self, batch: list[int]) -> float: ...  # the sum of weights by which the terms are means
    def validate(self) -> float | None: ...  # validation score, higher is better; None without validation rows
    def save(self, folder: Path) -> None: ...  # write the student into an existing folder


def distillation_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    soft: torch.Tensor,
    weights: torch.Tensor,
    temperature: float,
    alpha: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute (loss, soft term, hard term) of a batch, each a weighted mean over its rows (Hinton et al. 2015).

    soft term: T^2 KL(p_T || q_T) with q_T = softmax(logits / T) and p_T = p^(1/T) renormalised, which is the softmax
    of the teacher's logits / T. T^2 keeps its gradient as large as the hard term's. hard term: cross-entropy.
    logits (n, k); labels (n,), -1 where unknown; soft (n, k), NaN where unknown; weights (n,). A term that a row has
    no label for is 0 for it. A row without a gold label gets no hard term: the teacher's argmax would only repeat,
    with less information, what the soft term already holds.
    """
    has_soft, has_hard = ~soft.isnan().any(dim=1), labels >= 0
    p = soft.masked_fill(~has_soft[:, None], 1.0)  # any finite row will do: it is masked below
    log_p = F.log_softmax(p.clamp_min(torch.finfo(p.dtype).tiny).log() / temperature, dim=1)
    log_q = F.log_softmax(logits / temperature, dim=1)
    divergence = (log_p.exp() * (log_p - log_q)).sum(dim=1) * temperature**2
    cross_entropy = F.cross_entropy(logits, labels.clamp_min(0), reduction="none")
    soft_term, hard_term = _mean(divergence, weights, has_soft), _mean(cross_entropy, weights, has_hard)
    return alpha * soft_term + (1 - alpha) * hard_term, soft_term, hard_term


def logit_loss(logits: torch.Tensor, soft: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute the weighted mean over rows of the squared distance from the teacher's logits (Ba and Caruana 2014).

    Only the teacher's probabilities are known: their logarithms are its logits up to a constant in each row, so both
    sides are centred on their row's mean. logits (n, k); soft (n, k), NaN where unknown; weights (n,).
    """
    known = ~soft.isnan().any(dim=1)
    teacher = soft.masked_fill(~known[:, None], 1.0).clamp_min(MIN_PROBABILITY).log()
    centred = [each - each.mean(dim=1, keepdim=True) for each in (logits, teacher)]
    return _mean((centred[0] - centred[1]).square().mean(dim=1), weights, known)


def set_distillation_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    soft: torch.Tensor,
    weights: torch.Tensor,
    temperature: float,
    alpha: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute (loss, soft term, hard term) where each label has a probability of its own: no softmax over labels.

    soft term: T^2 times the mean over labels of the divergence of two Bernoulli distributions, p^T against
    sigmoid(logit / T), with p^T = sigmoid(logit(p) / T). hard term: the mean over labels of binary cross-entropy.
    logits (n, k); labels (n, k) 0 or 1, -1 in a row that has none; soft (n, k), NaN where unknown; weights (n,).
    """
    has_soft, has_hard = ~soft.isnan().any(dim=1), (labels >= 0).all(dim=1)
    p = torch.sigmoid(_log_odds(soft, has_soft) / temperature)
    divergence = F.binary_cross_entropy_with_logits(logits / temperature, p, reduction="none")
    divergence = (divergence - torch.special.entr(p) - torch.special.entr(1 - p)).mean(dim=1) * temperature**2
    targets = labels.clamp_min(0).to(logits.dtype)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
    soft_term, hard_term = _mean(divergence, weights, has_soft), _mean(cross_entropy, weights, has_hard)
    return alpha * soft_term + (1 - alpha) * hard_term, soft_term, hard_term


def set_logit_loss(logits: torch.Tensor, soft: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute the weighted mean over rows of the squared distance from the teacher's log-odds of each label."""
    known = ~soft.isnan().any(dim=1)
    return _mean((logits - _log_odds(soft, known)).square().mean(dim=1), weights, known)


def _mean(each: torch.Tensor, weights: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Compute the weighted mean over rows, in which a row that is not known is 0."""
    return (weights / weights.sum() * known * each).sum()


def _log_odds(soft: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return log(p / (1 - p)), finite; 0 in rows that are not known."""
    p = soft.masked_fill(~known[:, None], 0.5).clamp(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return torch.logit(p)


def hidden_loss(student: torch.Tensor, teacher: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute the weighted mean over rows of 1 - cosine between corresponding hidden states (Sanh et al. 2019).

    student, teacher (n, layers, width): each layer's output averaged over the text, because a pruned vocabulary cuts
    a text into another number of tokens than the teacher's. weights (n,).
    """
    distance = 1 - F.cosine_similarity(student, teacher, dim=2).mean(dim=1)
    return (weights / weights.sum() * distance).sum()


def token_loss(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute the mean cross-entropy over tokens, each with its row's weight; IGNORED targets have none."""
    targets = targets.to(logits.device)
    each = F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
    shares = weights[:, None].to(logits.device) * (targets != IGNORED)
    return (shares * each).sum() / shares.sum()

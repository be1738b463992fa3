"""The training loop: it yields each step, and survives a kill at any moment.

Same spec, same rows, same thread count: the same weights to the bit, however often the run was interrupted. For that
the order of batches is a pure function of seed and epoch, the learning rate one of the step, and everything else
that a step depends on is in the checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from distill_tui.spec import Spec
from distill_tui.training import checkpoints, processes
from distill_tui.training.arrays import TOKENS, by_length
from distill_tui.training.objective import LossTerms, Objective
from distill_tui.training.replace import replace_folder

CHECKPOINT_SECONDS = 10.0  # work that a kill may cost
WARM_UP = 0.1  # share of the steps in which the learning rate rises
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
POOL = 50  # batches that are sorted by length together: enough to save padding, few enough to stay random
ROUNDING = 1e-7  # a gradient whose largest entry is at most this is rounding error


@dataclass(frozen=True)
class Step:
    """The outcome of one optimizer step."""

    number: int
    total: int
    epoch: int
    loss: float
    terms: LossTerms
    rows_per_second: float  # since this process started or resumed the run
    validation: float | None  # at the end of an epoch: the objective's validation score
    checkpoint: str | None  # the name of the checkpoint that was written after this step


@dataclass(frozen=True)
class Places:
    """Where a training takes its models from, and where it writes."""

    teacher: Path | None  # a model on this machine
    checkpoints: Path
    out: Path
    start: Path | None = None  # the model that the student starts from
    shared: Path | None = None  # what the arms of a run compute once; None: each for itself, next to its checkpoints


def fit(spec: Spec, make: Callable[[], Objective], places: Places) -> Iterator[Step]:
    """Train and yield each step; when exhausted, `places.out` holds the best student of all epochs.

    Resumes from this run's newest intact checkpoint; closing the iterator writes one more. Best is by the validation
    score, the earliest of equals; without validation rows it is the last. Raises ValueError with one sentence at the
    first step where a term of the teacher's has no gradient. Sets torch's threads and seed for the process.
    """
    torch.set_num_threads(spec.threads)
    objective = make()
    run, group = _Run(spec, objective, places.checkpoints), processes.join()
    run.resume()
    group.barrier()  # all processes read before one writes
    if run.progress.step == 0:
        run.check_gradients()
    group.compile(objective.model)
    yield from run.steps()
    objective.model.load_state_dict(run.best, strict=False)  # a tied weight is there under one of its names
    objective.model.to("cpu").eval()
    if group.is_main:
        replace_folder(places.out, objective.save)
    group.barrier()


def epoch_batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Order the rows of one epoch: a pure function of seed and epoch, so that a resumed run needs only a cursor.

    Rows are shuffled, sorted by length within pools of `POOL` batches, and the batches shuffled again.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), batch_size * POOL):
        pool = sorted((int(row) for row in order[start : start + batch_size * POOL]), key=lambda row: lengths[row])
        batches += [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
    return [batches[number] for number in random.permutation(len(batches))]


def learning_rate_factor(step: int, total: int) -> float:
    """Compute the linear schedule: up over the first tenth of the steps, then down to 0."""
    warm_up = max(1, round(WARM_UP * total))
    return min((step + 1) / warm_up, max(0.0, (total - step) / max(1, total - warm_up)))


@dataclass
class _Progress:
    """All that a step depends on besides tensors."""

    step: int = 0
    epoch: int = 0
    cursor: int = 0  # batches of this epoch that are done
    best: float | None = None  # validation score of the best epoch
    stale: int = 0  # epochs since then
    ended: bool = False


class _Run:
    """One training run: the objective, the optimizer, and the progress so far."""

    def __init__(self, spec: Spec, objective: Objective, folder: Path) -> None:
        self.spec, self.objective, self.folder = spec, objective, folder
        self.group = processes.join()
        objective.model.to(self.group.device)
        self.identity = objective.identity + self.group.fingerprint
        self.weights = [weight for weight in objective.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(_parameter_groups(objective.model), lr=spec.learning_rate, fused=True)
        self.best: dict[str, torch.Tensor] = {}
        self.progress = _Progress()
        self.total = spec.epochs * -(-len(objective.lengths) // spec.batch_size)

    def check_gradients(self) -> None:
        """Raise ValueError where a term of the teacher's has no gradient on the first batch."""
        batch = self.pieces(epoch_batches(self.objective.lengths, self.spec.batch_size, self.spec.seed, 0)[0])[0]
        self.objective.model.train()
        for name, term in self.objective.terms(batch).items():
            if name == "hard" or not self.objective.term_weights[name]:
                continue
            gradients = torch.autograd.grad(term, self.weights, allow_unused=True, retain_graph=True)
            if not any(gradient is not None and gradient.abs().max() > ROUNDING for gradient in gradients):
                raise ValueError(
                    f"The {name} term has no gradient on the first batch, so it would teach nothing: teacher and "
                    "student already agree on every row. Check the teacher's outputs, or set the term's weight to 0."
                )

    def steps(self) -> Iterator[Step]:
        started, done, saved = time.monotonic(), 0, time.monotonic()
        progress, lengths = self.progress, self.objective.lengths
        try:
            while not progress.ended:
                batches = epoch_batches(lengths, self.spec.batch_size, self.spec.seed, progress.epoch)
                for batch in batches[progress.cursor :]:
                    epoch = progress.epoch
                    loss, terms = self.step(batch)
                    done += len(batch)
                    last = progress.cursor == len(batches)
                    score = self.end_epoch() if last else None
                    name = None
                    if progress.ended or time.monotonic() - saved >= CHECKPOINT_SECONDS:
                        name, saved = self.save(), time.monotonic()
                    speed = done / (time.monotonic() - started)
                    yield Step(progress.step, self.total, epoch, loss, terms, speed, score, name)
        except GeneratorExit:
            self.save()
            raise

    def step(self, batch: list[int]) -> tuple[float, LossTerms]:
        if not self.objective.model.training:
            self.objective.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.learning_rate * learning_rate_factor(self.progress.step, self.total)
        self.optimizer.zero_grad()
        loss, terms = self.backward(batch)
        self.group.sum_gradients(self.weights)
        self.clip_gradients()
        self.optimizer.step()
        self.progress.step += 1
        self.progress.cursor += 1
        return loss, terms

    def clip_gradients(self) -> None:
        """Scale a gradient that is too long; one that is not is left untouched instead of multiplied by 1."""
        norm = torch.nn.utils.get_total_norm([weight.grad for weight in self.weights if weight.grad is not None])
        if not norm + 1e-6 <= MAX_GRADIENT_NORM:  # as `clip_grad_norm_` computes it; a NaN norm must spread
            torch.nn.utils.clip_grads_with_norm_(self.weights, MAX_GRADIENT_NORM, norm)

    def backward(self, batch: list[int]) -> tuple[float, LossTerms]:
        """Compute the gradient of this process's shard of a batch, and return loss and terms of the whole batch."""
        objective = self.objective
        sizes = dict.fromkeys(("loss", *objective.term_weights), 0.0)
        self.group.seed_step(self.spec.seed, self.progress.step)
        for piece in self.pieces(self.group.shard(batch)):
            with self.group.autocast():
                terms = objective.terms(piece)
            whole = len(piece) == len(batch)
            share = 1.0 if whole else objective.batch_weight(piece) / objective.batch_weight(batch)
            loss = torch.stack([objective.term_weights[name] * term for name, term in terms.items()]).sum()
            (loss if whole else share * loss).backward()
            for name, term in {**terms, "loss": loss}.items():
                sizes[name] += share * term.item()
        total_loss, *totals = self.group.sum_numbers(list(sizes.values()))
        return total_loss, LossTerms(**dict(zip(objective.term_weights, totals, strict=True)))

    def pieces(self, batch: list[int]) -> list[list[int]]:
        """Split a batch of long rows, whose gradients are then added: its memory does not grow with their length."""
        lengths = [self.objective.lengths[row] for row in batch]
        if not batch or len(batch) * max(lengths) <= TOKENS:
            return [batch] if batch else []
        return [[batch[at] for at in places] for places in by_length(lengths, len(batch), TOKENS)]

    def end_epoch(self) -> float | None:
        """Validate, keep the weights if they are the best so far, and move to the next epoch."""
        progress, score = self.progress, self.group.broadcast(self.objective.validate())
        if score is None or not progress.best or score > progress.best:  # a score of 0 does not stop early
            progress.best, progress.stale = score, 0
            self.best = {name: tensor.clone() for name, tensor in _learnt(self.objective.model).items()}
        else:
            progress.stale += 1
        progress.epoch, progress.cursor = progress.epoch + 1, 0
        progress.ended = progress.epoch >= self.spec.epochs or progress.stale >= self.spec.patience
        return score

    def save(self) -> str:
        """Write all that the next step depends on, and return the checkpoint's name; only the main process writes."""
        if not self.group.is_main:
            return ""
        tensors = {f"model.{name}": tensor for name, tensor in _learnt(self.objective.model).items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in state.items()}
        tensors["rng"] = torch.get_rng_state()
        facts = {"progress": asdict(self.progress), "spec": self.spec.to_json()}
        return checkpoints.save(self.folder, self.progress.step, self.identity, tensors, facts)

    def resume(self) -> None:
        found = checkpoints.newest(self.folder, self.identity)
        if found is None:
            return
        tensors, facts = found
        self.progress = _Progress(**facts["progress"])  # type: ignore[arg-type]
        self.objective.model.load_state_dict(_under("model.", tensors), strict=False)
        self.best = _under("best.", tensors)
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _under("optimizer.", tensors).items():
            number, _, key = name.partition(".")
            state.setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        torch.set_rng_state(tensors["rng"])


def _parameter_groups(model: torch.nn.Module) -> list[dict[str, object]]:
    """Decay matrices only: a bias or a norm has nothing to gain from being pulled to 0 (Loshchilov and Hutter 2019)."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    matrices = [weight for weight in weights if weight.dim() >= 2]
    vectors = [weight for weight in weights if weight.dim() < 2]
    return [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]


def _learnt(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors that training changes: all but weights that are held fixed, next to which adapters learn."""
    fixed = {name for name, weight in model.named_parameters(remove_duplicate=False) if not weight.requires_grad}
    return {name: tensor for name, tensor in checkpoints.weights(model).items() if name not in fixed}


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

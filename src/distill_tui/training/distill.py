"""Knowledge distillation: the loss, and a loop that yields each step and survives a kill at any moment.

Same spec, same rows, same thread count: the same weights to the bit, however often the run was interrupted. For that
the order of batches is a pure function of seed and epoch, the learning rate one of the step, and everything else
that a step depends on is in the checkpoint.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from distill_tui.spec import Spec
from distill_tui.terms import StudentKind
from distill_tui.training import checkpoints, export, models, processes, students
from distill_tui.training.folders import teacher_labels

CHECKPOINT_SECONDS = 10.0  # work that a kill may cost
WARM_UP = 0.1  # share of the steps in which the learning rate rises
WEIGHT_DECAY = 0.01
CLIP = 1.0  # the longest gradient
POOL = 50  # batches that are sorted by length together: enough to save padding, few enough to stay random
ROUNDING = 1e-7  # the largest entry of a gradient that is nothing but rounding
LEAST = 1e-6  # probabilities below count as this: a teacher's logit of -40 is not worth more than one of -14


@dataclass(frozen=True)
class Examples:
    """Rows to learn from: `n` inputs and what is known of each."""

    inputs: tuple[str, ...]
    labels: NDArray[np.int64]  # (n,) hard label, -1 where there is none
    soft: NDArray[np.float32] | None  # (n, k) the teacher's probabilities, a row of NaN where it gave none
    weights: NDArray[np.float32]  # (n,) how much a row counts


@dataclass(frozen=True)
class Terms:
    """What a loss is made of, each term a weighted mean over the rows of a batch; the spec says what each weighs."""

    soft: float = 0.0  # divergence from the teacher's softened probabilities, weighs alpha
    hard: float = 0.0  # cross-entropy with the hard labels, weighs 1 - alpha
    logit: float = 0.0  # squared distance from the teacher's logits, weighs logit_mse
    hidden: float = 0.0  # distance from the teacher's hidden states, weighs hidden_cosine


@dataclass(frozen=True)
class Step:
    """What one optimizer step did."""

    number: int
    total: int
    epoch: int
    loss: float
    terms: Terms
    rows_per_second: float  # since this process started or resumed the run
    validation: float | None  # at the end of an epoch: agreement with the teacher, or accuracy where there is none
    checkpoint: str | None  # the name of the checkpoint that was written after this step


def distillation_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    soft: torch.Tensor,
    weights: torch.Tensor,
    temperature: float,
    alpha: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give (loss, soft term, hard term) of a batch, each a weighted mean over its rows (Hinton et al. 2015).

    soft term: T^2 KL(p_T || q_T) with q_T = softmax(logits / T) and p_T = p^(1/T) renormalised, which is the softmax
    of the teacher's logits / T. T^2 keeps its gradient as large as the hard term's. hard term: cross-entropy.
    logits (n, k); labels (n,), -1 where unknown; soft (n, k), NaN where unknown; weights (n,). A term that a row has
    no label for is 0 for it. A row without a gold label gets no hard term: the teacher's argmax would only say again,
    with less in it, what the soft term says.
    """
    has_soft, has_hard = ~soft.isnan().any(dim=1), labels >= 0
    p = soft.masked_fill(~has_soft[:, None], 1.0)  # any finite row will do: it is masked below
    log_p = F.log_softmax(p.clamp_min(torch.finfo(p.dtype).tiny).log() / temperature, dim=1)
    log_q = F.log_softmax(logits / temperature, dim=1)
    divergence = (log_p.exp() * (log_p - log_q)).sum(dim=1) * temperature**2
    surprise = F.cross_entropy(logits, labels.clamp_min(0), reduction="none")
    share = weights / weights.sum()
    soft_term = (share * has_soft * divergence).sum()
    hard_term = (share * has_hard * surprise).sum()
    return alpha * soft_term + (1 - alpha) * hard_term, soft_term, hard_term


def logit_loss(logits: torch.Tensor, soft: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Give the weighted mean over rows of the squared distance from the teacher's logits (Ba and Caruana 2014).

    Of the teacher only probabilities are known: their logarithms are its logits but for a constant in each row, so
    both sides are taken relative to their row's mean. logits (n, k); soft (n, k), NaN where unknown; weights (n,).
    """
    known = ~soft.isnan().any(dim=1)
    theirs = soft.masked_fill(~known[:, None], 1.0).clamp_min(LEAST).log()
    centred = [each - each.mean(dim=1, keepdim=True) for each in (logits, theirs)]
    return (weights / weights.sum() * known * (centred[0] - centred[1]).square().mean(dim=1)).sum()


def hidden_loss(ours: torch.Tensor, theirs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Give the weighted mean over rows of 1 - cosine between hidden states that correspond (Sanh et al. 2019).

    ours, theirs (n, layers, width): each layer's output averaged over the text, because a pruned vocabulary cuts
    another number of tokens than the teacher's. weights (n,).
    """
    apart = 1 - F.cosine_similarity(ours, theirs, dim=2).mean(dim=1)
    return (weights / weights.sum() * apart).sum()


def train(
    spec: Spec,
    labels: tuple[str, ...],
    training: Examples,
    validation: Examples,
    *,
    teacher: Path | None,
    checkpoints: Path,
    out: Path,
    start: Path | None = None,
) -> Iterator[Step]:
    """Train the spec's student and yield each step; when exhausted, `out` holds the best student of all epochs.

    Resumes from this run's newest intact checkpoint in `checkpoints`. Closing the iterator writes one more. Best is by
    the validation score, the earliest of equals; without validation rows it is the last. `start` is the folder that a
    student of kind folder starts from. Raises ValueError with one sentence where nothing could be learnt, before
    anything is loaded, and at the first step where a term of the teacher's turns out to have no gradient. Sets torch's
    threads and seed for the process.
    """
    problem = spec.problem() or nothing_to_learn(spec, labels, training, validation)
    if problem is None and teacher is None:
        problem = students.NO_TEACHER if spec.student is StudentKind.LAYERS else None
    if problem is None and teacher is not None:
        problem = _other_labels(spec, labels, teacher)
    if problem:
        raise ValueError(problem)
    return _steps(spec, labels, training, validation, teacher, start, checkpoints, out)


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


def rate(step: int, total: int) -> float:
    """Give the factor on the learning rate: up over the first tenth of the steps, then straight down to 0."""
    rising = max(1, round(WARM_UP * total))
    return min((step + 1) / rising, max(0.0, (total - step) / max(1, total - rising)))


def nothing_to_learn(spec: Spec, labels: tuple[str, ...], training: Examples, validation: Examples) -> str | None:
    """Say in one sentence why nothing, or nothing of the teacher's, could be learnt from these rows, or nothing."""
    for name, rows in (("training", training), ("validation", validation)):
        problem = _misshapen(name, len(labels), rows)
        if problem:
            return problem
    if spec.generates:
        return "Students that generate learn texts, and this task has labels; train another kind, like student=static."
    if len(labels) < 2:
        return f"A classifier needs two labels or more; there are {len(labels)}."
    if not len(training.inputs):
        return "There are no training rows."
    if _useful(spec, training).any():
        return _silent(spec, training)
    if spec.alpha == 1 and (training.labels >= 0).any() and (training.weights > 0).any():
        return _silent(spec, training)
    return "No training row has a label that counts: import gold labels, or label the rows with the teacher."


def _silent(spec: Spec, training: Examples) -> str | None:
    """Name the term of the teacher's that no row feeds: its gradient would be zero from the first step to the last."""
    fed = (~np.isnan(_soft(training, 1)).any(axis=1) & (training.weights > 0)).any()
    for name in spec.soft_terms:
        if not fed:
            return (
                f"{name} is {getattr(spec, name):g}, and no training row has the teacher's probabilities, so that term "
                f"would have no gradient; label the rows, or give {name}=0 to train on labels alone."
            )
    return None


def _other_labels(spec: Spec, labels: tuple[str, ...], teacher: Path) -> str | None:
    theirs = teacher_labels(teacher)
    if not spec.distils or sorted(theirs) == sorted(labels):
        return None
    return (
        f"The teacher answers {', '.join(theirs)}, and the data set's labels are {', '.join(labels)}; a student cannot "
        "learn one from the other: import gold in the teacher's words, or choose another teacher."
    )


def _misshapen(name: str, classes: int, rows: Examples) -> str | None:
    n = len(rows.inputs)
    if rows.labels.shape != (n,) or rows.weights.shape != (n,):
        return f"The {name} rows are {n}, with {len(rows.labels)} labels and {len(rows.weights)} weights."
    if rows.soft is not None and rows.soft.shape != (n, classes):
        return f"The {name} rows have soft labels of shape {rows.soft.shape}; it must be {(n, classes)}."
    if n and not -1 <= rows.labels.min() <= rows.labels.max() < classes:
        return f"A {name} row has label number {rows.labels.max()}, and there are only {classes} labels."
    if n and not (np.isfinite(rows.weights).all() and rows.weights.min() >= 0):
        return f"A {name} row has a weight that is negative or no number."
    return None


def _useful(spec: Spec, rows: Examples) -> NDArray[np.bool_]:
    """Mark the rows whose loss can have a gradient; the others would only cost time."""
    soft, hard = ~np.isnan(_soft(rows, 1)).any(axis=1), rows.labels >= 0
    soft &= spec.alpha > 0 or spec.logit_mse > 0
    return (soft | (hard & (spec.alpha < 1)) | (spec.hidden_cosine > 0)) & (rows.weights > 0)


def _soft(rows: Examples, classes: int) -> NDArray[np.float32]:
    return rows.soft if rows.soft is not None else np.full((len(rows.inputs), classes), np.nan, dtype=np.float32)


@dataclass
class _Place:
    """How far a run has come: all that a step depends on besides tensors."""

    step: int = 0
    epoch: int = 0
    cursor: int = 0  # batches of this epoch that are done
    best: float | None = None  # validation score of the best epoch
    stale: int = 0  # epochs since then
    ended: bool = False


class Lesson(Protocol):
    """What is learnt, as the loop sees it: a model, rows of which it knows the lengths, and a loss of several terms."""

    model: Any  # what the loop changes; a lesson calls it by this name
    lengths: list[int]  # tokens in each row
    weighs: dict[str, float]  # what each term counts for in the loss
    identity: str  # names the run by all that determines it

    def terms(self, batch: list[int]) -> dict[str, torch.Tensor]:
        """Give each term of the loss on a batch; those that weigh nothing are left out where they cost something."""

    def weight(self, batch: list[int]) -> float:
        """Say how much a batch counts beside another: the sum by which its terms are means."""

    def score(self) -> float | None:
        """Say how good the model is on the validation rows, higher is better; None where there are none."""

    def save(self, folder: Path) -> None:
        """Write the student into a folder that is there."""


def _steps(
    spec: Spec,
    labels: tuple[str, ...],
    training: Examples,
    validation: Examples,
    teacher: Path | None,
    start: Path | None,
    folder: Path,
    out: Path,
) -> Iterator[Step]:
    torch.set_num_threads(spec.threads)
    yield from study(spec, _Labelling(spec, labels, training, validation, teacher, start, folder), folder, out)


def study(spec: Spec, lesson: Lesson, folder: Path, out: Path) -> Iterator[Step]:
    """Learn a lesson and yield each step: from the newest checkpoint in `folder` to the best student in `out`."""
    run, together = _Run(spec, lesson, folder), processes.here()
    run.resume()
    together.meet()  # nobody writes before all have read
    if run.place.step == 0:
        run.refuse_silence()
    together.hasten(lesson.model)
    yield from run.steps()
    lesson.model.load_state_dict(run.best, strict=False)  # a tied weight is there under one of its names
    lesson.model.to("cpu").eval()
    if together.writes:
        export.replace_folder(out, lesson.save)
    together.meet()


class _Labelling:
    """The lesson of a classifier: the student, and the rows as tokens with what is known of each."""

    def __init__(
        self,
        spec: Spec,
        labels: tuple[str, ...],
        training: Examples,
        validation: Examples,
        teacher: Path | None,
        start: Path | None,
        folder: Path,
    ) -> None:
        self.spec = spec
        useful = np.flatnonzero(_useful(spec, training))
        texts = [training.inputs[row] for row in useful]
        self.student = students.build(spec, labels, texts, teacher, start)
        self.model = self.student.model
        self.rows = self.student.tokenise(texts, spec.max_tokens)
        self.lengths = [len(row) for row in self.rows]
        self.labels = torch.from_numpy(training.labels[useful])
        self.soft = torch.from_numpy(_soft(training, len(labels))[useful])
        self.weights = torch.from_numpy(training.weights[useful])
        self.check_inputs, self.check_targets = self._validation(validation)
        self.weighs = {
            "soft": spec.alpha,
            "hard": 1 - spec.alpha,
            "logit": spec.logit_mse,
            "hidden": spec.hidden_cosine,
        }
        self.identity = _identity(spec, labels, (training, validation), self.student.description())
        with processes.here().first():
            needed = spec.hidden_cosine > 0
            self.states = _teacher_states(teacher, texts, spec, folder, self.identity) if needed else None

    def terms(self, batch: list[int]) -> dict[str, torch.Tensor]:
        """Give each term of the loss on a batch; those that weigh nothing are left out where they cost something."""
        rows = [self.rows[row] for row in batch]
        if self.states is None:
            logits, states = self.student.logits(rows), None
        else:
            logits, states = models.states(self.model, rows)
        labels, soft, weights = (of[batch].to(logits.device) for of in (self.labels, self.soft, self.weights))
        _, divergence, surprise = distillation_loss(
            logits, labels, soft, weights, self.spec.temperature, self.spec.alpha
        )
        found = {"soft": divergence, "hard": surprise}
        if self.spec.logit_mse > 0:
            found["logit"] = logit_loss(logits, soft, weights)
        if states is not None and self.states is not None:
            found["hidden"] = hidden_loss(states, self.states[batch].to(logits.device), weights)
        return found

    def weight(self, batch: list[int]) -> float:
        """Add up the rows' weights."""
        return float(self.weights[batch].sum())

    def score(self) -> float | None:
        """Give the share of validation rows on which the student answers as the teacher, or as the gold, does."""
        if not self.check_inputs:
            return None
        self.model.eval()
        batches = models.by_length([len(row) for row in self.check_inputs], 2 * self.spec.batch_size)
        answers = np.zeros(len(self.check_inputs), dtype=np.int64)
        for positions in batches:
            with torch.inference_mode():
                logits = self.student.logits([self.check_inputs[position] for position in positions])
            answers[positions] = logits.argmax(dim=1).cpu().numpy()
        return float((answers == self.check_targets).mean())

    def save(self, folder: Path) -> None:
        """Write the student, in the form that its kind has."""
        self.student.save(folder)

    def _validation(self, validation: Examples) -> tuple[list[list[int]], NDArray[np.int64]]:
        """Take the rows that the teacher answered, or, where there are none, those with a gold label."""
        soft = _soft(validation, 1)
        answered = ~np.isnan(soft).any(axis=1)
        targets = np.where(answered, np.nan_to_num(soft).argmax(axis=1), -1) if answered.any() else validation.labels
        chosen = np.flatnonzero(targets >= 0)
        texts = [validation.inputs[row] for row in chosen]
        return self.student.tokenise(texts, self.spec.max_tokens), targets[chosen]


class _Run:
    """One training run: the lesson, the optimizer, and the place that it has come to."""

    def __init__(self, spec: Spec, lesson: Lesson, folder: Path) -> None:
        self.spec, self.lesson, self.folder = spec, lesson, folder
        self.together = processes.here()
        lesson.model.to(self.together.device)
        self.identity = lesson.identity + self.together.mark
        self.weights = list(lesson.model.parameters())
        self.optimizer = torch.optim.AdamW(_groups(lesson.model), lr=spec.learning_rate, fused=True)
        self.best: dict[str, torch.Tensor] = {}
        self.place = _Place()
        self.total = spec.epochs * -(-len(lesson.lengths) // spec.batch_size)

    def refuse_silence(self) -> None:
        """Take the gradient of each of the teacher's terms on the first batch. Raises ValueError where one has none."""
        batch = epoch_batches(self.lesson.lengths, self.spec.batch_size, self.spec.seed, 0)[0]
        self.lesson.model.train()
        for name, term in self.lesson.terms(batch).items():
            if name == "hard" or not self.lesson.weighs[name]:
                continue
            weights = list(self.lesson.model.parameters())
            slopes = torch.autograd.grad(term, weights, allow_unused=True, retain_graph=True)
            if not any(slope is not None and slope.abs().max() > ROUNDING for slope in slopes):
                raise ValueError(
                    f"The {name} term has no gradient on the first batch, so nothing would be learnt from it: the "
                    "teacher says of every row what the student says already; look at its outputs, or weigh it 0."
                )

    def steps(self) -> Iterator[Step]:
        """Go on from the present place to the end, epoch by epoch."""
        started, done, saved = time.monotonic(), 0, time.monotonic()
        place, lengths = self.place, self.lesson.lengths
        try:
            while not place.ended:
                batches = epoch_batches(lengths, self.spec.batch_size, self.spec.seed, place.epoch)
                for batch in batches[place.cursor :]:
                    epoch = place.epoch
                    loss, terms = self.learn(batch)
                    done += len(batch)
                    last = place.cursor == len(batches)
                    score = self.end_epoch() if last else None
                    name = None
                    if place.ended or time.monotonic() - saved >= CHECKPOINT_SECONDS:
                        name, saved = self.save(), time.monotonic()
                    speed = done / (time.monotonic() - started)
                    yield Step(place.step, self.total, epoch, loss, terms, speed, score, name)
        except GeneratorExit:
            self.save()
            raise

    def learn(self, batch: list[int]) -> tuple[float, Terms]:
        """Take one optimizer step on a batch and give its loss and the terms of it."""
        if not self.lesson.model.training:
            self.lesson.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.learning_rate * rate(self.place.step, self.total)
        self.optimizer.zero_grad()
        loss, terms = self.slope(batch)
        self.together.add_up(self.weights)
        self.clip()
        self.optimizer.step()
        self.place.step += 1
        self.place.cursor += 1
        return loss, terms

    def clip(self) -> None:
        """Shorten a gradient that is too long; one that is not is left, instead of being multiplied by 1."""
        length = torch.nn.utils.get_total_norm([weight.grad for weight in self.weights if weight.grad is not None])
        if not length + 1e-6 <= CLIP:  # what `clip_grad_norm_` divides by; a length that is no number spoils all
            torch.nn.utils.clip_grads_with_norm_(self.weights, CLIP, length)

    def slope(self, batch: list[int]) -> tuple[float, Terms]:
        """Take the gradient of this process's part of a batch, and give the loss and its terms on the whole of it."""
        lesson, part = self.lesson, self.together.part(batch)
        sizes = dict.fromkeys(("loss", *lesson.weighs), 0.0)
        self.together.draw(self.spec.seed, self.place.step)
        if part:
            with self.together.precision():
                terms = lesson.terms(part)
            share = lesson.weight(part) / lesson.weight(batch) if self.together.several else 1.0
            loss = torch.stack([lesson.weighs[name] * term for name, term in terms.items()]).sum()
            (loss if share == 1 else share * loss).backward()
            sizes |= {name: share * term.item() for name, term in terms.items()} | {"loss": share * loss.item()}
        loss_of_all, *of_all = self.together.total(list(sizes.values()))
        return loss_of_all, Terms(**dict(zip(lesson.weighs, of_all, strict=True)))

    def end_epoch(self) -> float | None:
        """Score the student on the validation rows, keep it if it is the best so far, and move to the next epoch."""
        place, score = self.place, self.together.agree(self.lesson.score())
        if score is None or not place.best or score > place.best:  # to get nothing right yet is no reason to stop
            place.best, place.stale = score, 0
            self.best = {name: tensor.clone() for name, tensor in export.weights(self.lesson.model).items()}
        else:
            place.stale += 1
        place.epoch, place.cursor = place.epoch + 1, 0
        place.ended = place.epoch >= self.spec.epochs or place.stale >= self.spec.patience
        return score

    def save(self) -> str:
        """Write all that the next step depends on, and give its name; of several processes only one writes."""
        if not self.together.writes:
            return ""
        tensors = {f"model.{name}": tensor for name, tensor in export.weights(self.lesson.model).items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in state.items()}
        tensors["rng"] = torch.get_rng_state()
        facts = {"place": asdict(self.place), "spec": self.spec.to_json()}
        return checkpoints.save(self.folder, self.place.step, self.identity, tensors, facts)

    def resume(self) -> None:
        """Go to the newest intact checkpoint of this very run, if there is one."""
        found = checkpoints.newest(self.folder, self.identity)
        if found is None:
            return
        tensors, facts = found
        self.place = _Place(**facts["place"])  # type: ignore[arg-type]
        self.lesson.model.load_state_dict(_under("model.", tensors), strict=False)
        self.best = _under("best.", tensors)
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _under("optimizer.", tensors).items():
            number, _, key = name.partition(".")
            state.setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        torch.set_rng_state(tensors["rng"])


def _teacher_states(
    teacher: Path | None, texts: Sequence[str], spec: Spec, folder: Path, identity: str
) -> torch.Tensor:
    """Give what the student's layers gave in the teacher: (rows, layers, width). Asked once, then kept in `folder`."""
    assert teacher is not None  # a student of its layers was built from it
    kept = folder / f"teacher-{identity[:16]}.safetensors"
    if kept.exists():
        states: torch.Tensor = load_file(kept)["states"]
        return states
    model, tokenizer = models.load(teacher)
    rows = models.tokenise(tokenizer, texts, spec.max_tokens)
    found = torch.zeros(len(rows), len(spec.layers), model.config.hidden_size)
    for positions in models.by_length([len(row) for row in rows], 64):
        with torch.inference_mode():
            _, states = models.states(model, [rows[position] for position in positions])
        found[positions] = states[:, list(spec.layers)]
    folder.mkdir(parents=True, exist_ok=True)
    fresh = kept.with_suffix(".tmp")
    save_file({"states": found}, fresh)
    fresh.replace(kept)
    return found


def _groups(model: Any) -> list[dict[str, object]]:
    """Decay matrices only: a bias or a norm pulled to 0 loses what it is for (Loshchilov and Hutter 2019)."""
    matrices = [weight for weight in model.parameters() if weight.dim() >= 2]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    return [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _identity(spec: Spec, labels: tuple[str, ...], rows: Sequence[Examples], vocabulary: str) -> str:
    """Name a run by all that determines it, so that no checkpoint of another is picked up."""
    digest = hashlib.sha256()
    parts = [spec.to_json(), str(torch.__version__), *labels, vocabulary]
    for part in parts + [text for examples in rows for text in examples.inputs]:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    for examples in rows:
        for array in (examples.labels, examples.weights, _soft(examples, len(labels))):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

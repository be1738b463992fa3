"""Learning to answer with a text: the lessons of taggers and of writers, learnt by the loop of `distill`.

Both learn the teacher's answers as if they were gold, which is distillation by sequences (Kim and Rush 2016); a writer
may also learn the teacher's probabilities of each token, where the two have one vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from distill_tui.spec import Spec
from distill_tui.tasks.generation import spelled
from distill_tui.teachers.description import GIVEN_ALONE, Described
from distill_tui.terms import StudentKind
from distill_tui.training import causal, fields, models, processes, tagging, teachers
from distill_tui.training.distill import Lesson, Step, study
from distill_tui.training.folders import check_causal_folder

IGNORED = tagging.IGNORED
TOP = 64  # of the teacher's probabilities of one token, the largest are learnt, and the rest as one
MOST_READ = 512  # of an input the tokens that a teacher reads
NEVER = -1e9  # the log-probability of what is not said
TINY = 1e-9  # probabilities below count as this


@dataclass(frozen=True)
class Pairs:
    """Rows of a generation task to learn from: `n` inputs and what to say of each."""

    inputs: tuple[str, ...]
    outputs: tuple[str | None, ...]  # None: unknown
    weights: NDArray[np.float32]  # (n,) how much a row counts

    def known(self) -> list[int]:
        """Give the rows that say something and count."""
        return [row for row, said in enumerate(self.outputs) if said is not None and self.weights[row] > 0]


def nothing_to_learn(spec: Spec, training: Pairs, validation: Pairs) -> str | None:
    """Say in one sentence why nothing could be learnt from these rows, or nothing."""
    for name, rows in (("training", training), ("validation", validation)):
        problem = _misshapen(name, rows)
        if problem:
            return problem
    if not spec.generates:
        return f"A {spec.student} student chooses labels; a generation task takes student=tagger or student=causal."
    if not training.inputs:
        return "There are no training rows."
    if not training.known():
        return "No training row has an answer that counts: import gold answers, or have the teacher answer the rows."
    extracts = any(rung.student is StudentKind.TAGGER for rung in spec.rungs())
    if extracts and not any(spans and any(spans) for spans in _marked(training).spans):
        return (
            "No answer holds a value that stands in its input, so a tagger has nothing to mark; train student=causal."
        )
    return None


def left_out(training: Pairs) -> str:
    """Say in one sentence which answers no tagger can learn, because they do not stand in the input; empty for none."""
    return _marked(training).left_out


def train(
    spec: Spec,
    training: Pairs,
    validation: Pairs,
    *,
    teacher: Path | None,
    checkpoints: Path,
    out: Path,
    start: Path | None = None,
    asked: Described = GIVEN_ALONE,
) -> Iterator[Step]:
    """Train the spec's student and yield each step, as `distill.train` does; validation is the share that is exact.

    `teacher` is a local causal model whose probabilities are learnt where alpha is above 0, asked as
    `asked` says. `start` is the folder that the student starts from. Raises ValueError with one sentence where nothing
    could be learnt, before anything is loaded but tokenizers.
    """
    problem = spec.problem() or nothing_to_learn(spec, training, validation)
    if problem is None and spec.alpha > 0:
        problem = _unlike(spec, teacher, start)
    if problem:
        raise ValueError(problem)
    return _steps(spec, training, validation, teacher, checkpoints, out, start, asked)


def _steps(
    spec: Spec,
    training: Pairs,
    validation: Pairs,
    teacher: Path | None,
    checkpoints: Path,
    out: Path,
    start: Path | None,
    asked: Described,
) -> Iterator[Step]:
    torch.set_num_threads(spec.threads)
    lesson: Lesson
    if spec.student is StudentKind.TAGGER:
        lesson = _Extracting(spec, training, validation, start)
    else:
        lesson = _Writing(spec, training, validation, teacher, start, asked, checkpoints)
    yield from study(spec, lesson, checkpoints, out)


class _Extracting:
    """The lesson of a tagger: texts as tokens, and the label of each token."""

    def __init__(self, spec: Spec, training: Pairs, validation: Pairs, start: Path | None) -> None:
        known, marked = training.known(), _marked(training)
        texts = [models.speakable(training.inputs[row]) for row in known]
        self.tagger = tagging.build(spec, marked.shape, texts, start)
        self.model, self.weighs = self.tagger.model, {"hard": 1.0}
        cut = self.tagger.cut(texts)
        targets = [
            None if spans is None else tagging.targets(text, row, spans)
            for text, row, spans in zip(texts, cut, marked.spans, strict=True)
        ]
        taught = [at for at, labels in enumerate(targets) if labels is not None]
        if not taught:
            raise ValueError(f"No answer stands in the first {spec.max_tokens} tokens of its input; raise max_tokens.")
        self.rows = [cut[at].ids for at in taught]
        self.lengths = [len(row) for row in self.rows]
        self.targets = [labels for labels in targets if labels is not None]
        self.weights = torch.from_numpy(training.weights[[known[at] for at in taught]])
        self.notes = _notes(len(taught), len(known), marked.left_out)
        self.check = _Check(validation)
        self.check_rows = self.tagger.cut(self.check.texts)
        description = self.tagger.cutter.to_str() + str(marked.shape)
        self.identity = _identity(spec, (training, validation), description)

    def terms(self, batch: list[int]) -> dict[str, torch.Tensor]:
        """Give the mean cross-entropy with the labels of the tokens."""
        logits = models.logits(self.model, [self.rows[row] for row in batch])
        targets, _ = models.pad([self.targets[row] for row in batch], IGNORED)
        return {"hard": _surprise(logits, targets, self.weights[batch])}

    def weight(self, batch: list[int]) -> float:
        """Add up the weights of the tokens."""
        return sum(float(self.weights[row]) * sum(label != IGNORED for label in self.targets[row]) for row in batch)

    def score(self) -> float | None:
        """Give the share of the validation rows that are answered exactly."""
        return self.check.score(
            [len(row.ids) for row in self.check_rows],
            lambda at: self.tagger.say([self.check.texts[each] for each in at], [self.check_rows[each] for each in at]),
        )

    def save(self, folder: Path) -> None:
        """Write the tagger, and how many of the answers it was taught."""
        self.tagger.save(folder, **self.notes)


class _Writing:
    """The lesson of a writer: questions and answers as tokens, and the teacher's probabilities where they weigh."""

    def __init__(
        self,
        spec: Spec,
        training: Pairs,
        validation: Pairs,
        teacher: Path | None,
        start: Path | None,
        asked: Described,
        folder: Path,
    ) -> None:
        self.spec, known = spec, training.known()
        texts, answers = [training.inputs[row] for row in known], [str(training.outputs[row]) for row in known]
        self.writer = causal.build(spec, [*texts, *answers], start, teacher)
        self.model, self.weighs = self.writer.model, {"hard": 1 - spec.alpha, "soft": spec.alpha}
        said = self.writer.plain(answers)
        whole = [spelled(read) == spelled(told) for read, told in zip(self.writer.read(said), answers, strict=True)]
        taught = [at for at, ids in enumerate(said) if whole[at] and len(ids) <= spec.answer_tokens]
        if not taught:
            raise ValueError(f"No answer can be written in {spec.answer_tokens} tokens; raise answer_tokens.")
        self.says = [[*said[at], self.writer.stop] for at in taught]
        self.asks = self.writer.cut([texts[at] for at in taught])
        self.lengths = [len(ask) + len(say) for ask, say in zip(self.asks, self.says, strict=True)]
        self.weights = torch.from_numpy(training.weights[[known[at] for at in taught]])
        long = f"Answers of more than {spec.answer_tokens} tokens, or that its tokens cannot spell, were left out."
        self.notes = _notes(len(taught), len(known), long)
        self.check = _Check(validation)
        self.check_rows = self.writer.cut(self.check.texts)
        description = self.writer.cutter.to_str() + self.writer.template + asked.to_json()
        self.identity = _identity(spec, (training, validation), description)
        self.soft = None
        if teacher is not None and spec.alpha > 0:
            kept = folder / f"teacher-{self.identity[:16]}.safetensors"
            with processes.here().first():
                self.soft = _distributions(
                    teacher, asked, [texts[at] for at in taught], self.says, spec.temperature, kept
                )

    def terms(self, batch: list[int]) -> dict[str, torch.Tensor]:
        """Give the mean cross-entropy with the answers' tokens, and the mean divergence from the teacher's."""
        rows = [self.asks[row] + self.says[row] for row in batch]
        ids, mask, places = causal.left_padded(rows, self.writer.padding)
        targets = causal.left_padded([self.says[row] for row in batch], IGNORED)[0]
        longest = targets.shape[1]
        logits = causal.forward(self.model, ids, mask, places, logits_to_keep=longest + 1, use_cache=False).logits
        logits = logits[:, -longest - 1 : -1]  # what stands at one token speaks of the next
        found = {"hard": _surprise(logits, targets, self.weights[batch])}
        if self.soft is not None:
            found["soft"] = self.soft.divergence(logits, targets, self.weights[batch], batch)
        return found

    def weight(self, batch: list[int]) -> float:
        """Add up the weights of the answers' tokens."""
        return sum(float(self.weights[row]) * len(self.says[row]) for row in batch)

    def score(self) -> float | None:
        """Give the share of the validation rows that are answered exactly."""
        return self.check.score(
            [len(row) for row in self.check_rows], lambda at: self.writer.say([self.check_rows[each] for each in at])
        )

    def save(self, folder: Path) -> None:
        """Write the writer, and how many of the answers it was taught."""
        self.writer.save(folder, **self.notes)


class _Check:
    """The validation rows that have an answer, and how many of them are answered exactly."""

    def __init__(self, validation: Pairs) -> None:
        known = validation.known()
        self.texts = [validation.inputs[row] for row in known]
        self.wanted = [spelled(str(validation.outputs[row])) for row in known]

    def score(self, lengths: Sequence[int], say: Callable[[list[int]], list[fields.Said]]) -> float | None:
        """Ask all rows in batches of like length; None where there are none."""
        if not self.texts:
            return None
        right = 0
        for positions in models.by_length(lengths, 64):
            answers = say(positions)
            right += sum(spelled(one.text) == self.wanted[at] for at, one in zip(positions, answers, strict=True))
        return right / len(self.texts)


@dataclass(frozen=True)
class _Soft:
    """A teacher's probabilities of each token of each answer: of the likeliest each its own, of the rest their sum."""

    tops: list[torch.Tensor]  # for each answer (tokens, TOP) token numbers
    logs: list[torch.Tensor]  # for each answer (tokens, TOP + 1) log-probabilities, softened; the last is the rest's
    temperature: float

    def divergence(
        self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, batch: Sequence[int]
    ) -> torch.Tensor:
        """Give T^2 KL(p_T || q_T), the weighted mean over tokens; with the rest as one it is at most the whole one.

        logits (rows, tokens, vocabulary); targets (rows, tokens), IGNORED where nothing is said; weights (rows,).
        """
        shape = targets.shape
        tops = torch.zeros(*shape, self.tops[batch[0]].shape[1], dtype=torch.int64)
        log_p = torch.zeros(*shape, tops.shape[2] + 1)
        for row, at in enumerate(batch):
            said = len(self.tops[at])
            tops[row, -said:], log_p[row, -said:] = self.tops[at], self.logs[at]
        tops, log_p, targets, weights = (each.to(logits.device) for each in (tops, log_p, targets, weights))
        log_q = _with_rest((logits / self.temperature).log_softmax(dim=-1).gather(2, tops))
        apart = (log_p.exp() * (log_p - log_q)).sum(dim=2) * self.temperature**2
        shares = weights[:, None] * (targets != IGNORED)
        return (shares * apart).sum() / shares.sum()


def _distributions(
    teacher: Path, asked: Described, texts: Sequence[str], says: Sequence[list[int]], temperature: float, kept: Path
) -> _Soft:
    """Ask the teacher once how likely each token of each answer is, softened; what it says is kept in a file.

    Whatever ends an answer for the teacher, be it the end of a line, is the token that ends it for the student.
    """
    if not kept.exists():
        model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, teacher)
        room = replace(asked, max_tokens=max(map(len, says)))
        asks = teachers.questions(model, tokenizer, texts, room, MOST_READ)
        begun, ends = causal.opening(model, asks), teachers.endings(model, tokenizer, asked)
        rows = [ask + say for ask, say in zip(asks, says, strict=True)]
        made: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        for positions in models.by_length([len(row) for row in rows], 16):
            made |= _asked_once(model, positions, rows, says, temperature, begun, ends)
        tensors = [torch.cat([made[at][part] for at in range(len(rows))]) for part in (0, 1)]
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".tmp")
        save_file({"tops": tensors[0].int(), "logs": tensors[1]}, fresh)
        fresh.replace(kept)
    found, lengths = load_file(kept), [len(say) for say in says]
    return _Soft([*found["tops"].long().split(lengths)], [*found["logs"].split(lengths)], temperature)


@torch.inference_mode()
def _asked_once(
    model: Any,
    positions: Sequence[int],
    rows: Sequence[list[int]],
    says: Sequence[list[int]],
    temperature: float,
    begun: causal.Opening,
    ends: list[int],
) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    ids, mask, places = begun.cut([rows[at] for at in positions], 0)
    longest, memory = max(len(says[at]) for at in positions), begun.remembered(len(positions))
    logits = causal.forward(
        model,
        ids,
        mask,
        places,
        logits_to_keep=longest + 1,
        use_cache=memory is not None,
        **{causal.memory_of(model): memory},
    ).logits[:, -longest - 1 : -1]
    shares = (logits.float() / temperature).log_softmax(dim=-1)
    stop = says[positions[0]][-1]
    over = shares[..., ends].logsumexp(dim=-1) if stop in ends else shares[..., stop]
    shares[..., ends], shares[..., stop] = NEVER, over
    logs, tops = shares.topk(min(TOP, shares.shape[-1]), dim=-1)
    whole = _with_rest(logs)
    return {at: (tops[row, -len(says[at]) :], whole[row, -len(says[at]) :]) for row, at in enumerate(positions)}


def _with_rest(logs: torch.Tensor) -> torch.Tensor:
    """Append the log-probability of all that is not named: (..., n) becomes (..., n + 1)."""
    rest = (1 - logs.exp().sum(dim=-1, keepdim=True)).clamp_min(TINY).log()
    return torch.cat([logs, rest], dim=-1)


def _surprise(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Give the mean cross-entropy over tokens, each weighing what its row does; the IGNORED weigh nothing."""
    targets = targets.to(logits.device)
    each = F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
    shares = weights[:, None].to(logits.device) * (targets != IGNORED)
    return (shares * each).sum() / shares.sum()


def _unlike(spec: Spec, teacher: Path | None, start: Path | None) -> str | None:
    """Say why the teacher's probabilities cannot be learnt, or nothing."""
    cure = "give alpha=0 to learn from its answers alone."
    if teacher is None:
        return f"alpha is {spec.alpha:g}, and there is no local teacher whose probabilities could be learnt; {cure}"
    problem = check_causal_folder(teacher) or (check_causal_folder(start) if start is not None else None)
    if problem or start is None:
        return problem
    theirs, ours = (models.tokenizer_of(folder).get_vocab() for folder in (teacher, start))
    if theirs != ours:
        return (
            f"alpha is {spec.alpha:g}, and the student's vocabulary of {len(ours):,} tokens is not the teacher's of "
            f"{len(theirs):,}, so that their probabilities say nothing of each other; {cure}"
        )
    return None


def _misshapen(name: str, rows: Pairs) -> str | None:
    n = len(rows.inputs)
    if len(rows.outputs) != n or rows.weights.shape != (n,):
        return f"The {name} rows are {n}, with {len(rows.outputs)} outputs and {len(rows.weights)} weights."
    if n and not (np.isfinite(rows.weights).all() and rows.weights.min() >= 0):
        return f"A {name} row has a weight that is negative or no number."
    return None


def _marked(rows: Pairs) -> fields.Marked:
    known = rows.known()
    return fields.mark(
        [models.speakable(rows.inputs[row]) for row in known],
        [models.speakable(str(rows.outputs[row])) for row in known],
    )


def _notes(taught: int, known: int, why: str) -> dict[str, object]:
    """Tell in answer.json what the student was not taught."""
    return {"taught": taught, "left_out": known - taught, "why": why if taught < known else ""}


def _identity(spec: Spec, rows: Sequence[Pairs], description: str) -> str:
    """Name a run by all that determines it, so that no checkpoint of another is picked up."""
    digest = hashlib.sha256()
    texts = [text for pairs in rows for row in zip(pairs.inputs, pairs.outputs, strict=True) for text in row]
    for part in [spec.to_json(), str(torch.__version__), description, *texts]:
        encoded = b"\xff" if part is None else part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    for pairs in rows:
        digest.update(np.ascontiguousarray(pairs.weights).tobytes())
    return digest.hexdigest()

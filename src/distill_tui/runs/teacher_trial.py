"""Try a model of this machine on a few rows before it becomes a teacher: what is wrong with it shows here.

Checked are its weights, its tokenizer, one batch of texts of different lengths against the same texts one by one, and
its answers against gold. A fault is an objection in plain words, because the library's own come late and name no cure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from distill_tui.gates.label_sets import likely, members, written
from distill_tui.rules.objection import Objection
from distill_tui.rules.results import TeacherTrial
from distill_tui.tasks import label_map as names
from distill_tui.tasks.answer_text import spelled
from distill_tui.teachers.description import Described
from distill_tui.terms import TeacherSource
from distill_tui.training import decoding, local_teachers, models
from distill_tui.training.folders import check_model_folder, several, teacher_labels

ROWS = (16, 64, 256)  # that are asked until their answers are clearly better than chance
SURE = (0.01, 0.01, 0.05)  # the largest probability of so many right answers by chance, at each of these
LEAST = 16  # answers with gold, of which there are two kinds or more, that can be compared with chance
FEW = 4  # texts that are asked one by one too
SAME = 1e-2  # the largest difference of a probability between a batch and a text alone
DRAWS = 2_000  # permutations that chance is computed from
FIXED = ("yes", "A short text to try the model on.", "A longer one, as rows differ in length. " * 12)

Row = tuple[str, str | None]  # an input, and its gold


@dataclass(frozen=True)
class Candidate:
    """A model folder, how it is to be asked, and the name that a person knows it by."""

    folder: Path
    described: Described | None  # None: a classifier, asked as it is
    name: str
    threads: int = 1

    @property
    def labels(self) -> tuple[str, ...]:
        return teacher_labels(self.folder) if self.described is None else self.described.labels

    @property
    def several(self) -> bool:
        return several(self.folder) if self.described is None else self.described.several

    @property
    def asks(self) -> Callable[..., Iterator[Any]]:
        described = self.described
        if described is None:
            return partial(local_teachers.label, self.folder, threads=self.threads)
        if described.writes:
            ask: Callable[..., Iterator[Any]] = local_teachers.written
        else:
            ask = local_teachers.zero_shot if described.source is TeacherSource.ZERO_SHOT else local_teachers.prompted
        return partial(ask, self.folder, teacher=described, threads=self.threads)

    def words(self, error: BaseException) -> str:
        """Return an error in one line, with the model's name in the place of its folder's, which is a digest."""
        return " ".join(str(error).split()).replace(self.folder.name, self.name)[:400]


def attempt(candidate: Candidate, rows: Sequence[Row]) -> tuple[list[Objection], TeacherTrial]:
    """Try a model on rows, the first of which are the most telling; return what is wrong, and what was measured."""
    torch.set_num_threads(candidate.threads)
    nothing, texts = TeacherTrial(rows=0), [text for text, _ in rows[: ROWS[0]]] or [*FIXED]
    try:
        faults = [*_weights(candidate), *_tokens(candidate, texts)]
        if candidate.described is not None and candidate.described.source is TeacherSource.ZERO_SHOT:
            local_teachers.entailment(candidate.folder)
        local_teachers.cut(candidate.folder, texts, candidate.described)  # whether the template leaves room for a text
    except ValueError as error:
        faults = [Objection("teacher.loads", candidate.words(error))]
    if faults:
        return faults, nothing
    try:
        answers = _answers(candidate, texts)
    except decoding.NotFinite:
        return [not_finite(candidate.name, len(texts), len(texts))], nothing
    except Exception as error:  # whatever a model's code raises on a batch
        return [_failed(candidate, texts, error)], nothing
    faults = [*_finite(candidate, answers), *_same(candidate, texts, answers)] or [*_deaf(candidate, texts, answers)]
    if faults or not rows:
        return faults, nothing
    return _against_gold(candidate, rows, [each.label for each in answers])


# --- the folder ------------------------------------------------------------------------------------------------------


def _weights(candidate: Candidate) -> Iterator[Objection]:
    """Every weight is there, of the right shape, and finite."""
    described = candidate.described
    if described is not None and described.source is TeacherSource.PROMPTED:
        model, _ = models.load_for(transformers.AutoModelForCausalLM, candidate.folder)
    else:
        model, _ = models.load_for(
            transformers.AutoModelForSequenceClassification, candidate.folder, check_model_folder
        )
        named, outputs = len(teacher_labels(candidate.folder)), int(model.config.num_labels)
        if named != outputs:
            yield Objection(
                "teacher.loads",
                f"{candidate.name} has {outputs} outputs and id2label names {named}; name one label for each output in "
                "config.json.",
            )
    for name, weight in model.state_dict().items():
        broken = int((~torch.isfinite(weight)).sum()) if weight.is_floating_point() else 0
        if broken:
            yield Objection(
                "teacher.finite",
                f"{broken:,} of the {weight.numel():,} numbers of {name} in {candidate.name} are NaN or infinite, so "
                "its answers mean nothing. Save the model again from a checkpoint before the loss became NaN, in "
                "float32 or bfloat16.",
            )
            return


def _tokens(candidate: Candidate, texts: Sequence[str]) -> Iterator[Objection]:
    """The tokenizer belongs to the model, and knows the words of these texts."""
    tokenizer, config = models.reader(candidate.folder)
    rows = models.tokenise(tokenizer, texts)
    largest, size = max(max(row) for row in rows), int(getattr(config, "vocab_size", 0) or 0)
    if size and largest >= size:
        yield Objection(
            "teacher.loads",
            f"The tokenizer of {candidate.name} makes token {largest:,} and the model knows {size:,}: the two do not "
            "belong together. Put the tokenizer there that the model was trained with.",
        )
        return
    special = {*tokenizer.all_special_ids} - {tokenizer.unk_token_id}
    read = [token for row in rows for token in row if token not in special]
    unknown = sum(token == tokenizer.unk_token_id for token in read) if tokenizer.unk_token_id is not None else 0
    if not read and any(map(str.strip, texts)) and largest:
        yield Objection(
            "teacher.reads",
            f"{candidate.name} is to read {tokenizer.model_max_length:,} tokens at once, and its own marks take them "
            "all. Raise --max-tokens, or leave it out.",
        )
        return
    if not read or unknown * 2 > len(read):
        yield Objection(
            "teacher.reads",
            f"The tokenizer of {candidate.name} knows {len(read) - unknown:,} of the {len(read):,} tokens of "
            f"{len(texts)} rows: it cannot read this traffic. Choose a teacher of its language, or put the tokenizer "
            "there that the model was trained with.",
        )
        return
    names = candidate.described.labels if candidate.described is not None else ()
    written = [tuple(row) for row in models.tokenise(tokenizer, names)]
    same = [name for name, row in zip(names, written, strict=True) if written.count(row) > 1]
    if same:
        yield Objection(
            "teacher.reads",
            f"The tokenizer of {candidate.name} writes the labels {' and '.join(same[:2])} with the same tokens, so it "
            "cannot choose between them. Name labels in words that the model knows.",
        )


# --- its answers -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    label: str  # or the answer as it is spelled
    shares: tuple[float, ...] = ()  # none where it writes


def _answers(candidate: Candidate, texts: Sequence[str], batch_size: int | None = None) -> list[_Answer]:
    """Ask about texts, in one batch where no size is given."""
    found: dict[int, _Answer] = {}
    described = candidate.described
    asked = candidate.asks(texts=texts, batch_size=batch_size or len(texts))
    if described is not None and described.writes:
        for at, said, _, _ in asked:
            found[at] = _Answer(spelled(described.read(said) or ""))
    else:
        labels = candidate.labels
        for positions, shares in asked:
            for at, row in zip(positions, shares.tolist(), strict=True):
                said = likely(labels, row) if candidate.several else labels[int(np.argmax(row))]
                found[at] = _Answer(said, tuple(row))
    return [found[at] for at in range(len(texts))]


def _failed(candidate: Candidate, texts: Sequence[str], error: Exception) -> Objection:
    """Word what a model's code raised on a batch: whether it is the batch or the model shows with one text alone."""
    said = candidate.words(error)
    try:
        _answers(candidate, texts[:1], 1)
    except Exception as alone:
        return Objection(
            "teacher.loads",
            f"{candidate.name} fails on the first row: {candidate.words(alone)} Test the folder with transformers, and "
            "save it again.",
        )
    tokenizer, config = models.reader(candidate.folder)
    if getattr(config, "pad_token_id", None) is None:
        number = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        cure = f'"pad_token_id": {0 if number is None else number}'
        return Objection(
            "teacher.batch",
            f"{candidate.name} has no padding token, so it cannot answer rows of different lengths together. Add "
            f"{cure} to its config.json, and name the folder again.",
        )
    return Objection(
        "teacher.batch",
        f"{candidate.name} answers one row, and fails on {len(texts)} rows of different lengths together: {said} Test "
        "the folder with transformers on a padded batch.",
    )


def _finite(candidate: Candidate, answers: Sequence[_Answer]) -> Iterator[Objection]:
    broken = sum(not np.isfinite(each.shares).all() for each in answers)
    if broken:
        yield not_finite(candidate.name, broken, len(answers))


def not_finite(name: str, broken: int, of: int) -> Objection:
    return Objection(
        "teacher.finite",
        f"{name} gives NaN or infinite outputs on {broken:,} of {of:,} rows, so no answer can be read from them. Save "
        "the model again in float32, or choose another teacher.",
    )


def _same(candidate: Candidate, texts: Sequence[str], answers: Sequence[_Answer]) -> Iterator[Objection]:
    """A text has the same probabilities alone as next to longer ones."""
    if not answers[0].shares:
        return
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))[:FEW]  # the shortest are padded most
    alone = _answers(candidate, [texts[at] for at in order], 1)
    pairs = [(one.shares, answers[at].shares) for one, at in zip(alone, order, strict=True)]
    far = max(float(np.abs(np.subtract(*pair)).max()) for pair in pairs)
    if far > SAME:
        tokenizer, config = models.reader(candidate.folder)
        ours, theirs = config.pad_token_id, tokenizer.pad_token_id
        differs = f"config.json has pad_token_id {ours} and the tokenizer {theirs}; write the right one into both"
        yield Objection(
            "teacher.batch",
            f"{candidate.name} answers a row differently next to longer rows than alone: a probability moves by "
            f"{far:.2f}, so it reads the padding. "
            f"{differs if ours != theirs else 'Choose a model that ignores it'}.",
        )


def _deaf(candidate: Candidate, texts: Sequence[str], answers: Sequence[_Answer]) -> Iterator[Objection]:
    """Different texts get different outputs."""
    if len(set(texts)) < FEW or not answers[0].shares:
        if len(set(texts)) >= LEAST and not any(each.label for each in answers):
            yield Objection(
                "teacher.reads",
                f"{candidate.name} wrote nothing in answer to {len(texts)} rows. Check the template, and whether the "
                "model needs --completes.",
            )
        return
    outputs = np.array([each.shares for each in answers])
    if float(np.ptp(outputs, axis=0).max()) < 1e-6:
        yield Objection(
            "teacher.reads",
            f"{candidate.name} gives the same probabilities to {len(texts)} different rows: no text reaches its "
            "outputs. Save the model again after training, or choose another teacher.",
        )


# --- gold ------------------------------------------------------------------------------------------------------------


def _against_gold(
    candidate: Candidate, rows: Sequence[Row], answers: list[str]
) -> tuple[list[Objection], TeacherTrial]:
    """Compare answers with gold, asking about more rows until they are clearly better than chance."""
    writes = candidate.described is not None and candidate.described.writes
    read = spelled if writes else str
    for most, sure in zip(ROWS, SURE, strict=True):
        more = rows[len(answers) : most]
        if more:
            answers += [each.label for each in _answers(candidate, [text for text, _ in more], 32)]
        pairs = [(said, read(gold)) for said, (_, gold) in zip(answers, rows, strict=False) if gold is not None]
        if not writes:  # gold that is only written otherwise than the labels is not the teacher's fault
            parts = members if candidate.several else lambda gold: (gold,)
            counted = Counter(name for _, gold in pairs for name in parts(gold))
            named = names.read(names.Vocabulary(counted, choices=(*candidate.labels,)), {})
            stands = {each.name: each.label or each.name for each in named.names}
            if candidate.several:
                pairs = [(said, written(stands[name] for name in members(gold))) for said, gold in pairs]
            else:
                pairs = [(said, stands[gold]) for said, gold in pairs]
        right = sum(said == gold for said, gold in pairs)
        expected, chance = by_chance(pairs)
        trial = TeacherTrial(rows=len(answers), judged=len(pairs), right=right, by_chance=round(expected, 1))
        known = {gold for _, gold in pairs}
        shared = known & ({*candidate.labels} if not writes else {said for said, _ in pairs})
        if candidate.several:
            shared = {label for gold in known for label in members(gold)} & {*candidate.labels}
        comparable = len(pairs) >= LEAST and len(known) > 1 and bool(shared)
        if not comparable or chance <= sure:
            return [], trial
        if len(answers) < most or most == ROWS[-1]:
            return ([] if writes and len({said for said, _ in pairs}) > 1 else [_at_chance(candidate, trial)]), trial
    raise AssertionError("the last number of rows returns")


def by_chance(pairs: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """Compute how many answers would be right by chance, and how likely as many right answers are then.

    By chance is: answers and gold in any order, each keeping how often it gives each label (a permutation test).
    """
    if not pairs:
        return 0.0, 1.0
    said, gold = (Counter(column) for column in zip(*pairs, strict=True))
    expected = sum(count * gold[label] for label, count in said.items()) / len(pairs)
    number = {label: at for at, label in enumerate(sorted({*said, *gold}))}
    answers, truth = (np.array([number[label] for label in column]) for column in zip(*pairs, strict=True))
    right, random = int((answers == truth).sum()), np.random.default_rng(0)
    drawn = np.array([(random.permutation(answers) == truth).sum() for _ in range(DRAWS)])
    return expected, float(((drawn >= right).sum() + 1) / (DRAWS + 1))


def _at_chance(candidate: Candidate, trial: TeacherTrial) -> Objection:
    return Objection(
        "teacher.chance",
        f"{candidate.name} gives the gold answer to {trial.right:,} of {trial.judged:,} rows, and chance alone gives "
        f"{trial.by_chance:g}: it does not know this task. Choose another teacher, or check that its labels are in the "
        "order of its outputs and that gold belongs to these inputs.",
    )

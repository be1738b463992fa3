"""The rows of a generation task, as a climb asks of them: students learn to give the answers that the rows hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_tui.spec import Spec
from distill_tui.tasks import generation
from distill_tui.teachers.description import Described
from distill_tui.terms import Control
from distill_tui.training import answering, sequences
from distill_tui.training.answering import Said
from distill_tui.training.distill import Step
from distill_tui.training.ladder import Places, nested
from distill_tui.training.sequences import Pairs


@dataclass(frozen=True)
class AnswerRows:
    """What the arms learn from, and the validation rows that they are compared on.

    Sequence-level distillation (Kim and Rush 2016): a row teaches its gold, or where it has none what the teacher said.
    """

    training: Pairs
    gold: Pairs  # the same rows, with what people wrote and nothing of the teacher's
    validation: Pairs
    truth: Sequence[str | None]  # of the validation rows, as spelled: gold, or the teacher's where no row has gold
    teacher: Sequence[str | None]  # the teacher's answer to each validation row, as spelled
    asked: Described  # how a local teacher is asked, where its probabilities of tokens are learnt

    @property
    def teacher_score(self) -> float | None:
        """The share of the validation rows that the teacher gets right; None where nobody knows."""
        both = zip(self.teacher, self.truth, strict=True)
        return _share([(said, truth) for said, truth in both if said is not None])

    def problem(self, spec: Spec) -> str | None:
        """Say why nothing could be learnt, in one sentence, or nothing."""
        return sequences.nothing_to_learn(spec, self.training, self.validation)

    def beside(self, spec: Spec) -> Mapping[Control, Pairs]:
        """Give what the control arms learn from: gold alone, and texts without the teacher's probabilities of tokens.

        Only those that leave something out: what is not there is no control.
        """
        found = {Control.HARD: self.training} if spec.alpha > 0 else {}
        if spec.alpha > 0 or self.gold.outputs != self.training.outputs:
            found[Control.GOLD] = self.gold
        return {each: found[each] for each in spec.controls if each in found and any(found[each].outputs)}

    def some(self, one_in: int, seed: int) -> Pairs:
        """Take one training row in so many, the same ones again in every larger part."""
        kept, rows = nested(len(self.training.inputs), one_in, seed), self.training
        inputs, outputs = (tuple(column[row] for row in kept) for column in (rows.inputs, rows.outputs))
        return Pairs(inputs, outputs, rows.weights[kept])

    def train(self, spec: Spec, part: Pairs, places: Places) -> Iterator[Step]:
        """Train a student."""
        return sequences.train(
            spec,
            part,
            self.validation,
            teacher=places.teacher,
            checkpoints=places.checkpoints,
            out=places.out,
            start=places.start,
            asked=self.asked,
        )

    def ask(self, folder: Path, spec: Spec) -> list[Said]:
        """Give the answers to the validation rows."""
        return answering.answer(folder, self.validation.inputs, threads=spec.threads, max_tokens=spec.max_tokens)

    def score(self, says: Sequence[Said]) -> float | None:
        """Give the share of the validation rows with a truth that a student answers exactly."""
        answers = [generation.spelled(each.text) for each in says]
        return _share(list(zip(answers, self.truth, strict=True)))


def _share(pairs: Sequence[tuple[str, str | None]]) -> float | None:
    known = [said == truth for said, truth in pairs if truth is not None]
    return sum(known) / len(known) if known else None

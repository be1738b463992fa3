"""How a later student compares with an earlier one on the same rows: the gain of rounds, and the gap that is left."""

from __future__ import annotations

from dataclasses import dataclass

from distill_tui.gates.deferred import together
from distill_tui.gates.gate import ALL, QUALITY, ROW_SCORES, Criterion, Gate
from distill_tui.gates.paired import Gain, Outlook, Prospect, outlook
from distill_tui.gates.quality import Picked, Sample, row_scores
from distill_tui.gates.record import CERTAIN, Record
from distill_tui.gates.wording import count, points


@dataclass(frozen=True)
class Progress:
    """What two rounds brought on the quality metric that binds, on rows that both students answered."""

    criterion: Criterion
    outlook: Outlook

    @property
    def sentence(self) -> str:
        seen, name = self.outlook, self.criterion.words
        gained = (
            f"Two rounds moved {name} on the validation split by {points(seen.gain.mean)} points "
            f"(at most {points(seen.best)}, on {count(seen.gain.rows, 'row')})"
        )
        if seen.prospect is Prospect.REACHED:
            return f"{gained}; it is at the bar there."
        pace = f"; it is {points(seen.gap)} short of the bar, and with {count(seen.rounds_left, 'round')} left"
        pace += f" two rounds must bring {points(seen.need)}"
        outlook = {
            Prospect.HOPELESS: ": even the upper bound of the gain is not enough",
            Prospect.ON_TRACK: ": on track",
            Prospect.UNCLEAR: ": too few validation rows to decide",
        }
        return f"{gained}{pace}{outlook[seen.prospect]}."


def progress(gate: Gate, before: Record, after: Record, rounds_left: int) -> Progress | None:
    """Compare two students on the validation split, row by row; None where there is nothing to compare.

    The target is the bar itself. To be proven takes more than the bar, so a kill is never advised for being close.
    """
    criterion = binding_quality(gate)
    if criterion is None or rounds_left < 1:
        return None
    before, after = together(gate, before), together(gate, after)
    first, last = (_scores(criterion, gate, record) for record in (before, after))
    sample, gain = Sample.of(criterion, gate, after, criterion.scope), Gain.between(first, last, after)
    if gain is None or sample.scores.estimate is None:
        return None
    return Progress(criterion, outlook(gain, sample.bar - sample.scores.estimate, rounds_left))


def binding_quality(gate: Gate) -> Criterion | None:
    """Return the quality metric that binds: the binding one, or the first that counts over all rows."""
    metrics = (*QUALITY, *ROW_SCORES)
    quality = [each for each in gate.criteria if each.metric in metrics and each.counts and each.scope == ALL]
    return next((each for each in quality if each.binding), quality[0] if quality else None)


def _scores(criterion: Criterion, gate: Gate, record: Record) -> dict[int, float]:
    """Return the student's score on each row by the row's key; more is better."""
    if not record.key:
        return {}
    if criterion.metric in ROW_SCORES:
        scored = row_scores(criterion, record, criterion.scope)
        return {record.key[row]: student / CERTAIN for row, (student, _) in scored.items()}
    picked = Picked.of(criterion, gate, record, criterion.scope)
    return {record.key[row]: int(right) for row, right in zip(picked.rows, picked.right, strict=True)}

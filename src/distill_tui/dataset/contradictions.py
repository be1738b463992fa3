"""Two columns with the same meaning: a teacher's answer, and the label that its probabilities are highest for.

Where they contradict each other in more than a few rows, one of the two belongs to something else: a column that was
mapped wrongly, or lists in another order than the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from distill_tui.dataset.records import BadInput
from distill_tui.gates.label_sets import read

FEW, MANY = 3, 0.01  # rows, and share of the rows: more of both do not happen by chance
SURELY_NOT = 0.01  # a label in an answer is not below it, and one above 1 minus it is in it, whatever the thresholds
CURE = "Map only one of the two columns, or give the labels in the order of the lists."
TIE = 1e-3  # of probability: teachers print rounded numbers


def contradicts(answer: str | None, shares: Mapping[str, float] | None) -> bool:
    """Whether another label is clearly more probable than the answer. False for an answer without a probability."""
    return (
        answer is not None and shares is not None and answer in shares and max(shares.values()) > shares[answer] + TIE
    )


def by_label(
    shares: object, labels: Sequence[str], label_of: Callable[[str], str | None] = str
) -> Mapping[str, float] | None:
    """Return probabilities by label; lists are in the order of the labels. None where they are of other labels."""
    if isinstance(shares, Mapping):
        return {label_of(name) or name: share for name, share in shares.items()}
    if isinstance(shares, Sequence) and len(shares) == len(labels):
        return dict(zip(labels, shares, strict=True))
    return None


@dataclass
class Compared:
    """Answers and probabilities that were compared."""

    several: bool = False  # whether an answer is a set of labels
    rows: int = 0
    contradict: int = 0
    first: str = ""

    def add(self, answer: str | None, shares: Mapping[str, float] | None) -> bool:
        """Compare one row; return whether it contradicts itself."""
        if self.several:
            return self._add_set(answer, shares)
        self.rows += answer is not None and shares is not None and answer in shares
        if answer is None or shares is None or not contradicts(answer, shares):
            return False
        self.contradict += 1
        best = max(shares, key=lambda label: shares[label])
        self.first = self.first or f"the first answers “{answer}” and has its highest probability at “{best}”"
        return True

    def _add_set(self, answer: str | None, shares: Mapping[str, float] | None) -> bool:
        labels = None if answer is None else read(answer)
        if labels is None or not shares:
            return False
        self.rows += 1
        unlikely = [label for label in labels if shares.get(label, 1.0) < SURELY_NOT]
        left_out = [label for label, share in shares.items() if share > 1 - SURELY_NOT and label not in labels]
        if not unlikely and not left_out:
            return False
        self.contradict += 1
        label = (unlikely or left_out)[0]
        what = f"has “{label}” in its answer" if unlikely else f"leaves out “{label}”"
        self.first = self.first or f"the first {what}, whose probability is {shares[label]:.2f}"
        return True

    @property
    def too_many(self) -> bool:
        """Whether more rows contradict themselves than do by chance."""
        return self.contradict > FEW and self.contradict > MANY * self.rows

    def check(self, name: str) -> None:
        """Raise BadInput where more than a few rows contradict themselves."""
        if self.too_many:
            raise BadInput(f"{self._counted(f'rows of {name} with both')} {CURE}")

    def says(self) -> str:
        """Count the rows that contradict themselves, in a sentence; empty for none."""
        if not self.contradict:
            return ""
        counted = self._counted("rows with an answer and probabilities")
        return f"{counted} " + (f"Too many to import: {CURE}" if self.too_many else "In such rows the answer counts.")

    def _counted(self, rows: str) -> str:
        other = "the probabilities say otherwise than the answer"
        if not self.several:
            other = "the answer is not the label of the highest probability"
        return f"In {self.contradict:,} of the {self.rows:,} {rows}, {other}; {self.first}."

"""What is read as it stands, and is probably not what was meant: counted over the rows of a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from distill_tui.dataset import encodings
from distill_tui.dataset.contradictions import Compared, by_label
from distill_tui.dataset.files_compared import FilesCompared
from distill_tui.dataset.readers import MEANINGS, ColumnMapping, TrafficRow
from distill_tui.dataset.shared_inputs import SharedInputs
from distill_tui.dataset.traces import stream
from distill_tui.dataset.traces.call import COLUMNS
from distill_tui.dataset.traces.stream import Recognised
from distill_tui.gates.label_sets import members


def _filled(row: TrafficRow) -> Iterator[str]:
    return (name for name in MEANINGS if name != "input" and getattr(row, name) is not None)


@dataclass
class Doubts:
    """What is read as it stands, and is probably not what was meant."""

    rows: int = 0
    garbled: int = 0  # rows whose text was decoded wrongly before it was saved
    example: str = ""
    files: FilesCompared = field(default_factory=FilesCompared)  # of several
    shared: SharedInputs = field(default_factory=SharedInputs)
    empty: Mapping[str, str] = field(default_factory=dict)  # columns of the source that no row has a value of
    compared: Compared = field(default_factory=Compared)  # answers with the teacher's own probabilities

    @classmethod
    def of(cls, known: Sequence[Recognised], mapping: ColumnMapping) -> Doubts:
        halves = stream.halves(known)
        names = {each.part.name for each in halves} - {each.part.name for each in known if each not in halves}
        own = {name: column for name, column in mapping.named().items() if column not in COLUMNS}
        return cls(files=FilesCompared(frozenset(names)), compared=Compared(mapping.several), empty=own)

    def add(self, row: TrafficRow) -> None:
        self.rows += 1
        if self.empty:
            self.empty = {name: column for name, column in self.empty.items() if getattr(row, name) is None}
        word = next(filter(None, map(encodings.garbled, (row.input, row.teacher_output or "", row.gold or ""))), "")
        self.garbled += bool(word)
        self.example = self.example or word
        self.compared.add(row.teacher_output, by_label(row.teacher_probabilities, ()))
        if row.file:
            self.compare(row)
            self.shared.add(row.file, row.input, row.gold)

    def compare(self, row: TrafficRow) -> None:
        """Count which columns and labels a row of one of several files has."""
        labels = {name: label for name in ("gold", "teacher_output") if (label := getattr(row, name)) is not None}
        names = {name: members(each) if self.compared.several else (each,) for name, each in labels.items()}
        self.files.add(row.file, _filled(row), names)

    def _without_a_value(self) -> Iterator[str]:
        if self.empty and self.rows:
            named = ", ".join(f"'{column}' ({name.replace('_', ' ')})" for name, column in self.empty.items())
            yield f"No value in the {self.rows:,} rows read: {named}."

    def sentences(self) -> tuple[str, ...]:
        """Word the doubts, apart from answers that contradict their probabilities."""
        garbled = (encodings.garbled_says(self.garbled, self.rows, self.example),) if self.garbled else ()
        return (*garbled, *self._without_a_value(), *self.files.differences().values(), *self.shared.sentences())

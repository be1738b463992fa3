"""Merge equal inputs of imported traffic into distinct rows, in the order of their digests.

Traffic of many rows is first divided by digest into parts that fit the memory: two passes over the rows, however many
there are. The distinct rows go to a file, and what decides their splits to columns.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distill_tui.dataset import traffic
from distill_tui.dataset.columns import ColumnFile
from distill_tui.dataset.counted import EVERYTHING
from distill_tui.dataset.progress import Progress
from distill_tui.dataset.split import Candidate, most_common
from distill_tui.digests import Part, parts

AT_ONCE, MOST_PARTS = 50_000, 256  # rows of traffic in a part, and parts: each is an open file
BATCH = 65_536  # rows that are divided together

NEEDED = ("input_digest", "input", "teacher_output", "teacher_probabilities", "gold", "segment", "group", "time")
SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("input_digest", "input", "segment")),
        *((name, pa.string()) for name in ("gold", "group", "since", "output", "probabilities")),
        pa.field("rows", pa.int64(), nullable=False),
    ]
)

Key = tuple[str | None, str, str | None]  # gold, segment, group of a row


@dataclass(slots=True)
class Merged:
    """All rows of one normalised input. Every choice among them depends on the rows and not on their order."""

    digest: str
    input: str
    key: Key  # of the first row: there are many of these objects, and most have one key
    times: int = 0  # rows of this key
    others: dict[Key, int] | None = None  # rows of each other key
    since: str | None = None
    answer: tuple[str, str, str] = ("", "", "")  # time, probabilities as JSON, output: the latest counts

    @property
    def seen(self) -> tuple[tuple[Key, int], ...]:
        """Each (gold, segment, group) with its rows."""
        return (self.key, self.times), *(self.others or {}).items()

    @property
    def golds(self) -> Counter[str]:
        votes: Counter[str] = Counter()
        for (gold, _, _), rows in self.seen:
            if gold is not None:
                votes[gold] += rows
        return votes

    def add(self, row: Mapping[str, Any], key: Key) -> None:
        self.input = min(self.input, row["input"])
        output = row["teacher_output"] or ""
        if key == self.key:
            self.times += 1
        else:
            self.others = self.others or {}
            self.others[key] = self.others.get(key, 0) + 1
        if row["time"] is not None:
            self.since = min(row["time"], self.since or row["time"])
        answer = (row["time"] or "", row["teacher_probabilities"] or "", sys.intern(output))
        if answer[1:] != ("", ""):
            self.answer = max(answer, self.answer)

    def candidate(self) -> Candidate:
        segments: Counter[str] = Counter()
        for (_, segment, _), rows in self.seen:
            segments[segment] += rows
        groups = tuple(sorted({group for (_, _, group), _ in self.seen if group is not None}))
        return Candidate(self.digest, "", most_common(segments), groups, self.since)


@dataclass
class Counts:
    """How many rows of traffic were read and left out, and how many distinct rows have several golds."""

    read: int = 0
    outside: int = 0
    dropped: int = 0
    conflicts: int = 0
    ties: int = 0
    held_out: int = 0  # distinct rows that were held out in the round before


@dataclass(frozen=True)
class Wanted:
    """Which rows count, and as what."""

    in_window: Callable[[str | None], bool]
    held_out: Callable[[str], bool]  # in the round before: they count as in the window
    without: frozenset[str]
    renamed: Callable[[str], str]
    settled: Callable[[Counter[str]], str | None]


@dataclass
class Merging:
    """Distinct rows on their way into a file."""

    wanted: Wanted
    counts: Counts = field(default_factory=Counts)

    def merge(
        self, files: Sequence[Path], folder: Path, file: ColumnFile, progress: Progress
    ) -> Iterator[tuple[Part, list[tuple[Merged, Candidate]]]]:
        """Write the distinct rows of traffic in the order of their digests; yield them part by part."""
        rows = traffic.rows_in(files)
        divided = parts(rows, max(AT_ONCE, rows // MOST_PARTS))
        if len(divided) > 1:
            readers = _divided(files, divided, folder, lambda what, done, total: progress(what, done // 2, total))
        else:
            readers = [traffic.rows(files, NEEDED, progress)]
        for part, reader in zip(divided, readers, strict=True):
            merged = self._merged(reader)
            found = [(merged[digest], merged[digest].candidate()) for digest in sorted(merged)]
            del merged
            file.write([self._stored(one, candidate) for one, candidate in found])
            yield part, found
            progress("reading", (rows + self.counts.read) // 2, rows)

    def _merged(self, rows: Iterator[dict[str, Any]]) -> dict[str, Merged]:
        merged: dict[str, Merged] = {}
        keys: dict[Key, Key] = {}  # each is kept once
        wanted, counts = self.wanted, self.counts
        for row in rows:
            counts.read += 1
            digest = row["input_digest"]
            if digest in wanted.without:
                counts.dropped += 1
                continue
            if not wanted.in_window(row["time"]) and not wanted.held_out(digest):
                counts.outside += 1
                continue
            gold = None if row["gold"] is None else wanted.renamed(row["gold"])
            key = (gold, row["segment"] or EVERYTHING, row["group"])
            if key[2] is None:
                key = keys.setdefault(key, key)
            one = merged.get(digest)
            if one is None:
                one = merged[digest] = Merged(digest, row["input"], key)
            one.add(row, key)
        return merged

    def _stored(self, one: Merged, candidate: Candidate) -> tuple[object, ...]:
        """Settle the gold of a distinct row, and return the row as `SCHEMA` has it."""
        golds = one.golds
        gold = self.wanted.settled(golds)
        self.counts.conflicts += len(golds) > 1
        self.counts.ties += len(golds) > 1 and gold is None
        self.counts.held_out += self.wanted.held_out(one.digest)
        _, probabilities, output = one.answer
        texts = (one.digest, one.input, candidate.segment, gold, min(candidate.groups, default=None), one.since)
        return *texts, output or None, probabilities or None, sum(rows for _, rows in one.seen)


def _divided(
    files: Sequence[Path], divided: Sequence[Part], folder: Path, progress: Progress
) -> list[Iterator[dict[str, Any]]]:
    """Divide the rows of traffic by digest into a file for each part; return what reads the files."""
    schema = pa.schema([traffic.SCHEMA.field(name) for name in NEEDED])
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    paths = [folder / f"part-{number}.arrow" for number in range(len(divided))]
    with ExitStack() as writing:
        writers = [writing.enter_context(pa.ipc.new_stream(str(path), schema, options=options)) for path in paths]
        starts = np.array([part.start for part in divided[1:]])
        for batch in traffic.batches(files, NEEDED, BATCH, progress):
            ordered = batch.take(pc.sort_indices(batch["input_digest"])).combine_chunks()
            digests = ordered["input_digest"].to_numpy(zero_copy_only=False).astype("U4")
            bounds = [0, *np.searchsorted(digests, starts).tolist(), len(ordered)]
            for writer, start, end in zip(writers, bounds, bounds[1:], strict=False):
                if end > start:
                    writer.write_table(ordered.slice(start, end - start))
    return [_read(path) for path in paths]


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with pa.ipc.open_stream(str(path)) as reader:
        for batch in reader:
            yield from batch.to_pylist()
    path.unlink()

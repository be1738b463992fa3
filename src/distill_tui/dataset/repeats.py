"""The agreement of a recorded teacher with itself: on inputs that the traffic has more than once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from distill_tui.dataset import traffic

LEAST = 50  # repeated inputs, below which a share is too uncertain to use


@dataclass(frozen=True)
class Repeats:
    """The probability that two outputs of the teacher for one input are equal, averaged over inputs."""

    inputs: int  # that came twice or more
    share: Decimal  # rounded to 0.0001

    @property
    def sentence(self) -> str:
        return (
            f"The teacher agrees with itself on {100 * self.share:.2f}% of {self.inputs:,} repeated inputs of the "
            "traffic. A cache in front of the teacher also gives identical answers."
        )


def measure(files: Sequence[Path]) -> Repeats | None:
    """Compare a teacher's recorded outputs for the same input; None for fewer than 50 such inputs. Raises BadInput."""
    return _measured(tuple(files))


@lru_cache(maxsize=8)  # imported files are named by their content
def _measured(files: tuple[Path, ...]) -> Repeats | None:
    if not files:
        return None
    columns = ["input_digest", "teacher_output"]
    table = pa.concat_tables(traffic.table(path, columns) for path in files).drop_null()
    counts = table.group_by(columns).aggregate([([], "count_all")])
    repeated: dict[str, list[int]] = {}
    for digest, times in zip(counts["input_digest"].to_pylist(), counts["count_all"].to_pylist(), strict=True):
        repeated.setdefault(digest, []).append(times)
    chances = [_alike(times) for times in repeated.values() if sum(times) > 1]
    if len(chances) < LEAST:
        return None
    return Repeats(len(chances), round(sum(chances, Decimal(0)) / len(chances), 4))


def _alike(times: Sequence[int]) -> Decimal:
    """Return the probability that two of the outputs, drawn without replacement, are equal."""
    calls = sum(times)
    return Decimal(sum(each * (each - 1) for each in times)) / (calls * (calls - 1))

"""How often a recorded teacher agrees with itself: what the traffic has more than once, with the teacher's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from distill_tui.dataset.records import BadInput

LEAST = 50  # inputs that were asked twice or more, below which a share says next to nothing


@dataclass(frozen=True)
class Repeats:
    """The chance that two outputs of the teacher for one input are the same, each input weighing alike."""

    inputs: int  # that were asked twice or more
    share: Decimal  # rounded to 0.0001

    @property
    def sentence(self) -> str:
        """Say it with its count."""
        return (
            f"The teacher agrees with itself on {100 * self.share:.2f} % of {self.inputs:,} inputs that the traffic "
            "has more than once; identical answers may also come from a cache before it."
        )


def measure(files: Sequence[Path]) -> Repeats | None:
    """Compare a teacher's recorded outputs for the same input; None where too few were asked twice. Raises BadInput."""
    return _measured(tuple(files))


@lru_cache(maxsize=8)  # imported files are named by their content
def _measured(files: tuple[Path, ...]) -> Repeats | None:
    if not files:
        return None
    columns = ["input_digest", "teacher_output"]
    try:
        table = pa.concat_tables(pq.read_table(path, columns=columns) for path in files).drop_null()
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{files[0].name} cannot be read as imported traffic; import it again.") from error
    counts = table.group_by(columns).aggregate([([], "count_all")])
    asked: dict[str, list[int]] = {}
    for digest, times in zip(counts["input_digest"].to_pylist(), counts["count_all"].to_pylist(), strict=True):
        asked.setdefault(digest, []).append(times)
    chances = [_alike(times) for times in asked.values() if sum(times) > 1]
    if len(chances) < LEAST:
        return None
    return Repeats(len(chances), round(sum(chances, Decimal(0)) / len(chances), 4))


def _alike(times: Sequence[int]) -> Decimal:
    """Give the chance that two of the outputs, drawn without putting back, are the same."""
    asked = sum(times)
    return Decimal(sum(each * (each - 1) for each in times)) / (asked * (asked - 1))

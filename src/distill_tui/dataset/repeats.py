"""The agreement of a recorded teacher with itself: on inputs that the traffic has more than once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import pyarrow as pa

from distill_tui.dataset import traffic
from distill_tui.gates.scale import Scale

MOST_ASKED = 20  # times that one output of an input is paired
LEAST = 50  # repeated inputs, below which a share is too uncertain to use


@dataclass(frozen=True)
class Repeats:
    """The probability that two outputs of the teacher for one input are equal, averaged over inputs."""

    inputs: int  # that came twice or more
    share: Decimal  # rounded to 0.0001
    apart: float | None = None  # of scores: the mean distance of two outputs for one input, in units of the scale
    span: float = 1.0  # of the scale, from its lowest to its highest
    near: float = 0.0  # the share of such pairs within one level, or a tenth of a range

    @property
    def sentence(self) -> str:
        cache = "A cache in front of the teacher also gives identical answers."
        if self.apart is not None:
            of_scale = f"{self.apart / self.span:.4f} of the scale"
            return (
                f"Asked twice, the teacher is {self.apart:.3g} apart from itself on average ({of_scale}), within one "
                f"level or a tenth of a range on {100 * self.near:.1f}% of {self.inputs:,} repeated inputs of the "
                f"traffic: no student can be expected nearer to it than that. {cache}"
            )
        return (
            f"The teacher agrees with itself on {100 * self.share:.2f}% of {self.inputs:,} repeated inputs of the "
            f"traffic. {cache}"
        )


def measure(files: Sequence[Path], scale: str = "") -> Repeats | None:
    """Compare a teacher's recorded outputs for the same input; None for fewer than 50 such inputs. Raises BadInput.

    Of scores the scale is given, as it is typed.
    """
    return _measured(tuple(files), scale)


@lru_cache(maxsize=8)  # imported files are named by their content
def _measured(files: tuple[Path, ...], scale: str) -> Repeats | None:
    if not files:
        return None
    columns = ["input_digest", "teacher_output"]
    table = pa.concat_tables(traffic.table(path, columns) for path in files).drop_null()
    counts = table.group_by(columns).aggregate([([], "count_all")])
    repeated: dict[str, dict[str, int]] = {}
    columns_ = (counts[name].to_pylist() for name in (*columns, "count_all"))
    for digest, output, times in zip(*columns_, strict=True):
        repeated.setdefault(digest, {})[output] = times
    several = [said for said in repeated.values() if sum(said.values()) > 1]
    if len(several) < LEAST:
        return None
    share = sum((_alike([*said.values()]) for said in several), Decimal(0)) / len(several)
    found = Repeats(len(several), round(share, 4))
    return _of_scores(found, several, Scale.read(scale)) if scale else found


def _of_scores(found: Repeats, several: Sequence[Mapping[str, int]], scale: Scale) -> Repeats:
    """Add how far apart two scores of one input are, averaged over its pairs and then over inputs."""
    apart, near = [], []
    for said in several:
        pairs = list(combinations([score for score, times in said.items() for _ in range(min(times, MOST_ASKED))], 2))
        apart.append(sum(abs(float(one) - float(other)) for one, other in pairs) / len(pairs))
        near.append(sum(scale.within_one(one, other) for one, other in pairs) / len(pairs))
    count = len(several)
    return replace(found, apart=sum(apart) / count, span=float(scale.span), near=sum(near) / count)


def _alike(times: Sequence[int]) -> Decimal:
    """Return the probability that two of the outputs, drawn without replacement, are equal."""
    calls = sum(times)
    return Decimal(sum(each * (each - 1) for each in times)) / (calls * (calls - 1))

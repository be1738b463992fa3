"""Damaged requests in every wire format, sent to a real gateway: ten thousand of each, half of them for the student."""

from __future__ import annotations

from collections.abc import Callable

from kit import Bench, Row
from support import fuzz, mutants, served

OF_TEACHER = ("/embeddings",)  # a path that no student answers


def fuzzed(format: str) -> Callable[[Bench], Row]:
    """Return the proof of one format."""

    def run(bench: Bench) -> Row:
        row, play = Row(f"damaged requests: {format}"), served.copy_to(bench.empty())
        try:
            for mode in fuzz.MODES:
                found = fuzz.fuzz(play, mode, [format], bench.times(5_000, 20), bench.seed)
                row.times += found.statuses.total()
                row.lost += found.wrong
                row.require(found.routes[mode] or format in OF_TEACHER, f"no request was answered by the {mode}")
                row.counts += found.statuses
        finally:
            play.project.close()
        row.detail = "replies: " + ", ".join(
            f"{count:,} {'closed' if status == '0' else status}" for status, count in sorted(row.counts.items())
        )
        return row

    return run


PROOFS = {f"damaged requests: {format}": fuzzed(format) for format in mutants.FORMATS}

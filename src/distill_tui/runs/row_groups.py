"""The columns of a record that identify its rows, and group those that depend on each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from distill_tui.dataset.duplicates import Together, near_duplicates
from distill_tui.dataset.frozen import Rows


def group_columns(rows: Rows) -> dict[str, Any]:
    """Return numbers, segments, groups, patterns and keys of the rows of a split."""
    segments, clusters = tuple(sorted(set(rows.segments))), near_duplicates(rows.inputs)
    return {
        "rows": tuple(int(row) for row in rows.rows),
        "segments": segments,
        "segment": tuple(segments.index(segment) for segment in rows.segments),
        "group": _groups(rows, clusters),
        "pattern": _patterns(rows, clusters),
        "key": tuple(int(digest[:15], 16) for digest in rows.digests),
    }


def _patterns(rows: Rows, clusters: Sequence[int]) -> tuple[int, ...]:
    """Rank the interaction patterns (near duplicates) of a split by how often they occur; 0 is the commonest."""
    counts: Counter[int] = Counter()
    for cluster, weight in zip(clusters, rows.weights, strict=True):
        counts[cluster] += round(float(weight))
    rank = {cluster: place for place, cluster in enumerate(sorted(counts, key=lambda each: (-counts[each], each)))}
    return tuple(rank[cluster] for cluster in clusters)


def _groups(rows: Rows, clusters: Sequence[int]) -> tuple[int, ...]:
    """Give rows that are not independent one number: those of one group, and near duplicates."""
    together = Together(len(rows))
    together.join_equal(rows.groups)
    together.join_equal(clusters)
    return tuple(together.roots())

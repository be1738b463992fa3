"""The columns of a record that say which rows it is of, and which of them belong together. Worker's only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any


def columns(rows: Any) -> dict[str, Any]:
    """Give numbers, segments, groups, patterns and keys of the rows of a split, whatever was answered to them."""
    from distill_tui.dataset.duplicates import near_duplicates

    names, clusters = tuple(sorted(set(rows.segments))), near_duplicates(rows.inputs)
    return {
        "rows": tuple(int(row) for row in rows.rows),
        "segments": names,
        "segment": tuple(names.index(segment) for segment in rows.segments),
        "group": _dependent(rows, clusters),
        "pattern": _patterns(rows, clusters),
        "key": tuple(int(digest[:15], 16) for digest in rows.digests),
    }


def _patterns(rows: Any, clusters: Sequence[int]) -> tuple[int, ...]:
    """Rank the interaction patterns (near duplicates) of a split by how often they were asked; 0 is the commonest."""
    asked: Counter[int] = Counter()
    for cluster, weight in zip(clusters, rows.weights, strict=True):
        asked[cluster] += round(float(weight))
    rank = {cluster: place for place, cluster in enumerate(sorted(asked, key=lambda each: (-asked[each], each)))}
    return tuple(rank[cluster] for cluster in clusters)


def _dependent(rows: Any, clusters: Sequence[int]) -> tuple[int, ...]:
    """Number the rows that are not independent alike: those of one group, and near duplicates."""
    from distill_tui.dataset.duplicates import Together

    together = Together(len(rows))
    together.join_equal(rows.groups)
    together.join_equal(clusters)
    return tuple(together.roots())

"""Which rows of a split belong together: those that depend on each other, and those that ask the same. Worker's."""

from __future__ import annotations

from typing import Any


def patterns(rows: Any) -> tuple[int, ...]:
    """Rank the interaction patterns (near duplicates) of a split by how often they were asked; 0 is the commonest."""
    from collections import Counter

    from distill_tui.dataset.duplicates import near_duplicates

    clusters = near_duplicates(rows.inputs)
    asked: Counter[int] = Counter()
    for cluster, weight in zip(clusters, rows.weights, strict=True):
        asked[cluster] += round(float(weight))
    rank = {cluster: place for place, cluster in enumerate(sorted(asked, key=lambda each: (-asked[each], each)))}
    return tuple(rank[cluster] for cluster in clusters)


def dependent(rows: Any) -> tuple[int, ...]:
    """Number the rows that are not independent alike: those of one group, and near duplicates."""
    from distill_tui.dataset.duplicates import Together, near_duplicates

    together = Together(len(rows))
    together.join_equal(rows.groups)
    together.join_equal(near_duplicates(rows.inputs))
    return tuple(together.roots())

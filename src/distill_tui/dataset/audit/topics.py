"""Cluster texts by their words; each cluster is named by its most distinctive words."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Sequence
from itertools import islice

from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from distill_tui.dataset.duplicates import Texts
from distill_tui.dataset.row_identity import input_digest
from distill_tui.dataset.words import distinctive

AT_ONCE = 20_000  # rows of which words are counted at once
SAMPLE = 5_000  # rows to fit on: those of the smallest digests, independent of the order of rows
WORDS, WORDS_IN_A_NAME = 2_000, 3
FRAME = 0.8  # a word in a larger share of the texts belongs to the frame of a prompt


def clusters(texts: Texts, count: int = 8) -> tuple[Sequence[int], list[str]]:
    """Return the number of each text's cluster, and the clusters' names; with fewer than 20 texts a cluster, one."""
    count = min(count, len(texts) // 20)
    if count < 2:
        return array("i", bytes(4 * len(texts))), ["all"]
    sample = heapq.nsmallest(SAMPLE, texts, key=input_digest)
    words = TfidfVectorizer(binary=True, analyzer=distinctive, min_df=2, max_df=FRAME, max_features=WORDS)
    try:
        fitted = words.fit_transform(sample)
    except ValueError:  # no word is left: each is in one text, or in all
        return array("i", bytes(4 * len(texts))), ["all"]
    count = min(count, len({fitted.getrow(at).indices.tobytes() for at in range(fitted.shape[0])}))  # of distinct rows
    if count < 2:
        return array("i", bytes(4 * len(texts))), ["all"]
    with threadpool_limits(1):  # the order in which threads add up changes the last digit
        means = KMeans(count, n_init=1, random_state=0).fit(fitted)
        own, rest = array("i"), iter(texts)
        while part := list(islice(rest, AT_ONCE)):
            own.extend(means.predict(words.transform(part)).tolist())
    apart, names = means.cluster_centers_ - means.cluster_centers_.mean(axis=0), words.get_feature_names_out()
    best = [[names[at] for at in (-row).argsort(kind="stable")[:WORDS_IN_A_NAME] if row[at] > 0] for row in apart]
    return own, [f"{number}: {' '.join(chosen) or 'mixed'}" for number, chosen in enumerate(best, 1)]

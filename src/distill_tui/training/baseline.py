"""The baselines that any student has to beat: the majority, and TF-IDF with logistic regression. It needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Predictor = Callable[[Sequence[str]], Labels]


def majority(labels: Labels) -> int:
    """Name the most frequent label, the lowest of equals; -1 means no label. Raises ValueError where there is none."""
    known = labels[labels >= 0]
    if not len(known):
        raise ValueError("No training row has a label, so there is no majority; import gold labels or label the rows.")
    return int(np.bincount(known).argmax())


def fit_baseline(texts: Sequence[str], labels: Labels, seed: int) -> Predictor:
    """Fit TF-IDF over words and word pairs with logistic regression; rows whose label is -1 are left out.

    What it gives takes texts and returns label numbers, int64. Where the training rows show one label only, or no
    word at all, it always answers with the majority. Raises ValueError where no row has a label.
    """
    # sklearn takes a second to import, and only this function needs it
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    usual = majority(labels)
    known = [int(position) for position in np.flatnonzero(labels >= 0)]
    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(max_iter=1000, C=4.0, random_state=seed),
    )

    def always(texts: Sequence[str]) -> Labels:
        return np.full(len(texts), usual, dtype=np.int64)

    if len(np.unique(labels[known])) < 2:
        return always
    try:
        pipeline.fit([texts[position] for position in known], labels[known])
    except ValueError:  # an empty vocabulary: not one word in all the rows
        return always

    def by_words(texts: Sequence[str]) -> Labels:
        return np.asarray(pipeline.predict(list(texts)), dtype=np.int64) if len(texts) else always(texts)

    return by_words

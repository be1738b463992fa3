"""The baselines that any student has to beat: the commonest answer, and TF-IDF. No torch.

For labels TF-IDF is followed by logistic regression; for written answers, by the nearest training row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

Labels = NDArray[np.int64]
Predictor = Callable[[Sequence[str]], Labels]
Floats = NDArray[np.float32]


def majority(labels: Labels) -> int:
    """Return the most frequent label, the lowest of equals; -1 is no label. Raises ValueError where no row has one."""
    known = labels[labels >= 0]
    if not len(known):
        raise ValueError("No training row has a label, so there is no majority; import gold labels or label the rows.")
    return int(np.bincount(known).argmax())


def base_rates(labels: Labels, count: int) -> Floats:
    """Compute the frequency of each of `count` labels, (count,): the majority baseline as probabilities."""
    known = labels[labels >= 0]
    return (np.bincount(known, minlength=count) / max(1, len(known))).astype(np.float32)


def fit_baseline(texts: Sequence[str], labels: Labels, seed: int) -> Predictor:
    """Fit the TF-IDF baseline; it takes texts and returns label numbers, int64: see `fit_probabilities`."""
    majority(labels)
    shares = fit_probabilities(texts, labels, seed, int(labels.max()) + 1)
    return lambda texts: shares(texts).argmax(axis=1).astype(np.int64)


def fit_probabilities(texts: Sequence[str], labels: Labels, seed: int, count: int) -> Callable[[Sequence[str]], Floats]:
    """Fit TF-IDF over words and word pairs with logistic regression; rows whose label is -1 are left out.

    It takes texts and returns the probability of each of `count` labels, (texts, count). Where the training rows have
    only one label, or no words, these are the base rates. Raises ValueError where no row has a label.
    """
    majority(labels)
    rates = base_rates(labels, count)
    known = [int(position) for position in np.flatnonzero(labels >= 0)]
    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(max_iter=1000, C=4.0, random_state=seed),
    )

    def always(texts: Sequence[str]) -> Floats:
        return np.tile(rates, (len(texts), 1))

    if len(np.unique(labels[known])) < 2:
        return always
    try:
        pipeline.fit([texts[position] for position in known], labels[known])
    except ValueError:  # an empty vocabulary: no words in any row
        return always

    def by_words(texts: Sequence[str]) -> Floats:
        shares = np.zeros((len(texts), count), dtype=np.float32)
        if len(texts):
            shares[:, pipeline.classes_] = pipeline.predict_proba(list(texts))
        return shares

    return by_words


def fit_nearest(texts: Sequence[str], answers: Sequence[str | None]) -> Callable[[Sequence[str]], list[str]]:
    """Fit the baseline that copies the answer of the training row with the most similar TF-IDF vector.

    Rows without an answer are left out. The first of equals counts; a text without a known word gets the first row's.
    Raises ValueError where no row has an answer.
    """
    known = [at for at, answer in enumerate(answers) if answer is not None]
    if not known:
        raise ValueError("No training row has an answer; import gold, or have the teacher answer the rows.")
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    try:
        rows = words.fit_transform([texts[at] for at in known])
    except ValueError:  # an empty vocabulary: no words in any row
        return lambda asked: [str(answers[known[0]])] * len(asked)

    def nearest(asked: Sequence[str]) -> list[str]:
        found: list[str] = []
        for start in range(0, len(asked), 256):
            similarity = words.transform(asked[start : start + 256]) @ rows.T
            found += [str(answers[known[int(at)]]) for at in np.asarray(similarity.argmax(axis=1)).ravel()]
        return found

    return nearest

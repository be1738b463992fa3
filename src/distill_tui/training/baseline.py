"""The baselines that any student has to beat: the commonest answer, and TF-IDF. No torch.

For labels TF-IDF is followed by logistic regression; for written answers, by the nearest training row. It counts words
and pairs of words, or runs of one to four letters: whichever is right more often on rows that it did not learn from.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

from distill_tui.dataset.words import without_spaces, words
from distill_tui.gates.label_sets import LIKELY
from distill_tui.training import thresholds
from distill_tui.training.predictor import SetShares

Labels = NDArray[np.int64]
Rows = NDArray[np.int64]  # their numbers
Vectorizer = Callable[[], TfidfVectorizer]  # makes one
Predictor = Callable[[Sequence[str]], Labels]
Floats = NDArray[np.float32]

MOST_TRIED = 1_000  # rows on which words and letters are compared
TRIED_SHARE = 5  # one in so many of them is answered, the others are learned from
MOST_LETTERS = 20_000  # letter n-grams, the most frequent ones


def spelled(text: str) -> str:
    """Write a text as it is counted: an accent is one character with its letter, however it was typed."""
    return unicodedata.normalize("NFC", text).lower()


_vectorizer = partial(TfidfVectorizer, preprocessor=spelled, sublinear_tf=True)
by_words = partial(_vectorizer, tokenizer=words, token_pattern=None, ngram_range=(1, 2))
by_letters = partial(_vectorizer, analyzer="char", ngram_range=(1, 4), max_features=MOST_LETTERS)


def majority(labels: Labels) -> int:
    """Return the most frequent label, the lowest of equals; -1 means none. Raises ValueError where no row has one."""
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
    """Fit TF-IDF with logistic regression, over words or letters; rows whose label is -1 are left out.

    It takes texts and returns the probability of each of `count` labels, (texts, count). Where the training rows have
    only one label, or no words and letters, these are the base rates. Raises ValueError where no row has a label.
    """
    majority(labels)
    rates = base_rates(labels, count)
    known = np.flatnonzero(labels >= 0)

    def always(texts: Sequence[str]) -> Floats:
        return np.tile(rates, (len(texts), 1))

    def fitted(vectorizer: Vectorizer, rows: Rows) -> Pipeline:
        pipeline = make_pipeline(vectorizer(), LogisticRegression(max_iter=1000, C=4.0, random_state=seed))
        with threadpool_limits(1):  # on rows this few two threads would only wait for each other
            return pipeline.fit([texts[at] for at in rows], labels[rows])

    def right(vectorizer: Vectorizer, learned: Rows, asked: Rows) -> int:
        if len(np.unique(labels[learned])) < 2:
            return 0
        said = fitted(vectorizer, learned).predict([texts[at] for at in asked])
        return int((said == labels[asked]).sum())

    if len(np.unique(labels[known])) < 2:
        return always
    try:
        pipeline = fitted(_better(texts, known, seed, right), known)
    except ValueError:  # an empty vocabulary: nothing but white space in any row
        return always

    def shares(texts: Sequence[str]) -> Floats:
        shares = np.zeros((len(texts), count), dtype=np.float32)
        if len(texts):
            shares[:, pipeline.classes_] = pipeline.predict_proba(list(texts))
        return shares

    return shares


def fit_numbers(
    texts: Sequence[str], numbers: NDArray[np.float64], seed: int
) -> Callable[[Sequence[str]], list[float]]:
    """Fit TF-IDF with ridge regression, over words or letters; it takes texts and returns a number for each."""
    known, mean = np.arange(len(texts)), float(numbers.mean())

    def fitted(vectorizer: Vectorizer, rows: Rows) -> Pipeline:
        pipeline = make_pipeline(vectorizer(), Ridge(alpha=1.0, random_state=seed))
        with threadpool_limits(1):
            return pipeline.fit([texts[at] for at in rows], numbers[rows])

    def near(vectorizer: Vectorizer, learned: Rows, asked: Rows) -> int:
        said = fitted(vectorizer, learned).predict([texts[at] for at in asked])
        return -int(1e6 * np.abs(said - numbers[asked]).mean())

    try:
        pipeline = fitted(_better(texts, known, seed, near), known)
    except ValueError:  # an empty vocabulary
        return lambda others: [mean] * len(others)
    return lambda others: [float(each) for each in pipeline.predict(list(others))] if len(others) else []


def fit_sets(texts: Sequence[str], marks: Labels, seed: int) -> Callable[[Sequence[str]], SetShares]:
    """Fit TF-IDF with one logistic regression a label, and from which probability on each label is in an answer.

    `marks` is (rows, labels) of 0 and 1; rows of -1 are left out. The thresholds are fitted on a fifth of the rows,
    after learning from the others. Where the rows have no words and letters, these are the base rates.
    """
    known = np.flatnonzero((marks >= 0).all(axis=1))
    tried = np.random.default_rng(seed).permutation(known)
    asked, learned = tried[::TRIED_SHARE], np.delete(tried, np.s_[::TRIED_SHARE])

    def right(vectorizer: Vectorizer, rows: Rows, judged: Rows) -> int:
        said = _sets(vectorizer, texts, marks, rows, seed)([texts[at] for at in judged]) >= LIKELY
        return int((said & (marks[judged] > 0)).sum())

    try:
        vectorizer = _better(texts, known, seed, right)
        shares = _sets(vectorizer, texts, marks, learned, seed)([texts[at] for at in asked])
        whole = _sets(vectorizer, texts, marks, known, seed)
    except ValueError:  # an empty vocabulary
        rates = marks[known].mean(axis=0).astype(np.float32)
        return lambda others: SetShares.same(rates, len(others))
    fitted = np.array(thresholds.fitted(shares, marks[asked]), dtype=np.float32)
    return lambda others: SetShares(whole(others), fitted)


def _sets(
    vectorizer: Vectorizer, texts: Sequence[str], marks: Labels, rows: Rows, seed: int
) -> Callable[[Sequence[str]], Floats]:
    """Fit one logistic regression for each label that some rows have and others have not; else its base rate."""
    terms = vectorizer()
    features = terms.fit_transform([texts[at] for at in rows])
    rates = marks[rows].mean(axis=0)
    models: dict[int, LogisticRegression] = {}
    with threadpool_limits(1):
        for label in np.flatnonzero((rates > 0) & (rates < 1)):
            model = LogisticRegression(solver="liblinear", C=4.0, random_state=seed)
            models[int(label)] = model.fit(features, marks[rows, label])

    def shares(others: Sequence[str]) -> Floats:
        found = np.tile(rates, (len(others), 1)).astype(np.float32)
        asked = terms.transform(list(others))
        for label, model in models.items():
            found[:, label] = model.predict_proba(asked)[:, 1]
        return found

    return shares


def _better(
    texts: Sequence[str],
    known: Rows,
    seed: int,
    right: Callable[[Vectorizer, Rows, Rows], int],
) -> Vectorizer:
    """Choose words or letters by the rows that each has right after learning from others.

    Where both have as many right, letters serve texts without spaces, and words all others.
    """
    tried = np.random.default_rng(seed).permutation(known)[:MOST_TRIED]
    asked, learned = tried[::TRIED_SHARE], np.delete(tried, np.s_[::TRIED_SHARE])
    letters = 2 * sum(without_spaces(texts[at]) for at in tried) > len(tried)
    first, second = (by_letters, by_words) if letters else (by_words, by_letters)
    scores = []
    for vectorizer in (first, second):
        try:
            scores.append(right(vectorizer, learned, asked))
        except ValueError:  # no word or letter in these rows
            scores.append(-1)
    return second if scores[1] > scores[0] else first


def fit_nearest(
    texts: Sequence[str], answers: Sequence[str | None], seed: int = 0
) -> Callable[[Sequence[str]], list[str]]:
    """Fit the baseline that copies the answer of the training row with the most similar TF-IDF vector.

    Rows without an answer are left out. The first of equals counts; a text without a known word gets the first row's.
    Raises ValueError where no row has an answer.
    """
    known = np.array([at for at, answer in enumerate(answers) if answer is not None], dtype=np.int64)
    if not len(known):
        raise ValueError("No training row has an answer; import gold, or have the teacher answer the rows.")

    def right(vectorizer: Vectorizer, learned: Rows, asked: Rows) -> int:
        said = _nearest(vectorizer, texts, answers, learned)([texts[at] for at in asked])
        return sum(answers[at] == answer for at, answer in zip(asked, said, strict=True))

    try:
        return _nearest(_better(texts, known, seed, right), texts, answers, known)
    except ValueError:  # an empty vocabulary: nothing but white space in any row
        return lambda asked: [str(answers[known[0]])] * len(asked)


def _nearest(
    vectorizer: Vectorizer,
    texts: Sequence[str],
    answers: Sequence[str | None],
    known: Rows,
) -> Callable[[Sequence[str]], list[str]]:
    terms = vectorizer()
    rows = terms.fit_transform([texts[at] for at in known])

    def nearest(asked: Sequence[str]) -> list[str]:
        found: list[str] = []
        for start in range(0, len(asked), 256):
            similarity = terms.transform(asked[start : start + 256]) @ rows.T
            found += [str(answers[known[int(at)]]) for at in np.asarray(similarity.argmax(axis=1)).ravel()]
        return found

    return nearest

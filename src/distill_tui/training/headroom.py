"""`python -m distill_tui.training.headroom`: how the teacher and a baseline of words do on the same rows with gold.

A process of its own, because no front end imports what trains. JSON on standard input: `texts`, `gold` and `teacher`
(label numbers), `seed`; JSON on standard output: see `compare`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import numpy as np

from distill_tui.training.baseline import fit_baseline

FOLDS = 5


def compare(texts: Sequence[str], gold: Sequence[int], teacher: Sequence[int], seed: int) -> dict[str, int]:
    """Count on how many rows teacher, baseline and majority are right, and on how many only one of the first two is.

    The baseline answers for each fifth of the rows after it learned on the other four, so that no row is its own
    lesson.
    """
    truth, said = np.array(gold, dtype=np.int64), np.array(teacher, dtype=np.int64)
    fold = np.random.default_rng(seed).permutation(len(truth)) % FOLDS
    words = np.empty_like(truth)
    for each in range(FOLDS):
        known = np.where(fold == each, -1, truth)
        here = [int(at) for at in np.flatnonzero(fold == each)]
        words[here] = fit_baseline(texts, known, seed)([texts[at] for at in here])
    right, baseline = said == truth, words == truth
    return {
        "rows": len(truth),
        "teacher": int(right.sum()),
        "baseline": int(baseline.sum()),
        "majority": int(np.bincount(truth).max()),
        "only_teacher": int((right & ~baseline).sum()),
        "only_baseline": int((baseline & ~right).sum()),
    }


if __name__ == "__main__":
    given = json.load(sys.stdin)
    json.dump(compare(given["texts"], given["gold"], given["teacher"], given["seed"]), sys.stdout)

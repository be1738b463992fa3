"""`python -m distill_tui.training.headroom`: how the teacher and a baseline of words do on the same rows with gold.

A process of its own, because no front end imports what trains. JSON on standard input: `texts`, `gold` and `teacher`
(label numbers), `seed`, `of_answers` (a number stands for a text); JSON on standard output: see `compare`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import numpy as np

from distill_tui.training.baseline import fit_baseline, fit_nearest

FOLDS = 5


def compare(
    texts: Sequence[str], gold: Sequence[int], teacher: Sequence[int], seed: int, of_answers: bool = False
) -> dict[str, int]:
    """Count on how many rows teacher, baseline and majority are right, and on how many only one of the first two is.

    The baseline answers for each fifth of the rows after it learned on the other four, so that no row is its own
    lesson. Of answers that are texts it is the most alike row of these.
    """
    truth, said = np.array(gold, dtype=np.int64), np.array(teacher, dtype=np.int64)
    fold = np.random.default_rng(seed).permutation(len(truth)) % FOLDS
    words = np.empty_like(truth)
    for each in range(FOLDS):
        known = np.where(fold == each, -1, truth)
        here = [int(at) for at in np.flatnonzero(fold == each)]
        asked = [texts[at] for at in here]
        if of_answers:
            nearest = fit_nearest(texts, [None if number < 0 else str(number) for number in known])
            words[here] = [int(number) for number in nearest(asked)]
        else:
            words[here] = fit_baseline(texts, known, seed)(asked)
    right, baseline = said == truth, words == truth
    return {
        "rows": len(truth),
        "teacher": int(right.sum()),
        "baseline": int(baseline.sum()),
        "majority": int(np.bincount(truth).max()),
        "only_teacher": int((right & ~baseline).sum()),
        "only_baseline": int((baseline & ~right).sum()),
        "of_answers": int(of_answers),
    }


if __name__ == "__main__":
    given = json.load(sys.stdin)
    json.dump(compare(**given), sys.stdout)

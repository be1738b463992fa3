"""Two arms of one run (two seeds) trained one after the other, next to two processes at once.

    python benchmarks/arms.py [--rows 3000]

Each arm uses one torch thread. Start-up of the processes is counted, because a run would pay for it too. The weights
must be the same to the bit.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from pathlib import Path

import shared

# isort: split
import numpy as np

from distill_tui.digests import folder_digest
from distill_tui.spec import Spec
from distill_tui.training import classification
from distill_tui.training.examples import Examples
from distill_tui.training.loop import Places

KINDS = {"ngram": 10, "static": 10, "scratch": 3}  # and how many epochs


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--rows", type=int, default=3_000)
    rows = parser.parse_args().rows
    for kind, epochs in KINDS.items():
        specs = [
            Spec.from_mapping(
                {"student": kind, "epochs": epochs, "patience": epochs, "seed": seed, "threads": 1, "alpha": 0.0}
            )
            for seed in (7, 8)
        ]
        with tempfile.TemporaryDirectory() as name:
            began = time.perf_counter()
            alone = [trained(spec, Path(name) / f"{spec.seed}", rows) for spec in specs]
            one = time.perf_counter() - began
            began = time.perf_counter()
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                both = pool.starmap(trained, [(spec, Path(name) / f"both-{spec.seed}", rows) for spec in specs])
            two = time.perf_counter() - began
        same = "the same weights" if alone == both else "OTHER WEIGHTS"
        print(
            f"{kind:<8} {one:5.1f} s one after the other, {two:5.1f} s at once, {one / two:.2f} times as fast, {same}"
        )


def trained(spec: Spec, folder: Path, count: int) -> str:
    """Train a student on made texts; return the digest of its weights."""
    random = np.random.default_rng(1)
    words = [f"word{number}" for number in range(4_000)]
    labels = random.integers(0, 3, count)
    texts = [" ".join([f"label{label}", *random.choice(words, 24)]) for label in labels]
    rows = Examples(tuple(texts), labels, None, np.ones(count, dtype=np.float32))
    small = Examples(rows.inputs[:200], labels[:200], None, np.ones(200, dtype=np.float32))
    places = Places(None, folder / "checkpoints", folder / "student", None)
    for _ in classification.train(spec, ("a", "b", "c"), rows, small, places):
        pass
    return folder_digest(places.out)


if __name__ == "__main__":
    main()

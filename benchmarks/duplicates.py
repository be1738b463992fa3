"""Near duplicates at size: ours compared with datasketch and rensa, on the same rows in the same run.

    python benchmarks/duplicates.py [--rows 1000000] [--peer-rows 20000]

Rows are made of words of no language; one in twenty is followed by a copy with one of its twelve words changed, which
has a Jaccard similarity of about .7 and should be found. Each contestant works in a process of its own, one thread,
so that its memory is its own. Peers are given what they need for the same rule: 8-character shingles, 240 minima in
40 bands of 6, and union-find over what shares a band. A peer that is not installed is left out, and said so.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import shared

WORDS, LENGTH, COPIED = 20_000, 12, 0.05
Clusters = Sequence[int]


def rows(count: int, seed: int = 1) -> tuple[list[str], list[tuple[int, int]]]:
    """Return texts, and the pairs of them that are near duplicates by construction."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(WORDS)]
    texts: list[str] = []
    pairs: list[tuple[int, int]] = []
    while len(texts) < count:
        own = rng.choices(words, k=LENGTH)
        texts.append(" ".join(own))
        if rng.random() < COPIED and len(texts) < count:
            own[rng.randrange(LENGTH)] = rng.choice(words)
            pairs.append((len(texts) - 1, len(texts)))
            texts.append(" ".join(own))
    return texts, pairs


def ours(texts: list[str]) -> Clusters:
    from distill_tui.dataset.duplicates import near_duplicates

    return near_duplicates(texts)


def shingles(text: str) -> set[str]:
    return {text[at : at + 8] for at in range(max(1, len(text) - 7))}


def datasketch(texts: list[str]) -> Clusters:
    from datasketch import MinHash, MinHashLSH

    from distill_tui.dataset.duplicates import Together

    together, index = Together(len(texts)), MinHashLSH(num_perm=240, params=(40, 6))
    for at, text in enumerate(texts):
        minima = MinHash(num_perm=240)
        minima.update_batch([shingle.encode() for shingle in shingles(text)])
        for other in index.query(minima):
            together.join(other, at)
        index.insert(at, minima)
    return together.roots().tolist()


def rensa(texts: list[str]) -> Clusters:
    from rensa import RMinHash, RMinHashLSH

    from distill_tui.dataset.duplicates import Together

    together, index = Together(len(texts)), RMinHashLSH(threshold=0.5, num_perm=240, num_bands=40)
    for at, text in enumerate(texts):
        minima = RMinHash(num_perm=240, seed=1)
        minima.update(list(shingles(text)))
        for other in index.query(minima):
            together.join(other, at)
        index.insert(at, minima)
    return together.roots().tolist()


CONTESTANTS: dict[str, Callable[[list[str]], Clusters]] = {"ours": ours, "datasketch": datasketch, "rensa": rensa}


def measure(name: str, count: int) -> None:
    """Print what one contestant does: seconds, rows a second, peak memory above the rows', pairs found, false joins."""
    texts, pairs = rows(count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.perf_counter(), time.process_time()
    clusters = CONTESTANTS[name](texts)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = sum(clusters[one] == clusters[other] for one, other in pairs)
    false = (count - len(set(clusters))) - found
    print(
        f"{name:<11} {count:>9,} rows  {took:8.1f} s ({used:.1f} s CPU)  {count / used:>8,.0f} rows a CPU second"
        f"  peak {peak / 1e6:.2f} GB (rows alone {before / 1e6:.2f})"
        f"  found {found:,} of {len(pairs):,} copies ({found / max(1, len(pairs)):.1%}), {false:,} others joined",
        flush=True,
    )


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows for ours")
    parser.add_argument("--peer-rows", type=int, default=20_000, help="rows for all three, side by side")
    parser.add_argument("--only", choices=CONTESTANTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        measure(args.only, args.rows)
        return
    for name in CONTESTANTS:
        again(name, args.peer_rows)
    again("ours", args.rows)


def again(name: str, count: int) -> None:
    command = [sys.executable, __file__, "--only", name, "--rows", str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{name:<11} left out: {done.stderr.strip().splitlines()[-1]}")
    else:
        print(done.stdout, end="", flush=True)


if __name__ == "__main__":
    main()

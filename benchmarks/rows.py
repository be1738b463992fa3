"""A million rows: loading, filters and a search of `dataset/browse.py`, compared with pandas on the same file.

    python benchmarks/rows.py [--rows 1000000]

Both read the same Parquet file, leave the held-out rows out and answer the same questions; the answers are compared.
Each works in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shared

LABELS = ("bad", "fine", "good")
QUESTIONS = ("label", "segment and below .6", "search", "teacher against gold")


def write(path: Path, count: int) -> None:
    """Write a data set of so many rows, as `data build` would."""
    from distill_tui.dataset import frozen

    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(5_000)]
    about = {"labels": json.dumps(LABELS), "tally": "{}"}
    with pq.ParquetWriter(path, frozen.SCHEMA.with_metadata(about), compression="zstd") as writer:
        for start in range(0, count, 50_000):
            rows = [row(rng, words, number) for number in range(start, min(count, start + 50_000))]
            writer.write_table(pa.Table.from_pylist(rows, frozen.SCHEMA.with_metadata(about)))


def row(rng: random.Random, words: list[str], number: int) -> dict[str, Any]:
    shares = [rng.random() + 0.01 for _ in LABELS]
    shares = [share / sum(shares) for share in shares]
    split = "held-out" if number % 20 == 0 else "validation" if number % 20 == 1 else "train"
    return {
        "row": number,
        "input_digest": f"{number:064x}",
        "input": " ".join(rng.choices(words, k=12)),
        "gold": LABELS[rng.randrange(3)],
        "segment": f"s{number % 7}",
        "group": None,
        "split": split,
        "weight": 1.0,
        "teacher_output": LABELS[shares.index(max(shares))],
        "teacher_probabilities": shares,
    }


def ours(path: Path) -> tuple[Any, list[Callable[[], int]]]:
    from distill_tui.dataset.browse import Filter, OpenRows

    rows = OpenRows(path)
    wanted = [Filter(label="good"), Filter(segment="s3", below=0.6), Filter(search="abc"), Filter(conflicts="teacher")]
    return rows, [lambda each=each: len(rows.find(each)) for each in wanted]  # type: ignore[misc]


def pandas(path: Path) -> tuple[Any, list[Callable[[], int]]]:
    import pandas

    rows = pandas.read_parquet(path)
    rows = rows[rows["split"] != "held-out"]
    sure = rows["teacher_probabilities"].map(max)
    return rows, [
        lambda: int((rows["gold"].fillna(rows["teacher_output"]) == "good").sum()),
        lambda: int(((rows["segment"] == "s3") & (sure < 0.6)).sum()),
        lambda: int(rows["input"].str.contains("abc", case=False, regex=False).sum()),
        lambda: int((rows["gold"] != rows["teacher_output"]).sum()),
    ]


def measure(name: str, path: Path) -> None:
    began = time.perf_counter()
    rows, questions = {"ours": ours, "pandas": pandas}[name](path)
    loaded = time.perf_counter() - began
    told = []
    for what, ask in zip(QUESTIONS, questions, strict=True):
        began = time.perf_counter()
        found = ask()
        told.append(f"{what} {1000 * (time.perf_counter() - began):,.0f} ms ({found:,})")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{name:<7} {len(rows):,} rows: load {loaded:.1f} s; {'; '.join(told)}; peak {peak:.2f} GB", flush=True)


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("ours", "pandas"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        measure(args.only, args.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.parquet"
        write(path, args.rows)
        for name in ("ours", "pandas"):
            subprocess.run([sys.executable, __file__, "--only", name, "--file", str(path)], check=True)


if __name__ == "__main__":
    main()

"""What the ladder reaches on real text, three seeds, with controls for each student.

    python benchmarks/headline.py CACHE [--task sentiment] [--rows 0] [--seeds 3] [--gold 2500] [--held-out 4000]
    python benchmarks/headline.py CACHE --task spam --gold 300 --held-out 1500

`sentiment` is vader_rated in full, a hard task; `spam` is the SpamAssassin corpus (see spam_mails.py), an easy one.

CACHE keeps the texts (fetched once, see sample_projects/feedback_sentiment), the teacher and its outputs, and one line
of results.jsonl for each student, so that a run that is stopped goes on where it was. It is heavy: about an hour for
each seed on one slow core; run it with `nice`. `--report` trains nothing: it prints what is there and, on a machine
that has grown quiet, times the kept students next to the teacher once more.

The teacher is the sample's (MiniLM with its upper layers trained on 4,000 rows, none of which comes back). Few rows
have gold, as in production: `--gold` of the training rows, and all held-out rows. Three arms train the same student:
`distilled` (soft labels and what gold there is), `hard` (gold where there is gold, else the teacher's answer) and
`gold` (the rows with gold only: no teacher). Each is judged in the form that ships, 8-bit ONNX or n-grams.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import shared

# isort: split
import fetch
import numpy as np
import spam_mails
import teacher as sample_teacher

from distill_tui.dataset.duplicates import Together, near_duplicates
from distill_tui.dataset.row_identity import input_digest
from distill_tui.spec import Spec
from distill_tui.terms import Export, StudentKind
from distill_tui.training import classification, ladder, measure, predict
from distill_tui.training.classification import Examples
from distill_tui.training.loop import Places

TASKS: dict[str, Any] = {"sentiment": fetch, "spam": spam_mails}
TEACHER_ROWS = {"sentiment": 4_000, "spam": 1_500}
VALIDATION = {"sentiment": 1_000, "spam": 500}
RUNGS = "ngram, static, layers 0 2 4 5"
ARMS = ("distilled", "gold", "hard")
RESAMPLES = 1_000


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--task", choices=TASKS, default="sentiment")
    parser.add_argument("--rows", type=int, default=0, help="rows besides the teacher's; 0: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--gold", type=int, default=2_500, help="training rows that have gold")
    parser.add_argument("--held-out", type=int, default=4_000)
    parser.add_argument("--rungs", default=RUNGS)
    parser.add_argument("--report", action="store_true", help="train nothing; time and print what is there")
    options = parser.parse_args()
    splits, teacher = prepared(options)
    results = options.cache / f"results-{options.rows}-{options.held_out}-{options.gold}.jsonl"
    if not options.report:
        run(options, splits, teacher, results)
    report(results, splits["held_out"])
    timed(options.cache, splits["held_out"], teacher)


# --- data -------------------------------------------------------------------------------------------------------------


def prepared(options: argparse.Namespace) -> tuple[dict[str, dict[str, Any]], Path]:
    """Fetch, split by group and near duplicate, make the teacher, and have it answer every row: (splits, teacher)."""
    cache, task = options.cache, TASKS[options.task]
    path = task.fetch(cache, print)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    first, rest = divided(rows, TEACHER_ROWS[options.task])
    teacher = cache / "teacher"
    if not teacher.exists():
        sample_teacher.make_teacher(first, teacher, threads=1, labels=task.LABELS)
    rest = shuffled(rest[: options.rows] if options.rows else rest)
    soft = answers(cache, teacher, rest)
    one, two = (whole(rest, options.held_out + more) for more in (0, VALIDATION[options.task]))
    parts = {"held_out": slice(0, one), "validation": slice(one, two), "train": slice(two, None)}
    numbers = {label: number for number, label in enumerate(task.LABELS)}
    gold = np.array([numbers[row["gold"]] for row in rest], dtype=np.int64)
    return {name: {"rows": rest[part], "soft": soft[part], "gold": gold[part]} for name, part in parts.items()}, teacher


def divided(rows: list[dict[str, Any]], count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Take the sample's teacher rows, and of the rest each text once that shares no text and no group with them."""
    chosen = sorted(rows, key=lambda row: input_digest(f"sample {row['group'] or row['input']}"))
    teacher, rest = chosen[:count], chosen[count:]
    seen = {row["group"] for row in teacher if row["group"]} | {input_digest(row["input"]) for row in teacher}
    fresh = {input_digest(row["input"]): row for row in rest if row["group"] not in seen}
    return teacher, [row for digest, row in fresh.items() if digest not in seen]


def shuffled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Order rows by chance, but with all of a group, and all near duplicates, side by side."""
    together = Together(len(rows))
    together.join_equal(row["group"] for row in rows)
    together.join_equal(near_duplicates([row["input"] for row in rows]))
    keys = [input_digest(f"headline {rows[together.root(at)]['input']}") for at in range(len(rows))]
    for row, key in zip(rows, keys, strict=True):
        row["key"] = key
    return [rows[at] for at in sorted(range(len(rows)), key=lambda at: keys[at])]


def whole(rows: list[dict[str, Any]], count: int) -> int:
    """Move a cut on to where no group is cut."""
    while count < len(rows) and rows[count]["key"] == rows[count - 1]["key"]:
        count += 1
    return count


def answers(cache: Path, teacher: Path, rows: list[dict[str, Any]]) -> np.ndarray:
    """Return the teacher's probabilities of every row, asked once."""
    kept = cache / f"answers-{len(rows)}.npy"
    if not kept.exists():
        print(f"the teacher answers {len(rows):,} rows", flush=True)
        started = time.monotonic()
        np.save(kept, predict.probabilities(teacher, [row["input"] for row in rows], threads=1))
        print(f"  {len(rows) / (time.monotonic() - started):.0f} rows/s", flush=True)
    return np.load(kept)


def examples(split: dict[str, Any], arm: str, gold: int) -> Examples:
    """Return the training rows as an arm sees them; the first `gold` rows have gold."""
    truth = split["gold"]
    known = np.where(np.arange(len(truth)) < gold, truth, -1)
    labels = np.where(known >= 0, known, split["soft"].argmax(axis=1)) if arm == "hard" else known
    texts = tuple(row["input"] for row in split["rows"])
    soft = split["soft"].astype(np.float32) if arm == "distilled" else None
    return Examples(texts, labels, soft, np.ones(len(texts), dtype=np.float32))


# --- training ---------------------------------------------------------------------------------------------------------


def run(options: argparse.Namespace, splits: dict[str, dict[str, Any]], teacher: Path, results: Path) -> None:
    """Train and judge every student that is not in the results yet, the cheap rungs of all seeds first."""
    done = {(line["rung"], line["arm"], line["seed"]) for line in lines(results)}
    base = Spec.from_mapping({"ladder": options.rungs})
    for rung in base.rungs():
        for arm in ARMS:
            for seed in range(options.seeds):
                if (rung.rung, arm, seed) not in done:
                    spec = replace(rung, seed=seed, export=Export.ONNX_INT8, alpha=rung.alpha * (arm == "distilled"))
                    line = {"rung": rung.rung, "arm": arm, "seed": seed}
                    line |= judged(spec, arm, options, splits, teacher)
                    with results.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                    print({name: line[name] for name in ("rung", "arm", "seed", "macro_f1", "seconds")}, flush=True)


def judged(
    spec: Spec, arm: str, options: argparse.Namespace, splits: dict[str, dict[str, Any]], teacher: Path
) -> dict[str, Any]:
    """Train one student, export it, and ask and time it, and the teacher next to it."""
    place = options.cache / "students" / f"{spec.rung.replace(' ', '-')}-{arm}-{spec.seed}"
    shutil.rmtree(place, ignore_errors=True)
    started = time.monotonic()
    for _ in classification.train(
        spec,
        TASKS[options.task].LABELS,
        examples(splits["train"], arm, options.gold),
        examples(splits["validation"], "distilled", len(splits["validation"]["rows"])),
        Places(None if spec.student is StudentKind.NGRAM else teacher, place / "checkpoints", place / "student"),
    ):
        pass
    took = time.monotonic() - started
    shipped = ladder.ship(place / "student", spec, place / "shipped")
    shutil.rmtree(place / "checkpoints", ignore_errors=True)
    texts = [row["input"] for row in splits["held_out"]["rows"]]
    said = predict.probabilities(shipped, texts, threads=1).argmax(axis=1)
    parameters, size = measure.size(shipped)
    return {
        "macro_f1": macro_f1(splits["held_out"]["gold"], said),
        "seconds": round(took, 1),
        "parameters": parameters,
        "bytes": size,
        "said": said.tolist(),
        **{f"{name}_us": times.tolist() for name, times in times_of(shipped, teacher, texts).items()},
    }


def times_of(shipped: Path, teacher: Path, texts: list[str]) -> dict[str, np.ndarray]:
    """Time a student and the teacher one after the other at batch 1: p50, p95 and p99 in microseconds."""
    asked = (("student", shipped, 200), ("teacher", teacher, 60))
    runs = {name: measure.latencies(folder, texts, runs=3, per_run=count) for name, folder, count in asked}
    return {name: np.quantile([t for run in each for t in run], [0.5, 0.95, 0.99]) for name, each in runs.items()}


# --- figures ----------------------------------------------------------------------------------------------------------


def macro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    """Return the mean of the labels' F1, over the labels that the gold has."""
    scores = []
    for label in np.unique(truth):
        hits = np.sum((truth == label) & (said == label))
        scores.append(2 * hits / max(1, np.sum(truth == label) + np.sum(said == label)))
    return float(np.mean(scores))


def report(results: Path, held_out: dict[str, Any]) -> None:
    """Print every rung: its arms, what share of the teacher it keeps, its worst segment, its speed."""
    found = list(lines(results))
    truth, teacher = held_out["gold"], held_out["soft"].argmax(axis=1)
    segments = np.array([row["segment"] for row in held_out["rows"]])
    keys = np.unique([row["key"] for row in held_out["rows"]], return_inverse=True)[1]
    print(
        f"\n{len(truth):,} held-out rows in {keys.max() + 1:,} groups; teacher macro-F1 {macro_f1(truth, teacher):.3f}"
    )
    print(f"machine: {measure.machine(1)}")
    for rung in dict.fromkeys(line["rung"] for line in found):
        mine = {arm: [np.array(x["said"]) for x in found if (x["rung"], x["arm"]) == (rung, arm)] for arm in ARMS}
        print(f"\n{rung}")
        for arm, said in mine.items():
            if said:
                scores = [macro_f1(truth, each) for each in said]
                lines_of = [x for x in found if (x["rung"], x["arm"]) == (rung, arm)]
                print(
                    f"  {arm:10} macro-F1 {np.mean(scores):.3f} over {len(scores)} seeds "
                    f"({', '.join(f'{score:.3f}' for score in scores)}), "
                    f"trained in {np.mean([x['seconds'] for x in lines_of]):.0f} s"
                )
        if not mine["distilled"]:
            continue
        kept = bootstrap(keys, lambda at, s=mine["distilled"]: mean_f1(truth, s, at) / macro_f1(truth[at], teacher[at]))
        trails = bootstrap(
            keys, lambda at, s=mine["distilled"]: macro_f1(truth[at], teacher[at]) - mean_f1(truth, s, at)
        )
        print(f"  keeps {shown(kept, 100)}% of the teacher's macro-F1; trails it by {shown(trails, 100)} points")
        for arm in ARMS[1:]:
            if mine[arm]:
                lead = bootstrap(
                    keys, lambda at, s=mine["distilled"], o=mine[arm]: mean_f1(truth, s, at) - mean_f1(truth, o, at)
                )
                print(f"  leads {arm} by {shown(lead, 100)} points")
        worst = {
            str(name): mean_f1(truth, mine["distilled"], np.flatnonzero(segments == name))
            / macro_f1(truth[segments == name], teacher[segments == name])
            for name in np.unique(segments)
        }
        print(
            "  of the teacher's, by segment: "
            + ", ".join(f"{name} {100 * share:.1f}%" for name, share in worst.items())
        )
        speed(found, rung)


def speed(found: list[dict[str, Any]], rung: str) -> None:
    """Print the median of the seeds' latencies, each timed next to the teacher in the same minute."""
    mine = [line for line in found if (line["rung"], line["arm"]) == (rung, "distilled")]
    student, teacher = (
        np.median([line[f"{name}_us"] for line in mine], axis=0) / 1000 for name in ("student", "teacher")
    )
    ratio = np.median([line["teacher_us"][0] / line["student_us"][0] for line in mine])
    words = " / ".join(f"{ms:.2f}" for ms in student)
    print(
        f"  batch-1 p50/p95/p99 {words} ms, teacher {' / '.join(f'{ms:.1f}' for ms in teacher)} ms: {ratio:.0f} times "
        f"faster at p50; {mine[0]['parameters']:,} parameters, {mine[0]['bytes'] / 1e6:.1f} MB"
    )


def timed(cache: Path, held_out: dict[str, Any], teacher: Path) -> None:
    """Time each rung's first distilled student, as it ships, next to the teacher, all in this run."""
    texts = [row["input"] for row in held_out["rows"]]
    print("\ntimed now, one thread, batch 1, p50/p95/p99 in ms:")
    for place in sorted((cache / "students").glob("*-distilled-0")):
        shipped = place / "shipped" if (place / "shipped").exists() else place / "student"  # n-grams ship as they are
        student, own = (times / 1000 for times in times_of(shipped, teacher, texts).values())
        print(
            f"  {place.name:28} {' / '.join(f'{ms:.2f}' for ms in student)}, teacher "
            f"{' / '.join(f'{ms:.1f}' for ms in own)}: {own[0] / student[0]:.0f} times faster at p50"
        )


def mean_f1(truth: np.ndarray, said: list[np.ndarray], at: np.ndarray) -> float:
    return float(np.mean([macro_f1(truth[at], each[at]) for each in said]))


def bootstrap(keys: np.ndarray, figure: Any) -> tuple[float, float, float]:
    """Return a figure with its 95% percentile interval over whole groups of rows."""
    random, members = np.random.default_rng(1), [np.flatnonzero(keys == key) for key in range(keys.max() + 1)]
    drawn = [
        figure(np.concatenate([members[key] for key in random.integers(0, len(members), len(members))]))
        for _ in range(RESAMPLES)
    ]
    return figure(np.arange(len(keys))), *np.quantile(drawn, [0.025, 0.975])


def shown(figures: tuple[float, float, float], times: float) -> str:
    return "{:.1f} ({:.1f} to {:.1f})".format(*(times * each for each in figures))


def lines(results: Path) -> Iterator[dict[str, Any]]:
    if results.exists():
        yield from (json.loads(line) for line in results.read_text().splitlines())


if __name__ == "__main__":
    main()

"""What the ladder reaches on real text, three seeds, with controls for each student.

    python benchmarks/headline.py CACHE [--task sentiment] [--rows 0] [--seeds 3] [--gold 2500] [--held-out 4000]
    python benchmarks/headline.py CACHE --task spam --gold 300 --held-out 1500
    python benchmarks/headline.py CACHE --task intents --data FOLDER --rungs "ngram, static" --gold 0 --model2vec 256 32

`sentiment` is vader_rated in full, a hard task; `spam` is the SpamAssassin corpus (see spam_mails.py), an easy one;
`intents` has 77 labels (see intents.py). `--model2vec` trains that package's classifier with so many columns too, on
the same rows in the same run, in an environment of its own.

CACHE keeps the texts (fetched once, see sample_projects/feedback_sentiment), the teacher and its outputs, and one line
of results.jsonl for each student, so that a run that is stopped goes on where it was. It is heavy: about an hour for
each seed on one slow core; run it with `nice`. `--report` trains nothing: it prints what is there and, on a machine
that has grown quiet, times the kept students next to the teacher once more.

The teacher is the sample's (MiniLM with its upper layers trained on 4,000 rows, none of which comes back). Few rows
have gold, as in production: `--gold` of the training rows, and all held-out rows. Three arms train the same student:
`distilled` (soft labels and what gold there is), `hard` (gold where there is gold, else the teacher's answer) and
`gold` (the rows with gold only: no teacher). Each is calibrated on a third of the validation rows, as in a project, and
judged in the form that ships, 8-bit ONNX or n-grams. Frozen students start from MiniLM as it is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import shared

# isort: split
import addresses
import fetch
import intents
import numpy as np
import spam_mails
import teacher as sample_teacher

from distill_tui.dataset.duplicates import Together, near_duplicates
from distill_tui.dataset.row_identity import input_digest
from distill_tui.spec import STUDENTS, Spec
from distill_tui.terms import Control, Export, StudentKind
from distill_tui.training import ladder, measure, predict
from distill_tui.training.classification import LabelRows
from distill_tui.training.examples import Examples
from distill_tui.training.loop import Places

TASKS: dict[str, Any] = {"sentiment": fetch, "spam": spam_mails}
TEACHER_ROWS = {"sentiment": 4_000, "spam": 1_500}
VALIDATION = {"sentiment": 1_000, "spam": 500}
RUNGS = "ngram, static, frozen, layers 0 2 4 5"
ARMS = ("distilled", "gold", "hard")
RESAMPLES = 1_000
COVERAGES = (0.9, 0.8, 0.5)  # shares of the held-out rows that a student answers by itself, the surest first
BINS = 10  # of the calibration error, of equally many rows
MODEL2VEC = ("model2vec==0.10.0", "skeletoken==0.6.0", "protobuf")


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--task", choices=(*TASKS, "intents"), default="sentiment")
    parser.add_argument("--data", type=Path, help="of the task intents: the folder of its two files")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--model2vec", type=int, nargs="*", default=[], metavar="COLUMNS")
    parser.add_argument("--rows", type=int, default=0, help="rows besides the teacher's; 0: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="so that two processes can train a seed each")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="over each rung's recipe")
    parser.add_argument("--gold", type=int, default=2_500, help="training rows that have gold")
    parser.add_argument("--held-out", type=int, default=4_000)
    parser.add_argument("--rungs", default=RUNGS)
    parser.add_argument("--report", action="store_true", help="train nothing; time and print what is there")
    options = parser.parse_args()
    splits, teacher, labels = prepared(options)
    results = options.cache / f"results-{options.rows}-{options.held_out}-{options.gold}.jsonl"
    if not options.report:
        run(options, splits, teacher, labels, results)
        for columns in options.model2vec:
            run_peer(options, splits, columns, len(labels), results)
    report(results, splits["held_out"])
    timed(options.cache, splits["held_out"], teacher)


# --- data -------------------------------------------------------------------------------------------------------------


def prepared(options: argparse.Namespace) -> tuple[dict[str, dict[str, Any]], Path, tuple[str, ...]]:
    """Fetch, split by group and near duplicate, make the teacher, and have it answer: (splits, teacher, labels)."""
    cache = options.cache
    if options.task == "intents":
        cache.mkdir(parents=True, exist_ok=True)
        return intents.prepared(cache, options.data, addresses.encoder())
    task = TASKS[options.task]
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
    splits = {name: {"rows": rest[part], "soft": soft[part], "gold": gold[part]} for name, part in parts.items()}
    return splits, teacher, task.LABELS


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


def run(
    options: argparse.Namespace,
    splits: dict[str, dict[str, Any]],
    teacher: Path,
    labels: tuple[str, ...],
    results: Path,
) -> None:
    """Train and judge every student that is not in the results yet, the cheap rungs of all seeds first."""
    base = Spec.from_mapping({"ladder": options.rungs, "folder": "minilm"})
    changed = dict(each.split("=", 1) for each in options.set)
    of = Spec.from_mapping({"folder": "minilm", **changed})
    arms = [arm for arm in options.arms.split(",") if options.gold or arm != "gold"]
    for recipe in base.rungs():
        rung = replace(recipe, **{name: getattr(of, name) for name in changed})
        name = " ".join([rung.rung, *options.set])
        for arm in arms:
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                if not is_done(results, name, arm, seed):
                    of_arm = rung if arm == "distilled" else rung.control(Control(arm))
                    spec = replace(of_arm, seed=seed, export=Export.ONNX_INT8)
                    line = {"rung": name, "arm": arm, "seed": seed}
                    note(results, line | judged(spec, line, options, splits, teacher, labels))


def is_done(results: Path, rung: str, arm: str, seed: int) -> bool:
    return any((line["rung"], line["arm"], line["seed"]) == (rung, arm, seed) for line in lines(results))


def note(results: Path, line: dict[str, Any]) -> None:
    with results.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print({name: line[name] for name in ("rung", "arm", "seed", "accuracy", "macro_f1", "seconds")}, flush=True)


def judged(
    spec: Spec,
    line: dict[str, Any],
    options: argparse.Namespace,
    splits: dict[str, dict[str, Any]],
    teacher: Path,
    labels: tuple[str, ...],
) -> dict[str, Any]:
    """Train one student, calibrate and export it, and ask and time it, and the teacher next to it."""
    arm = line["arm"]
    place = options.cache / "students" / f"{line['rung'].replace(' ', '-')}-{arm}-{spec.seed}"
    shutil.rmtree(place, ignore_errors=True)
    started = time.monotonic()
    recorded = options.task == "intents"
    start = addresses.encoder() if STUDENTS[spec.student].needs_folder or recorded else None
    local = None if recorded or spec.student in (StudentKind.NGRAM, StudentKind.FROZEN) else teacher
    takes = start if STUDENTS[spec.student].takes_folder else None
    places = Places(local, place / "checkpoints", place / "student", takes, options.cache / "shared")
    training = examples(splits["train"], arm, options.gold)
    ahead = splits["validation"]
    validation = examples(ahead, "distilled", len(ahead["rows"]) if options.gold else 0)
    said = ahead["soft"].argmax(axis=1)
    truth = ahead["gold"] if options.gold else said
    rows = LabelRows(labels, training, dict.fromkeys(Control, training), validation, truth, said, bool(options.gold))
    for _ in rows.train(spec, training, places):
        pass
    took = time.monotonic() - started
    shipped = ladder.ship(place / "student", spec, place / "shipped")
    shutil.rmtree(place / "checkpoints", ignore_errors=True)
    texts = [row["input"] for row in splits["held_out"]["rows"]]
    raw = predict.probabilities(place / "uncalibrated", texts, threads=1)
    parameters, size = measure.size(shipped)
    return {
        **figures(splits["held_out"], predict.probabilities(shipped, texts, threads=1)),
        "raw": [round(float(each), 4) for each in raw.max(axis=1)],
        "seconds": round(took, 1),
        "parameters": parameters,
        "bytes": size,
        **{f"{name}_us": times.tolist() for name, times in times_of(shipped, teacher, texts).items()},
    }


def figures(held_out: dict[str, Any], shares: np.ndarray) -> dict[str, Any]:
    """Return what a student said to the held-out rows, how sure it was, and its accuracy and macro-F1."""
    said = shares.argmax(axis=1)
    return {
        "accuracy": float((said == held_out["gold"]).mean()),
        "macro_f1": macro_f1(held_out["gold"], said),
        "said": said.tolist(),
        "sure": [round(float(each), 4) for each in shares.max(axis=1)],
    }


def run_peer(
    options: argparse.Namespace, splits: dict[str, dict[str, Any]], columns: int, classes: int, results: Path
) -> None:
    """Train and judge model2vec's classifier with every seed, on the teacher's labels of the same rows."""
    python = shared.environment("model2vec", ["--no-deps", *MODEL2VEC], ours=True) / "bin" / "python"
    texts = {name: [row["input"] for row in split["rows"]] for name, split in splits.items()}
    arms = {"hard": examples(splits["train"], "hard", options.gold).labels, "gold": splits["train"]["gold"]}
    said = splits["validation"]["soft"].argmax(axis=1)
    for arm, labels in arms.items():
        rows = options.gold if arm == "gold" else len(labels)
        for seed in range(options.seeds):
            if not rows or is_done(results, f"model2vec {columns}", arm, seed):
                continue
            out = options.cache / "students" / f"model2vec-{columns}-{arm}-{seed}"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            job = {
                "encoder": str(addresses.encoder()), "base": str(options.cache / f"model2vec-{columns}"),
                "columns": columns, "seed": seed, "out": str(out), "classes": classes, "held_out": texts["held_out"],
                "train": texts["train"][:rows], "labels": [str(each) for each in labels[:rows]],
                "validation": texts["validation"],
                "validation_labels": [str(each) for each in (splits["validation"]["gold"] if options.gold else said)],
            }  # fmt: skip
            file = out / "job.json"
            file.write_text(json.dumps(job))
            done = subprocess.run(
                [str(python), str(Path(__file__).with_name("model2vec_peer.py")), str(file)],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                sys.exit(f"model2vec failed: {done.stderr[-2000:]}")
            file.unlink()
            found = json.loads(done.stdout.splitlines()[-1])
            line = {"rung": f"model2vec {columns}", "arm": arm, "seed": seed, "student_us": found.pop("us")}
            shares = np.load(out / "shares.npy")
            sure = [round(float(each), 4) for each in shares.max(axis=1)]
            note(results, line | figures(splits["held_out"], shares) | {"raw": sure} | found)


def times_of(shipped: Path, teacher: Path, texts: list[str]) -> dict[str, np.ndarray]:
    """Time a student and the teacher one after the other at batch 1: p50, p95 and p99 in microseconds."""
    asked = (("student", shipped, 200), ("teacher", teacher, 60))
    runs = {name: measure.latencies(folder, texts, runs=3, per_run=count) for name, folder, count in asked}
    return {name: np.quantile([t for run in each for t in run], [0.5, 0.95, 0.99]) for name, each in runs.items()}


# --- figures ----------------------------------------------------------------------------------------------------------


def macro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    """Return the mean of the labels' F1, over the labels that the gold has."""
    most = int(max(truth.max(), said.max())) + 1
    gold, guessed, hits = (np.bincount(each, minlength=most) for each in (truth, said, truth[truth == said]))
    there = gold > 0
    return float((2 * hits[there] / (gold + guessed)[there]).mean())


def report(results: Path, held_out: dict[str, Any]) -> None:
    """Print every rung: its arms, what share of the teacher it keeps, its worst segment, its speed, its confidence."""
    found = list(lines(results))
    truth, teacher = held_out["gold"], held_out["soft"].argmax(axis=1)
    keys = np.unique([row["key"] for row in held_out["rows"]], return_inverse=True)[1]
    print(
        f"\n{len(truth):,} held-out rows in {keys.max() + 1:,} groups; "
        f"teacher accuracy {(truth == teacher).mean():.4f}, macro-F1 {macro_f1(truth, teacher):.3f}"
    )
    print(f"machine: {measure.machine(1)}")
    for rung in dict.fromkeys(line["rung"] for line in found):
        report_rung(rung, [line for line in found if line["rung"] == rung], held_out, keys)
    against_peers(found, held_out, keys)


def report_rung(rung: str, found: list[dict[str, Any]], held_out: dict[str, Any], keys: np.ndarray) -> None:
    truth, teacher = held_out["gold"], held_out["soft"].argmax(axis=1)
    mine = {arm: [np.array(line["said"]) for line in found if line["arm"] == arm] for arm in ARMS}
    print(f"\n{rung}")
    for arm, said in mine.items():
        of = [line for line in found if line["arm"] == arm]
        if said:
            scores = [macro_f1(truth, each) for each in said]
            print(
                f"  {arm:10} macro-F1 {np.mean(scores):.3f} ({', '.join(f'{score:.3f}' for score in scores)}), "
                f"accuracy {np.mean([(truth == each).mean() for each in said]):.4f}, "
                f"trained in {np.mean([line['seconds'] for line in of]):.0f} s; {confidence(of, truth)}"
            )
    speed(found, rung)
    ours = mine["distilled"]
    if not ours:
        return
    kept = bootstrap(keys, lambda at: mean_f1(truth, ours, at) / macro_f1(truth[at], teacher[at]))
    trails = bootstrap(keys, lambda at: macro_f1(truth[at], teacher[at]) - mean_f1(truth, ours, at))
    print(f"  keeps {shown(kept, 100)}% of the teacher's macro-F1; trails it by {shown(trails, 100)} points")
    for arm in ARMS[1:]:
        if mine[arm]:
            lead = bootstrap(keys, lambda at, o=mine[arm]: mean_f1(truth, ours, at) - mean_f1(truth, o, at))
            print(f"  leads {arm} by {shown(lead, 100)} points of macro-F1")
            soft_worth(found, arm, truth, keys)
    segments = np.array([row["segment"] for row in held_out["rows"]])
    shares = []
    for name in np.unique(segments):
        at = np.flatnonzero(segments == name)
        shares.append(f"{name} {100 * mean_f1(truth, ours, at) / macro_f1(truth[at], teacher[at]):.1f}%")
    print(f"  of the teacher's, by segment: {', '.join(shares)}")


def confidence(found: list[dict[str, Any]], truth: np.ndarray) -> str:
    """Word the calibration error before and after calibration, and the accuracy of the surest rows."""
    right = [np.array(line["said"]) == truth for line in found]
    errors = [
        100 * np.mean([calibration_error(np.array(line[of]), each) for line, each in zip(found, right, strict=True)])
        for of in ("raw", "sure")
    ]
    surest = [
        100 * np.mean([selective(np.array(line["sure"]), each, share) for line, each in zip(found, right, strict=True)])
        for share in COVERAGES
    ]
    named = ", ".join(f"{share:.0%} {score:.1f}" for share, score in zip(COVERAGES, surest, strict=True))
    return f"confidence off by {errors[0]:.1f} points, calibrated {errors[1]:.1f}; accuracy of the surest {named}"


def soft_worth(found: list[dict[str, Any]], arm: str, truth: np.ndarray, keys: np.ndarray) -> None:
    """Print what the distilled student is ahead of another arm in, besides macro-F1; each as a mean over the seeds."""
    of = {name: [line for line in found if line["arm"] == name] for name in ("distilled", arm)}
    columns = {
        name: [tuple(np.array(line[column]) for column in ("said", "raw", "sure")) for line in each]
        for name, each in of.items()
    }

    def lead(score: Any) -> tuple[float, float, float]:
        return bootstrap(
            keys,
            lambda at: (
                np.mean([score(at, *each) for each in columns["distilled"]])
                - np.mean([score(at, *each) for each in columns[arm]])
            ),
        )

    words = [f"accuracy {shown(lead(lambda at, said, raw, sure: (said[at] == truth[at]).mean()), 100)}"]
    for name, of_column in (("calibration error", 1), ("calibrated", 2)):
        found_ = lead(lambda at, *each, c=of_column: calibration_error(each[c][at], each[0][at] == truth[at]))
        words.append(f"{name} {shown(found_, 100)}")
    for share in COVERAGES:
        found_ = lead(lambda at, said, raw, sure, s=share: selective(sure[at], said[at] == truth[at], s))
        words.append(f"accuracy of the surest {share:.0%} {shown(found_, 100)}")
    print(f"    distilled minus {arm}, points: {'; '.join(words)}")


def calibration_error(sure: np.ndarray, right: np.ndarray) -> float:
    """Return the mean distance of confidence and share right, over bins of equally many rows, least sure first."""
    order = np.argsort(sure, kind="stable")
    return float(
        sum(abs(sure[some].mean() - right[some].mean()) * len(some) for some in np.array_split(order, BINS))
        / len(order)
    )


def selective(sure: np.ndarray, right: np.ndarray, share: float) -> float:
    """Return the accuracy of the rows that a student is surest of, so many of all."""
    return float(right[np.argsort(-sure, kind="stable")[: round(share * len(sure))]].mean())


def against_peers(found: list[dict[str, Any]], held_out: dict[str, Any], keys: np.ndarray) -> None:
    """Print how each of our rungs stands to each peer's arm on the same rows, in accuracy and macro-F1."""
    truth = held_out["gold"]
    said: dict[tuple[str, str], list[np.ndarray]] = {}
    for line in found:
        said.setdefault((line["rung"], line["arm"]), []).append(np.array(line["said"]))
    peers = [key for key in said if key[0].startswith("model2vec")]
    ours = [key for key in said if key not in peers and key[1] != "gold"]
    for mine, peer in ((mine, peer) for mine in ours for peer in peers):
        leads = [
            shown(
                bootstrap(keys, lambda at, f=score, m=mine, p=peer: f(truth, said[m], at) - f(truth, said[p], at)), 100
            )
            for score in (mean_accuracy, mean_f1)
        ]
        print(f"{' '.join(mine)} minus {' '.join(peer)}, points: accuracy {leads[0]}, macro-F1 {leads[1]}")


def speed(found: list[dict[str, Any]], rung: str) -> None:
    """Print the median of the seeds' latencies, each timed next to the teacher in the same minute, and the size."""
    size = f"{found[0]['parameters']:,} parameters, {found[0]['bytes'] / 1e6:.1f} MB"
    student = np.median([line["student_us"] for line in found], axis=0) / 1000
    words = f"  batch-1 p50/p95/p99 {' / '.join(f'{ms:.2f}' for ms in student)} ms"
    timed_both = [line for line in found if "teacher_us" in line]
    if timed_both:
        teacher = np.median([line["teacher_us"] for line in timed_both], axis=0) / 1000
        ratio = np.median([line["teacher_us"][0] / line["student_us"][0] for line in timed_both])
        words += f", teacher {' / '.join(f'{ms:.1f}' for ms in teacher)} ms: {ratio:.0f} times faster at p50"
    print(f"{words}; {size}")


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


def mean_accuracy(truth: np.ndarray, said: list[np.ndarray], at: np.ndarray) -> float:
    return float(np.mean([(truth[at] == each[at]).mean() for each in said]))


def bootstrap(keys: np.ndarray, figure: Any) -> tuple[float, float, float]:
    """Return a figure with its 95% percentile interval over whole groups of rows."""
    drawn = [figure(at) for at in draws(keys.tobytes())]
    return figure(np.arange(len(keys))), *np.quantile(drawn, [0.025, 0.975])


@cache
def draws(keys: bytes) -> list[np.ndarray]:
    """Draw whole groups of rows, as often as there are groups: the rows of each draw."""
    random, of = np.random.default_rng(1), np.frombuffer(keys, dtype=np.int64)
    members = [np.flatnonzero(of == key) for key in range(of.max() + 1)]
    return [
        np.concatenate([members[key] for key in random.integers(0, len(members), len(members))])
        for _ in range(RESAMPLES)
    ]


def shown(figures: tuple[float, float, float], times: float) -> str:
    return "{:.1f} ({:.1f} to {:.1f})".format(*(times * each for each in figures))


def lines(results: Path) -> Iterator[dict[str, Any]]:
    if results.exists():
        yield from (json.loads(line) for line in results.read_text().splitlines())


if __name__ == "__main__":
    main()

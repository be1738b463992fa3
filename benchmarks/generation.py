"""How fast generating students learn and answer, compared with transformers' Trainer and pipeline.

    python benchmarks/generation.py [--rows 1000] [--epochs 2] [--threads 1] [--rounds 3] [--taught 2000]

The same students of random weights, rows (made-up addresses and their parts), threads and optimizer, in one process and
in turn, so that whatever else the machine does falls on all alike.

- learning: rows a second of `training.sequences`, and of Trainer with a collator that pads to each batch's longest
- answering: rows a second of `training.answering`, and of the pipeline at its best batch size, both opened beforehand
- one request at a time: p50 and p95, tokenising and putting the answer together included

The pipeline of token classification groups tokens to entities, and puts no answer together. A writer of random weights
writes until it is cut off, and its answers differ from row to row in nothing; so it is trained for a while first.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import shared
import torch
import transformers

from distill_tui.spec import Spec
from distill_tui.teachers.description import GIVEN_ALONE
from distill_tui.training import folders, generation, measure, models, predict, students
from distill_tui.training.generation import Pairs
from distill_tui.training.loop import Places
from distill_tui.training.objective import IGNORED
from distill_tui.training.students import causal, tagger

BATCHES = (1, 8, 32, 64)
EMPTY = Pairs((), (), np.ones(0, dtype=np.float32))


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--taught", type=int, default=2000, help="rows that the students learn before they are asked")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(options.threads)
    print(f"{options.rows:,} rows, batch 32; {measure.machine(options.threads)}; medians of {options.rounds}\n")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("tagger", "causal"):
            place = Path(folder) / kind
            spec = Spec.from_mapping({"student": kind, "epochs": options.epochs, "threads": options.threads})
            learning(spec, place, options)
            student = trained(spec, place, options.taught)
            told = [f"{measure.size(student)[0]:,} parameters", f"{exact(student, options):.2f} of answers exact"]
            print(f"{kind}: {', '.join(told)}")
            answered(student, options)
            requests(student, options)


def addresses(count: int, seed: int) -> Pairs:
    """Make up address lines of 5 to 12 words, and of each a JSON object of its parts."""
    random = np.random.default_rng(seed)
    letters = list("abcdefghijklmnoprstuvw")
    names = ["".join(np.random.default_rng(word).choice(letters, 6)).title() for word in range(300)]
    inputs, outputs = [], []
    for _ in range(count):
        street = " ".join(random.choice(names, random.integers(1, 6)))
        city = " ".join(random.choice(names, random.integers(1, 3)))
        number, code = str(random.integers(1, 9999)), f"{random.integers(10000, 99999)}"
        inputs.append(f"{number} {street} St, {city} IL {code}")
        outputs.append(json.dumps({"number": number, "city": city, "zip": code}))
    return Pairs(tuple(inputs), tuple(outputs), np.ones(count, dtype=np.float32))


def report(what: str, ours: list[float], theirs: list[float], unit: str, *, more_is_better: bool = True) -> None:
    one, other = statistics.median(ours), statistics.median(theirs)
    times = one / other if more_is_better else other / one
    print(f"  {what:24} ours {one:10,.2f} {unit}, transformers {other:10,.2f} {unit}: {times:.2f} times")


# --- learning ---------------------------------------------------------------------------------------------------------


def learning(spec: Spec, folder: Path, options: argparse.Namespace) -> None:
    ours, theirs = [], []
    for number in range(options.rounds):
        ours.append(own_loop(spec, folder / f"own-{number}", options))
        theirs.append(trainer(spec, folder / f"trainer-{number}", options))
    report(f"{spec.student}, learning", ours, theirs, "rows/s")


def own_loop(spec: Spec, folder: Path, options: argparse.Namespace) -> float:
    rows, started = addresses(options.rows, 1), 0.0
    for step in generation.train(spec, rows, EMPTY, Places(None, folder / "c", folder / "s")):
        if step.number == 1:
            started = time.perf_counter()
    return (options.rows * options.epochs - spec.batch_size) / (time.perf_counter() - started)


def trainer(spec: Spec, folder: Path, options: argparse.Namespace) -> float:
    """Trainer with the same student and the same targets; its clock starts when all is tokenised."""
    objective = students.objective(spec, addresses(options.rows, 1), EMPTY, Places(None, folder, folder), GIVEN_ALONE)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=spec.batch_size, num_train_epochs=spec.epochs,
        learning_rate=spec.learning_rate, weight_decay=0.01, warmup_steps=10, report_to=[], disable_tqdm=True,
        use_cpu=True, save_strategy="epoch", logging_strategy="epoch", seed=spec.seed,
    )  # fmt: skip
    run = transformers.Trainer(
        model=objective.model, args=arguments, train_dataset=dataset(objective), data_collator=collated
    )
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        run.train()
    return options.rows * options.epochs / (time.perf_counter() - started)


def dataset(objective: Any) -> list[dict[str, list[int]]]:
    if isinstance(objective, tagger.TaggerObjective):
        return [{"input_ids": ids, "labels": said} for ids, said in zip(objective.rows, objective.targets, strict=True)]
    pairs = zip(objective.prompts, objective.answers, strict=True)
    return [{"input_ids": ask + say, "labels": [IGNORED] * len(ask) + say} for ask, say in pairs]


def collated(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    ids, mask = models.pad([row["input_ids"] for row in batch], 0)
    return {"input_ids": ids, "attention_mask": mask,
            "labels": models.pad([row["labels"] for row in batch], IGNORED)[0]}  # fmt: skip


# --- answering --------------------------------------------------------------------------------------------------------


def trained(spec: Spec, folder: Path, rows: int) -> Path:
    longer = Spec.from_mapping({"student": spec.student, "epochs": 6, "threads": spec.threads, "learning_rate": 2e-3})
    for _ in generation.train(longer, addresses(rows, 2), EMPTY, Places(None, folder / "c", folder / "s")):
        pass
    return folder / "s"


def exact(student: Path, options: argparse.Namespace) -> float:
    rows = addresses(200, 3)
    said = predict.answers(student, rows.inputs, threads=options.threads, max_tokens=96)
    return float(np.mean([one.text == told for one, told in zip(said, rows.outputs, strict=True)]))


def answered(student: Path, options: argparse.Namespace) -> None:
    texts = list(addresses(options.rows, 4).inputs)
    ask, mine = pipeline(student), students.open_folder(student, threads=options.threads, max_tokens=96)
    ours, theirs = [], dict[int, list[float]]()
    for _ in range(options.rounds):
        ours.append(speed(texts, lambda: mine.ask_all(texts)))
        for size in BATCHES:
            theirs.setdefault(size, []).append(speed(texts, lambda size=size: ask(texts, size)))
    report("answering in batches", ours, max(theirs.values(), key=statistics.median), "rows/s")


def speed(texts: list[str], ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return len(texts) / (time.perf_counter() - started)


def pipeline(student: Path) -> Callable[[list[str], int], object]:
    """Open the student as transformers' own pipeline for its task, asked by the student's template."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(student, padding_side="left")
    if folders.form(student) == tagger.FORM:
        model = transformers.AutoModelForTokenClassification.from_pretrained(student)
        mark = transformers.pipeline("token-classification", model, tokenizer=tokenizer, aggregation_strategy="simple")
        return lambda texts, size: mark(texts, batch_size=size)
    told = folders.answer_settings(student)
    model = transformers.AutoModelForCausalLM.from_pretrained(student)
    write = transformers.pipeline("text-generation", model, tokenizer=tokenizer)
    how = {"max_new_tokens": told["answer_tokens"], "do_sample": False, "return_full_text": False}
    return lambda texts, size: write(
        [str(told["template"]).replace(causal.HOLE, text) for text in texts], batch_size=size, **how
    )


def requests(student: Path, options: argparse.Namespace) -> None:
    texts = list(addresses(100, 5).inputs)
    ask, theirs = students.open_folder(student, threads=options.threads, max_tokens=96), pipeline(student)
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for text in texts:
        for name, call in (("ours", lambda text=text: ask.ask(text)), ("theirs", lambda text=text: theirs([text], 1))):
            started = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - started))
    for share in (50, 95):
        pair = [[float(np.percentile(times[name][10:], share))] for name in ("ours", "theirs")]
        report(f"one request, p{share}", *pair, "ms", more_is_better=False)


if __name__ == "__main__":
    main()

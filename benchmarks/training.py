"""How fast the training loop is, compared with transformers.Trainer and with the machine's limit.

    python benchmarks/training.py [--rows 3000] [--epochs 8] [--threads 1] [--teacher FOLDER]

One run, one process for each contestant, the same student from the same seed on the same rows: a two-layer
transformer, its loss alpha KL + (1 - alpha) cross-entropy.

- limit: forward and backward alone on batches that are ready: no loss of ours, no optimizer, no tokenizer
- ours: `training.distill`, tokenising and validation included
- trainer cached: transformers.Trainer with the same loss on cached teacher outputs, padded to each batch's longest
- trainer grouped: the same with Trainer's own grouping by length
- trainer online: the same with the teacher asked in every step (as most published scripts do)

The last line puts whole runs side by side, from texts to the saved student: ours with the teacher's labelling pass
before it, Trainer with the teacher online. What it says depends on the epochs: --epochs 8 is what the goal is set for.

Prints rows a second by the clock and by processor time (which other work on the machine disturbs less), seconds to the
quality that the worst contestant ends with, and peak memory. Texts are made
up, with the lengths of short messages; --teacher takes a local classifier, otherwise a six-layer one of random weights
is used, whose speed is that of a real one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shared

LABELS = ("bad", "fine", "good")
CONTESTANTS = ("limit", "ours", "trainer cached", "trainer grouped", "trainer online")
WORDS = {0: ("awful", "broken", "hate", "slow"), 1: ("table", "colour", "weighs"), 2: ("lovely", "superb", "adore")}


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--leave-out", choices=CONTESTANTS[2:], nargs="*", default=[], help="contestants to leave out")
    parser.add_argument("--only", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(CONTEST[options.only](options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.teacher = options.teacher or made_teacher(Path(folder) / "teacher")
        found = {name: contest(name, options, Path(folder)) for name in CONTESTANTS if name not in options.leave_out}
    report(found, options)


def contest(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run one contestant in a process of its own, so that memory is its own."""
    numbers = [str(each) for pair in (("--rows", options.rows), ("--epochs", options.epochs)) for each in pair]
    command = [sys.executable, __file__, "--only", name, *numbers, "--threads", str(options.threads)]
    command += ["--teacher", str(options.teacher), "--folder", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    print(f"{name}: done", file=sys.stderr, flush=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def report(found: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    from distill_tui.training import measure

    print(f"{options.rows:,} rows, {options.epochs} epochs, batch 32; {measure.machine(options.threads)}\n")
    bar = min(each["score"] for each in found.values() if "score" in each)
    head = ("rows/s", "rows/cpu s", "of the limit", "end score", f"s to {bar:.3f}", "peak MB")
    print(" " * 18 + "".join(f"{word:>13}" for word in head))
    for name, each in found.items():
        share = each["rows_per_cpu_second"] / found["limit"]["rows_per_cpu_second"]
        score, reached = each.get("score"), [at for at, value in each.get("scores", []) if value >= bar]
        print(
            f"{name:18}{each['rows_per_second']:13,.0f}{each['rows_per_cpu_second']:13,.0f}{share:13.2f}"
            f"{'–' if score is None else f'{score:.3f}':>13}{f'{reached[0]:.1f}' if reached else '–':>13}"
            f"{each['peak_mb']:13,.0f}"
        )
    for name in list(found)[2:]:
        clock, cpu = (found["ours"][unit] / found[name][unit] for unit in ("rows_per_second", "rows_per_cpu_second"))
        print(f"ours is {clock:.2f} times {name} by the clock, {cpu:.2f} times by processor time")
    if "trainer online" in found:
        theirs, training, labelling = (
            found["trainer online"]["whole"],
            found["ours"]["whole"],
            found["ours"]["labelling"],
        )
        print(
            f"the whole run of {options.epochs} epochs: ours {labelling:.1f} s for the teacher, asked once, and "
            f"{training:.1f} s of training; trainer online {theirs:.1f} s: {theirs / (labelling + training):.2f} times"
        )


# --- what all of them share -------------------------------------------------------------------------------------------


def rows(count: int, seed: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Make up texts of about 25 tokens, spread as those of messages are, and a teacher's soft labels for them."""
    random = np.random.default_rng(seed)
    letters = list("abcdefghijklmnoprstuvw")
    fillers = ["".join(np.random.default_rng(word).choice(letters, 5)) for word in range(400)]
    labels = random.integers(0, 3, count)
    lengths = np.clip(np.exp(random.normal(2.4, 0.8, count)), 2, 60).astype(int)
    texts = [
        " ".join(random.permutation([*random.choice(fillers, length), random.choice(WORDS[int(label)])]))
        for length, label in zip(lengths, labels, strict=True)
    ]
    noise = random.dirichlet((0.5, 0.5, 0.5), count)
    return texts, labels, (0.85 * np.eye(3)[labels] + 0.15 * noise).astype(np.float32)


def spec(options: argparse.Namespace) -> Any:
    from distill_tui.spec import Spec
    from distill_tui.terms import StudentKind

    return Spec(
        student=StudentKind.SCRATCH,
        hidden=128,
        depth=2,
        vocabulary=4000,
        learning_rate=1e-3,
        epochs=options.epochs,
        patience=options.epochs,
        threads=options.threads,
    )


def made_teacher(folder: Path) -> Path:
    """Write a classifier of MiniLM's size with random weights: as fast as a real one."""
    import torch
    import transformers

    from distill_tui.training import export, vocabulary

    torch.manual_seed(0)
    tokenizer = vocabulary.train(rows(2000, 9)[0], 4000)
    config = transformers.BertConfig(
        vocab_size=8000,  # more than the student's, whose rows it is given
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        id2label=dict(enumerate(LABELS)),
        label2id={label: at for at, label in enumerate(LABELS)},
    )
    export.write(transformers.BertForSequenceClassification(config).eval(), tokenizer, folder)
    return folder


def student(options: argparse.Namespace) -> Any:
    from distill_tui.training import students

    return students.build(spec(options), LABELS, rows(options.rows, 1)[0], None)


class Clock:
    """Seconds since it was made, by the clock and of the processor."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self.wall

    def speeds(self, rows: int) -> dict[str, float]:
        cpu = time.process_time() - self.cpu
        return {"rows_per_second": rows / self.seconds(), "rows_per_cpu_second": rows / cpu}


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


# --- the contestants --------------------------------------------------------------------------------------------------


def limit(options: argparse.Namespace) -> dict[str, Any]:
    """Forward and backward alone, on our batches, padded beforehand."""
    import torch

    from distill_tui.training import models
    from distill_tui.training.loop import epoch_batches

    torch.set_num_threads(options.threads)
    made = student(options)
    cut = made.tokenise(rows(options.rows, 1)[0], 96)
    batches = [models.pad([cut[at] for at in batch], 0) for batch in epoch_batches([len(c) for c in cut], 32, 7, 0)]
    made.model.train()
    for ids, mask in batches[:5]:
        made.model(input_ids=ids, attention_mask=mask).logits.sum().backward()
    clock = Clock()
    for ids, mask in batches:
        made.model.zero_grad()
        made.model(input_ids=ids, attention_mask=mask).logits.sum().backward()
    return clock.speeds(len(cut)) | {"peak_mb": peak()}


def ours(options: argparse.Namespace) -> dict[str, Any]:
    """The loop of this package; its clock starts before anything is tokenised."""
    from distill_tui.training import classification, loop
    from distill_tui.training.examples import Examples

    def examples(count: int, seed: int) -> Examples:
        texts, labels, soft = rows(count, seed)
        return Examples(tuple(texts), labels.astype(np.int64), soft, np.ones(count, dtype=np.float32))

    place = options.folder / "ours"
    training, validation = examples(options.rows, 1), examples(300, 2)
    scores, whole = [], Clock()
    for step in classification.train(
        spec(options), LABELS, training, validation, loop.Places(None, place / "c", place / "s")
    ):
        if step.number == 1:
            clock = Clock()  # what is loaded and built before is not the loop's
        if step.validation is not None:
            scores.append((whole.seconds(), step.validation))
            speeds = clock.speeds(options.rows * step.epoch + options.rows - 32)
    found = {"scores": scores, "score": scores[-1][1], "peak_mb": peak(), "whole": whole.seconds()}
    return (
        speeds | found | {"labelling": asked(options.teacher, (*training.inputs, *validation.inputs), options.threads)}
    )


def asked(teacher: Path, texts: Sequence[str], threads: int) -> float:
    """Ask the teacher everything once, as a labelling run does, and give the seconds; what it says goes unused."""
    from distill_tui.training import local_teachers

    clock = Clock()
    for _ in local_teachers.label(teacher, texts, threads=threads):
        pass
    return clock.seconds()


def trainer(options: argparse.Namespace, *, online: bool = False, grouped: bool = False) -> dict[str, Any]:
    """transformers.Trainer with the same student, rows, loss, optimizer, schedule and clipping."""
    import torch
    import transformers

    from distill_tui.training import models
    from distill_tui.training.objective import distillation_loss

    torch.set_num_threads(options.threads)
    transformers.utils.logging.set_verbosity_error()
    made, one = student(options), spec(options)
    theirs = models.load(options.teacher) if online else None
    parts = {name: rows(count, seed) for name, count, seed in (("train", options.rows, 1), ("check", 300, 2))}
    whole = Clock()

    def encoded(part: str) -> list[dict[str, Any]]:
        texts, labels, soft = parts[part]
        return [
            {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": int(label), "soft": probabilities}
            for ids, label, probabilities in zip(made.tokenise(texts, 96), labels, soft, strict=True)
        ]

    def collated(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        padded = made.tokenizer.pad(
            [{name: row[name] for name in ("input_ids", "attention_mask")} for row in batch], return_tensors="pt"
        )
        soft = torch.from_numpy(np.stack([row["soft"] for row in batch]))
        return {**padded, "labels": torch.tensor([row["labels"] for row in batch]), "soft": soft}

    class Distilling(transformers.Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            soft, labels = inputs.pop("soft"), inputs.pop("labels")
            outputs = model(**inputs)
            if theirs is not None:  # its answers go unused so that all learn the same; the work is what is measured
                with torch.no_grad():
                    theirs[0](**inputs)
            loss, _, _ = distillation_loss(
                outputs.logits, labels, soft, torch.ones(len(labels)), one.temperature, one.alpha
            )
            return (loss, outputs) if return_outputs else loss

    scores: list[tuple[float, float]] = []

    def scored(prediction: Any) -> dict[str, float]:
        score = float((prediction.predictions.argmax(axis=1) == prediction.label_ids).mean())
        scores.append((whole.seconds(), score))
        return {"score": score}

    arguments = transformers.TrainingArguments(
        output_dir=str(options.folder / "trainer"),
        per_device_train_batch_size=32,
        per_device_eval_batch_size=64,
        num_train_epochs=options.epochs,
        learning_rate=one.learning_rate,
        warmup_steps=round(0.1 * options.epochs * -(-options.rows // 32)),
        weight_decay=0.01,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        label_names=["labels"],
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=7,
        **({"train_sampling_strategy": "group_by_length"} if grouped else {}),
    )
    run = Distilling(
        model=made.model,
        args=arguments,
        train_dataset=encoded("train"),
        eval_dataset=encoded("check"),
        data_collator=collated,
        compute_metrics=scored,
    )
    clock = Clock()
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its metrics
        run.train()
    return clock.speeds(options.epochs * options.rows) | {
        "scores": scores,
        "score": scores[-1][1],
        "peak_mb": peak(),
        "whole": whole.seconds(),
    }


CONTEST = {
    "limit": limit,
    "ours": ours,
    "trainer cached": trainer,
    "trainer grouped": lambda options: trainer(options, grouped=True),
    "trainer online": lambda options: trainer(options, online=True),
}

if __name__ == "__main__":
    main()

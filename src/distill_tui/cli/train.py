"""Commands for runs: train a student, follow, stop and resume a run, list what is active."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Iterator

import click

from distill_tui import actions
from distill_tui.cli import plan_option, shards
from distill_tui.cli.call import Call, InputError, UsageError, reading, text_of
from distill_tui.cli.follow import follow, started
from distill_tui.cli.options import FILE, Function, OneOf, Pairs, command, once, play, stacked, wait
from distill_tui.reports import text
from distill_tui.review import climb
from distill_tui.rules import results
from distill_tui.spec import Spec
from distill_tui.store import queries
from distill_tui.terms import Action, Executor, StudentKind

_FIELDS = {
    "student": "the kind of student",
    "folder": "the local model that a frozen, folder, static, tagger or causal student starts from",
    "layers": "the teacher's layers that the student starts from",
    "hidden": "hidden width of a student trained from scratch, or of static embeddings",
    "depth": "layers of a student trained from scratch",
    "vocabulary": "the most tokens kept of the teacher's tokenizer",
    "windows": "read longer inputs in windows, and average their logits; nothing is cut",
    "max_tokens": "inputs are truncated to this many tokens (0: what 99% of the training rows need)",
    "answer_tokens": "the most tokens of a generated answer",
    "temperature": "softens teacher and student distributions",
    "alpha": "weight of the soft labels against the hard labels",
    "logit_mse": "weight of the squared error of the logits",
    "hidden_cosine": "weight of the cosine distance of the hidden states",
    "learning_rate": "learning rate",
    "batch_size": "batch size",
    "epochs": "epochs",
    "patience": "epochs without improvement on validation before early stopping",
    "seed": "random seed",
    "threads": "torch threads",
    "ladder": "students to try, cheapest first, like “ngram,static,layers 0 5”",
    "enough": "stop the ladder at this share of the teacher's validation score",
    "export": "the form that ships and that the gate judges",
    "controls": "control arms without soft labels",
    "seeds": "also train it with this many other seeds, to see how much of a score is the seed's",
    "probe": "also train on a quarter and a half of the rows, to see whether more data would help",
}


def _spec_options() -> Iterator[Callable[[Function], Function]]:
    for name, says in _FIELDS.items():
        default = getattr(Spec, name)
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        words = f"{says} (default {shown})" if shown else says
        option = f"--{name.replace('_', '-')}"
        if name == "student":
            yield click.option(option, type=OneOf(StudentKind), help=words)
        else:
            yield click.option(option, metavar="X", help=words)


@command(Action.START_RUN)
@play
@click.argument("values", metavar="[NAME=VALUE]…", type=Pairs(), nargs=-1, help="fields of the spec, like epochs=3")
@click.option(
    "--spec", "file", metavar="FILE", type=FILE, help="a TOML file of spec fields; what else is given overrides it"
)
@stacked(*_spec_options())
@click.option("--from", "plan", metavar="PLAN.toml", help="train the students of a plan file, one after another")
@shards.away
@click.option(
    "--shards",
    "many",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    help="how many shards, with --on: each trains some of the rungs, then of the controls and other seeds",
)
@wait
def train(
    call: Call,
    values: tuple[tuple[str, str], ...],
    file: str | None,
    plan: str | None,
    on: Executor,
    to: str | None,
    slurm: shards.Settings,
    many: int,
    wait: bool,
    **options: str | None,
) -> int | None:
    if plan:
        if values or file or any(options.values()) or on is not Executor.LOCAL or to or slurm or many > 1:
            raise UsageError("With --from, the plan names the students, and they train here; leave out the rest.")
        return next((code for spec in plan_option.students(call, plan) if (code := _train_to_end(call, spec))), None)
    with reading():
        named: dict[str, object] = dict(tomllib.loads(text_of(file))) if file else {}
        named |= {name: value for name, value in options.items() if value is not None}
        named |= once(values)
        project, play_id, _ = call.about
        spec, hard = actions.fitting(project, play_id, named)
    if hard:
        call.talk("The teacher gave no probabilities, so the student learns from hard labels only: alpha=0.")
    return started(call, actions.start_run(*call.about, spec, shards.place_of(on, to, slurm, many)), wait)


def _train_to_end(call: Call, spec: Spec) -> int | None:
    call.talk(f"Training {spec.rung}.")
    return started(call, actions.start_run(*call.about, spec), wait=True)


@command("train status", "Show the runs of a play.")
@play
@click.option(
    "--follow", "follows", is_flag=True, help="follow the active run until it ends; exit 1 if it does not finish"
)
def train_status(call: Call, follows: bool) -> int | None:
    runs = call.dossier().runs
    active = next((run.id for run in runs if run.status.active), None)
    if follows:
        if active is not None:
            return follow(call, active)
        call.talk("No run is active.")
    call.data([text.run_json(run) for run in runs], text.runs(runs, plain=call.plain))
    return None


@command("train show", "Show what a training run tried, which student it kept, and why.")
@play
@click.option("--run", metavar="N", type=int, help="the number of the run (default: the newest that finished)")
def train_show(call: Call, run: int | None) -> None:
    dossier = call.dossier()
    done = [each for each in dossier.runs if results.train_result(each) and (run is None or each.id == run)]
    if not done:
        raise InputError("No such training run has finished; `train status` lists the runs.")
    result = results.train_result(done[-1])
    assert result is not None
    found = climb.section(done[-1], result, dossier.play.task)
    call.data({"run": done[-1].id, **dataclasses.asdict(result)}, text.parts([found], plain=call.plain))


@command(Action.STOP_RUN)
@play
@click.option("--run", metavar="N", type=int, help="the number of the run (default: the active run)")
def train_stop(call: Call, run: int | None) -> None:
    active = next((each.id for each in call.dossier().runs if each.status.active), None)
    run_id = (active or 0) if run is None else run
    actions.stop_run(*call.about, run_id)
    call.done(f"Run {run_id} is stopping.", run=run_id)


@command(Action.RESUME_RUN)
@play
@click.option("--run", metavar="N", type=int, help="the number of the run")
@wait
def train_resume(call: Call, run: int | None, wait: bool) -> int | None:
    return started(call, actions.resume_run(*call.about, run), wait)


@command("jobs", "Show the runs that are active now.")
def jobs(call: Call) -> None:
    runs = queries.active_runs(call.project)
    call.data([text.run_json(run) for run in runs], text.runs(runs, plain=call.plain) if runs else [])
    if not runs:
        call.talk("No run is active.")

"""The command `demo`: a small project in which the work continues while you look, with practice traffic and keys."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from distill_tui.cli import deferred, plan_option, terminal
from distill_tui.cli.call import Call, InputError
from distill_tui.cli.exits import PROGRAM
from distill_tui.cli.options import FILE, command, program
from distill_tui.cli.plans import drive, plan_file, steps
from distill_tui.dataset import practice
from distill_tui.people import practice_keys
from distill_tui.reports import text
from distill_tui.rules import next_step, permission
from distill_tui.rules.actor import Actor
from distill_tui.store import project as projects
from distill_tui.store import queries
from distill_tui.terms import Action, Assurance
from distill_tui.text import visible

FILE_NAME, PLAN_NAME, PLAY = "demo.distill", "plan.toml", "ticket-routing"
PLAN = """\
# What the demo begins with. `distill-tui init FILE.distill --me dana --from plan.toml` makes a project of it.
name = "Demo"

[people]
dana = { key = "keys/dana.pub" }
sam = { name = "Sam Sponsor", key = "keys/sam.pub" }
vera = { name = "Vera Validator", key = "keys/vera.pub" }
olga = { name = "Olga Operator", key = "keys/olga.pub" }

[[plays]]
name = "ticket-routing"
kind = "cost"
summary = "Which team is a customer's message for?"
roles = { driver = "dana", sponsor = "sam", validator = "vera", operator = "olga" }
worksheet_source = "made up for the demo"
traffic = [{ file = "traffic.jsonl" }]
teacher = { recorded = true }
maintenance = { sample = 400, refresh_days = 90 }
students = [
  { student = "ngram" },
  { student = "static", epochs = 12, learning_rate = 0.01 },
]

[plays.worksheet]
calls_per_month = 900000
teacher_cost_per_1k = 2.40
threshold_per_month = 1000
window_days = 60
machine_price_per_hour = 0.08
serving_cost_per_month = 60
build_cost = 4000
sample_share = 0.01

[plays.gate]
held_out_rows = 600
rounds = 2
minimum_assurance = "signed"
statement = "At most five points less accurate than the teacher, and paid back within half a year."

[[plays.gate.criteria]]
metric = "accuracy"
reference = "teacher"
margin = 0.05
binding = true

[[plays.gate.criteria]]
metric = "p95_latency_ms"
threshold = 50

[[plays.gate.criteria]]
metric = "payback_months"
threshold = 6
"""


@command("demo", "Make a small demo project and open it: the work continues while you look. Nothing is fetched.")
@click.argument("folder", metavar="[FOLDER]", type=FILE, default="distill-demo", help="a new folder, or a demo's")
@click.option("--headless", is_flag=True, help="do the work here, one line a stage, and open no screens")
def demo(call: Call, folder: str, headless: bool) -> int | None:
    where = Path(folder).expanduser()
    path = where / FILE_NAME
    if not path.exists():
        make(where)
        call.talk(f"Made {where}: practice traffic, the keys of its people, {PLAN_NAME} and {FILE_NAME}.")
    call.project_file = str(path)
    if headless or call.json or call.plain or not terminal.drawable():
        _drive_here(call)
        return None
    drive.start(path.absolute(), (where / PLAN_NAME).absolute(), PLAY)
    deferred.load()
    mine = where / "keys" / "dana"  # her decisions are signed, as the gate asks
    return terminal.screens(path, program(click.get_current_context()).typed, key=mine)


def make(where: Path) -> None:
    """Write traffic, keys and plan, and open the play with its roles and numbers; the driver does the rest."""
    if where.exists() and any(where.iterdir()):
        raise InputError(f"{where} holds other files; name a new folder.")
    where.mkdir(parents=True, exist_ok=True)
    practice.write_traffic(where / "traffic.jsonl")
    practice_keys.make(where / practice_keys.FOLDER, ("dana", "sam", "vera", "olga"))
    (where / PLAN_NAME).write_text(PLAN, encoding="utf-8")
    uid = os.getuid()
    made = projects.Project.create(
        where / FILE_NAME, "Demo", "dana", "Dana Driver", Actor(None, f"account uid {uid}", Assurance.ACCOUNT)
    )
    dana = Actor("dana", f"account uid {uid}", Assurance.ACCOUNT)
    whole = plan_file.read(PLAN, where)
    steps.carry_out(made, dana, whole.without_data(), lambda line: None)
    made.close()


def _drive_here(call: Call) -> None:
    """Do the driver's work in this process, one line a stage; then show the verdict and what comes next."""
    began, project = time.monotonic(), call.project
    plan_path = call.path.parent / PLAN_NAME
    whole = plan_file.read(plan_path.read_text(encoding="utf-8"), plan_path.parent)

    follow = plan_option.narrated(call, began)
    call.play = PLAY
    play = queries.find_play(project, PLAY)
    who = drive.people_here(project)
    drive.Driver(project, play, whole, who, call.talk, follow).drive()
    dossier = call.dossier(thorough=True)
    reasons = permission.objections(Action.SHIP, dossier, call.actor)
    call.data(
        {"play": dossier.code, "passed": dossier.passed, "ship": [each.rule for each in reasons]},
        [
            *(f"{each.verdict.value:10} {each.sentence}" for each in dossier.judgements),
            f"ship       blocked: {visible(reasons[0].sentence)}" if reasons else "ship       nothing prevents it",
            *text.next_step(dossier, next_step.next_step(dossier), []),
        ],
    )
    call.talk(f"Look at it: `{PROGRAM} demo {call.path.parent}`. There, @ acts as vera, who may sign.")

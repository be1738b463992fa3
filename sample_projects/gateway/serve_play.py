"""Takes a play through its gateway: capture, ship, shadow, canary, cascade, a drift, a fall-back, and a refresh.

    python sample_projects/gateway/serve_play.py FOLDER

Prints each step with its figures; some minutes, by how busy the machine is.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI

from distill_tui import actions
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.people import identity, signatures
from distill_tui.rules.actor import Actor
from distill_tui.rules.requests import ServeMode
from distill_tui.runs.executors import local
from distill_tui.serving import feed
from distill_tui.spec import Spec
from distill_tui.store import gateway as standing
from distill_tui.store.project import Project
from distill_tui.terms import Assurance, Export, Metric, Opinion, PlayKind, Role, RunStatus, ServingMode, StudentKind

SAID = {
    "refund": ("refund money return cash", "reimburse chargeback rebate repay"),
    "delivery": ("parcel late courier shipping", "dispatch carrier depot transit"),
    "login": ("password account signin locked", "credentials authenticate token reset"),
}
FILLER = [a + b for a in ("ba", "do", "ki", "lu", "me", "no", "pa", "ru") for b in ("ran", "sel", "tim", "vok", "zed")]
ROLES = {Role.SPONSOR: "sam", Role.DRIVER: "dana", Role.VALIDATOR: "vera", Role.OPERATOR: "olga"}
GATE = Gate(
    (Criterion(Metric.AGREEMENT, threshold=Decimal("0.8"), binding=True),),
    rounds=2,
    held_out_rows=200,
    baseline="majority",
    minimum_assurance=Assurance.SIGNED,
)
SPEC = Spec(
    student=StudentKind.STATIC,
    hidden=32,
    epochs=10,
    learning_rate=2e-2,
    vocabulary=600,
    alpha=0.0,
    controls=(),
    export=Export.ONNX_INT8,
)
NUMBERS = {
    "calls_per_month": "90000", "days_of_traffic": "30", "terms_permit_training": "1", "price_change": "1",
    "terms_change": "0", "availability": "0",
}  # fmt: skip


def say(text: str) -> None:
    print(f"{time.monotonic() - STARTED:5.0f} s  {text}", flush=True)


STARTED = time.monotonic()


# --- the teacher, and the application --------------------------------------------------------------------------------


class Teacher(BaseHTTPRequestHandler):
    """Answers chat completions by the words that it knows: all of them, the old and the new."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        words = set(body["messages"][-1]["content"].split())
        said = max(SAID, key=lambda topic: len(words & set(" ".join(SAID[topic]).split())))
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(words), "completion_tokens": 1, "total_tokens": len(words) + 1}
        head = {"id": "c", "object": "chat.completion", "created": int(time.time()), "model": "teacher-1"}
        content = json.dumps(head | {"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Application:
    """A team's program: it asks an OpenAI-compatible address for the topic of a mail, and knows of nothing else."""

    def __init__(self, port: int) -> None:
        self.client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-app", max_retries=2, timeout=30)
        self.random = random.Random(7)

    def mail(self, new: float) -> str:
        """Write a mail; `new` is the share that is said in the new way."""
        topic = self.random.choice(sorted(SAID))
        words = self.random.sample(SAID[topic][self.random.random() < new].split(), 2)
        words += [*self.random.sample(FILLER, 5), "".join(self.random.choices("bdfgklmnprstvz", k=6))]
        self.random.shuffle(words)
        return " ".join(words)

    def ask(self, text: str) -> str:
        messages: Any = [
            {"role": "system", "content": "Name the topic of the mail."},
            {"role": "user", "content": text},
        ]
        raw = self.client.chat.completions.with_raw_response.create(model="teacher-1", messages=messages)
        raw.parse()
        return str(raw.headers["x-distill-route"])

    def ask_many(self, count: int, new: float = 0.0) -> Counter[str]:
        texts = [self.mail(new) for _ in range(count)]
        with ThreadPoolExecutor(8) as pool:
            return Counter(pool.map(self.ask, texts))


# --- the people, and the work ----------------------------------------------------------------------------------------


class Team:
    """The project and its people, each with a key."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "team.distill"
        (folder / "keys").mkdir(mode=0o700)
        account = Actor(None, f"account uid {os.getuid()}")
        self.project = Project.create(self.path, "Team", "ada", "Ada", account)
        for person in ROLES.values():
            key = self.key(person)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
            public = signatures.read_public_key(Path(f"{key}.pub").read_text())
            actions.enrol_person(self.project, self.by("ada"), person, person.capitalize(), key=public)

    def key(self, person: str) -> Path:
        return self.folder / "keys" / person

    def by(self, person: str) -> Actor:
        dossier = self.project.project_dossier()
        return identity.by_account(dossier) if person == "ada" else identity.by_key(dossier, self.key(person))

    def done(self, run_id: int) -> None:
        run = local.wait(self.project, run_id, lambda _: None)
        if run.status is not RunStatus.FINISHED:
            raise SystemExit(f"Run {run_id} {run.status.value}: {run.error}")

    def open(self) -> None:
        project, dana = self.project, self.by("dana")
        actions.open_play(project, dana, "mail-topic", PlayKind.STABILITY)
        for role, person in ROLES.items():
            actions.assign_role(project, 1, dana, role, person)
        actions.fill_worksheet(project, 1, dana, NUMBERS, "the sample")
        actions.confirm_terms(project, 1, dana, "Acme", "3.1", "2026-01-01", True)
        actions.qualify(project, 1, dana)
        actions.edit_gate(project, 1, dana, GATE)
        actions.lock_gate(project, 1, self.by("sam"))

    def take_in(self) -> None:
        """Import what the gateway captured."""
        with feed.taken(standing.folder_of(self.path, "P-001"), feed.IMPORT) as found:
            self.done(actions.import_traffic(self.project, 1, self.by("dana"), found.path))
            say(f"{found.rows:,} captured calls imported")
        actions.set_teacher(self.project, 1, self.by("dana"), None)

    def refresh(self) -> None:
        """Open a refresh, which imports what the gateway captured since."""
        found = feed.refresh(self.project, 1, "P-001", self.by("olga"), "customers speak otherwise")
        self.done(found.run)
        say(f"a refresh is open with {found.rows:,} calls that the gateway captured since")

    def learn(self) -> None:
        """Make, judge, sign and ship a student."""
        project, dana = self.project, self.by("dana")
        self.done(actions.build_data(project, 1, dana))
        self.done(actions.freeze_data(project, 1, dana))
        self.done(actions.start_run(project, 1, dana, SPEC))
        self.done(actions.evaluate(project, 1, dana))
        self.done(actions.rehearse(project, 1, self.by("olga")))
        (judged,) = [each for each in project.dossier(1).judgements if each.criterion.binding]
        say(judged.sentence)
        actions.set_maintenance(project, 1, self.by("olga"), 2_000, 90)
        actions.sign_off(project, 1, self.by("vera"), Opinion.APPROVE, "Read the cases.", key=self.key("vera"))
        folder = actions.ship(project, 1, dana, key=self.key("dana"))
        say(f"signed by vera, shipped by dana: bundle {folder.name[:12]}")

    def mode(self, mode: ServingMode, percent: int = 0, share: str = "0.5") -> None:
        asked = ServeMode(mode, percent, audit_share=Decimal(share))
        actions.set_mode(self.project, 1, self.by("olga"), asked)


def health(port: int) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/health", timeout=10).json()["plays"][0]
    return found


def until(port: int, mode: str, answers: str) -> None:
    for _ in range(600):
        found = health(port)
        if found["mode"] == mode and found["answers"] == answers:
            return
        time.sleep(0.05)
    raise SystemExit(f"The gateway did not become {mode}: {health(port)}")


def redated(found: feed.Taken, folder: Path) -> Path:
    """Date the pairs of the audit channel over four weeks from today: no single bad day raises an alarm."""
    rows = [json.loads(line) for line in found.path.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["time"] = f"{date.today() - timedelta(28 - number * 28 // len(rows))}T12:00:00Z"
    path = folder / "audit-pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def main(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Teacher)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    team = Team(folder)
    team.open()
    team.mode(ServingMode.CAPTURE)
    words = ["serve", "P-001", "--teacher", f"http://127.0.0.1:{upstream.server_port}/v1", "--port", str(port)]
    command = [sys.executable, "-m", "distill_tui", "--project", str(team.path), *words]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as gateway:
        try:
            run(team, port, gateway)
        finally:
            gateway.terminate()
    team.project.close()


def run(team: Team, port: int, gateway: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            health(port)
            break
        except httpx.HTTPError:
            if gateway.poll() is not None:
                raise SystemExit("The gateway did not start.") from None
            time.sleep(0.1)
    application = Application(port)
    say(f"capture: {dict(application.ask_many(800))} of 800 requests; the application changed its base URL and no more")
    team.take_in()
    team.learn()
    for mode, percent in ((ServingMode.SHADOW, 0), (ServingMode.CANARY, 20), (ServingMode.CASCADE, 0)):
        team.mode(mode, percent)
        until(port, mode.value, "student and teacher" if mode.by_student else "teacher")
        say(f"{mode.value}{f' {percent}%' if percent else ''}: {dict(application.ask_many(150))} of 150 requests")
    with feed.taken(standing.folder_of(team.path, "P-001"), feed.OBSERVE):
        pass  # the pairs from before the drift are not what is looked at here
    say("customers begin to speak otherwise")
    application.ask_many(750, new=0.9)
    time.sleep(2)
    with feed.taken(standing.folder_of(team.path, "P-001"), feed.OBSERVE) as found:
        pairs = redated(found, team.folder)
        team.done(actions.observe(team.project, 1, team.by("olga"), pairs, any_time=True))
        say(f"{found.rows:,} pairs of the audit channel observed: {team.project.dossier(1).standing.value}")
    until(port, "suspended", "teacher")
    say(f"the gateway fell back by itself: {health(port)['wrong'][0]}")
    say(f"fallen back: {dict(application.ask_many(800, new=0.9))} of 800 requests, captured again")
    team.refresh()
    team.learn()
    team.mode(ServingMode.CASCADE)
    until(port, "cascade", "student and teacher")
    say(f"cascade again: {dict(application.ask_many(150, new=0.9))} of 150 requests")
    now = standing.read(team.path, "P-001")
    assert now is not None
    say(f"in all: {dict(now.routes)}; p95 {now.p95_ms} ms; {now.unlogged} requests not recorded")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

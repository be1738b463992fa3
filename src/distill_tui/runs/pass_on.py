"""Passing a drift alarm on: the command and the webhook that the keeper set. Runs in workers only.

Neither can fail an observation: it is recorded before, and each has so many seconds. What went wrong is one line
in the worker's log and in the audit log.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from distill_tui.rules.actor import Actor
from distill_tui.rules.alarm import Alarm, alarm_of
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Refused
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import Action, Standing
from distill_tui.text import visible

SECONDS = 15.0  # for each of the two
LONGEST = 200  # characters of what a command said


def pass_on(project: Project, before: PlayDossier, actor: Actor) -> None:
    """Pass on the alarm that an observation raised, where it did; `before` is the play before it."""
    now = project.dossier(before.play_id)
    known = now.watch is not None and before.watch is not None and before.standing is Standing.ALARM
    if now.standing is not Standing.ALARM or known or now.project.tables_trouble:
        return
    alarm, settings = alarm_of(now), now.project
    assert alarm is not None
    done: dict[str, str] = {}
    if settings.on_alarm:
        done["command"] = _run(settings.on_alarm, alarm, project.path.parent)
    if settings.webhook:
        done["webhook"] = _call(settings.webhook, alarm)
    for what, result in done.items():
        sys.stdout.write(f"alarm: {what}: {visible(result)}\n")
    if done:
        _note(project, before.play_id, actor, alarm, done)


def _note(project: Project, play_id: int, actor: Actor, alarm: Alarm, done: Mapping[str, str]) -> None:
    try:
        with project.change(Action.NOTE_ALARM, play_id, actor) as change:
            change.detail |= {"feed": alarm.feed, **done}
    except (Refused, ProjectError) as error:  # the observation stands; the worker's log has the line
        sys.stdout.write(f"alarm: not noted in the audit log: {visible(str(error))}\n")


# --- the command -----------------------------------------------------------------------------------------------------


def _run(command: Sequence[str], alarm: Alarm, folder: Path) -> str:
    """Run the command with the alarm as JSON on its standard input; return how it went, in one line."""
    wrong = _foreign(Path(command[0]))
    if wrong:
        return wrong
    about = {"DISTILL_ALARM": alarm.text, "DISTILL_PLAY": alarm.play, "DISTILL_SINCE": alarm.since}
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=os.environ | about,
            start_new_session=True,
        )
    except OSError as error:
        return f"failed: {error.strerror}"
    try:
        _, said = process.communicate(json.dumps(asdict(alarm) | {"text": alarm.text}).encode(), timeout=SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its children too
        process.wait()
        return f"failed: it took more than {SECONDS:g} s and was stopped"
    if process.returncode == 0:
        return "done"
    last = (said.decode(errors="replace").strip().splitlines() or [""])[-1][:LONGEST]
    return f"failed: exit code {process.returncode}{f': {last}' if last else ''}"


def _foreign(program: Path) -> str:
    """Return why a program is not run: who may change it could act as this account. Empty where it may run."""
    try:
        found = program.stat()
    except OSError as error:
        return f"failed: {error.strerror}"
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "failed: other accounts may change this program, so it is not run; `chmod go-w` it, as its owner"
    return ""


# --- the webhook -----------------------------------------------------------------------------------------------------


def _call(url: str, alarm: Alarm) -> str:
    """Post the alarm as JSON; return how it went, in one line. One that hangs is left behind."""
    result = [f"failed: no answer within {SECONDS:g} s"]

    def post() -> None:
        result[0] = _posted(url, alarm)

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return result[0]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _posted(url: str, alarm: Alarm) -> str:
    content = json.dumps(asdict(alarm) | {"text": alarm.text}).encode()
    request = urllib.request.Request(url, content, {"content-type": "application/json"}, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=SECONDS) as answer:
            return f"done: HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        return f"failed: HTTP {error.code}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"failed: {reason}"
    except Exception as error:  # an answer that is not HTTP
        return f"failed: {type(error).__name__}"

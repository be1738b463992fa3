"""The people, and a play at any stage, as plain rows: what the tests of the rules and of the project file stand on.

Nothing is trained here. A record is small, real, and judged by the real gate.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from decimal import Decimal
from typing import Any

from distill_tui.gates import written as gate_written
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.judging import judge
from distill_tui.gates.record import Record
from distill_tui.gates.written import to_json
from distill_tui.people import statements
from distill_tui.rules import entities, requests
from distill_tui.rules.actor import Actor
from distill_tui.rules.decide import covers
from distill_tui.rules.dossier import Looked, PlayDossier, ProjectDossier, SignOffFacts
from distill_tui.rules.objection import Objection
from distill_tui.rules.results import Finding, encode
from distill_tui.rules.who import roster
from distill_tui.spec import Spec
from distill_tui.terms import (
    Action,
    Assurance,
    Metric,
    Opinion,
    PlayKind,
    Remedy,
    Role,
    RunKind,
    RunStatus,
    ServingMode,
    Split,
    Stage,
    Standing,
    Task,
    TeacherSource,
)
from support.results import data_counts, import_report, rehearsal, trained

AT = "2026-11-25T08:00:00Z"
ROWS = 12
ROLES = {Role.SPONSOR: "sam", Role.DRIVER: "dan", Role.VALIDATOR: "vera", Role.OPERATOR: "olga"}
EVERYBODY = ("mia", "sam", "dan", "vera", "olga", "bob")  # mia keeps the project, bob holds no role
WORKSHEET = {
    "calls_per_month": "900000",
    "days_of_traffic": "30",
    "terms_permit_training": "1",
    "price_change": "1",
    "terms_change": "0",
    "availability": "0",
}
GATE = Gate((Criterion(Metric.ACCURACY, threshold=Decimal("0.5"), binding=True),), held_out_rows=ROWS, rounds=3)


def digest(letter: str) -> str:
    """Return something that has the form of a digest."""
    return "sha256:" + letter * 64


def actor(person: str | None, **more: Any) -> Actor:
    """A person whose account was proved."""
    uid = os.getuid() if person == "mia" else 100_000 + EVERYBODY.index(person) if person in EVERYBODY else 999
    return Actor(person, f"account uid {uid}", **more)


def record(right: int = ROWS, *, model: str = digest("c"), data: str = digest("d")) -> Record:
    """What an evaluation measured in which the student had so many of the held-out rows right."""
    rows = range(ROWS)
    return Record(
        labels=("no", "yes"),
        rows=tuple(rows),
        gold=(1,) * ROWS,
        teacher=(1,) * ROWS,
        student=tuple(int(row < right) for row in rows),
        baseline=(0,) * ROWS,
        majority=0,
        segment=(-1,) * ROWS,
        segments=(),
        group=tuple(rows),
        data_set=data,
        model=model,
    )


def person(name: str) -> entities.Person:
    """Enrol a person."""
    return entities.Person(id=name, name=name.title(), enrolled_at=AT)


def key(name: str, letter: str, *, revoked: bool = False) -> entities.SshKey:
    """A key that a person has."""
    return entities.SshKey(
        fingerprint=f"SHA256:{letter}", person_id=name, kind="ssh-ed25519", blob=letter, added_at=AT,
        revoked_at=AT if revoked else None,
    )  # fmt: skip


def run(number: int, kind: RunKind, status: RunStatus, **more: Any) -> entities.Run:
    """A run that dan started in round 1."""
    known = {"play_id": 1, "round": 1, "spec": Spec().to_json(), "started_by": "dan", "created_at": AT}
    return entities.Run(**known | {"id": number, "kind": kind, "status": status} | more)


TRAINED = run(1, RunKind.TRAIN, RunStatus.FINISHED, artifact=digest("c"), result=trained())
LOOKED = run(2, RunKind.EVALUATE, RunStatus.FINISHED, student_run=1)
REHEARSED = run(3, RunKind.REHEARSE, RunStatus.FINISHED, student_run=1, result=encode(rehearsal()))
OBSERVING = run(4, RunKind.OBSERVE, RunStatus.RUNNING, token="t")
TRAFFIC = entities.Traffic(
    id=1, play_id=1, round=1, name="calls.jsonl", source_digest=digest("a"), artifact=digest("b"),
    mapping='{"input":"text"}', rows=400, rejects=0, report=import_report(), imported_at=AT,
)  # fmt: skip


TERMS = entities.ProviderTerms(
    play_id=1, provider="Acme", version="3.1", dated="2026-11-01", permits=1, checked_by="dan", checked_at=AT
)


def data_set(
    *,
    frozen: bool = True,
    round: int = 1,
    digest: str = digest("d"),
    findings: Sequence[Finding] = (),
    **splits: int,
) -> entities.DataSet:
    """The data set of a round, with so many rows in its splits and these findings."""
    counts = {Split.TRAIN: 300, Split.VALIDATION: 40, Split.HELD_OUT: ROWS}
    counts |= {Split(n.replace("_", "-")): v for n, v in splits.items()}
    return entities.DataSet(
        id=round, play_id=1, round=round, artifact="sha256:" + "e" * 64, digest=digest, labels='["no", "yes"]',
        counts=data_counts(counts, findings), built_at=AT, frozen_at=AT if frozen else None,
    )  # fmt: skip


def evaluation(number: int = 1, *, passed: bool = True, **more: Any) -> entities.Evaluation:
    """An evaluation of round 1."""
    known = {
        "play_id": 1, "round": 1, "run_id": 1, "evaluation_run": 2, "gate_digest": gate_written.digest(GATE),
        "data_digest": digest("d"), "model": digest("c"), "record": digest("f"), "reproduced": 0, "recorded_at": AT,
    }  # fmt: skip
    return entities.Evaluation(**known | {"id": number, "passed": int(passed)} | more)


def bundle(number: int = 1, **more: Any) -> entities.Bundle:
    """What shipped of a round."""
    known = {"play_id": 1, "round": number, "digest": digest("8"), "sign_off_id": 1, "shipped_by": "dan"}
    return entities.Bundle(**known | {"id": number, "shipped_at": AT} | more)


FEED = entities.Feed(
    id=1, play_id=1, bundle_id=1, name="may.jsonl", source_digest=digest("6"), artifact=digest("7"), rows=9, rejects=0,
    received_at=AT,
)  # fmt: skip


def watch(standing: Standing = Standing.ALARM, **more: Any) -> entities.Watch:
    """How the monitor stood after the feed."""
    known = {"feed_id": 1, "play_id": 1, "bundle_id": 1, "plan": "{}", "state": "{}", "findings": "[]"}
    return entities.Watch(**known | {"standing": standing, "recorded_at": AT} | more)


def remedy(kind: Remedy, **more: Any) -> entities.RemedyRow:
    """What olga did about the live student."""
    known = {"id": 1, "play_id": 1, "round": 2, "bundle_id": 1, "newest_bundle": 1, "feed_id": 0, "reason": "drift"}
    return entities.RemedyRow(**known | {"kind": kind, "detail": "{}", "person_id": "olga", "at": AT} | more)


def a_play(stage: Stage, **more: Any) -> entities.Play:
    """A stability play, maintained from the start."""
    known: dict[str, Any] = {
        "id": 1, "name": "refunds", "kind": PlayKind.STABILITY, "task": Task.CLASSIFICATION, "opened_at": AT,
        "stage_since": AT, "teacher_source": TeacherSource.RECORDED, "sampling_per_month": 400, "refresh_days": 90,
    }  # fmt: skip
    return entities.Play(**known | {"stage": stage} | more)


PROJECT = ProjectDossier(
    uid="0" * 32,
    name="support",
    keeper="mia",
    people={name: person(name) for name in EVERYBODY},
    accounts=tuple(entities.Account(uid=at, person_id=name, added_at=AT) for at, name in enumerate(EVERYBODY)),
    keys=(key("vera", "v"), key("bob", "b", revoked=True)),
    play_names=frozenset({"refunds"}),
    audit_size=9,
    audit_head=digest("0"),
)


def dossier(stage: Stage = Stage.DECIDE, **changes: Any) -> PlayDossier:
    """A play at a stage, with all that the next step asks for; name what should differ."""
    order = list(Stage)

    def since(first: Stage) -> bool:
        return order.index(stage) >= order.index(first)

    locked = since(Stage.DATA)
    gate_row = entities.GateRow(play_id=1, content=to_json(GATE))
    if locked:
        gate_row = entities.GateRow(
            play_id=1, content=to_json(GATE), digest=gate_written.digest(GATE), locked_by="sam", locked_at=AT
        )
    looked = since(Stage.DECIDE)
    known: dict[str, Any] = {
        "project": PROJECT,
        "play": a_play(stage),
        "roles": ROLES,
        "builders": {"dan": ("drive", "import_traffic")},
        "worksheet": {
            name: entities.WorksheetValue(play_id=1, name=name, value=value, source="")
            for name, value in WORKSHEET.items()
        },
        "gate": GATE,
        "gate_row": gate_row,
        "traffic": (TRAFFIC,),
        "terms": TERMS,
        "data_sets": (data_set(frozen=since(Stage.TRAIN)),) if locked else (),
        "runs": (TRAINED, LOOKED, REHEARSED) if looked else ((TRAINED,) if since(Stage.TRAIN) else ()),
        "evaluations": (evaluation(),) if looked else (),
        "looked": Looked.at(None, judge(GATE, record()) if looked else ()),
    }
    return changed(PlayDossier(**known), **changes)


def changed(seen: PlayDossier, **changes: Any) -> PlayDossier:
    """Change fields of a dossier, of the project's dossier in it, or of what its evaluation showed."""
    seen = replace(seen, looked=_looked(changes.pop("looked", seen.looked), changes))
    names = {each.name for each in fields(ProjectDossier)}
    project = replace(seen.project, **{name: value for name, value in changes.items() if name in names})
    return replace(seen, **{"project": project} | {name: value for name, value in changes.items() if name not in names})


def _looked(looked: Looked, changes: dict[str, Any]) -> Looked:
    record = changes.pop("record", looked.record)
    return Looked.at(record, changes.pop("judgements", looked.judgements))


def sign_off(
    of: PlayDossier,
    who: str = "vera",
    opinion: Opinion = Opinion.APPROVE,
    *,
    assurance: Assurance = Assurance.ACCOUNT,
    comment: str = "I looked.",
    **facts: Any,
) -> SignOffFacts:
    """A statement about a dossier as it is, and what was found out about it."""
    written = statements.sign_off(
        covers(of), [], opinion=opinion.value, comment=comment, signer=who, audit_size=of.project.audit_size,
        audit_head=of.project.audit_head, issued=AT,
    )  # fmt: skip
    statement = json.loads(written)
    row = entities.SignOff(
        id=1, play_id=1, round=of.play.round, person_id=who, opinion=opinion, assurance=assurance,
        statement=written, comment=comment, recorded_at=AT,
    )  # fmt: skip
    return SignOffFacts(row, statement, **facts)


def signed(of: PlayDossier | None = None, *more: SignOffFacts) -> PlayDossier:
    """A play at decide with a gate that holds, and vera's approval."""
    of = of or dossier()
    return replace(of, sign_offs=(sign_off(of), *more))


def ids(reasons: Iterable[Objection]) -> set[str]:
    """The rule ids of some objections."""
    return {reason.rule for reason in reasons}


REQUESTS: dict[Action, Any] = {
    **dict.fromkeys((action for action in Action if not action.command), requests.WorkerReport),
    Action.FALL_BACK: requests.FallBack,
    **dict.fromkeys((Action.UNDO, Action.REDO), requests.Undo),
    Action.QUEUE_RUN: requests.QueueRun,
    **dict.fromkeys((Action.SIGN_OFF, Action.REFUSE), requests.SignOff),
    **dict.fromkeys((Action.STOP_RUN, Action.RESUME_RUN, Action.EVALUATE), requests.ForRun),
    **dict.fromkeys(
        (Action.KILL, Action.ACKNOWLEDGE, Action.REFRESH, Action.SUSPEND, Action.RESUME), requests.WithReason
    ),
    **dict.fromkeys((Action.ENROL_PERSON, Action.ADD_ACCOUNT, Action.ADD_KEY), requests.Enrol),
}


def asked(
    action: Action, seen: ProjectDossier | PlayDossier | None, given: Mapping[str, Any] | None
) -> requests.Request | None:
    """The request of an action with what is given; what it needs besides is what the rules have nothing against."""
    made = REQUESTS.get(action) or vars(requests).get(action.value.title().replace("_", ""))
    if made is None or not given:
        return None
    harmless: dict[str, Any] = {
        "person": "bob", "role": Role.OPERATOR, "uid": 77, "fingerprint": "SHA256:n", "name": "new", "values": {},
        "provider": "Acme", "version": "1", "dated": "2026-05-01", "source_digest": digest("5"), "mapping": "",
        "source": "recorded", "findings": (), "reason": "No headroom.", "file": 1, "run": 1, "token": "", "sample": 1,
        "refresh_days": 1, "bundle": 1, "row": 7, "held_out": True, "burn": True, "seeds": 3,
        "queues": Action.BUILD_DATA, "currency": "EUR", "open": True, "done": Action.EDIT_GATE,
        "mode": ServingMode.CAPTURE, "since": 7, "forbids": ["late-role"],
        "command": (), "webhook": "",
    }  # fmt: skip
    if isinstance(seen, PlayDossier):
        harmless |= {"covers": covers(seen), "roster": roster(seen)}
    names = [each.name for each in fields(made)]
    needed = [each.name for each in fields(made) if each.default is MISSING and each.default_factory is MISSING]
    chosen = {name: harmless[name] for name in needed if name in harmless}
    chosen |= {name: value for name, value in given.items() if name in names}
    return made(**chosen) if set(needed) <= set(chosen) else None

"""The rulebook: what is refused, by which rule, and what makes it allowed. Every rule id stands here once at least."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill_tui.digests import canonical, digest_of
from distill_tui.gates import economics, written
from distill_tui.gates.economics import Range
from distill_tui.gates.gate import Criterion, Gate, Interim, default_gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.judging import judge
from distill_tui.gates.scale import Scale
from distill_tui.gates.usable import SegmentRows
from distill_tui.gates.written import to_json
from distill_tui.rules import data, entities, permission, spot_checks
from distill_tui.rules.actor import Actor
from distill_tui.rules.decide import covers
from distill_tui.rules.dossier import AfterShip, Lineage, PlayDossier, ProjectDossier, SignOffFacts, StatementFacts
from distill_tui.rules.gate import terms_unclear
from distill_tui.rules.next_step import advice, answer_to_alarm, next_step, waits_for
from distill_tui.rules.objection import Objection
from distill_tui.rules.permission import PROJECT_RULES, RULES, objections
from distill_tui.rules.requests import AssignRole, Observe, RollBack, WorkerReport
from distill_tui.rules.results import Finding, encode
from distill_tui.rules.serving_mode import Serving
from distill_tui.rules.state_machine import NEXT_STAGE
from distill_tui.rules.who import roster
from distill_tui.spec import Spec
from distill_tui.tasks.label_map import Vocabulary
from distill_tui.terms import (
    Action,
    Advice,
    Assurance,
    FindingLevel,
    Judged,
    KeptContent,
    Metric,
    OnObjection,
    Opinion,
    PlayKind,
    Reference,
    Remedy,
    Role,
    RunKind,
    RunStatus,
    ServingMode,
    Split,
    Stage,
    Standing,
    StatementKind,
    StudentKind,
    Task,
    TeacherFault,
    TeacherSource,
    Verdict,
)
from support import results
from support.story import (
    AT,
    EVERYBODY,
    FEED,
    GATE,
    LOOKED,
    OBSERVING,
    ROLES,
    TERMS,
    TRAFFIC,
    TRAINED,
    a_play,
    actor,
    asked,
    bundle,
    changed,
    data_set,
    digest,
    dossier,
    evaluation,
    ids,
    key,
    person,
    record,
    remedy,
    run,
    sign_off,
    signed,
    watch,
)

MIA, SAM, DAN, VERA, OLGA, BOB = (actor(name) for name in EVERYBODY)
DRAFT_GATE = entities.GateRow(play_id=1, content="{}")
LOCAL = a_play(Stage.DATA, teacher_source=TeacherSource.LOCAL, teacher_digest=digest("9"))
UNTAUGHT = a_play(Stage.DATA, teacher_source=TeacherSource.NONE)
QUEUED = run(3, RunKind.TRAIN, RunStatus.QUEUED)
RUNNING = run(3, RunKind.EVALUATE, RunStatus.RUNNING, token="t", student_run=1)
LOST = run(3, RunKind.TRAIN, RunStatus.LOST)
WORKER = actor("dan", run=3)
STRICT = replace(GATE, minimum_assurance=Assurance.SIGNED)
SURE = Assurance.SIGNED
OLDER = Lineage(trouble="The audit log has 7 entries, and you have seen 9.", seen=9)
OBJECTED = AfterShip("vera", "It fails on refunds.", AT, 1, False, 9)
LATE = frozenset({"late-role"})
JUDGING = replace(GATE, minimum_spot_check=4)
STATIC = Spec(student=StudentKind.STATIC)
TAGGER = Spec.from_mapping({"student": "tagger"})


def without(roles: Mapping[Role, str], gone: Role) -> dict[Role, str]:
    return {role: holder for role, holder in roles.items() if role is not gone}


@dataclass
class Case:
    """One rule: what it refuses, and the nearest thing that is allowed."""

    rule: str
    action: Action
    by: Actor
    refused: ProjectDossier | PlayDossier | None
    allowed: ProjectDossier | PlayDossier | None
    request: Mapping[str, Any] = field(default_factory=dict)
    instead: Mapping[str, Any] | None = None  # the request that is allowed, where it is the request that was wrong
    allowed_by: Actor | None = None

    def objections_of_refused(self) -> list[Objection]:
        return objections(self.action, self.refused, self.by, asked(self.action, self.refused, self.request))

    def objections_of_allowed(self) -> list[Objection]:
        request = asked(self.action, self.allowed, self.request if self.instead is None else self.instead)
        return objections(self.action, self.allowed, self.allowed_by or self.by, request)


FINDINGS = (
    Finding("must-1", FindingLevel.MUST, "The teacher is below the gate."),
    Finding("note-1", FindingLevel.NOTE, "Segment de is thin."),
)


SEGMENTED = replace(GATE, criteria=(
    *GATE.criteria, Criterion(Metric.ACCURACY, Reference.TEACHER, "segment: rare", margin=Decimal("0.01"))
))  # fmt: skip


def of_segments(**rows: int) -> entities.Traffic:
    return replace(TRAFFIC, report=results.import_report([*rows.items()]))


def ranged(low: int, high: int) -> Any:
    return Range("calls_per_month", Decimal(low), Decimal(high), "quotes", "2026-01-31")


def accepted(name: str, **more: Any) -> entities.AcceptedFinding:
    says = next(each.says for each in FINDINGS if each.id == name)
    known = {"play_id": 1, "round": 1, "finding": name, "says": says, "reason": "known", "person_id": "dan", "at": AT}
    return entities.AcceptedFinding(**known | more)


def terms(**more: Any) -> entities.ProviderTerms:
    return replace(TERMS, **more)


def at(stage: Stage, **changes: Any) -> PlayDossier:
    return dossier(stage, **changes)


def named_by(confirmed: Mapping[str, str] | None = None, **names: Mapping[str, int]) -> PlayDossier:
    """A play with traffic that names its labels so, and what a person confirmed about them."""
    found = Vocabulary(**names)
    rows = SegmentRows("all", 400, 18, 18 * bool(found.answers), 18 * bool(found.answers), 0)
    traffic = replace(TRAFFIC, report=results.import_report(names=found, usable=(rows,)))
    return at(Stage.DATA, traffic=(traffic,), play=a_play(Stage.DATA, label_map=json.dumps(confirmed or {})))


def scored(scale: Scale) -> PlayDossier:
    """A play of scores whose traffic names a level otherwise, too."""
    found = named_by(dict(zip(scale.labels, scale.labels, strict=True)), gold={"1": 9, "A": 9}, answers={"1": 9})
    return replace(found, play=replace(found.play, task=Task.SCORE))


NAMES = {"a": 9, "b": 9}
DROPPED = entities.DroppedRow(play_id=1, input_digest="5e" * 32, round=1, reason="a test call", person_id="dan", at=AT)
MANY = {f"intent {number} of a hundred and one": 1 for number in range(101)}
LABELLED = named_by(gold={"a": 9, "b": 9, "c": 9}, answers={"A.": 9})


def with_gold(rows: int) -> entities.Traffic:
    return replace(TRAFFIC, report=results.import_report(usable=(SegmentRows("all", 400, rows, 400, rows, 0),)))


def counted_rows(gold: int = 1, trained: tuple[str, ...] = ("a", "b")) -> PlayDossier:
    """A draft data set with so many held-out rows with gold, and these labels among its training rows."""
    counts = {Split.TRAIN: 300, Split.VALIDATION: 40, Split.HELD_OUT: 12}
    usable = (SegmentRows("all", 12, gold, 12, gold, 0),)
    draft = data_set(frozen=False)
    counted = results.data_counts(counts, usable=usable, trained=trained)
    return at(Stage.DATA, data_sets=(replace(draft, counts=counted),))


def drafted(labels: Sequence[str] = ("a", "b"), files: Sequence[str] | None = None) -> PlayDossier:
    """A draft data set of these labels, built of these files; by default of those that are there."""
    seen = named_by({"a": "a", "b": "b"}, gold=NAMES, answers=NAMES)
    built_of = (*data.sources(seen),) if files is None else (*files, data.sources(seen)[-1])
    counts = {Split.TRAIN: 300, Split.VALIDATION: 40, Split.HELD_OUT: 12}
    usable = (SegmentRows("all", 12, 12, 12, 12, 0),)
    counted = results.data_counts(counts, usable=usable, trained=("a", "b"), built_of=built_of)
    draft = replace(data_set(frozen=False), counts=counted, labels=json.dumps([*labels]))
    return replace(seen, data_sets=(draft,))


AGAIN = replace(  # the second round of a play whose first was judged by the labels a, b and c
    LABELLED,
    play=a_play(Stage.DATA, round=2),
    traffic=tuple(replace(each, round=2) for each in LABELLED.traffic),
    data_sets=(replace(data_set(), labels='["a", "b", "c"]'),),
)


def ranging(high: str) -> PlayDossier:
    """A gate that locks a range of a price up to this."""
    known = economics.Range("calls_per_month", Decimal(1), Decimal(high), "bill", "2026-10-01")
    return at(Stage.GATE, gate=replace(GATE, ranges=(known,)))


def thin(watch_only: str) -> PlayDossier:
    """A gate with a floor in a segment that almost no traffic is in."""
    floor = Criterion(Metric.ACCURACY, scope="segment: de", threshold=Decimal("0.9"), watch_only=watch_only)
    report = results.import_report([("de", 1), ("en", 399)])
    traffic = replace(TRAFFIC, report=report)
    return at(Stage.GATE, gate=replace(GATE, criteria=(*GATE.criteria, floor)), traffic=(traffic,))


NARROW = Criterion(Metric.ACCURACY, Reference.BASELINE, threshold=None, margin=Decimal("0.001"))
AGAINST_RECORDED = at(
    Stage.DATA,
    gate_row=entities.GateRow(
        play_id=1, content=to_json(GATE), digest=written.digest(GATE), locked_by="sam", locked_at=AT,
        facts='{"teacher": {"source": "recorded", "name": "recorded outputs", "digest": ""}}',
    ),
)  # fmt: skip
Q, G, D, T, DECIDE = (at(stage) for stage in (Stage.QUALIFY, Stage.GATE, Stage.DATA, Stage.TRAIN, Stage.DECIDE))
LIVE = at(Stage.LIVE, bundles=(bundle(),), feeds=(FEED,))
ALARMED = replace(LIVE, watches=(watch(),))
SUSPENDED = replace(LIVE, remedies=(remedy(Remedy.SUSPEND),))
TWICE = replace(LIVE, bundles=(bundle(), bundle(2)))
REFRESHING = at(Stage.DATA, bundles=(bundle(),), remedies=(remedy(Remedy.REFRESH),), play=a_play(Stage.DATA, round=2))
WRITTEN = at(Stage.TRAIN, play=a_play(Stage.TRAIN, task=Task.GENERATION))
TO_WRITE = at(Stage.DATA, play=a_play(Stage.DATA, task=Task.GENERATION))
OF_LEVELS, OF_A_RANGE = (scored(Scale.read(text)) for text in ("1,2,3", "0..1"))
NOT_EVALUATED = at(Stage.TRAIN, runs=(TRAINED, RUNNING))
BY_KEY = replace(LIVE, sign_offs=(sign_off(DECIDE, key="SHA256:v"),))
CANARY = Serving(
    ServingMode.CANARY, 5, KeptContent.FULL, Decimal("0.02"), TeacherFault.FAIL, 1, 1, "", False, "olga", AT, seq=7
)
SERVED = replace(BY_KEY, serving=CANARY)


def cases() -> list[Case]:
    """Every rule, refused and then allowed."""
    a = Action
    live = at(Stage.LIVE)
    canary = {"mode": ServingMode.CANARY, "percent": 5}
    killed = at(Stage.KILLED)
    misses, unproven = (judge(GATE, record(right)) for right in (0, 6))
    size_only = Gate((Criterion(Metric.SIZE, threshold=Decimal(9)),))
    unmeasured = judge(size_only, record())
    paid = at(Stage.DATA, play=a_play(Stage.DATA, teacher_source=TeacherSource.ENDPOINT, teacher_digest=digest("8")))
    named = at(
        Stage.DATA,
        gate_row=entities.GateRow(
            play_id=1,
            content=to_json(GATE),
            digest=written.digest(GATE),
            locked_by="sam",
            locked_at=AT,
            facts='{"teacher": {"source": "recorded", "name": "recorded outputs", "digest": ""}}',
        ),
    )
    must = at(Stage.DATA, data_sets=(data_set(frozen=False, findings=FINDINGS),))
    grave = at(Stage.DATA, data_sets=(data_set(frozen=False, findings=FINDINGS[:1]),))
    narrow = at(Stage.GATE, gate=replace(GATE, criteria=(*GATE.criteria, NARROW)))
    no_keys = tuple(account for account in G.project.accounts if account.person_id != "vera")
    return [
        # who
        Case("identity.unknown", a.COMMENT, actor(None), DECIDE, DECIDE, allowed_by=BOB),
        Case("play.none", a.COMMENT, BOB, DECIDE.project, DECIDE),
        Case("stage.closed", a.SHIP, DAN, live, signed()),
        Case("stage.killed", a.SHIP, DAN, killed, signed()),
        Case("roster.keeper", a.ENROL_PERSON, DAN, DECIDE, DECIDE, {"person": "zoe"}, allowed_by=MIA),
        Case("role.sponsor", a.LOCK_GATE, DAN, G, G, allowed_by=SAM),
        Case("role.driver", a.START_RUN, SAM, T, T, allowed_by=DAN),
        Case("role.validator", a.SIGN_OFF, SAM, DECIDE, DECIDE, allowed_by=VERA),
        Case("role.operator", a.SET_MAINTENANCE, BOB, DECIDE, DECIDE, allowed_by=OLGA),
        # the project and its people
        Case("project.exists", a.OPEN_PROJECT, actor(None), DECIDE.project, None),
        Case("person.id", a.ENROL_PERSON, MIA, DECIDE, DECIDE, {"person": "Zoë\n"}, {"person": "zoe"}),
        Case("person.exists", a.ENROL_PERSON, MIA, DECIDE, DECIDE, {"person": "dan"}, {"person": "dave"}),
        Case("person.confusable", a.ENROL_PERSON, MIA, DECIDE, DECIDE, {"person": "b0b"}, {"person": "bobby"}),
        Case("person.unknown", a.ADD_ACCOUNT, MIA, DECIDE, DECIDE, {"person": "eve"}, {"person": "bob"}),
        Case("account.taken", a.ADD_ACCOUNT, MIA, DECIDE, DECIDE, {"person": "bob", "uid": 2}, {"uid": 77}),
        Case("key.taken", a.ADD_KEY, MIA, DECIDE, DECIDE, {"fingerprint": "SHA256:v"}, {"fingerprint": "SHA256:n"}),
        Case("key.unknown", a.REVOKE_KEY, VERA, DECIDE, DECIDE, {"fingerprint": "SHA256:n"},
             {"fingerprint": "SHA256:v"}),
        Case("key.revoked", a.REVOKE_KEY, MIA, DECIDE, DECIDE, {"fingerprint": "SHA256:b"},
             {"fingerprint": "SHA256:v"}),
        Case("assurance.lowered", a.SET_ASSURANCE, actor("mia", assurance=Assurance.HARDWARE), keyed(), keyed(),
             {"assurance": Assurance.SESSION}, {"assurance": Assurance.HARDWARE}),
        Case("audit.restored", a.COMMENT, BOB, changed(DECIDE, lineage=OLDER), DECIDE, {"text": "Hm."}),
        Case("audit.restored", a.SHIP, DAN, changed(signed(), lineage=Lineage(waiting=("mia",))), signed()),
        Case("restored.none", a.ACCEPT_RESTORED, BOB, DECIDE, changed(DECIDE, lineage=OLDER), {"reason": "x"}),
        Case("restored.own", a.ACCEPT_RESTORED, MIA, changed(DECIDE, lineage=Lineage(waiting=("mia",))),
             changed(DECIDE, lineage=Lineage(waiting=("bob",))), {"reason": "x"}),
        Case("file.exposed", a.SIGN_OFF, VERA, changed(DECIDE, exposed="Every account may write it."), DECIDE),
        Case("file.exposed", a.SERVE_MODE, OLGA, changed(SERVED, exposed="Every account may write it."), SERVED,
             {"mode": ServingMode.CANARY, "percent": 5}),
        Case("serve.objection", a.SERVE_MODE, OLGA, replace(SERVED, after_ship=(OBJECTED,)), SERVED,
             {"mode": ServingMode.CANARY, "percent": 5}),
        Case("serve.objection", a.SERVE_MODE, OLGA, replace(SERVED, after_ship=(OBJECTED,)),
             replace(SERVED, after_ship=(OBJECTED,)), {"mode": ServingMode.CANARY, "percent": 5},
             {"mode": ServingMode.CANARY, "percent": 5, "on_objection": OnObjection.GO_ON}),
        Case("separation.word", a.SET_SEPARATION, MIA, DECIDE, DECIDE, {"forbids": ["all"]},
             {"forbids": ["late-role"]}),
        Case("separation.forbidden", a.ASSIGN_ROLE, SAM, changed(D, forbids=LATE), D,
             {"role": Role.OPERATOR, "person": "bob"}),
        Case("separation.forbidden", a.ASSIGN_ROLE, SAM, changed(G, forbids=frozenset({"sponsor-validates"})), G,
             {"role": Role.VALIDATOR, "person": "sam"}),
        Case("separation.lowered", a.SET_SEPARATION, MIA, changed(DECIDE, forbids=LATE), DECIDE,
             {"forbids": ["shared-name"]}),
        Case("separation.forbidden", a.SIGN_OFF, VERA,
             changed(replace(DECIDE, late_roles=(("operator", "bob", "olga"),)), forbids=LATE),
             replace(DECIDE, late_roles=(("operator", "bob", "olga"),))),
        Case("roster.key", a.SIGN_ROSTER, SAM, DECIDE, DECIDE, allowed_by=actor("sam", assurance=SURE)),
        Case("roster.moved", a.SIGN_ROSTER, actor("sam", assurance=SURE), DECIDE, DECIDE, {"roster": {}},
             {"roster": roster(DECIDE)}),
        Case("roster.unsigned", a.SIGN_OFF, actor("vera", assurance=SURE),
             changed(vouched(by_signature(DECIDE)), keys=(*DECIDE.project.keys, key("olga", "o"))),
             vouched(by_signature(DECIDE))),
        Case("roster.unsigned", a.SIGN_OFF, actor("vera", assurance=SURE),
             vouched(by_signature(DECIDE), trouble="It is forged."), vouched(by_signature(DECIDE))),
        # sessions over SSH
        Case("session.no_files", a.IMPORT_TRAFFIC, actor("dan", assurance=Assurance.SESSION), D, D, allowed_by=DAN),
        Case("session.no_files", a.START_RUN, actor("dan", assurance=Assurance.SESSION), T, T, allowed_by=DAN),
        Case("session.no_files", a.SET_TEACHER, actor("dan", assurance=SURE, over_ssh=True), D, D, allowed_by=DAN),
        Case("session.host_built", a.SIGN_OFF, actor("vera", assurance=Assurance.SESSION, host="dan"), DECIDE, DECIDE,
             allowed_by=actor("vera", assurance=Assurance.SESSION, host="mia")),
        Case("session.host_built", a.WITHDRAW, actor("vera", assurance=Assurance.SESSION, host="dan"), signed(),
             signed(), instead={"proof": SURE}),
        # opening a play
        Case("play.name", a.OPEN_PLAY, BOB, DECIDE, DECIDE, {"name": "x" * 81}, {"name": "x" * 80}),
        Case("play.exists", a.OPEN_PLAY, BOB, DECIDE, DECIDE, {"name": "refunds"}, {"name": "refunds-2"}),
        Case("play.predecessor", a.OPEN_PLAY, BOB, DECIDE, DECIDE, {"predecessor": live.play},
             {"predecessor": killed.play}),
        Case("play.scale", a.OPEN_PLAY, BOB, DECIDE, DECIDE, {"name": "scores", "task": Task.SCORE, "scale": "3"},
             {"name": "scores", "task": Task.SCORE, "scale": "1,2,3"}),
        # roles
        Case("role.validator_built", a.ASSIGN_ROLE, SAM, DECIDE, DECIDE,
             {"role": Role.VALIDATOR, "person": "dan"}, {"role": Role.VALIDATOR, "person": "bob"}),
        Case("role.driver_validates", a.ASSIGN_ROLE, SAM, G, G,
             {"role": Role.DRIVER, "person": "vera"}, {"role": Role.DRIVER, "person": "bob"}),
        # qualify and gate
        Case("worksheet.unknown", a.FILL_WORKSHEET, DAN, Q, Q, {"values": {"luck": "1"}},
             {"values": {"price_change": "1"}}),
        Case("worksheet.number", a.FILL_WORKSHEET, DAN, Q, Q,
             {"values": {"price_change": "NaN"}}, {"values": {"price_change": "0"}}),
        Case("worksheet.range", a.FILL_WORKSHEET, DAN, Q, Q,
             {"values": {"price_change": "-1"}}, {"values": {"price_change": "0"}}),
        Case("trigger.holds", a.QUALIFY, DAN, at(Stage.QUALIFY, worksheet={}), Q),
        Case("roles.missing", a.LOCK_GATE, SAM, at(Stage.GATE, roles=without(ROLES, Role.OPERATOR)), G),
        Case("gate.unreadable", a.LOCK_GATE, SAM, at(Stage.GATE, gate=None), G),
        Case("gate.problem", a.LOCK_GATE, SAM, at(Stage.GATE, gate=replace(GATE, criteria=())), G),
        Case("gate.range", a.LOCK_GATE, SAM, ranging("10"), ranging("1000000")),
        Case("gate.cannot_pass", a.LOCK_GATE, SAM, narrow, narrow, {"cannot_pass": False}, {"cannot_pass": True}),
        Case("gate.unprovable", a.LOCK_GATE, SAM, thin(""), thin("There are too few of them.")),
        Case("gate.teacher", a.SET_TEACHER, DAN, AGAINST_RECORDED, AGAINST_RECORDED,
             {"source": "local", "digest": digest("7")}, {"source": "recorded", "digest": ""}),
        Case("gate.moved", a.LOCK_GATE, SAM, G, G, {"expected": digest("1")}, {"expected": written.digest(GATE)}),
        Case("gate.weak", a.LOCK_GATE, SAM, by_signature(G), by_signature(G), allowed_by=actor("sam", assurance=SURE)),
        Case("gate.nobody_validates", a.LOCK_GATE, SAM, at(Stage.GATE, builders={"vera": ("label",)}), G),
        Case("gate.nobody_validates", a.LOCK_GATE, SAM, at(Stage.GATE, keys=(), accounts=no_keys), G),
        Case("gate.nobody_validates", a.LOCK_GATE, SAM,
             at(Stage.GATE, gate=STRICT, keys=(key("vera", "v", revoked=True),)), at(Stage.GATE, gate=STRICT)),
        Case("gate.locked", a.EDIT_GATE, DAN, D, G),
        Case("gate.unprovable", a.LOCK_GATE, SAM,
             at(Stage.GATE, gate=SEGMENTED, traffic=(of_segments(rare=1, usual=399),)), G),
        Case("gate.range", a.LOCK_GATE, SAM, at(Stage.GATE, gate=replace(GATE, ranges=(ranged(1, 2),))),
             at(Stage.GATE, gate=replace(GATE, ranges=(ranged(1, 900_000),)))),
        Case("gate.teacher", a.SET_TEACHER, DAN, named, named, {"source": "local", "digest": digest("2")},
             {"source": "recorded", "digest": ""}),
        Case("gate.touched", a.START_RUN, DAN, at(Stage.TRAIN, gate_trouble="The gate is not what was locked."), T),
        # data
        Case("traffic.twice", a.IMPORT_TRAFFIC, DAN, at(Stage.DATA, data_sets=()), at(Stage.DATA, data_sets=()),
             {"source_digest": digest("a"), "mapping": '{"input":"text"}'},
             {"source_digest": digest("2"), "mapping": "{}"}),
        Case("traffic.mapping", a.IMPORT_TRAFFIC, DAN, D, D,
             {"mapping": '{"calls":{"scrub":true}}'}, {"mapping": "{}"}),
        Case("traffic.models", a.IMPORT_TRAFFIC, DAN, D, D,
             {"models": [("big", 9), ("small", 2)], "name": "calls.jsonl"},
             {"models": [("big", 9), ("small", 2)], "answers_of": "big", "name": "calls.jsonl"}),
        Case("undo.nothing", a.UNDO, DAN, G, G, {"done": None}, {"done": a.EDIT_GATE}),
        Case("undo.moved", a.REDO, DAN, G, G, {"done": a.EDIT_GATE, "moved": ["gate"]}, {"done": a.EDIT_GATE}),
        Case("row.sealed", a.DROP_ROW, DAN, D, D, {"open": False}, {"open": True}),
        Case("data.dropped", a.FREEZE_DATA, DAN, replace(D, dropped=(DROPPED,)), D),
        Case("currency.unknown", a.SET_CURRENCY, MIA, DECIDE, DECIDE, {"currency": "EUO"}, {"currency": "EUR"}),
        Case("currency.fixed", a.SET_CURRENCY, MIA, changed(DECIDE, gates_locked=True), DECIDE, {"currency": "EUR"},
             {"currency": "EUR"}),
        Case("traffic.unknown", a.DROP_TRAFFIC, DAN, D, D, {"file": 9}, {"file": 1}),
        Case("traffic.earlier", a.DROP_TRAFFIC, DAN, at(Stage.DATA, play=a_play(Stage.DATA, round=2), data_sets=()), D,
             {"file": 1}, {"file": 1}),
        Case("traffic.none", a.BUILD_DATA, DAN, at(Stage.DATA, traffic=()), D),
        Case("teacher.none", a.BUILD_DATA, DAN, at(Stage.DATA, play=UNTAUGHT), D),
        Case("teacher.recorded", a.LABEL, DAN, D, at(Stage.DATA, play=LOCAL)),
        Case("teacher.budget", a.LABEL, DAN, paid, paid, {"limits": {"budget": "5"}},
             {"limits": {"budget": "5", "price_in": "1", "price_out": "2"}}),
        Case("teacher.untried", a.LABEL, DAN, paid, paid,
             {"limits": {"budget": "5", "price_in": "1", "price_out": "0"}, "tried": False},
             {"limits": {"budget": "5", "price_in": "0", "price_out": "0"}, "tried": False}),
        Case("teacher.chooses", a.SET_TEACHER, DAN, TO_WRITE, TO_WRITE, {"chooses": True}, {"chooses": False}),
        Case("teacher.range", a.SET_TEACHER, DAN, OF_A_RANGE, OF_LEVELS, {"source": "local"}, {"source": "local"}),
        Case("teacher.no_labels", a.SET_TEACHER, DAN, D, D, {"chooses": False}, {"chooses": True}),
        Case("teacher.cannot_write", a.LABEL, DAN, at(Stage.DATA, play=LOCAL), paid, {"vary": True}),
        Case("variation.sealed", a.LABEL, DAN, paid, paid, {"vary": True, "sealed": [7]}, {"vary": True, "sealed": []}),
        Case("variation.leak", a.IMPORT_TRAFFIC, DAN, D, D, {"variations": True, "held_out": {"near": 1}},
             {"variations": True, "held_out": {"near": 0}}),
        Case("teacher.unasked", a.BUILD_DATA, DAN, at(Stage.DATA, play=LOCAL), D),
        Case("data.frozen", a.BUILD_DATA, DAN, at(Stage.DATA, data_sets=(data_set(),)), D),
        Case("data.none", a.FREEZE_DATA, DAN, at(Stage.DATA, data_sets=()), D),
        Case("data.held_out", a.FREEZE_DATA, DAN, at(Stage.DATA, data_sets=(data_set(frozen=False, held_out=11),)), D),
        Case("data.empty", a.FREEZE_DATA, DAN, at(Stage.DATA, data_sets=(data_set(frozen=False, validation=0),)), D),
        Case("data.leak", a.FREEZE_DATA, DAN, D, D, {"leaks": ["Row 3 of held-out is row 9 of train."]}, {"leaks": []}),
        Case("traffic.rejects", a.IMPORT_TRAFFIC, DAN, D, D,
             {"rows": 9, "rejects": 1, "most_rejects": 0.05, "reasons": [("no text", 1)], "name": "calls.jsonl"},
             {"rows": 99, "rejects": 1, "most_rejects": 0.05, "reasons": [("no text", 1)], "name": "calls.jsonl"}),
        Case("data.finding", a.FREEZE_DATA, DAN, must, replace(must, accepted=(accepted("must-1"),))),
        Case("finding.none", a.ACCEPT_FINDINGS, DAN, D, must),
        Case("finding.unknown", a.ACCEPT_FINDINGS, DAN, must, must, {"findings": ["no-1"]}, {"findings": ["must-1"]}),
        Case("finding.named", a.ACCEPT_FINDINGS, DAN, grave, grave, {"findings": []}, {"findings": ["must-1"]}),
        Case("data.outdated", a.FREEZE_DATA, DAN, drafted(files=["sha256:another"]), drafted()),
        # labels, and rows that can judge
        Case("labels.moved", a.FREEZE_DATA, DAN, drafted(labels=("a", "c")), drafted()),
        Case("labels.judged", a.MAP_LABELS, DAN, AGAIN, AGAIN, {"names": {"a": "b"}}, {"names": {"A.": "a"}}),
        Case("teacher.not_recorded", a.SET_TEACHER, DAN, named_by(gold={"a": 9, "b": 9}), D, {"source": "recorded"}),
        Case("teacher.not_recorded", a.BUILD_DATA, DAN, named_by(gold={"a": 9, "b": 9}), D),
        Case("labels.unconfirmed", a.BUILD_DATA, DAN, named_by(gold=NAMES, answers={"A.": 9, "b": 9}),
             named_by({"A.": "a", "a": "a", "b": "b"}, gold=NAMES, answers={"A.": 9, "b": 9})),
        Case("labels.many", a.BUILD_DATA, DAN, named_by(gold=MANY, answers=MANY),
             named_by(dict(zip(MANY, MANY, strict=True)), gold=MANY, answers=MANY)),
        Case("labels.few", a.BUILD_DATA, DAN, named_by(gold={"a": 18}, answers={"a": 18}),
             named_by(gold=NAMES, answers=NAMES)),
        Case("labels.few", a.FREEZE_DATA, DAN, counted_rows(trained=("a",)), counted_rows(trained=("a", "b"))),
        Case("labels.none", a.MAP_LABELS, DAN, D, named_by(gold=NAMES, answers=NAMES)),
        Case("labels.levels", a.MAP_LABELS, DAN, OF_LEVELS, OF_LEVELS, {"names": {"A": "9"}}, {"names": {"A": "1"}}),
        Case("labels.range", a.MAP_LABELS, DAN, OF_A_RANGE, OF_LEVELS, {"names": {"A": "1"}}, {"names": {"A": "1"}}),
        Case("labels.texts", a.MAP_LABELS, DAN, TO_WRITE, named_by(gold=NAMES, answers=NAMES)),
        Case("labels.unknown", a.MAP_LABELS, DAN, LABELLED, LABELLED, {"names": {"A,": "a"}}, {"names": {"A.": "a"}}),
        Case("labels.long", a.MAP_LABELS, DAN, LABELLED, LABELLED, {"names": {"A.": " "}}, {"names": {"A.": "a"}}),
        Case("labels.chain", a.MAP_LABELS, DAN, LABELLED, LABELLED, {"names": {"A.": "a", "a": "b"}},
             {"names": {"A.": "b", "a": "b", "b": "b", "c": "c"}}),
        Case("gate.unmeasurable", a.LOCK_GATE, SAM, at(Stage.GATE, traffic=(with_gold(0),)),
             at(Stage.GATE, traffic=(with_gold(5),))),
        Case("data.unmeasurable", a.FREEZE_DATA, DAN, counted_rows(gold=0), counted_rows(gold=1)),
        Case("held_out.unmeasurable", a.EVALUATE, DAN, replace(T, data_sets=counted_rows(gold=0).data_sets),
             replace(T, data_sets=counted_rows(gold=1).data_sets)),
        # the provider's terms
        Case("terms.unconfirmed", a.LOCK_GATE, SAM, at(Stage.GATE, terms=None), G),
        Case("terms.forbid", a.LOCK_GATE, SAM, at(Stage.GATE, terms=terms(permits=0)), G),
        Case("terms.words", a.CONFIRM_TERMS, DAN, D, D, {"provider": " "}, {"provider": "Acme"}),
        Case("terms.date", a.CONFIRM_TERMS, DAN, D, D, {"dated": "1 May"}, {"dated": "2026-05-01"}),
        # held-out rows
        Case("held_out.sealed", a.OPEN_ROW, BOB, DECIDE, DECIDE, allowed_by=VERA),
        Case("held_out.none", a.OPEN_ROW, VERA, DECIDE, DECIDE,
             {"row": 7, "held_out": False}, {"row": 7, "held_out": True}),
        Case("held_out.burns", a.OPEN_ROW, DAN, DECIDE, DECIDE,
             {"row": 7, "held_out": True, "burn": False}, {"row": 7, "held_out": True, "burn": True}),
        # train
        Case("data.not_frozen", a.START_RUN, DAN, at(Stage.TRAIN, data_sets=(data_set(frozen=False),)), T),
        Case("spec.task", a.START_RUN, DAN, T, WRITTEN, {"spec": TAGGER}),
        Case("spec.silent", a.START_RUN, DAN, T, T, {"spec": STATIC, "soft_rows": 0}, {"spec": STATIC, "soft_rows": 1}),
        Case("spec.problem", a.START_RUN, DAN, T, T, {"spec": replace(Spec(), alpha=2.0)}, {"spec": STATIC}),
        Case("spec.no_layers", a.START_RUN, DAN, T, T, {"spec": Spec()}, {"spec": STATIC}),
        Case("run.active", a.START_RUN, DAN, at(Stage.TRAIN, runs=(QUEUED,)), T),
        Case("run.none", a.STOP_RUN, DAN, T, at(Stage.TRAIN, runs=(QUEUED,))),
        Case("run.ended", a.STOP_RUN, DAN, T, at(Stage.TRAIN, runs=(QUEUED,)), {"run": 1}, {"run": 3}),
        Case("run.not_resumable", a.RESUME_RUN, DAN, T, at(Stage.TRAIN, runs=(LOST,)), {"run": 1}, {"run": 3}),
        Case("run.old_round", a.RESUME_RUN, DAN,
             at(Stage.TRAIN, runs=(LOST,), play=a_play(Stage.TRAIN, round=2)), at(Stage.TRAIN, runs=(LOST,)),
             {"run": 3}),
        Case("run.old_stage", a.RESUME_RUN, DAN,
             at(Stage.LIVE, runs=(run(3, RunKind.REPRODUCE, RunStatus.LOST),)),
             at(Stage.DECIDE, runs=(run(3, RunKind.REPRODUCE, RunStatus.LOST),)), {"run": 3}),
        Case("run.foreign", a.RESUME_RUN, BOB, at(Stage.TRAIN, runs=(LOST,)), at(Stage.TRAIN, runs=(LOST,)),
             allowed_by=DAN),
        Case("run.foreign", a.FINISH_RUN, DAN, NOT_EVALUATED, NOT_EVALUATED, {"run": 3, "token": "t"},
             allowed_by=WORKER),
        Case("run.fenced", a.FINISH_RUN, WORKER, NOT_EVALUATED, NOT_EVALUATED,
             {"run": 3, "token": "old"}, {"run": 3, "token": "t"}),
        Case("run.untrained", a.EVALUATE, DAN, at(Stage.TRAIN, runs=()), T),
        Case("run.unknown", a.EVALUATE, DAN, T, T, {"run": 7}, {"run": 1}),
        Case("held_out.looked", a.EVALUATE, DAN, at(Stage.TRAIN, evaluations=(evaluation(),)), T),
        Case("rounds.spent", a.EVALUATE, DAN,
             at(Stage.TRAIN, evaluations=tuple(evaluation(n, round=9) for n in (1, 2, 3))), T),
        Case("rounds.spent", a.ITERATE, DAN, at(Stage.DECIDE, play=a_play(Stage.DECIDE, round=3)), DECIDE),
        # decide
        Case("evaluation.none", a.REPRODUCE, VERA, at(Stage.DECIDE, evaluations=()), DECIDE),
        Case("evaluation.none", a.SIGN_OFF, VERA, at(Stage.DECIDE, evaluations=()), DECIDE),
        Case("gate.unmeasured", a.SHIP, DAN, signed(at(Stage.DECIDE, judgements=())), signed()),
        Case("gate.unmeasured", a.SHIP, DAN, signed(at(Stage.DECIDE, judgements=unmeasured)), signed()),
        Case("gate.misses", a.SHIP, DAN, signed(at(Stage.DECIDE, judgements=misses)), signed()),
        Case("gate.unproven", a.SHIP, DAN, signed(at(Stage.DECIDE, judgements=unproven)), signed()),
        Case("audit.broken", a.SHIP, DAN,
             signed(at(Stage.DECIDE, audit_trouble="The audit log breaks at entry 3.")), signed()),
        Case("artifact.altered", a.SIGN_OFF, VERA,
             at(Stage.DECIDE, file_troubles=("The artifact was altered.",)), DECIDE),
        Case("spot_check.missing", a.SIGN_OFF, VERA, judging(), judging(checked=4)),
        Case("spot_check.missing", a.SHIP, DAN, signed(judging()), signed(judging(checked=4))),
        Case("spot_check.short", a.SPOT_CHECK, VERA, judging(), judging(),
             {"content": check(3)}, {"content": check(4)}),
        Case("spot_check.wrong", a.SPOT_CHECK, VERA, judging(), judging(),
             {"content": check(4, "dan")}, {"content": check(4)}),
        Case("sign_off.builder", a.SPOT_CHECK, VERA, judging(builders={"vera": ("label",)}), judging()),
        Case("sign_off.builder", a.SIGN_OFF, VERA, at(Stage.DECIDE, builders={"vera": ("label",)}), DECIDE),
        Case("sign_off.weak", a.SIGN_OFF, VERA, at(Stage.DECIDE, gate=STRICT), at(Stage.DECIDE, gate=STRICT),
             allowed_by=actor("vera", assurance=Assurance.SIGNED)),
        Case("sign_off.moved", a.SIGN_OFF, VERA, DECIDE, DECIDE, {"covers": {}}, {"covers": covers(DECIDE)}),
        Case("reason.missing", a.REFUSE, VERA, DECIDE, DECIDE, {"reason": " "}, {"reason": "It fails on refunds."}),
        Case("sign_off.none", a.WITHDRAW, VERA, DECIDE, signed()),
        Case("withdrawal.weak", a.WITHDRAW, VERA,
             replace(DECIDE, sign_offs=(sign_off(DECIDE, opinion=Opinion.REFUSE, assurance=SURE),)), signed()),
        Case("audit.tables", a.COMMENT, DAN, at(Stage.DECIDE, tables_trouble="The row run 3 is not in it."), DECIDE,
             {"text": "Hello."}),
        Case("ship.weak", a.SHIP, DAN, surely_signed(), surely_signed(), allowed_by=actor("dan", assurance=SURE)),
        Case("sign_off.missing", a.SHIP, DAN, DECIDE, signed()),
        Case("sign_off.own", a.SHIP, VERA, sponsored_by("vera"), sponsored_by("vera"), allowed_by=DAN),
        Case("sign_off.refused", a.SHIP, DAN,
             signed(None, sign_off(DECIDE, opinion=Opinion.REFUSE)),
             signed(None, sign_off(DECIDE, opinion=Opinion.REFUSE), sign_off(DECIDE))),
        Case("sign_off.withdrawn", a.SHIP, DAN, replace(DECIDE, sign_offs=(sign_off(DECIDE, withdrawn=True),)),
             signed()),
        Case("sign_off.broken", a.SHIP, DAN, replace(DECIDE, sign_offs=(sign_off(DECIDE, trouble="Forged."),)),
             signed()),
        Case("sign_off.stale", a.SHIP, DAN, replace(DECIDE, sign_offs=(sign_off(T),)), signed()),
        Case("sign_off.not_validator", a.SHIP, DAN, replace(DECIDE, sign_offs=(sign_off(DECIDE, "bob"),)), signed()),
        Case("maintenance.operator", a.SHIP, DAN, signed(at(Stage.DECIDE, roles=without(ROLES, Role.OPERATOR))),
             signed()),
        Case("maintenance.missing", a.SHIP, DAN,
             signed(at(Stage.DECIDE, play=a_play(Stage.DECIDE, refresh_days=None))), signed()),
        Case("maintenance.number", a.SET_MAINTENANCE, OLGA, DECIDE, DECIDE, {"sample": 0}, {"sample": 1}),
        # live
        Case("rehearsal.missing", a.SHIP, DAN, signed(at(Stage.DECIDE, runs=(TRAINED, LOOKED))), signed()),
        Case("rehearsal.differs", a.SHIP, DAN,
             signed(at(Stage.DECIDE, runs=(TRAINED, LOOKED, differs()))), signed()),
        Case("live.none", a.OBSERVE, OLGA, at(Stage.LIVE), LIVE),
        Case("feed.twice", a.OBSERVE, OLGA, LIVE, LIVE, {"source_digest": digest("6")}, {"source_digest": digest("5")}),
        Case("run.observes", a.OBSERVE, OLGA, replace(LIVE, runs=(OBSERVING,)), LIVE),
        Case("objection.none", a.OBJECT, VERA, LIVE, LIVE, {"reason": "Fine again.", "lift": True}, {"reason": "No."}),
        Case("objection.weak", a.OBJECT, VERA, by_signature(LIVE), by_signature(LIVE), {"reason": "It fails."},
             allowed_by=actor("vera", assurance=SURE)),
        Case("watch.steady", a.ACKNOWLEDGE, OLGA, replace(LIVE, watches=(watch(Standing.STEADY),)), ALARMED),
        Case("rollback.none", a.ROLL_BACK, OLGA, LIVE, TWICE),
        Case("rollback.unknown", a.ROLL_BACK, OLGA, TWICE, TWICE, {"bundle": 2}, {"bundle": 1}),
        Case("suspend.twice", a.SUSPEND, OLGA, SUSPENDED, LIVE),
        Case("resume.running", a.RESUME, SAM, LIVE, SUSPENDED),
        Case("refresh.validator", a.REFRESH, DAN, drives_and_validates(), LIVE),
        Case("live.none", a.SERVE_MODE, OLGA, replace(BY_KEY, bundles=()), BY_KEY, canary),
        Case("serve.no_student", a.SERVE_MODE, OLGA, at(Stage.DATA, runs=()), T, {"mode": ServingMode.SHADOW}),
        Case("serve.percent", a.SERVE_MODE, OLGA, BY_KEY, BY_KEY, canary | {"percent": 0}, canary),
        Case("serve.audit", a.SERVE_MODE, OLGA, BY_KEY, BY_KEY, canary | {"audit_share": Decimal(0)}, canary),
        Case("serve.alarm", a.SERVE_MODE, OLGA, replace(BY_KEY, watches=(watch(),)), BY_KEY, canary),
        Case("serve.bundle", a.SERVE_MODE, OLGA, BY_KEY, BY_KEY, canary | {"trouble": "A file is missing."}, canary),
        Case("serve.unsigned", a.SERVE_MODE, OLGA, replace(LIVE, sign_offs=(sign_off(DECIDE),)), BY_KEY, canary),
        Case("serve.untrusted", a.SERVE_MODE, OLGA, replace(LIVE, sign_offs=()), BY_KEY, canary),
        Case("serve.withdrawn", a.SERVE_MODE, OLGA,
             replace(LIVE, sign_offs=(sign_off(DECIDE, key="SHA256:v", withdrawn=True),)), BY_KEY, canary),
        Case("serve.suspended", a.SERVE_MODE, OLGA,
             replace(BY_KEY, remedies=(remedy(Remedy.SUSPEND),)), BY_KEY,
             canary),
        Case("serve.interim", a.SERVE_MODE, OLGA, over(), BY_KEY, canary),
        Case("alarm.not_yours", a.NOTE_ALARM, OLGA, LIVE, replace(LIVE, runs=(OBSERVING,)),
             allowed_by=actor("olga", run=OBSERVING.id)),
        Case("alarms.path", a.SET_ALARMS, MIA, DECIDE, DECIDE, {"command": ("page",)}, {"command": ("/bin/page",)}),
        Case("alarms.words", a.SET_ALARMS, MIA, DECIDE, DECIDE, {"command": ("/bin/page",) * 33}, {"command": ()}),
        Case("alarms.webhook", a.SET_ALARMS, MIA, DECIDE, DECIDE, {"webhook": "ftp://x"}, {"webhook": "https://x"}),
        Case("serve.revoked", a.SERVE_MODE, OLGA, changed(BY_KEY, keys=(key("vera", "v", revoked=True),)), BY_KEY,
             canary),
        Case("serve.not_student", a.FALL_BACK, BOB, LIVE, SERVED, {"since": 7, "reason": "bytes"}),
        Case("serve.moved", a.FALL_BACK, BOB, SERVED, SERVED, {"since": 6, "reason": "x"}, {"since": 7, "reason": "x"}),
        Case("comment.length", a.COMMENT, BOB, DECIDE, DECIDE, {"text": "\n"}, {"text": "Fine."}),
    ]  # fmt: skip


def over() -> PlayDossier:
    """A live play whose student shipped for the days of an interim that ended."""
    missed = tuple(replace(each, passed=0) for each in BY_KEY.evaluations)
    gate = replace(GATE, interim=Interim(Decimal("0.05"), 1))
    return changed(replace(BY_KEY, gate=gate, evaluations=missed), now="2099-01-01T00:00:00Z")


def differs() -> Any:
    """A rehearsal that gave another student."""
    result = encode(results.rehearsal(same=False))
    return run(3, RunKind.REHEARSE, RunStatus.FINISHED, student_run=1, result=result)


def drives_and_validates() -> PlayDossier:
    """A live play whose roles were given by hand to one person; no rule would have."""
    return replace(LIVE, roles={**ROLES, Role.VALIDATOR: "dan"})


def sponsored_by(who: str) -> PlayDossier:
    """A signed play whose sponsor also validates: one person may hold both."""
    return signed(at(Stage.DECIDE, roles={**ROLES, Role.SPONSOR: who}))


def by_signature(of: PlayDossier) -> PlayDossier:
    """A play in a project that asks for signatures, whose validator has a key."""
    return changed(of, minimum_assurance=SURE)


def keyed() -> PlayDossier:
    """A project that requires signatures, and whose keeper has a key."""
    return changed(by_signature(DECIDE), keys=(*DECIDE.project.keys, key("mia", "m")))


def vouched(of: PlayDossier, trouble: str = "") -> PlayDossier:
    """A play whose sponsor has signed the roster."""
    row = entities.Statement(
        id=1, play_id=1, kind=StatementKind.ROSTER, person_id="sam", content=b"{}", signature="", recorded_at=AT
    )  # fmt: skip
    about = digest_of(canonical(roster(of))).removeprefix("sha256:")
    statement = {"subject": [{"name": "roster", "digest": {"sha256": about}}]}
    return replace(of, statements=(StatementFacts(row, statement, trouble),))


def surely_signed() -> PlayDossier:
    """A play of a project that asks for signatures, with roster and sign-off signed."""
    of = vouched(by_signature(DECIDE))
    return replace(of, sign_offs=(sign_off(of, assurance=SURE),))


def judging(checked: int = 0, **changes: Any) -> PlayDossier:
    """A play whose gate asks for four answers judged blind, and so many that vera has judged."""
    judged = evaluation(record=record(8).digest())
    of = at(Stage.DECIDE, gate=JUDGING, record=record(8), evaluations=(judged,), **changes)
    row = entities.SpotCheck(
        id=1, play_id=1, round=1, person_id="vera", evaluation=judged.record, content=check(checked), recorded_at=AT
    )  # fmt: skip
    return replace(of, spot_checks=(row,) if checked else ())


def check(count: int, who: str = "vera") -> str:
    """What a validator recorded who finds both right, or neither."""
    items = spot_checks.draw(record(8), who, count)
    return spot_checks.content(record(8), items, [Judged.BOTH] * len(items))


def shared() -> list[Case]:
    """What several actions ask alike, at each of them."""
    a = Action
    no_reason, reason = {"reason": ""}, {"reason": "No headroom."}
    local = at(Stage.DATA, play=LOCAL)
    run_of = {"run": 3, "token": "t"}
    failed_look = run(3, RunKind.EVALUATE, RunStatus.FAILED)
    old_look = evaluation(2, reproduced=0, evaluation_run=4)
    touched = {"gate_trouble": "The gate is not what was locked."}
    signed_as = sign_off(at(Stage.DECIDE, gate=STRICT))

    live = {
        a.ACKNOWLEDGE: ALARMED,
        a.ROLL_BACK: TWICE,
        a.REFRESH: LIVE,
        a.SUSPEND: LIVE,
        a.RESUME: SUSPENDED,
    }
    open_finding = at(Stage.DATA, data_sets=(data_set(frozen=False, findings=FINDINGS),))
    row = entities.Statement(
        id=2, play_id=1, kind=StatementKind.GATE, person_id="sam", content=b"{}", signature="", recorded_at=AT
    )  # fmt: skip
    other_gate = StatementFacts(row, {"subject": [{"name": "gate", "digest": {"sha256": "0" * 64}}]}, "")

    def busy(seen: PlayDossier) -> PlayDossier:
        return replace(seen, runs=(*seen.runs, run(9, RunKind.LABEL, RunStatus.RUNNING)))

    def frozen(seen: PlayDossier) -> PlayDossier:
        return replace(seen, data_sets=(data_set(),))

    idle = {
        a.SET_TEACHER: D, a.LABEL: local, a.BUILD_DATA: D, a.EVALUATE: T, a.SHIP: signed(), a.ITERATE: DECIDE,
        a.KILL: DECIDE, a.RESUME_RUN: at(Stage.TRAIN, runs=(LOST,)),
    }  # fmt: skip
    before_freeze = {a.IMPORT_TRAFFIC: D, a.SET_TEACHER: D, a.LABEL: local, a.FREEZE_DATA: D}
    untouched = {a.BUILD_DATA: D, a.EVALUATE: T, a.SHIP: signed()}
    return [
        *(Case("run.active", action, DAN, busy(seen), seen) for action, seen in idle.items()),
        Case("run.active", a.REPRODUCE, VERA, busy(DECIDE), DECIDE),
        *(Case("data.frozen", action, DAN, frozen(seen), seen) for action, seen in before_freeze.items()),
        *(Case("gate.touched", action, DAN, replace(seen, **touched), seen) for action, seen in untouched.items()),
        Case("gate.touched", a.RECORD_EVALUATION, WORKER, replace(NOT_EVALUATED, **touched), NOT_EVALUATED, run_of),
        Case("run.fenced", a.RECORD_EVALUATION, WORKER, NOT_EVALUATED, NOT_EVALUATED, {"run": 3}, run_of),
        Case("held_out.looked", a.RECORD_EVALUATION, WORKER,
             replace(NOT_EVALUATED, evaluations=(old_look,)), NOT_EVALUATED, run_of),
        Case("held_out.looked", a.RESUME_RUN, DAN,
             at(Stage.TRAIN, runs=(failed_look,), evaluations=(old_look,)), at(Stage.TRAIN, runs=(failed_look,))),
        Case("reason.missing", a.WITHDRAW, VERA, signed(), signed(), no_reason, reason),
        Case("reason.missing", a.KILL, SAM, DECIDE, DECIDE, no_reason, reason),
        Case("sign_off.builder", a.REFUSE, VERA, at(Stage.DECIDE, builders={"vera": ("label",)}), DECIDE),
        Case("sign_off.moved", a.REFUSE, VERA, DECIDE, DECIDE, {"covers": {}}, {"covers": covers(DECIDE)}),
        Case("sign_off.builder", a.SHIP, DAN,
             signed(at(Stage.DECIDE, builders={"vera": ("label",), "dan": ("drive",)})), signed()),
        Case("sign_off.weak", a.SHIP, DAN, at(Stage.DECIDE, gate=STRICT, sign_offs=(signed_as,)), signed()),
        Case("person.id", a.OPEN_PROJECT, actor(None), None, None, {"person": "*"}, {"person": "mia"}),
        Case("account.taken", a.ENROL_PERSON, MIA, DECIDE, DECIDE, {"person": "zoe", "uid": 2}, {"person": "zoe"}),
        Case("decision.weak", a.ASSIGN_ROLE, SAM, surely_signed(), surely_signed(),
             {"role": Role.OPERATOR, "person": "bob"}, allowed_by=actor("sam", assurance=SURE)),
        Case("assurance.no_key", a.SET_ASSURANCE, MIA, DECIDE,
             changed(DECIDE, keys=(*DECIDE.project.keys, key("mia", "m"))), {"assurance": SURE}),
        Case("roster.keeper", a.ADD_KEY, BOB, DECIDE, DECIDE, allowed_by=MIA),
        Case("roster.keeper", a.REVOKE_KEY, DAN, DECIDE, DECIDE, {"fingerprint": "SHA256:v"}, allowed_by=MIA),
        Case("person.unknown", a.ASSIGN_ROLE, SAM, G, G, {"person": "eve"}, {"person": "bob"}),
        Case("role.sponsor", a.ASSIGN_ROLE, DAN, D, D, allowed_by=SAM),
        Case("role.driver_validates", a.ASSIGN_ROLE, SAM, at(Stage.GATE, builders={}), at(Stage.GATE, builders={}),
             {"role": Role.VALIDATOR, "person": "dan"}, {"role": Role.VALIDATOR, "person": "bob"}),
        Case("trigger.holds", a.LOCK_GATE, SAM, at(Stage.GATE, worksheet={}), G),
        Case("gate.nobody_validates", a.LOCK_GATE, SAM,
             at(Stage.GATE, roles={**ROLES, Role.VALIDATOR: "dan"}, builders={}), G),
        Case("traffic.none", a.LABEL, DAN, replace(local, traffic=()), local),
        Case("teacher.none", a.LABEL, DAN, at(Stage.DATA, play=UNTAUGHT), local),
        Case("data.not_frozen", a.OPEN_ROW, DAN, at(Stage.DECIDE, data_sets=()), DECIDE),
        Case("role.driver", a.STOP_RUN, BOB, at(Stage.TRAIN, runs=(QUEUED,)), at(Stage.TRAIN, runs=(QUEUED,)),
             allowed_by=DAN),
        Case("run.none", a.RESUME_RUN, DAN, T, at(Stage.TRAIN, runs=(LOST,))),
        Case("gate.touched", a.START_RUN, DAN, replace(T, statements=(other_gate,)), T),
        Case("data.frozen", a.ACCEPT_FINDINGS, DAN,
             at(Stage.DATA, data_sets=(data_set(frozen=True, findings=FINDINGS),)), open_finding),
        Case("reason.missing", a.ACCEPT_FINDINGS, DAN, open_finding, open_finding, no_reason, reason),
        Case("evaluation.none", a.SPOT_CHECK, VERA, replace(judging(), evaluations=()), judging()),
        Case("roster.unsigned", a.SHIP, actor("dan", assurance=SURE),
             replace(surely_signed(), statements=()), surely_signed()),
        Case("run.active", a.REPEAT, VERA, busy(DECIDE), DECIDE),
        Case("evaluation.none", a.REPEAT, DAN, at(Stage.DECIDE, evaluations=()), DECIDE),
        Case("repeat.seeds", a.REPEAT, DAN, DECIDE, DECIDE, {"seeds": 21}, {"seeds": 3}),
        Case("run.active", a.REHEARSE, OLGA, busy(DECIDE), DECIDE),
        Case("evaluation.none", a.REHEARSE, OLGA, at(Stage.DECIDE, evaluations=()), DECIDE),
        *(Case("live.none", action, OLGA, replace(seen, bundles=()), seen) for action, seen in live.items()),
        *(Case("reason.missing", action, OLGA, seen, seen, no_reason, reason) for action, seen in live.items()),
        Case("run.active", a.ROLL_BACK, OLGA, busy(TWICE), TWICE),
        Case("run.active", a.REFRESH, OLGA, busy(LIVE), LIVE),
        Case("run.observes", a.REFRESH, OLGA,
             replace(LIVE, runs=(*LIVE.runs, run(9, RunKind.OBSERVE, RunStatus.RUNNING))), LIVE),
        Case("gate.touched", a.REFRESH, OLGA, replace(LIVE, **touched), LIVE),
    ]  # fmt: skip


CASES = [*cases(), *shared()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.action.value}")
def test_each_rule_refuses_and_then_allows(case: Case) -> None:
    assert case.rule in ids(case.objections_of_refused())
    assert case.objections_of_allowed() == []


def test_no_rule_is_missing_here() -> None:
    assert {case.rule for case in CASES} == rule_ids()


def rule_ids() -> set[str]:
    """Every rule id that the rules can give, read from their source; the two that are made up of words, spelled out."""
    found = set()
    sources = sorted(Path(str(permission.__file__)).parent.glob("*.py"))
    for node in (node for source in sources for node in ast.walk(ast.parse(source.read_text()))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "Objection" and isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value))
            if node.func.id in ("never_built", "proved") and isinstance(node.args[-1], ast.Constant):
                found.add(str(node.args[-1].value))
    verdicts = {f"gate.{verdict.value}" for verdict in Verdict if verdict is not Verdict.HOLDS}
    return found | verdicts | {f"role.{role.value}" for role in Role}


# --- who does what -----------------------------------------------------------------------------------------------

MAY = {
    Action.FILL_WORKSHEET: (Q, {"dan", "sam"}),
    Action.QUALIFY: (Q, {"dan", "sam"}),
    Action.EDIT_GATE: (G, {"dan", "sam"}),
    Action.LOCK_GATE: (G, {"sam"}),
    Action.IMPORT_TRAFFIC: (D, {"dan"}),
    Action.DROP_TRAFFIC: (D, {"dan"}),
    Action.SET_TEACHER: (D, {"dan"}),
    Action.MAP_LABELS: (LABELLED, {"dan"}),
    Action.LABEL: (at(Stage.DATA, play=LOCAL), {"dan"}),
    Action.BUILD_DATA: (D, {"dan"}),
    Action.CONFIRM_TERMS: (D, {"dan", "sam"}),
    Action.ACCEPT_FINDINGS: (at(Stage.DATA, data_sets=(data_set(frozen=False, findings=FINDINGS),)), {"dan"}),
    Action.FREEZE_DATA: (D, {"dan"}),
    Action.OPEN_ROW: (DECIDE, {"dan", "sam", "vera", "olga"}),
    Action.START_RUN: (T, {"dan"}),
    Action.STOP_RUN: (at(Stage.TRAIN, runs=(QUEUED,)), {"dan"}),
    Action.RESUME_RUN: (at(Stage.TRAIN, runs=(LOST,)), {"dan"}),
    Action.EVALUATE: (T, {"dan"}),
    Action.REPRODUCE: (DECIDE, {"vera"}),
    Action.SPOT_CHECK: (at(Stage.DECIDE, record=record()), {"vera"}),
    Action.SIGN_OFF: (DECIDE, {"vera"}),
    Action.REFUSE: (DECIDE, {"vera"}),
    Action.WITHDRAW: (signed(), {"vera"}),
    Action.SET_MAINTENANCE: (DECIDE, {"olga", "dan"}),
    Action.SHIP: (signed(), {"dan", "olga", "sam"}),
    Action.ITERATE: (DECIDE, {"dan", "sam"}),
    Action.KILL: (DECIDE, {"sam", "dan"}),
    Action.COMMENT: (DECIDE, set(EVERYBODY)),
    Action.SERVE_MODE: (LIVE, {"olga", "sam"}),
    Action.FALL_BACK: (SERVED, set(EVERYBODY)),
    Action.REHEARSE: (DECIDE, {"dan", "olga", "vera"}),
    Action.REPEAT: (DECIDE, {"dan", "olga", "vera"}),
    Action.OBSERVE: (LIVE, {"olga", "dan"}),
    Action.ACKNOWLEDGE: (ALARMED, {"olga"}),
    Action.OBJECT: (LIVE, {"vera"}),
    Action.ROLL_BACK: (TWICE, {"olga", "sam"}),
    Action.REFRESH: (LIVE, {"olga", "dan"}),
    Action.SUSPEND: (LIVE, {"olga", "sam"}),
    Action.RESUME: (SUSPENDED, {"olga", "sam"}),
    Action.RECORD_OBSERVATIONS: (replace(LIVE, runs=(OBSERVING,)), set()),
    Action.ASSIGN_ROLE: (D, {"sam"}),
    Action.OPEN_PLAY: (DECIDE, set(EVERYBODY)),
    Action.ENROL_PERSON: (DECIDE, {"mia"}),
    Action.SET_ASSURANCE: (DECIDE, {"mia"}),
    Action.SET_SEPARATION: (DECIDE, {"mia"}),
    Action.ACCEPT_RESTORED: (changed(DECIDE, lineage=OLDER), set(EVERYBODY)),
    Action.SET_CURRENCY: (DECIDE, {"mia"}),
    Action.UNDO: (G, {"dan", "sam"}),
    Action.REDO: (G, {"dan", "sam"}),
    Action.DROP_ROW: (D, {"dan"}),
    Action.SET_ALARMS: (DECIDE, {"mia"}),
    Action.NOTE_ALARM: (replace(LIVE, runs=(OBSERVING,)), set()),
    Action.SIGN_ROSTER: (DECIDE, {"sam"}),
    Action.ADD_ACCOUNT: (DECIDE, {"mia"}),
    Action.ADD_KEY: (DECIDE, {"mia"}),
    Action.REPAIR: (DECIDE, {"mia"}),
    Action.REVOKE_KEY: (DECIDE, set(EVERYBODY)),
    Action.QUEUE_RUN: (at(Stage.DATA), {"dan"}),
    Action.FINISH_RUN: (NOT_EVALUATED, set()),
    Action.END_RUN: (NOT_EVALUATED, set()),
    Action.RECORD_EVALUATION: (NOT_EVALUATED, set()),
    Action.RECORD_REPRODUCTION: (at(Stage.DECIDE, runs=(TRAINED, RUNNING)), set()),
}


@pytest.mark.parametrize("action", [action for action in Action if action is not Action.OPEN_PROJECT])
def test_only_these_people_do_it(action: Action) -> None:
    seen, may = MAY[action]
    assert who_may(action, seen) == may


def who_may(action: Action, seen: PlayDossier) -> set[str]:
    request = {"run": 3, "token": "t"} if not action.command else {}
    request = {"proof": SURE} if action is Action.SIGN_ROSTER else request
    return {who for who in EVERYBODY if not objections(action, seen, actor(who), asked(action, seen, request))}


def test_an_acceptance_holds_for_the_words_that_were_accepted_only() -> None:
    seen = at(Stage.DATA, data_sets=(data_set(frozen=False, findings=FINDINGS),))
    for other in (accepted("must-1", says="The teacher is far below the gate."), accepted("must-1", round=2)):
        assert "data.finding" in ids(objections(Action.FREEZE_DATA, replace(seen, accepted=(other,)), DAN))


def test_a_finding_that_is_a_note_may_stay_open_at_the_freeze() -> None:
    seen = at(Stage.DATA, data_sets=(data_set(frozen=False, findings=FINDINGS[1:]),))
    assert not objections(Action.FREEZE_DATA, seen, DAN)
    assert next_step(seen) is Action.FREEZE_DATA
    grave = at(Stage.DATA, data_sets=(data_set(frozen=False, findings=FINDINGS),))
    assert next_step(grave) is Action.ACCEPT_FINDINGS


@pytest.mark.parametrize("kind", [kind for kind in PlayKind if kind is not PlayKind.STABILITY])
def test_terms_only_warn_where_the_play_is_no_stability_play(kind: PlayKind) -> None:
    seen = at(Stage.GATE, play=a_play(Stage.GATE, kind=kind), terms=None)
    assert not {rule for rule in ids(objections(Action.LOCK_GATE, seen, SAM)) if rule.startswith("terms")}
    assert list(terms_unclear(seen))


def test_roles_are_free_until_the_lock() -> None:
    assert objections(Action.ASSIGN_ROLE, G, BOB, AssignRole(Role.OPERATOR, "bob")) == []


@pytest.mark.parametrize("action", [action for action in Action if action is not Action.OPEN_PROJECT])
def test_who_is_not_enrolled_may_look_not_act(action: Action) -> None:
    seen, _ = MAY[action]
    for stranger in (actor(None), actor("eve"), actor("")):
        assert ids(objections(action, seen, stranger)) == {"identity.unknown"}


def test_no_person_acts_for_a_worker_without_its_token() -> None:
    for wrong in (None, WorkerReport(3, ""), WorkerReport(3, None), WorkerReport(1, "t")):
        assert objections(Action.FINISH_RUN, NOT_EVALUATED, WORKER, wrong)


@pytest.mark.parametrize("status", [status for status in RunStatus if status is not RunStatus.RUNNING])
def test_a_run_that_is_not_running_takes_no_report(status: RunStatus) -> None:
    given_up = at(Stage.TRAIN, runs=(TRAINED, run(3, RunKind.EVALUATE, status, token="t")))
    assert "run.fenced" in ids(objections(Action.RECORD_EVALUATION, given_up, WORKER, WorkerReport(3, "t")))


# --- builders ----------------------------------------------------------------------------------------------------


def test_who_built_once_never_signs_whatever_the_role_is_now() -> None:
    roles = {**ROLES, Role.DRIVER: "bob", Role.VALIDATOR: "dan"}
    handed_over = at(Stage.DECIDE, roles=roles)
    assert "sign_off.builder" in ids(objections(Action.SIGN_OFF, handed_over, DAN))
    assert "sign_off.builder" in ids(objections(Action.REFUSE, handed_over, DAN))
    forced = replace(handed_over, sign_offs=(sign_off(handed_over, "dan"),))
    assert "sign_off.builder" in ids(objections(Action.SHIP, forced, OLGA))


@pytest.mark.parametrize("deed", [action.value for action in Action if action.builds])
def test_every_deed_of_building_makes_a_sign_off_impossible(deed: str) -> None:
    built = at(Stage.DECIDE, builders={"dan": ("drive",), "vera": (deed,)})
    assert "sign_off.builder" in ids(objections(Action.SIGN_OFF, built, VERA))


def test_who_signs_first_and_builds_later_makes_the_sign_off_worthless() -> None:
    before = signed()
    later = replace(before, builders={**before.builders, "vera": ("label",)})
    assert {"sign_off.stale", "sign_off.builder"} <= ids(objections(Action.SHIP, later, DAN))


def test_reproducing_makes_nobody_a_builder() -> None:
    assert not Action.REPRODUCE.builds
    assert not Action.RECORD_REPRODUCTION.builds


# --- the sign-off ------------------------------------------------------------------------------------------------

MOVES: dict[str, dict[str, Any]] = {
    "project": {"uid": "1" * 32, "name": "copy"},
    "play": {"play": a_play(Stage.DECIDE, id=2)},
    "round": {"play": a_play(Stage.DECIDE, round=2), "evaluations": (evaluation(round=2),)},
    "gate": {"gate_row": entities.GateRow(play_id=1, content="{}", digest=digest("1"), locked_by="sam", locked_at=AT)},
    "data": {"data_sets": (data_set(digest=digest("6")),)},
    "model": {"evaluations": (evaluation(model=digest("8")),)},
    "evaluations": {"evaluations": (evaluation(), evaluation(2, record=digest("7"), reproduced=1, evaluation_run=3))},
    "verdict": {"judgements": judge(GATE, record(0))},
    "roles": {"roles": {**ROLES, Role.OPERATOR: "bob"}},
    "roster": {"keys": (*DECIDE.project.keys, key("vera", "w"))},
    "builders": {"builders": {"dan": ("drive",), "bob": ("label",)}},
    "separation": {"enrolled_by": {"vera": ("dan",)}},
    "spot_check": {key: getattr(judging(checked=4), key) for key in ("record", "evaluations", "spot_checks")},
}


def test_everything_that_a_sign_off_covers_is_moved_below() -> None:
    assert MOVES.keys() == covers(DECIDE).keys()


@pytest.mark.parametrize("item", sorted(MOVES))
def test_a_sign_off_is_stale_once_this_changes(item: str) -> None:
    before = signed()
    moved = changed(before, **MOVES[item])
    assert covers(moved)[item] != covers(before)[item]
    assert any(
        f": {item.replace('_', ' ')} changed. " in reason.sentence for reason in objections(Action.SHIP, moved, DAN)
    )


def test_a_note_leaves_a_sign_off_as_it_is() -> None:
    before = signed()
    noted = changed(before, audit_size=50, play=a_play(Stage.DECIDE, summary="new words", name="renamed"))
    assert objections(Action.SHIP, noted, DAN) == []


def test_a_refusal_stands_until_its_maker_lifts_it() -> None:
    refusal = sign_off(DECIDE, "vera", Opinion.REFUSE, comment="It fails on refunds.")
    handed_over = at(Stage.DECIDE, roles={**ROLES, Role.VALIDATOR: "bob"})
    for lifted, sign_offs in (
        (False, (refusal, sign_off(handed_over, "bob"))),
        (False, (sign_off(handed_over, "bob"), refusal)),
        (True, (replace(refusal, withdrawn=True), sign_off(handed_over, "bob"))),
    ):
        found = ids(objections(Action.SHIP, replace(handed_over, sign_offs=sign_offs), DAN))
        assert found == (set() if lifted else {"sign_off.refused"})


def test_a_refusal_of_an_earlier_round_is_history() -> None:
    second = at(Stage.DECIDE, play=a_play(Stage.DECIDE, round=2), evaluations=(evaluation(round=2),),
                data_sets=(data_set(round=2),))  # fmt: skip
    found = replace(second, sign_offs=(sign_off(DECIDE, opinion=Opinion.REFUSE), sign_off(second)))
    assert objections(Action.SHIP, found, DAN) == []


def test_an_approval_of_an_earlier_round_is_worth_nothing() -> None:
    second = at(Stage.DECIDE, play=a_play(Stage.DECIDE, round=2), evaluations=(evaluation(round=2),),
                data_sets=(data_set(round=2),), sign_offs=(sign_off(DECIDE),))  # fmt: skip
    assert "sign_off.stale" in ids(objections(Action.SHIP, second, DAN))


@pytest.mark.parametrize("right", [0, 6, 12])
@pytest.mark.parametrize("approved", [False, True])
def test_gate_and_sign_off_are_two_conditions(right: int, approved: bool) -> None:
    seen = at(Stage.DECIDE, judgements=judge(GATE, record(right)))
    found = ids(objections(Action.SHIP, signed(seen) if approved else seen, DAN))
    verdict = {0: {"gate.misses"}, 6: {"gate.unproven"}, 12: set()}[right]
    assert found == verdict | (set() if approved else {"sign_off.missing"})


def test_a_criterion_that_is_only_watched_stops_nobody() -> None:
    watched = Criterion(Metric.SIZE, threshold=Decimal(1), watch_only="a smaller one is welcome")
    seen = at(Stage.DECIDE, judgements=judge(replace(GATE, criteria=(*GATE.criteria, watched)), record()))
    assert len(seen.judgements) == 2
    assert objections(Action.SHIP, signed(seen), DAN) == []


def test_a_refresh_has_looks_of_its_own_and_the_earlier_ones_do_not_count() -> None:
    spent = tuple(evaluation(n, round=n) for n in (1, 2, 3))
    play = a_play(Stage.TRAIN, round=4)
    assert "rounds.spent" in ids(objections(Action.EVALUATE, at(Stage.TRAIN, evaluations=spent, play=play), DAN))
    opened = at(
        Stage.TRAIN, evaluations=spent, play=play, bundles=(bundle(3),), remedies=(remedy(Remedy.REFRESH, round=4),)
    )
    assert "rounds.spent" not in ids(objections(Action.EVALUATE, opened, DAN))
    again = replace(opened, evaluations=tuple(evaluation(n, round=n + 3) for n in (1, 2, 3)))
    assert "rounds.spent" in ids(objections(Action.EVALUATE, again, DAN))


def test_a_refresh_owes_new_held_out_rows_as_many_as_the_gate_was_promised() -> None:
    few = replace(REFRESHING, data_sets=(data_set(round=2, frozen=False, held_out=3),))
    assert "data.held_out" in ids(objections(Action.FREEZE_DATA, few, DAN))


def test_what_shipped_stays_live_while_a_refresh_is_under_way_and_can_be_put_back() -> None:
    assert REFRESHING.live is not None and REFRESHING.live.id == 1
    assert objections(Action.OBSERVE, REFRESHING, OLGA, Observe("new.jsonl", digest("5"))) == []
    assert objections(Action.ROLL_BACK, REFRESHING, OLGA, RollBack(1, "no headroom")) == []


def test_the_bundle_that_was_put_back_is_live_until_the_next_ships() -> None:
    back = remedy(Remedy.ROLL_BACK, bundle_id=1, newest_bundle=2)
    assert TWICE.live is not None and TWICE.live.id == 2
    assert (seen := replace(TWICE, remedies=(back,)).live) is not None and seen.id == 1
    third = replace(TWICE, bundles=(*TWICE.bundles, bundle(3)), remedies=(back,))
    assert third.live is not None and third.live.id == 3


def test_an_acknowledged_alarm_is_over_and_the_next_feed_begins_a_new_watch() -> None:
    seen = replace(ALARMED, remedies=(remedy(Remedy.ACKNOWLEDGE, feed_id=1),))
    assert ALARMED.standing is Standing.ALARM and seen.standing is Standing.UNLABELLED
    assert replace(seen, watches=(*seen.watches, watch(feed_id=2))).standing is Standing.ALARM


def test_an_alarm_outlives_a_rollback_that_ends_a_failed_refresh() -> None:
    failed = replace(ALARMED, remedies=(remedy(Remedy.REFRESH), remedy(Remedy.ROLL_BACK, id=2, feed_id=1)))
    assert failed.standing is Standing.ALARM, "what is known of the bundle that is live again stands"


def test_a_run_that_ended_early_is_not_the_next_step_while_a_newer_one_works() -> None:
    ended, newer = run(2, RunKind.TRAIN, RunStatus.LOST), run(4, RunKind.TRAIN, RunStatus.RUNNING, token="t")
    assert next_step(at(Stage.TRAIN, runs=(ended,))) is Action.RESUME_RUN
    at_work = at(Stage.TRAIN, runs=(ended, newer))
    assert next_step(at_work) is Action.START_RUN
    assert objections(Action.START_RUN, at_work, DAN)


def test_a_play_without_a_bundle_names_no_bundles_to_roll_back_to() -> None:
    found = objections(Action.ROLL_BACK, at(Stage.LIVE), OLGA, RollBack(1, reason="It fails."))
    assert found and "rollback.unknown" not in {each.rule for each in found}


def test_a_suspended_student_serves_nothing_until_it_is_resumed_rolled_back_or_another_ships() -> None:
    assert LIVE.answering is LIVE.live is not None
    assert SUSPENDED.suspended is not None and SUSPENDED.answering is None and SUSPENDED.live is not None
    resumed = replace(SUSPENDED, remedies=(*SUSPENDED.remedies, remedy(Remedy.RESUME, id=2)))
    assert resumed.answering is not None
    two = replace(TWICE, remedies=(remedy(Remedy.SUSPEND, newest_bundle=2),))
    back = replace(two, remedies=(*two.remedies, remedy(Remedy.ROLL_BACK, id=2, newest_bundle=2)))
    assert two.answering is None and back.answering is not None and back.answering.id == 1
    third = replace(two, bundles=(*two.bundles, bundle(3)))
    assert third.answering is not None and third.answering.id == 3
    assert replace(LIVE, play=a_play(Stage.KILLED)).answering is None, "a retired play serves nothing"


def drift(rate: float, since: str) -> str:
    return json.dumps([{"where": "app", "red": True, "rate": rate, "ceiling": 0.2, "since": since}])


def test_an_alarm_leads_to_suspend_roll_back_or_refresh_by_how_far_and_since_when() -> None:
    far, near = (replace(LIVE, watches=(watch(findings=drift(rate, "2027-01-20")),)) for rate in (0.41, 0.25))
    assert next_step(far) is Action.SUSPEND and waits_for(far) == "olga"
    assert "41.0% of the rows disagree; the ceiling is 20.0%" in answer_to_alarm(far)[1]
    assert next_step(near) is Action.REFRESH
    suspended = replace(far, remedies=SUSPENDED.remedies)
    assert next_step(suspended) is Action.REFRESH
    watches = (watch(Standing.STEADY), watch(bundle_id=2, findings=drift(0.41, AT[:10])))
    assert next_step(replace(TWICE, watches=watches)) is Action.ROLL_BACK, "the new bundle does worse from its start"
    assert next_step(replace(TWICE, watches=watches[1:])) is Action.SUSPEND, "nothing is known of the one before"


def test_a_refresh_is_due_after_its_cadence_and_not_while_one_is_under_way() -> None:
    due = changed(LIVE, now="2027-02-23T00:00:00Z")
    assert due.refresh_due == "2027-02-23" and due.overdue and not changed(LIVE, now="2027-02-22T23:59:59Z").overdue
    assert next_step(due) is Action.REFRESH and next_step(changed(LIVE, now=AT)) is None
    assert not changed(REFRESHING, now="2030-01-01T00:00:00Z").overdue


def test_an_alarm_asks_for_an_answer_from_the_operator() -> None:
    assert next_step(ALARMED) is Action.REFRESH and waits_for(ALARMED) == "olga"


def test_observing_goes_on_beside_training() -> None:
    assert objections(Action.START_RUN, at(Stage.TRAIN, runs=(OBSERVING,)), DAN) == []


def test_all_the_reasons_are_given_at_once() -> None:
    bare = at(Stage.DECIDE, judgements=(), runs=(TRAINED, QUEUED), roles=without(ROLES, Role.OPERATOR),
              gate_trouble="The gate was touched.", audit_trouble="The log breaks.")  # fmt: skip
    assert ids(objections(Action.SHIP, bare, BOB)) == {
        "role.driver", "gate.touched", "gate.unmeasured", "sign_off.missing", "maintenance.operator", "audit.broken",
        "run.active", "rehearsal.missing",
    }  # fmt: skip


# --- the state machine -------------------------------------------------------------------------------------------


def test_every_action_has_a_rule_and_a_place() -> None:
    placed = {action for _, action in NEXT_STAGE}
    about_the_project = {action for action in Action if not action.stages}
    assert set(RULES) | set(PROJECT_RULES) | {Action.OPEN_PROJECT} == set(Action) == placed | about_the_project
    assert placed.isdisjoint(about_the_project)


def reachable(*closed: Action) -> set[Stage]:
    """The stages that a new play can come to, with some actions out of use."""
    found, ahead = set[Stage](), [Stage.QUALIFY]
    while ahead:
        stage = ahead.pop()
        if stage not in found:
            found.add(stage)
            ahead += [
                after for (before, action), after in NEXT_STAGE.items() if before is stage and action not in closed
            ]
    return found


def test_every_stage_can_be_reached() -> None:
    assert reachable() == set(Stage)


ON_THE_WAY = (
    Action.QUALIFY, Action.LOCK_GATE, Action.FREEZE_DATA, Action.RECORD_EVALUATION, Action.SHIP,
)  # fmt: skip


@pytest.mark.parametrize("step", ON_THE_WAY)
def test_nothing_goes_live_past(step: Action) -> None:
    assert Stage.LIVE not in reachable(step, Action.ROLL_BACK)  # which needs a bundle that shipped:


@pytest.mark.parametrize("stage", [Stage.DATA, Stage.TRAIN, Stage.DECIDE])
def test_nothing_is_put_back_that_never_shipped(stage: Stage) -> None:
    for request in (None, RollBack(1, "no headroom"), RollBack(0, "no headroom")):
        assert "live.none" in ids(objections(Action.ROLL_BACK, at(stage), OLGA, request))


def test_a_killed_play_stays_killed_and_takes_comments_only() -> None:
    open_ = {action: after for (stage, action), after in NEXT_STAGE.items() if stage is Stage.KILLED}
    assert open_.keys() == {Action.COMMENT, Action.FINISH_RUN, Action.END_RUN}
    assert set(open_.values()) == {Stage.KILLED}


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("action", [action for action in Action if action.stages])
def test_what_is_not_in_the_machine_cannot_happen(stage: Stage, action: Action) -> None:
    if (stage, action) not in NEXT_STAGE:
        found = ids(objections(action, at(stage), DAN))
        assert len(found) == 1 and found <= {"stage.closed", "stage.killed", "gate.locked"}


# --- total: an answer for anything ---------------------------------------------------------------------------------

WORDS = st.text(max_size=12)
PEOPLE = st.sampled_from([*EVERYBODY, "eve"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
).map(json.dumps)
RESULTS = JSON | st.sampled_from(
    [
        '{"validation_score": "x", "validation_rows": 0}',
        results.trained(0.5),
        '{"traffic": 3}',
    ]
)
COUNTS = JSON | st.sampled_from(
    [
        '{"findings": 3}',
        '{"findings": [null, {"id": "a"}]}',
        '{"splits": 3}',
        '{"splits": {"held-out": "many"}}',
        '{"splits": {"held-out": 12}}',
    ]
)
DIGESTS = st.sampled_from([digest("c"), digest("d"), digest("e"), "", "x"])
JUDGEMENTS = [judge(GATE, record(right))[0] for right in (0, 6, 12)]
GATES = st.sampled_from([GATE, STRICT, replace(GATE, criteria=()), replace(GATE, rounds=0)]) | st.sampled_from(
    [default_gate(kind) for kind in PlayKind]
)


def runs() -> st.SearchStrategy[entities.Run]:
    return st.builds(
        run, st.integers(1, 5), st.sampled_from(RunKind), st.sampled_from(RunStatus), started_by=PEOPLE, result=RESULTS,
        round=st.integers(1, 3), token=st.none() | st.just("t"), artifact=st.none() | DIGESTS,
    )  # fmt: skip


def plays() -> st.SearchStrategy[entities.Play]:
    return st.builds(
        a_play, st.sampled_from(Stage), kind=st.sampled_from(PlayKind), round=st.integers(1, 4), name=WORDS,
        teacher_source=st.sampled_from(TeacherSource), refresh_days=st.none() | st.integers(1, 9),
    )  # fmt: skip


def sign_offs() -> st.SearchStrategy[SignOffFacts]:
    statements = st.fixed_dictionaries({"predicate": st.fixed_dictionaries({"covers": st.dictionaries(WORDS, WORDS)})})
    troubles = st.sampled_from(["", "It is forged."])
    rows = st.builds(
        lambda who, opinion, how, of: entities.SignOff(
            id=1, play_id=1, round=of, person_id=who, opinion=opinion, assurance=how, statement=b"{}", comment="No.",
            recorded_at=AT,
        ),
        PEOPLE, st.sampled_from(Opinion), st.sampled_from(Assurance), st.integers(1, 3),
    )  # fmt: skip
    return st.builds(SignOffFacts, rows, statements | st.just({}), troubles, st.booleans())


def dossiers() -> st.SearchStrategy[PlayDossier]:
    few = {"max_size": 3}
    values = st.builds(
        lambda name, value: entities.WorksheetValue(play_id=1, name=name, value=value, source=""), WORDS, WORDS
    )
    sets = st.builds(_counted, COUNTS, st.booleans(), st.integers(1, 3))
    return st.builds(
        dossier,
        st.sampled_from(Stage),
        people=st.just(DECIDE.project.people) | st.just({"dan": person("dan")}),
        play=plays(),
        roles=st.dictionaries(st.sampled_from(Role), PEOPLE),
        builders=st.dictionaries(PEOPLE, st.just(("drive",)), **few),
        worksheet=st.just(DECIDE.worksheet) | st.dictionaries(WORDS, values, **few),
        gate=st.none() | GATES,
        gate_row=st.none() | st.just(DECIDE.gate_row) | st.just(DRAFT_GATE),
        gate_trouble=st.sampled_from(["", "The gate is not what was locked."]),
        traffic=st.just(()) | st.just(DECIDE.traffic),
        data_sets=st.lists(sets, **few).map(tuple),
        runs=st.lists(runs(), **few).map(tuple),
        evaluations=st.lists(
            st.builds(evaluation, st.integers(1, 4), round=st.integers(1, 3), reproduced=st.integers(0, 1),
            run_id=st.integers(1, 5)), max_size=4
        ).map(tuple),
        judgements=st.lists(st.sampled_from(JUDGEMENTS), **few).map(tuple),
        sign_offs=st.lists(sign_offs(), **few).map(tuple),
        record=st.none() | st.just(record(8)),
        spot_checks=st.just(()) | st.just(judging(checked=4).spot_checks),
        statements=st.just(()) | st.just(vouched(DECIDE).statements),
        audit_trouble=st.sampled_from(["", "The audit log breaks at entry 3."]),
        file_troubles=st.just(()) | st.just(("The artifact is missing.",)),
    )  # fmt: skip


def _counted(counts: str, frozen: bool, of: int) -> entities.DataSet:
    return replace(data_set(frozen=frozen, round=of), counts=counts)


REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "person": PEOPLE | WORDS, "uid": st.integers(), "fingerprint": WORDS | st.just("SHA256:v"), "name": WORDS,
        "predecessor": st.none() | plays(), "role": st.sampled_from(Role),
        "values": st.dictionaries(WORDS | st.just("price_change"), WORDS | st.sampled_from(["1", "NaN",
        "1e999999999"])),
        "expected": DIGESTS, "source_digest": DIGESTS, "mapping": WORDS, "leaks": st.just(["A row leaks."]),
        "spec": st.sampled_from([Spec(), replace(Spec(), alpha=9.0)]), "run": st.integers(0, 6), "token": WORDS,
        "covers": st.dictionaries(WORDS, WORDS), "reason": WORDS, "text": WORDS, "sample": st.integers(),
        "refresh_days": st.integers(), "content": JSON | st.just(check(4)),
        "assurance": st.sampled_from(Assurance), "proof": st.sampled_from(Assurance),
        "roster": st.dictionaries(WORDS, WORDS),
        "queues": st.sampled_from((Action.IMPORT_TRAFFIC, Action.BUILD_DATA, Action.FREEZE_DATA)),
        "worker": st.none() | st.builds(WorkerReport, st.integers(0, 6), WORDS),
    },
)  # fmt: skip
ACTORS = st.builds(
    actor, st.none() | PEOPLE, assurance=st.sampled_from(Assurance), run=st.none() | st.integers(1, 5),
    host=st.none() | PEOPLE,
)  # fmt: skip


def test_a_refusal_that_stands_is_the_next_step_of_the_person_who_can_lift_it() -> None:
    own = signed(None, sign_off(dossier(), opinion=Opinion.REFUSE))
    assert "sign_off.refused" in ids(objections(Action.SHIP, own, DAN))
    assert (next_step(own), waits_for(own)) == (Action.SIGN_OFF, "vera")
    former = signed(None, sign_off(dossier(), "olga", Opinion.REFUSE))
    assert "sign_off.refused" in ids(objections(Action.SHIP, former, DAN))
    assert (next_step(former), waits_for(former)) == (Action.WITHDRAW, "olga")
    lifted = signed(None, sign_off(dossier(), "olga", Opinion.REFUSE, withdrawn=True))
    assert (next_step(lifted), waits_for(lifted)) == (Action.SHIP, "dan")


def test_a_roster_that_must_be_signed_comes_before_the_sign_off() -> None:
    unsigned = by_signature(DECIDE)
    assert "roster.unsigned" in ids(objections(Action.SIGN_OFF, unsigned, actor("vera", assurance=SURE)))
    assert (next_step(unsigned), waits_for(unsigned)) == (Action.SIGN_ROSTER, "sam")
    assert next_step(vouched(unsigned)) is Action.SIGN_OFF and next_step(surely_signed()) is Action.SHIP


@pytest.mark.parametrize("metric", [Metric.PAYBACK, Metric.P95_LATENCY, Metric.SIZE])
def test_iterate_is_not_recommended_where_more_rows_change_nothing(metric: Metric) -> None:
    missed = Judgement(
        Criterion(metric, threshold=Decimal(6)), "all", Verdict.MISSES, 0.05, estimate=9, lower=8, upper=9
    )
    seen = at(Stage.DECIDE, judgements=(*judge(GATE, record(6)), missed))
    advised, reasons = advice(seen)
    assert advised is Advice.KILL and reasons[0].startswith("What is missed does not depend on the data")
    assert missed.sentence in reasons and next_step(seen) is Action.KILL
    for other in (
        replace(missed, criterion=replace(missed.criterion, watch_only="to know it")),
        replace(missed, verdict=Verdict.UNPROVEN),
        replace(missed, criterion=Criterion(Metric.ACCURACY, threshold=Decimal("0.9"))),
    ):
        assert advice(at(Stage.DECIDE, judgements=(*judge(GATE, record(6)), other)))[0] is Advice.ITERATE


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(dossiers(), ACTORS, REQUESTS)
def test_there_is_an_answer_in_full_sentences_for_anything(
    seen: PlayDossier, who: Actor, request: dict[str, Any]
) -> None:
    for action in Action:
        for reason in objections(action, seen, who, asked(action, seen, request)):
            assert isinstance(reason, Objection) and is_a_sentence(reason.sentence), reason
            assert reason.rule in KNOWN
    next_step(seen)
    waits_for(seen)
    assert all(is_a_sentence(each) for each in advice(seen)[1])


KNOWN = rule_ids()


def is_a_sentence(text: str) -> bool:
    return len(text) > 8 and text.rstrip().endswith(".") and " " in text

"""The rules of the stages `qualify` and `gate`: trigger, draft, lock, provider terms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from distill_tui import gates, tasks
from distill_tui.gates import economics
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, read_object
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import ConfirmTerms, FillWorksheet, LockGate
from distill_tui.rules.results import ImportReport, known
from distill_tui.rules.who import PlayRule, held_by, least_proof, never_built, proved
from distill_tui.terms import Action, Assurance, PlayKind, Role, StatementKind


def fill_worksheet(dossier: PlayDossier, actor: Actor, request: FillWorksheet | None) -> Iterator[Objection]:
    """The driver or the sponsor fills in the trigger's numbers."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
    if request is None:
        return
    kind = dossier.play.kind
    known = {question.name for question in (*economics.WORKSHEET[kind], *economics.BESIDES[kind])}
    for name, value in request.values.items():
        if name not in known:
            yield Objection(
                "worksheet.unknown",
                f"A {dossier.play.kind.value} play has no “{name}”; it asks for {', '.join(sorted(known))}.",
            )
        elif as_decimal(value) is None:
            yield Objection("worksheet.number", f"“{value}” is no number for {name}; write it like 1200 or 0.45.")


def as_decimal(value: object) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def worksheet_numbers(dossier: PlayDossier) -> dict[str, Decimal]:
    """Give the trigger's numbers that can be read as numbers."""
    read = {name: as_decimal(row.value) for name, row in dossier.worksheet.items()}
    return {name: number for name, number in read.items() if number is not None}


def trigger(dossier: PlayDossier) -> Iterator[Objection]:
    """The trigger's numbers are there, and hold."""
    for sentence in economics.trigger_holds(dossier.play.kind, worksheet_numbers(dossier)):
        yield Objection("trigger.holds", sentence)


def qualify(dossier: PlayDossier, actor: Actor, request: None) -> Iterator[Objection]:
    """A play qualifies when the numbers of its trigger hold; else mend the numbers or kill the play."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
    yield from trigger(dossier)


def edit_gate(dossier: PlayDossier, actor: Actor, request: None) -> Iterator[Objection]:
    """The draft of the gate is the driver's and the sponsor's to write."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)


def lock_gate(dossier: PlayDossier, actor: Actor, request: LockGate | None) -> Iterator[Objection]:
    """The sponsor locks a gate that can pass and can fail, once all four roles are named and somebody can validate."""
    yield from held_by(dossier, actor, Role.SPONSOR)
    for role in Role:
        if role not in dossier.roles:
            yield Objection(
                "roles.missing",
                f"Nobody is the {role.value} yet; name one: `distill-tui role {dossier.code} {role.value} PERSON`.",
            )
    yield from trigger(dossier)
    if dossier.gate is None:
        yield Objection("gate.unreadable", dossier.gate_trouble or "There is no gate yet; write one with `gate edit`.")
        return
    for sentence in tasks.gate_problems(dossier.gate, dossier.play.kind, dossier.play.task):
        yield Objection("gate.problem", sentence)
    if dossier.play.kind is PlayKind.STABILITY:
        yield from terms_unclear(dossier)
    if request is not None and request.expected not in (None, gates.digest(dossier.gate)):
        yield Objection("gate.moved", "The gate was edited after you opened it; read it again before you lock it.")
    yield from proved(dossier.project, actor, request, "gate.weak")
    yield from can_validate(dossier)
    yield from provable(dossier)
    yield from priced(dossier)


def segment_shares(dossier: PlayDossier) -> dict[str, float] | None:
    """Say from the imported traffic how large each segment is; None where there is no traffic yet."""
    rows: dict[str, int] = {}
    for traffic in dossier.traffic:
        report = known(ImportReport, traffic.report)
        for name, count in report.segments if report is not None else ():
            rows[name] = rows.get(name, 0) + count
    total = sum(rows.values())
    return {name: count / total for name, count in rows.items()} if total else None


def provable(dossier: PlayDossier) -> Iterator[Objection]:
    """A segment whose rows could not prove its criterion at their best is merged, filled, or only watched."""
    shares = segment_shares(dossier)
    for note in gates.power(dossier.gate, segment_shares=shares) if dossier.gate is not None and shares else ():
        if note.criterion.counts and not note.possible and note.scope.startswith(gates.SEGMENT):
            yield Objection(
                "gate.unprovable",
                f"{note.sentence} By the traffic imported so far: merge the segment, import more of it, or write it a "
                "criterion of its own with watch_only and the reason.",
            )


def priced(dossier: PlayDossier) -> Iterator[Objection]:
    """A range of a price holds the worksheet's number, which is the likeliest one."""
    numbers = worksheet_numbers(dossier)
    for each in dossier.gate.ranges if dossier.gate is not None else ():
        likeliest = numbers.get(each.name)
        if likeliest is None or not each.low <= likeliest <= each.high:
            yield Objection(
                "gate.range",
                f"The range of {each.name} goes from {each.low} to {each.high}, and the worksheet says "
                f"{'nothing' if likeliest is None else likeliest}; the range must hold the worksheet's number.",
            )


LOCK_FACTS = ("methods", "teacher", "segments", "numbers", "roles")


def lock_facts(dossier: PlayDossier) -> dict[str, Any]:
    """Say what a lock fixes besides the gate itself: nothing of it may move afterwards."""
    play, shares = dossier.play, segment_shares(dossier)
    methods = gates.methods(dossier.gate) if dossier.gate is not None else {}
    teacher = {"source": play.teacher_source, "name": play.teacher_name, "digest": play.teacher_digest}
    return {
        "methods": {metric.value: said for metric, said in sorted(methods.items())},
        "teacher": teacher if play.teacher_source else {},
        "segments": {name: f"{share:.4f}" for name, share in sorted((shares or {}).items())},
        "numbers": {name: [row.value, row.source, row.at] for name, row in sorted(dossier.worksheet.items())},
        "roles": {role.value: person for role, person in sorted(dossier.roles.items())},
    }


def locked_facts(dossier: PlayDossier) -> dict[str, Any]:
    """Give what was fixed at the lock; nothing before it."""
    row = dossier.gate_row
    return read_object(row.facts) if row is not None and row.locked_at is not None else {}


def terms_unclear(dossier: PlayDossier) -> Iterator[Objection]:
    """Somebody read the provider's terms, and they permit training on outputs."""
    terms = dossier.terms
    if terms is None:
        yield Objection(
            "terms.unconfirmed",
            "Nobody has recorded what the provider's terms say of training on outputs; read them, then "
            f"`distill-tui terms {dossier.code} --provider NAME --terms-version TEXT --dated DATE --permitted`.",
        )
    elif not terms.permits:
        yield Objection(
            "terms.forbid",
            f"The terms of {terms.provider} ({terms.version}, {terms.dated}) do not permit training on outputs, as "
            f"{terms.checked_by} read them; change the teacher, or kill the play.",
        )


def confirm_terms(dossier: PlayDossier, actor: Actor, request: ConfirmTerms | None) -> Iterator[Objection]:
    """The driver or the sponsor records which terms were read, of what date, and what they permit."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
    if request is None:
        return
    for name, words in (("provider", request.provider), ("version", request.version)):
        if not 1 <= len(words.strip()) <= 200:
            yield Objection("terms.words", f"The {name} of the terms has 1 to 200 characters; write it down.")
    if not _is_date(request.dated):
        yield Objection("terms.date", f"“{request.dated}” is no date of the terms; write it like 2026-11-24.")


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def can_validate(dossier: PlayDossier) -> Iterator[Objection]:
    """The validator can prove who they are as strongly as the gate asks, and has never built here."""
    validator = dossier.roles.get(Role.VALIDATOR)
    if validator is None or dossier.gate is None:
        return
    yield from never_built(dossier, validator, "gate.nobody_validates")
    if validator == dossier.roles.get(Role.DRIVER):
        yield Objection("gate.nobody_validates", f"{validator} drives this play; name another validator.")
    least = least_proof(dossier)
    has_key = any(k.person_id == validator and k.revoked_at is None for k in dossier.project.keys)
    has_account = any(a.person_id == validator for a in dossier.project.accounts)
    if not has_key and (not has_account or least.strength >= Assurance.SESSION.strength):
        yield Objection(
            "gate.nobody_validates",
            f"{validator} has no way to sign as strongly as this gate asks ({least.value}); add their SSH key with "
            f"`distill-tui key add {validator} FILE.pub`.",
        )


def gate_untouched(dossier: PlayDossier) -> Iterator[Objection]:
    """The locked gate is what was locked."""
    if dossier.gate_trouble:
        yield Objection("gate.touched", dossier.gate_trouble, from_backup=True)
    locked = dossier.gate_row.digest if dossier.gate_row else None
    for facts in dossier.statements:
        if facts.row.kind is StatementKind.GATE and (facts.trouble or facts.about("gate") != locked):
            sentence = facts.trouble or "The gate is not the one that its lock was signed for."
            yield Objection("gate.touched", sentence, from_backup=True)


RULES: dict[Action, PlayRule] = {
    Action.FILL_WORKSHEET: fill_worksheet,
    Action.QUALIFY: qualify,
    Action.EDIT_GATE: edit_gate,
    Action.LOCK_GATE: lock_gate,
    Action.CONFIRM_TERMS: confirm_terms,
}

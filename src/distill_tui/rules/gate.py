"""Rules of the stages `qualify` and `gate`: trigger, draft, lock, provider terms."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from distill_tui import tasks
from distill_tui.gates import economics, feasible, judging
from distill_tui.gates.gate import SEGMENT
from distill_tui.gates.power import power
from distill_tui.gates.problems import is_date
from distill_tui.gates.usable import total
from distill_tui.gates.written import digest
from distill_tui.rules import typed
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.measurable import held_out_rows, lockable, traffic_rows
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import ConfirmTerms, FillWorksheet, LockGate
from distill_tui.rules.results import ImportReport, LockedTeacher, LockFacts, known
from distill_tui.rules.who import PlayRule, held_by, least_proof, never_built, proved
from distill_tui.terms import Action, Assurance, PlayKind, Role, StatementKind


def fill_worksheet(dossier: PlayDossier, actor: Actor, request: FillWorksheet | None) -> Iterator[Objection]:
    """The driver or the sponsor fills in the numbers of the trigger."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
    if request is None:
        return
    kind = dossier.play.kind
    known = {question.name for question in (*economics.WORKSHEET[kind], *economics.BESIDES[kind])}
    for name, value in request.values.items():
        if name not in known:
            yield Objection(
                "worksheet.unknown",
                f"The worksheet of a {kind.value} play has no “{name}”; its numbers: {', '.join(sorted(known))}.",
            )
        elif (number := typed.number(value)) is None:
            yield Objection(
                "worksheet.number", f"{name}: “{value}” is not a number; write it like 1200, 400,000, 2.5k, 0.45 or 1%."
            )
        elif wrong := economics.out_of_range(name, number):
            yield Objection("worksheet.range", wrong)


def as_decimal(value: object) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def worksheet_numbers(dossier: PlayDossier) -> dict[str, Decimal]:
    """Return the worksheet's values that are numbers."""
    read = {name: as_decimal(row.value) for name, row in dossier.worksheet.items()}
    return {name: number for name, number in read.items() if number is not None}


def trigger(dossier: PlayDossier) -> Iterator[Objection]:
    """The trigger holds."""
    for sentence in economics.trigger_holds(dossier.play.kind, worksheet_numbers(dossier), dossier.project.currency):
        yield Objection("trigger.holds", sentence)


def qualify(dossier: PlayDossier, actor: Actor, request: None) -> Iterator[Objection]:
    """A play qualifies when its trigger holds; else correct the numbers or kill the play."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
    yield from trigger(dossier)


def edit_gate(dossier: PlayDossier, actor: Actor, request: None) -> Iterator[Objection]:
    """The driver or the sponsor edits the draft of the gate."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)


def lock_gate(dossier: PlayDossier, actor: Actor, request: LockGate | None) -> Iterator[Objection]:
    """The sponsor locks a gate that can pass and can fail, once all roles are assigned and the validator can sign."""
    yield from held_by(dossier, actor, Role.SPONSOR)
    for role in Role:
        if role not in dossier.roles:
            yield Objection(
                "roles.missing",
                f"The {role.value} is not assigned: `distill-tui role {dossier.code} {role.value} PERSON`.",
            )
    yield from trigger(dossier)
    if dossier.gate is None:
        yield Objection("gate.unreadable", dossier.gate_trouble or "There is no gate yet: write one with `gate edit`.")
        return
    for sentence in tasks.gate_problems(dossier.gate, dossier.play.kind, dossier.play.task):
        yield Objection("gate.problem", sentence)
    if dossier.play.kind is PlayKind.STABILITY:
        yield from terms_unclear(dossier)
    if request is not None and request.expected not in (None, digest(dossier.gate)):
        yield Objection("gate.moved", "The gate was edited after you opened it; review it again before you lock it.")
    yield from proved(dossier.project, actor, request, dossier.project.minimum_assurance, "gate.weak")
    yield from can_validate(dossier)
    yield from lockable(dossier)
    yield from provable(dossier)
    yield from priced(dossier)
    for sentence in cannot_pass(dossier) if request is not None and not request.cannot_pass else ():
        yield Objection("gate.cannot_pass", f"{sentence} To lock it all the same, answer yes (--cannot-pass).")


def cannot_pass(dossier: PlayDossier) -> list[str]:
    """Return the criteria that cannot hold in the best case; to lock them takes an explicit yes."""
    if dossier.gate is None or tasks.gate_problems(dossier.gate, dossier.play.kind, dossier.play.task):
        return []
    numbers, rows = worksheet_numbers(dossier), held_out_rows(dossier)
    return feasible.cannot_pass(dossier.gate, numbers, rows, dossier.project.currency)


def warnings(dossier: PlayDossier) -> list[str]:
    """Return what cannot hold, too few rows, and a latency bar that is looser than the worksheet's target."""
    if dossier.gate is None:
        return []
    looser = feasible.looser_than_target(dossier.gate, dossier.play.kind, worksheet_numbers(dossier))
    there, wanted = total(traffic_rows(dossier)), dossier.gate.held_out_rows
    few = f"The gate asks for {wanted:,} held-out rows, and only {there:,} rows are imported. Import more to train on."
    return [*cannot_pass(dossier), *([few] if 0 < there <= wanted else []), *([looser] if looser else [])]


def segment_shares(dossier: PlayDossier) -> dict[str, float] | None:
    """Return each segment's share of the imported traffic; None where there is no traffic yet."""
    rows: dict[str, int] = {}
    for traffic in dossier.traffic:
        report = known(ImportReport, traffic.report)
        for name, count in report.segments if report is not None else ():
            rows[name] = rows.get(name, 0) + count
    total = sum(rows.values())
    return {name: count / total for name, count in rows.items()} if total else None


def provable(dossier: PlayDossier) -> Iterator[Objection]:
    """Every segment with a criterion has enough rows to prove it."""
    found = held_out_rows(dossier)
    for note in power(dossier.gate, held_out=found) if dossier.gate is not None and len(found) > 1 else ():
        if note.criterion.counts and not note.possible and note.scope.startswith(SEGMENT):
            yield Objection(
                "gate.unprovable",
                f"{note.sentence} This follows from the traffic imported so far. Merge the segment, import more of "
                "it, or give it its own criterion with watch_only and a reason.",
            )


def priced(dossier: PlayDossier) -> Iterator[Objection]:
    """A price range contains the worksheet's value, its most likely one."""
    numbers = worksheet_numbers(dossier)
    for each in dossier.gate.ranges if dossier.gate is not None else ():
        likeliest = numbers.get(each.name)
        if likeliest is None or not each.low <= likeliest <= each.high:
            value = "no value" if likeliest is None else likeliest
            yield Objection(
                "gate.range",
                f"{each.name}: the range {each.low} to {each.high} must contain the worksheet's value, which is "
                f"{value}.",
            )


def lock_facts(dossier: PlayDossier) -> LockFacts:
    """Return what a lock fixes in addition to the gate."""
    play, shares = dossier.play, segment_shares(dossier)
    methods = judging.methods(dossier.gate) if dossier.gate is not None else {}
    teacher = LockedTeacher(source=play.teacher_source, name=play.teacher_name, digest=play.teacher_digest)
    return LockFacts(
        methods={metric.value: version for metric, version in sorted(methods.items())},
        teacher=teacher if play.teacher_source else None,
        segments={name: f"{share:.4f}" for name, share in sorted((shares or {}).items())},
        numbers={name: (row.value, row.source, row.at) for name, row in sorted(dossier.worksheet.items())},
        roles={role.value: person for role, person in sorted(dossier.roles.items())},
    )


def locked_facts(dossier: PlayDossier) -> LockFacts | None:
    """Return what the lock fixed; None before it."""
    row = dossier.gate_row
    return known(LockFacts, row.facts) if row is not None and row.locked_at is not None else None


def terms_unclear(dossier: PlayDossier) -> Iterator[Objection]:
    """The provider's terms are recorded and permit training on outputs."""
    terms = dossier.terms
    if terms is None:
        yield Objection(
            "terms.unconfirmed",
            "It is not recorded whether the provider's terms permit training on outputs. Read them, then run "
            f"`distill-tui terms {dossier.code} --provider NAME --terms-version TEXT --dated DATE --permitted`.",
        )
    elif not terms.permits:
        yield Objection(
            "terms.forbid",
            f"The terms of {terms.provider} ({terms.version}, {terms.dated}) do not permit training on outputs "
            f"(recorded by {terms.checked_by}). Change the teacher, or kill the play.",
        )


def confirm_terms(dossier: PlayDossier, actor: Actor, request: ConfirmTerms | None) -> Iterator[Objection]:
    """The driver or the sponsor records which terms apply, their date, and what they permit."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
    if request is None:
        return
    for name, words in (("provider", request.provider), ("version", request.version)):
        if not 1 <= len(words.strip()) <= 200:
            yield Objection("terms.words", f"The {name} of the terms must have 1 to 200 characters.")
    if not is_date(request.dated):
        yield Objection("terms.date", f"“{request.dated}” is not a date; write the date of the terms like 2026-11-24.")


def can_validate(dossier: PlayDossier) -> Iterator[Objection]:
    """The validator can sign with the assurance that the gate requires, and never built in this play."""
    validator = dossier.roles.get(Role.VALIDATOR)
    if validator is None or dossier.gate is None:
        return
    yield from never_built(dossier, validator, "gate.nobody_validates")
    if validator == dossier.roles.get(Role.DRIVER):
        yield Objection("gate.nobody_validates", f"{validator} is the driver of this play; assign another validator.")
    least = least_proof(dossier)
    has_key = any(k.person_id == validator and k.revoked_at is None for k in dossier.project.keys)
    has_account = any(a.person_id == validator for a in dossier.project.accounts)
    if not has_key and (not has_account or least.strength >= Assurance.SESSION.strength):
        yield Objection(
            "gate.nobody_validates",
            f"{validator} cannot sign with assurance “{least.value}”, which this gate requires. Add their SSH key: "
            f"`distill-tui key add {validator} FILE.pub`.",
        )


def gate_untouched(dossier: PlayDossier) -> Iterator[Objection]:
    """The locked gate is what was locked."""
    if dossier.gate_trouble:
        yield Objection("gate.touched", dossier.gate_trouble, from_backup=True)
    locked = dossier.gate_row.digest if dossier.gate_row else None
    for facts in dossier.statements:
        if facts.row.kind is StatementKind.GATE and (facts.trouble or facts.about("gate") != locked):
            sentence = facts.trouble or "The gate differs from the one that was signed at the lock."
            yield Objection("gate.touched", sentence, from_backup=True)


RULES: dict[Action, PlayRule] = {
    Action.FILL_WORKSHEET: fill_worksheet,
    Action.QUALIFY: qualify,
    Action.EDIT_GATE: edit_gate,
    Action.LOCK_GATE: lock_gate,
    Action.CONFIRM_TERMS: confirm_terms,
}

"""What the commands that act do: one function an action, named after it.

A function asks `actions` and says what came of it; it decides nothing. Everything heavy is imported inside, so that a
command pays only for what it uses.
"""

from __future__ import annotations

import dataclasses
import os
import pwd
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui.cli.call import Call, UsageError, pairs, plain_objections, reading, text_of
from distill_tui.cli.live import acknowledge, observe, refresh, rehearse, roll_back  # noqa: F401
from distill_tui.cli.show import follow, measured_window
from distill_tui.terms import Action, Assurance, Judged, Opinion, PlayKind, Role, Task, TeacherSource
from distill_tui.text import visible

if TYPE_CHECKING:
    from argparse import Namespace

    from distill_tui.dataset.window import Measured
    from distill_tui.teachers.description import Described

# --- the project and its people --------------------------------------------------------------------------------------


def open_project(call: Call) -> None:
    """Make a project file; whoever makes it is its keeper, proved by the uid of this process."""
    from distill_tui.rules.actor import Actor
    from distill_tui.store.project import Project

    if call.key is not None:
        raise UsageError("A project is made by an OS account; leave --key out and add the key with `key add` then.")
    uid = os.getuid()
    me = call.args.me or _account_name(uid)
    founder = Actor(None, f"account uid {uid}", Assurance.ACCOUNT)
    project = Project.create(Path(call.args.file), call.args.name, me, call.args.my_name or me, founder)
    dossier = project.project_dossier()
    call.talk(f"Made {project.path.name}; {me} keeps it, proved by account uid {uid}.")
    call.data({"project": dossier.name, "uid": dossier.uid, "keeper": me, "account": uid})


def _account_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name.lower()
    except KeyError:
        raise UsageError(f"The account with uid {uid} has no name; say who you are with --me ID.") from None


def enrol_person(call: Call) -> None:
    """Enrol a person."""
    from distill_tui import actions
    from distill_tui.people import signatures

    key = signatures.read_public_key(text_of(call.args.key_file)) if call.args.key_file else None
    person, name = call.args.person, call.args.name or call.args.person
    actions.enrol_person(call.project, call.actor, person, name, uid=call.args.uid, key=key)
    call.talk(f"Enrolled {person}.")
    call.data({"person": person, "uid": call.args.uid, "key": key.fingerprint if key else None})


def add_account(call: Call) -> None:
    """Add an account."""
    from distill_tui import actions

    actions.add_account(call.project, call.actor, call.args.person, call.args.uid)
    call.talk(f"The account with uid {call.args.uid} is {call.args.person}'s now.")
    call.data({"person": call.args.person, "uid": call.args.uid})


def add_key(call: Call) -> None:
    """Add a key."""
    from distill_tui import actions
    from distill_tui.people import signatures

    key = signatures.read_public_key(text_of(call.args.key_file))
    actions.add_key(call.project, call.actor, call.args.person, key)
    call.talk(f"The key {key.fingerprint} is {call.args.person}'s now.")
    call.data({"person": call.args.person, "key": key.fingerprint})


def revoke_key(call: Call) -> None:
    """Revoke a key."""
    from distill_tui import actions

    actions.revoke_key(call.project, call.actor, call.args.fingerprint)
    call.talk(f"The key {call.args.fingerprint} is revoked.")
    call.data({"revoked": call.args.fingerprint})


def set_assurance(call: Call) -> None:
    """State the weakest proof."""
    from distill_tui import actions

    least = Assurance(call.args.least)
    actions.set_assurance(call.project, call.actor, least)
    call.talk(f"From now on a decision counts here that is {least.value} or stronger.")
    call.data({"assurance": least.value})


def sign_roster(call: Call) -> None:
    """Sign who is who in a play."""
    from distill_tui import actions

    digest = actions.sign_roster(*call.about, key=call.key)
    call.done("The roster is signed.", [digest], roster=digest)


# --- qualify and gate ------------------------------------------------------------------------------------------------


def open_play(call: Call) -> None:
    """Open a play."""
    from distill_tui import actions
    from distill_tui.store import queries

    args = call.args
    before = queries.find_play(call.project, args.predecessor) if args.predecessor else None
    kind, task = PlayKind(args.kind), Task(args.task)
    call.play_id = actions.open_play(
        call.project, call.actor, args.name, kind, summary=args.summary, task=task, predecessor=before
    )
    code = f"P-{call.play_id:03d}"
    call.done(f"Opened {code}.", [code], name=args.name)


def assign_role(call: Call) -> None:
    """Give a role."""
    from distill_tui import actions

    actions.assign_role(*call.about, Role(call.args.role), call.args.person)
    call.done(f"{call.args.person} is the {call.args.role} now.", role=call.args.role, person=call.args.person)


def fill_worksheet(call: Call) -> None:
    """Fill in numbers; without any, show the worksheet."""
    from distill_tui import actions
    from distill_tui.reports import text as report
    from distill_tui.rules.gate import trigger

    values = pairs(call.args.values)
    if call.args.from_traffic:
        measured, found = measured_window(call)
        found = {name: value for name, value in found.items() if name not in values}
        actions.fill_worksheet(*call.about, found, _source(measured))
        call.talk(f"Filled in from {_source(measured)}: {', '.join(found) or 'nothing'}.")
    if values:
        actions.fill_worksheet(*call.about, values, call.args.source)
        call.talk(f"Filled in {', '.join(values)}.")
    dossier = call.dossier()
    reasons = list(trigger(dossier))
    numbers = {name: {"value": row.value, "source": row.source} for name, row in dossier.worksheet.items()}
    value = {"numbers": numbers, "holds": not reasons, "reasons": [o.sentence for o in reasons]}
    call.data(value, report.worksheet(dossier, plain=call.plain))


def _source(measured: Measured) -> str:
    from distill_tui.dataset import window

    return window.source(measured)


def qualify(call: Call) -> None:
    """Pass the trigger."""
    from distill_tui import actions

    actions.qualify(*call.about)
    call.done("The trigger holds.")


def edit_gate(call: Call) -> None:
    """Write the draft."""
    from distill_tui import actions, gates

    with reading():
        gate = gates.from_toml(text_of(call.args.file), gates.METHODS_NOW)
    actions.edit_gate(*call.about, gate)
    play = call.dossier().play
    found = gates.problems(gate, play.kind, play.task) if play else []
    for sentence in found:
        call.talk(f"Cannot be locked yet: {sentence}")
    call.done("The draft is written.", gate=gates.digest(gate), problems=found)


def lock_gate(call: Call) -> None:
    """Lock the gate that was just read, and no other."""
    from distill_tui import actions, gates

    seen = call.dossier()
    if call.args.confirm != seen.play.code:
        raise UsageError(f"A lock is for good; confirm it with the play's own code: --confirm {seen.play.code}.")
    expected = gates.digest(seen.gate) if seen.gate else None
    actions.lock_gate(*call.about, expected, key=call.key)
    call.done("The gate is locked for good.", [str(expected)], gate=expected)


# --- data ------------------------------------------------------------------------------------------------------------


def import_traffic(call: Call) -> None:
    """Import a file."""
    from distill_tui import actions

    if call.args.file == "-":
        _import_typed(call)
        return
    path = Path(call.args.file)
    mapping = mapping_of(call, path)
    if call.args.preview:
        _preview(call, path, mapping)
        return
    report = actions.import_traffic(*call.about, path, mapping, most_rejects=_share(call.args.most_rejects))
    for reject in report.get("first_rejects", ()):
        call.talk(f"{path.name}, line {reject['line']}: {reject['reason']}; left out.")
    leaks = report.get("held_out") or {}
    if sum(leaks.values()):
        told = ", ".join(f"{count:,} {name}" for name, count in leaks.items() if count)
        call.talk(f"{sum(leaks.values()):,} inputs belong with held-out rows ({told}); none of them will train.")
    call.done(f"Imported {report['rows']:,} rows, left out {report['rejects']:,}.", [str(report["rows"])], **report)


def mapping_of(call: Call, path: Path) -> Any:
    """Give the columns that were named, over those that are found by their usual names."""
    from distill_tui.dataset import readers

    given = {name: getattr(call.args, name) for name in readers.Mapping.__dataclass_fields__}
    given = {name: column for name, column in given.items() if column is not None}
    return _mapping(path, given) if given else readers.guess_mapping(path)


def _import_typed(call: Call) -> None:
    """Import what comes on standard input, as a file of its own."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        call.args.file = str(Path(folder) / "typed.jsonl")
        Path(call.args.file).write_bytes(sys.stdin.buffer.read())
        import_traffic(call)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"--most-rejects is “{text}”; it is a share from 0 to 1, like 0.05.")
    return share


def _preview(call: Call, path: Path, mapping: Any) -> None:
    """Show how a file would be read."""
    from dataclasses import asdict

    from distill_tui.dataset import readers
    from distill_tui.reports import data as data_report

    look = readers.preview(path, mapping)
    columns = {name: column for name, column in asdict(mapping).items() if column}
    value = {"mapping": columns, "columns": look.columns, "rows": look.rows, "rejects": look.rejects}
    call.data(value | {"sampled": look.sampled}, data_report.import_preview(look, columns, plain=call.plain))
    if look.rejects:
        call.talk(f"{len(look.rejects):,} of the first {look.sampled:,} rows cannot be used; nothing was stored.")


def _mapping(path: Path, given: Mapping[str, str]) -> Any:
    """Put the columns that were named over those that are found by their usual names; an empty name is none."""
    from dataclasses import asdict

    from distill_tui.dataset import readers

    try:
        columns: dict[str, Any] = asdict(readers.guess_mapping(path))
    except readers.BadInput:
        if not given.get("input"):
            raise
        columns = {}
    named: dict[str, Any] = {name: column or None for name, column in (columns | dict(given)).items()}
    if not named.get("input"):
        raise UsageError("The input's column cannot be empty; name it with --input COLUMN.")
    return readers.Mapping(**named)


def set_teacher(call: Call) -> None:
    """Choose the teacher."""
    from distill_tui import actions

    args = call.args
    if (bool(args.folder), args.recorded, bool(args.endpoint)).count(True) != 1:
        raise UsageError("Give one of: a model FOLDER, --recorded, or --endpoint URL.")
    with reading():
        actions.set_teacher(*call.about, Path(args.folder) if args.folder else None, _described(args))
    play = call.dossier().play
    call.done(f"The teacher is {play.teacher_name}.", teacher=play.teacher_name, digest=play.teacher_digest)


def _described(args: Namespace) -> Described | None:
    """Read the description of a teacher that is asked in words; None for one that is not."""
    from distill_tui.teachers.description import ANSWER_TOKENS, TEMPLATES, WRITES, Described

    if (args.zero_shot and args.prompted) or ((args.zero_shot or args.prompted) and not args.folder):
        raise UsageError("--zero-shot and --prompted say how a model FOLDER is asked; give one, and the folder.")
    if args.endpoint:
        source = TeacherSource.ENDPOINT
    elif args.zero_shot or args.prompted:
        source = TeacherSource.ZERO_SHOT if args.zero_shot else TeacherSource.PROMPTED
    else:
        return None
    labels = tuple(label.strip() for label in args.labels.split(",")) if args.labels else ()
    writes = not labels and source is not TeacherSource.ZERO_SHOT
    template = text_of(args.template) if args.template else WRITES if writes else TEMPLATES[source]
    model, url = args.model or "", args.endpoint or ""
    described = Described(source, model, labels, template, url, args.revision, completes=args.completes)
    tokens = args.answer_tokens or (ANSWER_TOKENS if writes else described.max_tokens)
    return dataclasses.replace(described, max_tokens=tokens)


def confirm_terms(call: Call) -> None:
    """Record the provider's terms."""
    from distill_tui import actions

    args = call.args
    if args.permitted == args.forbidden:
        raise UsageError("Say what the terms say of training on outputs: either --permitted or --forbidden.")
    actions.confirm_terms(*call.about, args.provider, args.terms_version, args.dated, args.permitted)
    call.done(f"The terms of {args.provider} are recorded.", permits=args.permitted)


def accept_findings(call: Call) -> None:
    """Accept findings."""
    from distill_tui import actions

    if bool(call.args.findings) == call.args.all:
        raise UsageError("Name the findings, or say --all.")
    accepted = actions.accept_findings(*call.about, call.args.findings, call.args.message)
    call.done(f"Accepted {len(accepted)}.", accepted, accepted=accepted)


def build_data(call: Call) -> None:
    """Build the draft."""
    from distill_tui import actions
    from distill_tui.reports import text as report

    counts = actions.build_data(*call.about)
    call.done("Built.", report.data(call.dossier(), plain=call.plain), **counts)


def freeze_data(call: Call) -> None:
    """Freeze the data set."""
    from distill_tui import actions

    digest = actions.freeze_data(*call.about)
    call.done("The data set is frozen.", [digest], data=digest)


def open_row(call: Call) -> None:
    """Open a held-out row."""
    from distill_tui import actions

    row = actions.open_row(*call.about, call.args.row, burn=call.args.burn)
    names = ("input", "gold", "teacher_output", "segment", "group")
    call.done("Opened, and logged.", [visible(f"{name}: {row[name]}") for name in names], opened=row)


# --- runs ------------------------------------------------------------------------------------------------------------


def label(call: Call) -> int | None:
    """Ask the teacher."""
    from distill_tui import actions
    from distill_tui.rounds import cost_estimate

    limits = _limits(call)
    if call.args.estimate:
        _estimate(
            call,
            {"limits": limits},
            lambda: cost_estimate.estimate_labels(call.project.artifacts, call.dossier(), limits),
        )
        return None
    with reading():
        return started(call, actions.label(*call.about, limits))


def _limits(call: Call) -> dict[str, str]:
    names = ("budget", "price_in", "price_out", "concurrency", "per_minute", "timeout", "attempts")
    return {name: getattr(call.args, name) for name in names if getattr(call.args, name) is not None}


def _estimate(call: Call, request: Mapping[str, Any], ask: Callable[[], dict[str, Any]]) -> None:
    """Ask one input, and tell what all of them would cost."""
    from distill_tui.reports import data as data_report
    from distill_tui.review import controls
    from distill_tui.rules.objection import Refused
    from distill_tui.rules.permission import objections

    dossier = call.dossier()
    reasons = objections(Action.LABEL, dossier, call.actor, request)
    if reasons:
        raise Refused(reasons)
    with reading():
        found = ask()
    for told in controls.before_paying(dossier):
        call.talk(told)
    call.data(found, data_report.estimate(found))


def vary(call: Call) -> int | None:
    """Have the teacher write variations."""
    from distill_tui import actions
    from distill_tui.rounds import cost_estimate, variations

    args, limits = call.args, _limits(call)
    if args.rows < 1:
        raise UsageError("--rows is 1 or more.")
    about = (args.each, args.rows, args.rows_named)
    if args.estimate:
        dossier = call.dossier()
        request = {"limits": limits, "vary": True, "sealed": variations.sealed(call.project, dossier, args.rows_named)}
        _estimate(call, request, lambda: cost_estimate.estimate_variations(call.project, dossier, limits, *about))
        return None
    with reading():
        return started(call, actions.vary(*call.about, *about, limits))


def take_variations(call: Call) -> None:
    """Take variations in."""
    from distill_tui import actions

    report = actions.take_variations(*call.about, call.args.run, call.args.without)
    call.done(f"Took in {report['rows']:,} variations as {report['file_name']}.", [str(report["rows"])], **report)


def start_run(call: Call) -> int | None:
    """Train a student."""
    from distill_tui import actions

    spec = _spec(call)
    return started(call, actions.start_run(*call.about, spec))


def _spec(call: Call) -> Any:
    """Read the spec: a file, over it the options, over them NAME=VALUE; what is not named suits teacher and data."""
    import tomllib

    from distill_tui.rules.training import suits
    from distill_tui.spec import Spec

    with reading():
        values: dict[str, object] = dict(tomllib.loads(text_of(call.args.spec))) if call.args.spec else {}
        options = {name: getattr(call.args, name) for name in Spec.__dataclass_fields__}
        values |= {name: value for name, value in options.items() if value is not None}
        named = values | pairs(call.args.values)
        alone = not named.keys() & {"alpha", "logit_mse"} and _only_labels(call)
        if alone:
            named = {"controls": "", **named, "alpha": 0}  # the arm on hard labels would be the student itself
        spec = Spec.from_mapping({"student": suits(call.dossier())} | named)
    if alone:
        call.talk("The teacher gave no probabilities, so the student learns from labels alone: alpha=0.")
    return spec


def _only_labels(call: Call) -> bool:
    """Whether there are labels, and a data set of this round in which no row has the teacher's probabilities."""
    from distill_tui.dataset import frozen

    dossier = call.dossier()
    data = dossier.data_set
    path = call.project.artifacts.path(data.artifact) if data is not None else None
    labels = dossier.play.task is Task.CLASSIFICATION
    return labels and path is not None and path.exists() and not frozen.soft_rows(path)


def stop_run(call: Call) -> None:
    """Stop a run: the active one, where none is named."""
    from distill_tui import actions

    active = next((run.id for run in call.dossier().runs if run.status.active), 0)
    run_id = call.args.run if call.args.run is not None else active
    actions.stop_run(*call.about, run_id or 0)
    call.done(f"Run {run_id} was asked to stop.", run=run_id)


def resume_run(call: Call) -> int | None:
    """Resume a run."""
    from distill_tui import actions

    return started(call, actions.resume_run(*call.about, call.args.run))


def evaluate(call: Call) -> int | None:
    """Spend the look at the held-out split."""
    from distill_tui import actions

    return started(call, actions.evaluate(*call.about, call.args.run))


def reproduce(call: Call) -> int | None:
    """Evaluate again as the validator."""
    from distill_tui import actions

    return started(call, actions.reproduce(*call.about))


def started(call: Call, run_id: int) -> int | None:
    """Say that a run is queued, or follow it to its end."""
    if not call.args.wait:
        call.done(f"Run {run_id} is queued.", [str(run_id)], run=run_id)
        return None
    if not call.json:
        call.data(None, [str(run_id)])
        sys.stdout.flush()
    return follow(call, run_id)


# --- decide ----------------------------------------------------------------------------------------------------------


def spot_check(call: Call) -> None:
    """Judge answers blind; without judgements, show what was drawn."""
    from distill_tui import actions
    from distill_tui.reports import text as report
    from distill_tui.rules import spot_checks
    from distill_tui.store import queries

    said = _said(call.args.said)
    count = queries.answers_to_draw(call.dossier(), len(said) or call.args.rows or 0)
    items = queries.to_judge(call.project, call.play_id, call.actor, count)
    if not said:
        shown = [{"number": n, "input": i.text, "a": i.item.a, "b": i.item.b} for n, i in enumerate(items, 1)]
        call.data({"answers": shown}, report.to_judge(call.dossier(), items))
        return
    wanted = set(range(1, len(items) + 1))
    if set(said) != wanted:
        odd = sorted(set(said) ^ wanted)
        raise UsageError(f"Judge each answer from 1 to {len(items)} once; {odd[0]} is left out, or is none of them.")
    number = actions.spot_check(*call.about, [said[n] for n in sorted(said)])
    found = spot_checks.result(call.dossier().spot_checks[-1].content)
    lines = [f"{name}: {count}" for name, count in found.items()]
    call.done(f"Spot check {number} is recorded.", lines, spot_check=number, **found)


def _said(words: Iterable[str]) -> dict[int, Judged]:
    """Read NUMBER=a|b|both|neither words. Raises UsageError."""
    found = {}
    for number, word in pairs(words).items():
        if not number.isdecimal() or word not in list(Judged):
            raise UsageError(f"“{number}={word}” is no judgement; write it like 1=a 2=both 3=neither.")
        found[int(number)] = Judged(word)
    return found


def sign_off(call: Call) -> None:
    """Sign; without --approve or --refuse, show what would be signed."""
    args = call.args
    if args.ssh_config and not args.via:
        raise UsageError("--ssh-config is for --via.")
    if args.approve and args.refuse:
        raise UsageError("Give --approve or --refuse, not both.")
    if args.via:
        _sign_via(call)
        return
    if not args.approve and not args.refuse:
        _show_what_is_signed(call)
        return
    if args.message is None:
        raise UsageError("Say with -m TEXT what you found.")
    _sign(call, Opinion.APPROVE if args.approve else Opinion.REFUSE)


def refuse(call: Call) -> None:
    """Refuse."""
    _sign(call, Opinion.REFUSE)


def _sign(call: Call, opinion: Opinion) -> None:
    from distill_tui import actions
    from distill_tui.rules import decide

    covers = decide.covers(call.dossier())
    if call.args.seen and call.args.seen != _seen(covers):
        raise rules_moved()
    number = actions.sign_off(*call.about, opinion, call.args.message, key=call.key, covers=covers)
    words = "approved" if opinion is Opinion.APPROVE else "refused"
    call.done(f"Sign-off {number}: you {words}.", [str(number)], sign_off=number, opinion=opinion.value)


def _sign_via(call: Call) -> None:
    """Fetch a statement, show it, and sign it here; on a terminal its last digits are typed, else --seen names it."""
    from distill_tui.people import ssh_client

    args, opinion = call.args, Opinion.REFUSE if call.args.refuse else Opinion.APPROVE
    with reading():
        host = ssh_client.Host.read(args.via, call.key, Path(args.ssh_config) if args.ssh_config else None)
        fetched = ssh_client.fetch(host, args.play, opinion.value, args.message or "")
    shown = {"covers": dict(fetched.covers), "seen": fetched.seen, "statement": fetched.content.decode()}
    if not args.approve and not args.refuse:
        call.data(shown, ssh_client.lines(fetched))
        return
    if args.message is None or call.key is None:
        raise UsageError("Say with -m TEXT what you found, and with --key FILE which key signs.")
    if args.seen is None:
        for line in ssh_client.lines(fetched):
            call.talk(line)
        _typed(f"{args.play} {fetched.seen[-6:]}")
    elif args.seen != fetched.seen:
        raise rules_moved()
    with reading():
        said = ssh_client.hand_in(host, args.play, fetched, call.key)
    counts = "It counts." if said.get("counts") else "It does not count now; the host says why."
    call.talk(f"Sign-off {said.get('sign_off')} is recorded: {opinion.value}, {said.get('assurance')}. {counts}")
    call.data(shown | said, [str(said.get("sign_off"))])


def _typed(wanted: str) -> None:
    """Have the intent typed, by somebody who sits at a terminal. Raises UsageError."""
    if not sys.stdin.isatty():
        raise UsageError(
            "Nobody sits at this terminal; look with `sign --via` first, and name what you saw with --seen."
        )
    sys.stderr.write(f"Type {wanted} to sign: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != wanted:
        raise UsageError("Nothing was signed.")


def rules_moved() -> Exception:
    """Say that what is there now is not what was looked at."""
    from distill_tui.rules.objection import Objection, Refused

    sentence = "Something changed after you looked; look again with `sign` before you sign."
    return Refused([Objection("sign_off.moved", sentence)])


def _seen(covers: Mapping[str, Any]) -> str:
    from distill_tui.digests import canonical, digest_of

    return digest_of(canonical(covers))


def _show_what_is_signed(call: Call) -> None:
    from distill_tui.reports import text as report
    from distill_tui.rules import decide
    from distill_tui.rules.permission import objections

    dossier = call.dossier(thorough=True)
    covers, reasons = decide.covers(dossier), objections(Action.SIGN_OFF, dossier, call.actor)
    value = {
        "covers": covers,
        "seen": _seen(covers),
        "judgements": [report.judgement_json(each) for each in dossier.judgements],
        "objections": plain_objections(reasons),
    }
    call.data(value, report.to_sign(dossier, _seen(covers), reasons))


def withdraw(call: Call) -> None:
    """Take a sign-off back."""
    from distill_tui import actions

    actions.withdraw(*call.about, call.args.message, key=call.key)
    call.done("Taken back.")


def set_maintenance(call: Call) -> None:
    """Set the maintenance loop."""
    from distill_tui import actions

    actions.set_maintenance(*call.about, call.args.sample, call.args.refresh_days)
    call.done("The maintenance loop is set.", sample=call.args.sample, refresh_days=call.args.refresh_days)


def ship(call: Call) -> None:
    """Ship."""
    from distill_tui import actions

    folder = actions.ship(*call.about, key=call.key)
    call.done("Shipped.", [visible(str(folder))], bundle=str(folder))


def iterate(call: Call) -> None:
    """Open the next round."""
    from distill_tui import actions
    from distill_tui.review import controls

    probed = controls.probed(call.dossier())
    actions.iterate(*call.about)
    call.done("The next round is open.")
    call.talk(probed)


def kill(call: Call) -> None:
    """Kill."""
    from distill_tui import actions

    actions.kill(*call.about, call.args.message)
    call.done("Killed for good.")


def comment(call: Call) -> None:
    """Comment."""
    from distill_tui import actions

    actions.comment(*call.about, call.args.text)
    call.done("Noted.")

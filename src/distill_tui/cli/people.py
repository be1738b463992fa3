"""Commands for the project file, its people, their proofs and their roles."""

from __future__ import annotations

import os
from pathlib import Path

import click

from distill_tui import actions
from distill_tui.cli import plan_option
from distill_tui.cli.call import Call, UsageError, plain_objections, text_of
from distill_tui.cli.options import FILE, OneOf, command, play
from distill_tui.digests import canonical, digest_of
from distill_tui.gates.currencies import USUAL
from distill_tui.people import identity, signatures
from distill_tui.reports import text
from distill_tui.rules import separation, who
from distill_tui.rules.actor import Actor
from distill_tui.store import glance
from distill_tui.store import project as projects
from distill_tui.terms import Action, Assurance, Role, Weakness
from distill_tui.text import visible


@command(Action.OPEN_PROJECT)
@click.argument("file", metavar="FILE", type=FILE, help="the project file to make, like team.distill")
@click.option("--name", metavar="TEXT", help="the project's name (default: that of the plan, else of the file)")
@click.option("--me", metavar="ID", help="your id in the project (default: the name of your OS account)")
@click.option("--my-name", metavar="TEXT", help="your name, for display")
@click.option(
    "--currency", metavar="CODE", help="the currency of all amounts, like EUR (default: that of the plan, else USD)"
)
@plan_option.from_plan
def init(
    call: Call, file: str, name: str | None, me: str | None, my_name: str | None, currency: str | None, plan: str | None
) -> None:
    if call.key is not None:
        raise UsageError("A project is made by an OS account: leave out --key, then add the key with `key add`.")
    uid = os.getuid()
    me = me or _account_name(uid)
    read = plan_option.read(plan) if plan else None
    name = name or (read.name if read is not None else Path(file).stem)
    actor = Actor(me, f"account uid {uid}", Assurance.ACCOUNT)
    if read is not None:
        plan_option.check_first(read, actor)
    founder = Actor(None, f"account uid {uid}", Assurance.ACCOUNT)
    currency = currency or (read.currency if read is not None else None) or USUAL
    project = projects.Project.create(Path(file), name, me, my_name or me, founder, currency)
    made = project.project_dossier()
    call.talk(f"Made {project.path.name}. {me} is its keeper, proved by account uid {uid}. Amounts are in {currency}.")
    opened = []
    if read is not None:
        call.project_file = file
        opened = plan_option.carry_out(call, read, actor)
    call.data(
        {"project": made.name, "uid": made.uid, "keeper": me, "account": uid, "currency": currency, "plays": opened}
    )


def _account_name(uid: int) -> str:
    found = identity.account_name()
    if not found:
        raise UsageError(f"The account with uid {uid} has no name; name yourself with --me ID.")
    return found


@command(Action.ENROL_PERSON)
@click.argument("person", metavar="ID", help="their id, like vera")
@click.option("--name", metavar="TEXT", help="their name, for display")
@click.option("--uid", metavar="N", type=int, help="the uid of their OS account")
@click.option("--key-file", metavar="FILE.pub", type=FILE, help="their SSH public key")
def person_add(call: Call, person: str, name: str | None, uid: int | None, key_file: str | None) -> None:
    key = signatures.read_public_key(text_of(key_file)) if key_file else None
    actions.enrol_person(call.project, call.actor, person, name or person, uid=uid, key=key)
    call.talk(f"Enrolled {person}.")
    call.data({"person": person, "uid": uid, "key": key.fingerprint if key else None})


@command("person list", "List who is enrolled, with accounts and keys.")
def person_list(call: Call) -> None:
    dossier = call.project.project_dossier()
    people, rows = [], []
    for person in dossier.people.values():
        accounts = [account.uid for account in dossier.accounts if account.person_id == person.id]
        keys = [key for key in dossier.keys if key.person_id == person.id]
        keeps = person.id == dossier.keeper
        shown = [{"fingerprint": key.fingerprint, "revoked_at": key.revoked_at} for key in keys]
        people.append({"person": person.id, "name": person.name, "keeper": keeps, "accounts": accounts, "keys": shown})
        uids = ", ".join(f"uid {uid}" for uid in accounts) or "–"
        prints = ", ".join(key.fingerprint + (" (revoked)" if key.revoked_at else "") for key in keys) or "–"
        rows.append((person.id, person.name, "keeper" if keeps else "", uids, prints))
    call.data(people, text.table(("PERSON", "NAME", "", "ACCOUNTS", "KEYS"), rows, plain=call.plain))


@command(Action.ADD_ACCOUNT)
@click.argument("person", metavar="PERSON", help="the owner of the account")
@click.argument("uid", metavar="UID", type=int, help="the uid of the account")
def account_add(call: Call, person: str, uid: int) -> None:
    actions.add_account(call.project, call.actor, person, uid)
    call.talk(f"The account with uid {uid} is {person}'s now.")
    call.data({"person": person, "uid": uid})


@command(Action.ADD_KEY)
@click.argument("person", metavar="PERSON", help="the owner of the key")
@click.argument("key_file", metavar="FILE.pub", type=FILE, help="the public key")
def key_add(call: Call, person: str, key_file: str) -> None:
    key = signatures.read_public_key(text_of(key_file))
    actions.add_key(call.project, call.actor, person, key)
    call.talk(f"The key {key.fingerprint} is {person}'s now.")
    call.data({"person": person, "key": key.fingerprint})


@command(Action.REVOKE_KEY)
@click.argument("fingerprint", metavar="FINGERPRINT", help="as `person list` shows it")
def key_revoke(call: Call, fingerprint: str) -> None:
    actions.revoke_key(call.project, call.actor, fingerprint)
    call.talk(f"The key {fingerprint} is revoked.")
    call.data({"revoked": fingerprint})


@command(Action.SET_ASSURANCE)
@click.argument("least", type=OneOf(Assurance), help="the minimum that counts; it can only be raised")
def assurance(call: Call, least: Assurance) -> None:
    actions.set_assurance(call.project, call.actor, least)
    call.talk(f"From now on a decision counts here only with the proof “{least.value}” or a stronger one.")
    call.data({"assurance": least.value})


@command(Action.SET_SEPARATION)
@click.argument(
    "words",
    metavar="[WORD]…",
    type=OneOf(Weakness),
    nargs=-1,
    help="one or more words; without any, show what is forbidden",
)
def separate(call: Call, words: tuple[Weakness, ...]) -> None:
    if words:
        actions.set_separation(call.project, call.actor, [word.value for word in words])
    forbids = sorted(call.project.project_dossier().forbids)
    call.data({"forbids": forbids}, forbids or ["Nothing is forbidden; what weakens separation is named and signed."])


@command(Action.SET_CURRENCY)
@click.argument("code", metavar="CODE", help="by ISO 4217, like EUR; no amount is converted")
def currency(call: Call, code: str) -> None:
    actions.set_currency(call.project, call.actor, code.upper())
    call.talk(f"Every amount of this project is in {code.upper()} from now on. Nothing was converted.")
    call.data({"currency": code.upper()})


@command(Action.ASSIGN_ROLE)
@play
@click.argument("role", type=OneOf(Role), help="the role")
@click.argument("person", metavar="PERSON", help="who holds it from now on")
def role(call: Call, role: Role, person: str) -> None:
    actions.assign_role(*call.about, role, person)
    call.done(f"{person} is the {role.value} now.", role=role.value, person=person)


@command(Action.SIGN_ROSTER)
@play
def roster_sign(call: Call) -> None:
    digest = actions.sign_roster(*call.about, key=call.key)
    call.done("The roster is signed.", [digest], roster=digest)


@command("roster show", "Show the people of a play, and the digest that the sponsor signs.")
@play
def roster_show(call: Call) -> None:
    dossier = call.dossier()
    roster = who.roster(dossier)
    digest = digest_of(canonical(roster))
    unsigned = list(who.roster_signed(dossier))
    enrolled = dossier.enrolled_by
    lines = [digest]
    for person, proofs in roster["people"].items():
        roles = ", ".join(role for role, holder in roster["roles"].items() if holder == person) or "a builder"
        uids = ", ".join(f"uid {uid}" for uid in proofs["accounts"])
        keys = [k.fingerprint for k in dossier.project.keys if k.person_id == person]
        by = f"; enrolled by {', '.join(enrolled[person])}" if person in enrolled else ""
        at = f", {dossier.project.people[person].enrolled_at[:10]}" if by else ""
        lines.append(visible(f"{person} ({roles}): {', '.join([*([uids] if uids else []), *keys])}{by}{at}"))
    lines += [visible(each) for each in separation.notes(dossier)]
    lines += [visible(each.sentence) for each in unsigned]
    call.data(
        {
            "digest": digest,
            **roster,
            "enrolled_by": enrolled,
            "separation": separation.notes(dossier),
            "objections": plain_objections(unsigned),
        },
        lines,
    )


@command("whoami", "Show who you are here, how that was proved, and your roles.")
def whoami(call: Call) -> None:
    actor, plays = call.actor, []
    for card in glance.cards(call.path):
        roles = [role.value for role, person in card.roles.items() if person == actor.person]
        plays += [{"play": card.code, "name": card.name, "roles": roles}] if roles else []
    name = actor.person or "not enrolled (read-only)"
    lines = [visible(f"{name}, proved by {actor.proof} ({actor.assurance.value})")]
    lines += [visible(f"{p['play']} {p['name']}: {', '.join(p['roles'])}") for p in plays]
    value = {"person": actor.person, "proof": actor.proof, "assurance": actor.assurance.value, "plays": plays}
    call.data(value, lines)

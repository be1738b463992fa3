"""Commands of the last stage: spot check, sign off, reject, withdraw, maintenance, ship."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from distill_tui import actions
from distill_tui.bundles import export
from distill_tui.cli.call import Call, UsageError, plain_objections, reading
from distill_tui.cli.options import FILE, Pairs, command, once, option_of, play, reason
from distill_tui.dataset import play_data
from distill_tui.digests import canonical, digest_of
from distill_tui.people import ssh_client
from distill_tui.reports import text
from distill_tui.rules import decide, permission, spot_checks
from distill_tui.rules.objection import Objection, Refused
from distill_tui.terms import Action, Judged, Opinion
from distill_tui.text import visible


@command(Action.SPOT_CHECK)
@play
@click.argument(
    "words",
    metavar="[NUMBER=WORD]…",
    type=Pairs(),
    nargs=-1,
    help="a, b, both or neither per answer; without any, the answers are shown",
)
@click.option("--rows", metavar="N", type=int, help="how many (default: as many as the gate asks for, or 10)")
def spotcheck(call: Call, words: tuple[tuple[str, str], ...], rows: int | None) -> None:
    judged = _judged(once(words))
    count = play_data.answers_to_draw(call.dossier(), len(judged) or rows or 0)
    items = play_data.to_judge(call.project, call.play_id, call.actor, count)
    if not judged:
        shown = [{"number": n, "input": i.text, "a": i.item.a, "b": i.item.b} for n, i in enumerate(items, 1)]
        call.data({"answers": shown}, text.to_judge(call.dossier(), items))
        return
    odd = sorted(set(judged) ^ set(range(1, len(items) + 1)))
    if odd:
        raise UsageError(f"Judge each answer from 1 to {len(items)} once; {odd[0]} is missing or out of range.")
    number = actions.spot_check(*call.about, [judged[n] for n in sorted(judged)])
    found = spot_checks.result(call.dossier().spot_checks[-1].content)
    lines = [f"{name}: {count}" for name, count in found.items()]
    call.done(f"Spot check {number} is recorded.", lines, spot_check=number, **found)


def _judged(words: Mapping[str, str]) -> dict[int, Judged]:
    found = {}
    for number, word in words.items():
        if not number.isdecimal() or word not in list(Judged):
            raise UsageError(f"“{number}={word}” is not a judgement; write it like 1=a 2=both 3=neither.")
        found[int(number)] = Judged(word)
    return found


# --- sign off --------------------------------------------------------------------------------------------------------


@command(Action.SIGN_OFF)
@play
@click.option("--approve", is_flag=True, help="accept the student for launch")
@click.option("--refuse", is_flag=True, help="do not accept it")
@click.option("-m", "--message", metavar="TEXT", help="the comment that goes into the statement")
@click.option("--seen", metavar="DIGEST", help="sign only what `sign PLAY` showed under this digest")
@click.option(
    "--via", metavar="URL", help="fetch from ssh://[user@]host[:port], sign here, and send the signature back"
)
@option_of("--via", "--ssh-config", metavar="FILE", type=FILE, help="with --via: the configuration file for ssh")
def sign(
    call: Call,
    approve: bool,
    refuse: bool,
    message: str | None,
    seen: str | None,
    via: str | None,
    ssh_config: str | None,
) -> None:
    if approve and refuse:
        raise UsageError("Use --approve or --refuse, not both.")
    opinion = Opinion.APPROVE if approve else Opinion.REFUSE if refuse else None
    if via:
        with reading():
            host = ssh_client.Host.read(via, call.key, Path(ssh_config) if ssh_config else None)
        _sign_via(call, host, opinion, message, seen)
    elif opinion is None:
        _show_what_is_signed(call)
    elif message is None:
        raise UsageError("Describe your finding with -m TEXT.")
    else:
        _sign(call, opinion, message, seen)


@command(Action.REFUSE)
@play
@reason
@click.option("--seen", metavar="DIGEST", help="reject only what `sign PLAY` showed under this digest")
def reject(call: Call, message: str, seen: str | None) -> None:
    _sign(call, Opinion.REFUSE, message, seen)


def _sign(call: Call, opinion: Opinion, message: str, seen: str | None) -> None:
    covers = decide.covers(call.dossier())
    if seen and seen != _digest(covers):
        raise _moved()
    number = actions.sign_off(*call.about, opinion, message, key=call.key, covers=covers)
    words = "approved" if opinion is Opinion.APPROVE else "rejected"
    call.done(f"Sign-off {number}: you {words}.", [str(number)], sign_off=number, opinion=opinion.value)


def _sign_via(
    call: Call, host: ssh_client.Host, opinion: Opinion | None, message: str | None, seen: str | None
) -> None:
    """Fetch a statement, show it, and sign it here; its last digits are typed on a terminal, or --seen names it."""
    with reading():
        fetched = ssh_client.fetch(host, call.play, (opinion or Opinion.APPROVE).value, message or "")
    shown = {"covers": dict(fetched.covers), "seen": fetched.seen, "statement": fetched.content.decode()}
    if opinion is None:
        call.data(shown, ssh_client.lines(fetched))
        return
    if message is None or call.key is None:
        raise UsageError("Describe your finding with -m TEXT, and name the key that signs with --key FILE.")
    if seen is None:
        for line in ssh_client.lines(fetched):
            call.talk(line)
        _typed(f"{call.play} {fetched.seen[-6:]}")
    elif seen != fetched.seen:
        raise _moved()
    with reading():
        answer = ssh_client.hand_in(host, call.play, fetched, call.key)
    counts = "It counts." if answer.get("counts") else "It does not count now; the host shows why."
    call.talk(f"Sign-off {answer.get('sign_off')} is recorded: {opinion.value}, {answer.get('assurance')}. {counts}")
    call.data(shown | answer, [str(answer.get("sign_off"))])


def _typed(wanted: str) -> None:
    """Ask for the intent to be typed on a terminal. Raises UsageError."""
    if not sys.stdin.isatty():
        raise UsageError(
            "stdin is not a terminal. Look with `sign --via` first, then name the digest that you saw with --seen."
        )
    sys.stderr.write(f"Type {wanted} to sign: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != wanted:
        raise UsageError("Nothing was signed.")


def _moved() -> Exception:
    sentence = "Something changed after you looked; look again with `sign` before you sign."
    return Refused([Objection("sign_off.moved", sentence)])


def _digest(covers: Mapping[str, object]) -> str:
    return digest_of(canonical(covers))


def _show_what_is_signed(call: Call) -> None:
    dossier = call.dossier(thorough=True)
    covers, reasons = decide.covers(dossier), permission.objections(Action.SIGN_OFF, dossier, call.actor)
    value = {
        "covers": covers,
        "seen": _digest(covers),
        "judgements": [text.judgement_json(each) for each in dossier.judgements],
        "objections": plain_objections(reasons),
    }
    call.data(value, text.to_sign(dossier, _digest(covers), reasons))


@command(Action.WITHDRAW)
@play
@reason
def withdraw(call: Call, message: str) -> None:
    actions.withdraw(*call.about, message, key=call.key)
    call.done("Withdrawn.")


# --- launch ----------------------------------------------------------------------------------------------------------


@command(Action.SET_MAINTENANCE)
@play
@click.option("--sample", metavar="N", type=int, required=True, help="calls sampled per month")
@click.option("--refresh-days", metavar="N", type=int, required=True, help="days between two refreshes")
def maintain(call: Call, sample: int, refresh_days: int) -> None:
    actions.set_maintenance(*call.about, sample, refresh_days)
    call.done("The maintenance loop is set.", sample=sample, refresh_days=refresh_days)


@command(Action.SHIP)
@play
@click.option("--to", metavar="DIR", type=FILE, help="also copy the bundle to a folder in DIR, named by the play")
def ship(call: Call, to: str | None) -> None:
    folder = actions.ship(*call.about, key=call.key)
    play, shown = call.dossier().play, folder
    if to is not None:
        with reading():
            shown = export.export(folder, Path(to), export.name_of(play.name, play.round))
    call.done("Shipped.", [visible(str(shown))], bundle=str(folder), folder=str(shown))

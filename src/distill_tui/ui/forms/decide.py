"""The forms of the decision: judge answers blind, sign off or reject, withdraw, maintenance, ship, iterate, kill.

A signature is never one key. The play's code and the last digits of what it covers are typed after reading them; what
was typed before the sheet was shown is dropped; and if anything changed meanwhile, the form starts over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from distill_tui import actions
from distill_tui.dataset import play_data
from distill_tui.digests import canonical, digest_of
from distill_tui.people import statements
from distill_tui.reports import text
from distill_tui.review import controls, headline, sections
from distill_tui.rules import decide, spot_checks
from distill_tui.rules.decide import counting_sign_off
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import Comment, SetMaintenance, Withdraw, WithReason
from distill_tui.rules.training import trained
from distill_tui.terms import Action, Judged, Opinion
from distill_tui.ui.forms.form import Ask, Call, Form, Say, Step, call, filled, opens, plain
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.forms.spot_sheet import SpotSheet
from distill_tui.ui.play.view import View, load
from distill_tui.ui.widgets import page

if TYPE_CHECKING:
    from distill_tui.store.project import Project
    from distill_tui.ui.app import DistillApp

# --- the validator -----------------------------------------------------------------------------------------------


@opens(Action.SPOT_CHECK)
def spot_check(app: DistillApp, view: View) -> Step:
    def record(judged: list[Judged]) -> Step:
        def work(project: Project) -> Mapping[str, int]:
            actions.spot_check(project, view.play_id, view.actor, judged)
            return spot_checks.result(project.dossier(view.play_id).spot_checks[-1].content)

        return Call(work, then=lambda counts: Say(f"Recorded: {_counted(counts)}.", "success"))

    def ask(items: list[play_data.ToJudge]) -> Step:
        return Ask(SpotSheet(view.play.code, items), record, "Nothing was recorded.")

    drawn = play_data.answers_to_draw(view.dossier)
    return Call(lambda project: play_data.to_judge(project, view.play_id, view.actor, drawn), then=ask)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


@opens(Action.SIGN_OFF)
def sign_off(app: DistillApp, view: View) -> Step:
    return opinion(app, view, Opinion.APPROVE)


@opens(Action.REFUSE)
def refuse(app: DistillApp, view: View) -> Step:
    return opinion(app, view, Opinion.REFUSE)


def intent(code: str, covers: Mapping[str, object]) -> str:
    """Return what is typed to sign: the play's code, and the last digits of all that a sign-off covers."""
    return f"{code} {digest_of(canonical(covers))[-6:]}"


def opinion(app: DistillApp, view: View, given: Opinion, notice: str = "") -> Step:
    """Show what is signed as it is now, and sign exactly that; `notice` is why the form is shown again."""
    covers, approves, id_ = decide.covers(view.dossier), given is Opinion.APPROVE, view.play_id

    def read(values: Values) -> str:
        if not approves and not values["comment"]:
            raise ValueError("A rejection needs a reason.")
        return values["comment"]

    def submit(comment: str) -> Step:
        def work(project: Project) -> tuple[View, str] | None:
            try:
                actions.sign_off(project, id_, view.actor, given, comment, key=app.key, covers=covers)
            except Refused as refused:
                moved = next((each.sentence for each in refused.objections if each.rule == "sign_off.moved"), None)
                if moved is None:
                    raise
                return load(project, id_, view.actor), moved
            return None

        def recorded(again: tuple[View, str] | None) -> Step:
            if again is not None:
                return opinion(app, again[0], given, again[1])
            return Say(f"Your {'sign-off' if approves else 'rejection'} is recorded.", "success")

        return Call(work, then=recorded)

    command = text.command_line(Action.SIGN_OFF if approves else Action.REFUSE, view.play.code)
    return Form(
        None,
        "sign" if approves else "reject",
        submit,
        [*([("look", notice)] if notice else []), *evidence(app, view, given)],
        (Field("comment", "comment" if approves else "reason", hint="It is part of the statement."),),
        read,
        title=f"{'Sign off' if approves else 'Reject'} {view.play.code} {view.play.name}",
        typed=intent(view.play.code, covers),
        command=command + (" --approve -m TEXT" if approves else ""),
        elsewhere=app.via(view.play.code, approves),
        deaf=True,
    )


def evidence(app: DistillApp, view: View, given: Opinion) -> Iterator[str | tuple[str, str]]:
    """Yield what is read before a signature: meaning, spot check, verdicts, builders, gate, omissions, digests."""
    dossier, covers = view.dossier, decide.covers(view.dossier)
    counting = [each for each in dossier.judgements if each.criterion.counts]
    holding = sum(each.verdict == "holds" for each in counting)
    yield statements.MEANING[given]
    yield f"1 Judged blind: {_judged(covers['spot_check'])}."
    held = "held" if dossier.passed else "not held"
    yield f"2 The gate is {held}: {holding} of {len(counting)} judgements hold."
    yield from ((each.word, each.text.removeprefix("binding: ")) for each in sections.folded(dossier.judgements))
    built = [f"{who} ({', '.join(parts)})".replace("_", " ") for who, parts in sorted(dossier.builders.items())]
    yield f"3 Built by {'; '.join(built)}."
    yield from (f"  {note}" for note in covers["separation"])
    row = dossier.gate_row
    locked = f"by {row.locked_by}, {page.when(row.locked_at)}" if row else "by no one"
    yield f"4 The gate {page.short(covers['gate'])} was locked {locked}."
    yield f"5 Not covered by the verdict: {'; '.join(_left_out(dossier)) or 'nothing known'}."
    yield "  ".join(f"{name} {page.short(covers[name])}" for name in ("data", "model", "roster"))
    proof = f"signed with {app.key.name}" if app.key is not None else f"proved by your {view.actor.assurance.value}"
    whole = page.short(digest_of(canonical(covers)), 64)
    yield f"digest of all of it {whole}; round {covers['round']}, {view.actor.person}, {proof}"


def _judged(check: Mapping[str, Any]) -> str:
    counts = {name: count for name, count in check.items() if name not in ("digest", "judged")}
    if not check["judged"]:
        return "nothing yet. P shows held-out answers without naming who gave them"
    return f"{check['judged']} answers; {_counted(counts)}"


def _left_out(dossier: PlayDossier) -> Iterator[str]:
    watched = [each.criterion.words for each in dossier.judgements if not each.criterion.counts]
    if watched:
        yield f"watched only: {', '.join(watched)}"
    rejects = sum(traffic.rejects for traffic in dossier.traffic)
    if rejects:
        yield f"{rejects:,} rows of traffic that could not be read"
    others = [run for run in trained(dossier) if dossier.evaluation and run.id != dossier.evaluation.run_id]
    if others:
        yield f"{len(others)} other trained students of this round, never evaluated"
    if not any(each.reproduced for each in dossier.round_evaluations):
        yield "the validator has not reproduced the evaluation (V does)"


@opens(Action.WITHDRAW)
def withdraw(app: DistillApp, view: View) -> Step:
    done, verb = "Your sign-off is withdrawn.", actions.withdraw
    body = ("Your newest sign-off or rejection no longer counts. It stays in the log.",)
    return filled(view, Action.WITHDRAW, "withdraw it", verb, done, Withdraw, body=body, key=app.key)


# --- the end of a round ------------------------------------------------------------------------------------------


@opens(Action.SET_MAINTENANCE)
def set_maintenance(app: DistillApp, view: View) -> Step:
    play = view.play
    return filled(
        view,
        Action.SET_MAINTENANCE,
        "set it",
        actions.set_maintenance,
        "The maintenance loop is set.",
        SetMaintenance,
        (
            Field("sample", "calls a month sampled", str(play.sampling_per_month or 400), "Like 400."),
            Field("refresh_days", "days between refreshes", str(play.refresh_days or 90), "Like 90."),
        ),
        ("Promised from the first day: how many calls a month are sampled, and how often the student is refreshed.",),
        title=f"Maintenance loop of {play.code}",
    )


@opens(Action.SHIP)
def ship(app: DistillApp, view: View) -> Step:
    signed = counting_sign_off(view.dossier)
    by = f"Signed off by {signed.row.person_id}, proved by {signed.row.assurance.by}. " if signed else ""

    def write(project: Project) -> object:
        return actions.ship(project, view.play_id, view.actor, key=app.key)

    return plain(
        view,
        Action.SHIP,
        "ship it",
        Call(write, "The bundle is written and live.", before="Writing the bundle."),
        f"{by}The bundle is written, and the play goes live.",
        f"{'. '.join(headline.of(view.dossier).lines(view.play.kind))}.",
        *(("todo", sentence) for sentence in view.expected),
        title=f"Ship {view.play.code} {view.play.name}",
        typed=True,
    )


@opens(Action.ITERATE)
def iterate(app: DistillApp, view: View) -> Step:
    rounds = view.dossier.gate.rounds if view.dossier.gate else view.play.round
    body = (
        f"Round {view.play.round + 1} of {rounds} opens in data. Its training rows are weighted towards the failures "
        "on validation. The held-out rows and the gate stay the same."
    )
    start = call(view, "The next round is open.", actions.iterate)
    return plain(view, Action.ITERATE, "iterate", start, body, controls.probed(view.dossier))


@opens(Action.KILL)
def kill(app: DistillApp, view: View) -> Step:
    body = ("A killed play never comes back. A new one may name it as its predecessor.",)
    done = "The play is killed."
    return filled(view, Action.KILL, "kill it", actions.kill, done, WithReason, body=body, typed=True)


@opens(Action.COMMENT)
def comment(app: DistillApp, view: View) -> Step:
    done, title, fields = "The comment is in the log.", f"Comment on {view.play.code}", (Field("text", "comment"),)
    return filled(view, Action.COMMENT, "add it", actions.comment, done, Comment, fields, title=title)

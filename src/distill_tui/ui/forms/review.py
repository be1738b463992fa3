"""What a validator does by keys: judge answers blind, read what would be signed, sign or refuse.

A signature is never one key: the play's code and the last digits of what it covers are typed, by somebody who has seen
them; what was typed before the sheet was seen is dropped; and where anything changed meanwhile, it starts over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from distill_tui.digests import canonical, digest_of
from distill_tui.people import statements
from distill_tui.rules import decide
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Refused
from distill_tui.rules.training import trained
from distill_tui.terms import Action, Judged, Opinion
from distill_tui.ui.forms.asking import ask, twin
from distill_tui.ui.forms.sheets import Field, Sheet, Values
from distill_tui.ui.forms.spot_sheet import SpotSheet
from distill_tui.ui.play.view import View, load
from distill_tui.ui.widgets import page

if TYPE_CHECKING:
    from distill_tui.store.project import Project
    from distill_tui.store.queries import ToJudge
    from distill_tui.ui.app import DistillApp


def spot_check(app: DistillApp, view: View) -> None:
    """Judge what was drawn, one answer after another; only then it is said whose was whose."""
    from distill_tui import actions
    from distill_tui.rules import spot_checks
    from distill_tui.store import queries

    def record(project: Project, said: list[Judged]) -> dict[str, int]:
        actions.spot_check(project, view.play_id, app.actor, said)
        return spot_checks.result(project.dossier(view.play_id).spot_checks[-1].content)

    def recorded(found: Mapping[str, int]) -> None:
        app.say("Recorded: " + ", ".join(f"{name} {count}" for name, count in found.items()) + ".", "success")

    def judged(said: list[Judged] | None) -> None:
        if said is None:
            app.say("Nothing was recorded.")
        else:
            app.perform(record, said, then=recorded)

    def show(items: list[ToJudge]) -> None:
        app.push_screen(SpotSheet(view.play.code, items), judged)

    app.perform(queries.to_judge, view.play_id, app.actor, queries.answers_to_draw(view.dossier), then=show)


def sign(app: DistillApp, view: View) -> None:
    """Approve."""
    _say_opinion(app, view, Opinion.APPROVE)


def refuse(app: DistillApp, view: View) -> None:
    """Refuse, with a reason."""
    _say_opinion(app, view, Opinion.REFUSE)


def intent(code: str, covers: Mapping[str, Any]) -> str:
    """What is typed to sign: the play, and the last digits of all that a sign-off covers."""
    return f"{code} {digest_of(canonical(covers))[-6:]}"


def _say_opinion(app: DistillApp, view: View, opinion: Opinion, notice: str = "") -> None:
    """Show what is signed, as it is now, and sign that and nothing else; `notice` says why it is asked again."""
    seen = decide.covers(view.dossier)
    approves = opinion is Opinion.APPROVE
    sheet = Sheet(
        f"{'Sign off' if approves else 'Refuse'} {view.play.code} {view.play.name}",
        [*([("look", notice)] if notice else []), *_to_read(app, view, opinion)],
        [Field("comment", "comment" if approves else "reason", hint="It goes into the statement.")],
        does="sign" if approves else "refuse",
        check=lambda values: "" if approves or values["comment"] else "A refusal needs a reason.",
        typed=intent(view.play.code, seen),
        twin=app.via(view.play.code) or twin(Action.SIGN_OFF if approves else Action.REFUSE, view),
        deaf=True,
    )

    def give(project: Project, comment: str) -> tuple[View, str] | None:
        from distill_tui import actions

        try:
            actions.sign_off(project, view.play_id, app.actor, opinion, comment, key=app.key, covers=seen)
        except Refused as refused:
            moved = next((each.sentence for each in refused.objections if each.rule == "sign_off.moved"), None)
            if moved is None:
                raise
            return load(project, view.play_id, app.actor), moved
        return None

    def given(again: tuple[View, str] | None) -> None:
        if again is None:
            app.say("Your sign-off is recorded." if approves else "Your refusal is recorded.", "success")
        else:
            _say_opinion(app, again[0], opinion, again[1])

    def act(values: Values) -> None:
        app.perform(give, values["comment"], then=given)

    ask(app, sheet, act)


def _to_read(app: DistillApp, view: View, opinion: Opinion) -> Iterator[str | tuple[str, str]]:
    """What is read before a signature: meaning, spot check, evaluation, builders, gate, what was left out, digests."""
    dossier, seen = view.dossier, decide.covers(view.dossier)
    yield statements.MEANING[opinion]
    yield f"1 Judged blind: {_judged(seen['spot_check'])}."
    yield f"2 The gate is {'held' if dossier.passed else 'not held'}: {_holding(dossier)}."
    yield from ((each.verdict.value, each.sentence) for each in dossier.judgements)
    built = [f"{who} ({', '.join(deeds).replace('_', ' ')})" for who, deeds in sorted(dossier.builders.items())]
    yield f"3 Built by {'; '.join(built)}."
    row = dossier.gate_row
    yield f"4 The gate {page.short(seen['gate'])} was locked by {row.locked_by if row else 'nobody'}, " + (
        page.when(row.locked_at if row else None)
    )
    yield f"5 Left out: {'; '.join(_left_out(dossier)) or 'nothing that is known of'}."
    yield f"data {page.short(seen['data'])}  model {page.short(seen['model'])}  roster {page.short(seen['roster'])}"
    proof = f"signed with {app.key.name}" if app.key is not None else f"proved by your {app.actor.assurance.value}"
    yield (
        f"all of it under the digest {page.short(digest_of(canonical(seen)), 64)}; round {seen['round']}, "
        f"{app.actor.person}, {proof}"
    )


def _judged(check: Mapping[str, Any]) -> str:
    counts = {name: count for name, count in check.items() if name not in ("digest", "judged")}
    if not check["judged"]:
        return "nothing yet; P judges held-out answers without saying whose they are"
    return f"{check['judged']} answers; {', '.join(f'{name} {count}' for name, count in counts.items())}"


def _holding(dossier: PlayDossier) -> str:
    counting = [judgement for judgement in dossier.judgements if judgement.criterion.counts]
    return f"{sum(judgement.verdict == 'holds' for judgement in counting)} of {len(counting)} judgements hold"


def _left_out(dossier: PlayDossier) -> Iterator[str]:
    """Name what the verdict does not rest on."""
    watched = [each.criterion.words for each in dossier.judgements if not each.criterion.counts]
    if watched:
        yield f"watched only: {', '.join(watched)}"
    rejects = sum(traffic.rejects for traffic in dossier.traffic)
    if rejects:
        yield f"{rejects:,} rows of traffic that could not be read"
    others = [run for run in trained(dossier) if dossier.evaluation and run.id != dossier.evaluation.run_id]
    if others:
        yield f"{len(others)} other trained students of this round, never judged"
    if not any(each.reproduced for each in dossier.round_evaluations):
        yield "the evaluation was not run again by the validator (V does)"

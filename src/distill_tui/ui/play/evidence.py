"""The tabs on which a student is judged: train, eval, decide. Pure: a `View` in, lines out; the rules decide."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

from textual.content import Content

from distill_tui.gates.judgement import Judgement
from distill_tui.reports import pace
from distill_tui.review import climb, headline, sections
from distill_tui.review.review import Review
from distill_tui.rules import separation
from distill_tui.rules.decide import gate_holds, ship, sign_off_troubles
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.next_step import advice
from distill_tui.rules.objection import Objection
from distill_tui.rules.results import seconds, train_result
from distill_tui.rules.training import findings_of, trained
from distill_tui.spec import Spec
from distill_tui.terms import Advice, Opinion, PlayKind, Role, RunKind, RunStatus, Stage, Task
from distill_tui.ui.play import errors_tab
from distill_tui.ui.play.live_tab import maintenance
from distill_tui.ui.play.view import View, shown_run
from distill_tui.ui.widgets import chart, page, plots, show
from distill_tui.ui.widgets.page import WIDE, Column, Lines
from distill_tui.ui.widgets.show import megabytes, share_of

if TYPE_CHECKING:
    from distill_tui.rules import entities

CURVE = 4  # validation scores from which a curve is drawn, not a list

# --- 4 train -----------------------------------------------------------------------------------------------------


def train(view: View, width: int) -> Lines:
    """Show the runs, and of the newest one progress, curve, validation scores, spec and last message."""
    run = shown_run(view.dossier)
    if run is None:
        waits = "No student was trained yet; T starts a run."
        return page.stacked(page.sentence(waits, width, word="waiting"), runs(view, width))
    head = run_head(view, run, width)
    if width < WIDE:
        curve = loss(view, run, width, 9)
        return page.stacked(
            head,
            climb_of(run, width, view.play.task),
            curve,
            validation(view, run, width),
            ladder(view, width),
            runs(view, width),
        )
    left = width * 2 // 3
    right = width - left - page.GAP
    middle = page.side_by_side(
        loss(view, run, left, 13), page.stacked(validation(view, run, right), spec(run, right)), width, left
    )
    return page.stacked(head, middle, climb_of(run, width, view.play.task), ladder(view, width), runs(view, width))


def climb_of(run: entities.Run, width: int, task: Task) -> Lines:
    """Show what a finished run tried, which student it kept, and why."""
    result = train_result(run)
    return errors_tab.section(climb.section(run, result, task), width) if result is not None else []


def ladder(view: View, width: int) -> Lines:
    rungs = []
    for run in trained(view.dossier):
        result, one = train_result(run), spec_of(run)
        if result is not None and result.quality[1] is not None:
            name = f"run {run.id}, {result.rung}, seed {one.seed}"
            rungs.append(plots.Rung(name, result.bytes / 1e6, result.score, result.shown))
    return plots.ladder(rungs, "MB", width, 6)


def run_head(view: View, run: entities.Run, width: int) -> Lines:
    bar = page.progress(run.step, run.total, 24 if width >= WIDE else 12)
    parts = [f"run {run.id} {run.status.value} {pace.share(run)}".rstrip()]
    parts += [bar, f"{run.step:,}/{run.total:,}"] if run.total else []
    if run.status is RunStatus.RUNNING and view.curve:
        rate = view.curve[-1].rows_per_second
        parts += [f"{rate:,.0f} rows/s"] if not pace.at_its_end(run) else []
        parts.append(pace.left(run, steps_per_second(run, rate)))
    lines = page.sentence("  ".join(parts), width, word=run.status.value)
    if run.stop_requested and run.status.active:
        lines += page.sentence("stopping after this step; the checkpoint is kept", width, word="look")
    if run.error:
        lines += page.sentence(run.error, width, word="error")
    elif run.message:
        lines += page.sentence(run.message, width, label="  ")
    for finding in findings_of(run):
        lines += page.sentence(f"on validation: {finding}", width, label="  ")
    return lines


def steps_per_second(run: entities.Run, rows_per_second: float) -> float:
    return rows_per_second / (spec_of(run).batch_size if run.kind is RunKind.TRAIN else 1)


def spec_of(run: entities.Run) -> Spec:
    """Read a run's spec; one that cannot be read is the default."""
    try:
        return Spec.from_json(run.spec)
    except (ValueError, TypeError, AttributeError):
        return Spec()


def loss(view: View, run: entities.Run, width: int, height: int) -> Lines:
    points = [(float(point.step), point.loss) for point in view.curve]
    over = max(1, len(points) // 30)
    mean = f", mean of {over} points" if over > 1 else ""
    now = f"{points[-1][1]:.4f} at step {points[-1][0]:,.0f}{mean}" if points else ""
    smooth = chart.smoothed([(x, y) for x, y in points if isfinite(y)], over)
    drawn = chart.curve(smooth, width - 2, height, until=run.total if run.status.active else None, unit=" steps")
    return [page.heading("LOSS", now), *(Content.assemble((f" {line}", "$tone-run")) for line in drawn)]


def validation(view: View, run: entities.Run, width: int) -> Lines:
    """Draw the validation scores as a curve, or list them while they are few; name the best."""
    scored = [(point.step, point.validation) for point in view.curve if point.validation is not None]
    lines = [page.heading("VALIDATION", "score of each epoch")]  # against what the student learns: teacher or gold
    if not scored:
        return [*lines, *page.sentence("no score yet", width, word="waiting")]
    best = max(scored, key=lambda each: each[1])
    if len(scored) >= CURVE:
        points = [(float(step), score) for step, score in scored]
        until = run.total if run.status.active else None
        drawn = chart.curve(points, width - 2, 7, until=until, unit=" steps" if width >= WIDE // 2 else "")
        lines += [Content.assemble((f" {line}", "$tone-run")) for line in drawn]
        now = f"now {show.percent(scored[-1][1])}, best {show.percent(best[1])} at step {best[0]:,}"
        return lines + page.sentence(now, width, word="done")
    for step, score in scored:
        word = "done" if step == best[0] else "todo"
        lines += page.sentence(
            f"step {step:>7,}  {show.percent(score)}{'  best' if step == best[0] else ''}", width, word=word
        )
    return lines


def spec(run: entities.Run, width: int) -> Lines:
    one = spec_of(run)
    rung = f"ladder {', '.join(one.ladder)}" if one.ladder else one.rung
    text = (
        f"{rung} · epochs {one.epochs} · T {one.temperature:g} · alpha {one.alpha:g} · lr {one.learning_rate:g} · "
        f"batch {one.batch_size} · seed {one.seed} · threads {one.threads}"
    ).replace("·", show.glyph("dot"))
    return [page.heading("SPEC"), *page.sentence(text, width)]


def runs(view: View, width: int) -> Lines:
    if not view.dossier.runs:
        return []
    columns = (
        Column("RUN", 4, right=True),
        Column("KIND", 10),
        Column("STATUS", 11),
        Column("ROUND", 5, 2, right=True),
        Column("VALIDATION", 10, 1, right=True),
        Column("SECONDS", 8, 1, right=True),
        Column("BY", 10, 3),
        Column("STARTED", 16, 4),
        Column("LAST MESSAGE", 0, 5),
    )
    rows = []
    for run in reversed(view.dossier.runs):
        result = train_result(run)
        score, took = result.shown if result is not None else show.glyph("dash"), seconds(run)
        status = (f"{show.mark(run.status.value)} {run.status.value}", f"$tone-{show.tone(run.status.value)}")
        rows.append(
            (
                str(run.id),
                run.kind.value,
                status,
                str(run.round),
                score,
                f"{took:,.0f}" if took is not None else show.glyph("dash"),
                run.started_by,
                page.when(run.created_at),
                (run.error or run.message, "$tone-muted"),
            )
        )
    return [page.heading("RUNS", "a run goes on when you leave"), *page.table(columns, rows, width)]


# --- 5 eval ------------------------------------------------------------------------------------------------------


def evaluation(view: View, width: int) -> Lines:
    """Show the review of this round, the verdict first; before there is one, the students to evaluate."""
    dossier = view.dossier
    row = dossier.evaluation
    if row is None:
        run = next((r for r in dossier.runs if r.kind is RunKind.EVALUATE and r.status.active), None)
        if run is not None:
            text = f"run {run.id} evaluates: {share_of(run.step, run.total)} {run.message}"
            return page.sentence(text, width, word="running")
        text = "No evaluation in this round yet; R spends its one look at the held-out split on a trained student."
        if len(trained(dossier)) > 1:
            text = f"{text[:-1]}: that under the cursor (j k move it)."
        return page.stacked(page.sentence(text, width, word="waiting"), _students(view, width), live_now(view, width))
    if view.partial:
        return page.sentence("The evaluation is being read.", width, word="waiting")
    if view.review is None:
        text = "The record of this evaluation cannot be used, so nothing is judged."
        return page.stacked(page.sentence(text, width, word="error"), live_now(view, width))
    drawn = [verdict(view.review, width)]
    for part in sections.of(view.review):
        if part.name != "verdict":
            drawn.append(errors_tab.section(part, width, every=view.opened))
        if part.name == "segments":
            drawn.append(plots.segments(view.review.segments, min(width, 110)))
    return page.stacked(*drawn, live_now(view, width))


def live_now(view: View, width: int) -> Lines:
    """Show, while another round is open, by what verdicts the student that is live went live."""
    dossier, live = view.dossier, view.dossier.live
    if live is None or live.round == view.play.round:
        return []
    lines = [page.heading("LIVE NOW", f"bundle {live.id} of round {live.round}; 7 shows its life")]
    if dossier.of_live.judgements:
        return lines + judgements(dossier.of_live.judgements, width)
    lost = "The record that it went live with cannot be used; `distill-tui verify` shows what is wrong."
    return lines + page.sentence(lost, width, word="error")


def chosen_student(view: View) -> entities.Run | None:
    """Return the student under the cursor; the best on validation until it is moved."""
    found = trained(view.dossier)
    return next((run for run in found if run.id == view.student), found[0] if found else None)


def _students(view: View, width: int) -> Lines:
    columns = (
        Column("", 1),
        Column("STUDENT", 8),
        Column("VALIDATION", 10, right=True),
        Column("MB", 8, right=True),
        Column("SPEC", 0),
    )
    rows, chosen = [], chosen_student(view)
    for run in trained(view.dossier):
        result, one = train_result(run), spec_of(run)
        about = f"{result.rung if result is not None else one.rung}, {one.ships.value}, seed {one.seed}"
        score = result.shown if result is not None else show.glyph("dash")
        size = megabytes(result.bytes if result is not None else None)
        here = run is chosen
        style = "bold $accent" if here else ""
        cells = (show.glyph("cursor") if here else "", f"run {run.id}", score, size, about)
        rows.append(tuple((cell, style) for cell in cells))
    return [page.heading("STUDENTS", "best on validation first"), *page.table(columns, rows, width)] if rows else []


def verdict(review: Review, width: int) -> Lines:
    seen = review.evaluation
    first, *rest = sections.verdict(review).lines
    lines = page.sentence(first.text, width, word=first.word, style="bold")
    evaluated = (
        f"round {seen.round}, student of run {seen.run_id}, {page.when(seen.recorded_at)} UTC, data "
        f"{page.short(seen.data_digest)}, model {page.short(seen.model)}, record {page.short(seen.record)}"
    )
    return [*lines, *page.sentence(evaluated, width, label="", style="$tone-muted"), *errors_tab.sentences(rest, width)]


def judgements(found: Sequence[Judgement], width: int) -> Lines:
    return errors_tab.sentences(sections.folded(found), width)


# --- 6 decide ----------------------------------------------------------------------------------------------------


def decide(view: View, width: int) -> Lines:
    if view.partial:
        return page.sentence("The evaluation is being read.", width, word="waiting")
    return page.stacked(
        recommendation(view, width),
        blockers(view, width),
        sign_offs(view, width),
        maintenance(view, width),
        builders(view, width),
        separated(view, width),
    )


def recommendation(view: View, width: int) -> Lines:
    if view.play.stage is Stage.LIVE:
        return page.sentence("This student is live; 7 shows what shipped.", width, word="live")
    if view.play.stage is not Stage.DECIDE:
        text = f"There is nothing to decide yet: {view.play.code} stands at {view.play.stage.value}."
        return page.sentence(text, width, word="killed" if view.play.stage is Stage.KILLED else "waiting")
    advised, reasons = advice(view.dossier)
    lines = [Content.assemble(" ", ("RECOMMENDED  ", "bold $accent"), (advised.value.upper(), "bold"))]
    word = {"ship": "passes", "iterate": "look", "kill": "misses"}[advised.value]
    below = {objection.sentence for objection in gate_holds(view.dossier)}
    for reason in (reason for reason in reasons if reason not in below):
        lines += page.sentence(reason, width, word=word)
    if view.play.kind is PlayKind.COST:
        text = " · ".join(headline.of(view.dossier).lines(view.play.kind))
        lines += page.sentence(text, width, label="")
    if view.review is not None:
        *against, more_rows = sections.worth(view.review).lines
        lines += errors_tab.sentences([*against, *([more_rows] if advised is Advice.ITERATE else [])], width)
    return lines


def blockers(view: View, width: int) -> Lines:
    """List what blocks a ship by the person who looks, each with who can lift it."""
    if view.play.stage in (Stage.LIVE, Stage.KILLED):
        return []
    found = list(ship(view.dossier, view.actor, None))
    if not found:
        return page.sentence("Nothing stands against a ship: H ships.", width, word="passes")
    lines = [page.heading("AGAINST A SHIP", f"{len(found)} reason{'s' * (len(found) > 1)}, and who can lift each")]
    for objection in found:
        lines += page.sentence(f"{objection.sentence}{_lifted_by(objection, view.dossier)}", width, word="misses")
    return lines


def _lifted_by(objection: Objection, dossier: PlayDossier) -> str:
    """Write who lifts an objection, and with which keys."""
    arrow = f" {show.glyph('arrow')} "
    if objection.from_backup:
        return f"{arrow}keeper {dossier.project.keeper}, from a backup"
    who = " or ".join(f"{role.value} {dossier.holder(role)}" for role in objection.by)
    keys = ", ".join(f"{action.key} {action.command}" for action in objection.actions if action.key)
    return f"{arrow}{who}{f': {keys}' if keys else ''}" if who else ""


def sign_offs(view: View, width: int) -> Lines:
    dossier = view.dossier
    validator = dossier.holder(Role.VALIDATOR)
    lines = [page.heading("SIGN-OFFS", f"validator {validator}")]
    if not dossier.sign_offs:
        return [*lines, *page.sentence("none yet; S signs, X rejects", width, word="waiting")]
    for facts in reversed(dossier.sign_offs):
        row = facts.row
        text = f"{row.person_id} {row.opinion.value}d" if row.opinion is Opinion.REFUSE else f"{row.person_id} approved"
        text += f", round {row.round}, {page.when(row.recorded_at)} UTC, proved by {row.assurance.by}"
        lines += page.sentence(text, width, word=row.opinion.value)
        if facts.revoked:
            lines += page.sentence(facts.revoked, width, word="look")
        if row.comment:
            lines += page.sentence(f"“{row.comment}”", width, label="  ")
        troubles = [o.sentence for o in sign_off_troubles(dossier, facts)]
        for trouble in troubles:
            lines += page.sentence(f"does not count: {trouble}", width, word="stale")
        if not troubles:
            lines += page.sentence("counts now", width, label="  ")
    for signed in dossier.statements:
        if signed.revoked:
            says = f"{signed.row.person_id} signed a {signed.row.kind.value}, {page.when(signed.row.recorded_at)} UTC"
            lines += page.sentence(f"{says}: {signed.revoked}", width, word="look")
    return lines


def separated(view: View, width: int) -> Lines:
    """List what weakens the separation of builders and validator, as the statement of a sign-off names it."""
    found = separation.found(view.dossier)
    forbids = ", ".join(sorted(view.dossier.project.forbids))
    lines = [page.heading("SEPARATION", f"this project forbids {forbids}" if forbids else "signed with a sign-off")]
    if not found:
        return [*lines, *page.sentence("nothing known weakens it", width, label="")]
    for note in found:
        lines += page.sentence(note.says, width, word="misses" if note.kind in view.dossier.project.forbids else "look")
    return lines


def builders(view: View, width: int) -> Lines:
    lines = [page.heading("BUILDERS", "can never sign this off")]
    if not view.dossier.builders:
        return [*lines, *page.sentence("no builder yet", width, label="")]
    for person, actions in sorted(view.dossier.builders.items()):
        lines += page.sentence(f"{person}: {', '.join(actions).replace('_', ' ')}", width, label="")
    return lines

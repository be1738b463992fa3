"""What stands below the verdict on the eval tab: where the student errs, how sure it is, what changed. Pure."""

from __future__ import annotations

from distill_tui.review import payback
from distill_tui.ui.play.view import Review
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.page import Column, Lines


def all_of(review: Review | None, width: int) -> Lines:
    """Lay out everything; two parts side by side where there is room."""
    if review is None:
        return []
    parts = [right_and_wrong(review, width), confusions(review, width), calibration(review, width)]
    return page.stacked(*parts, changes(review, width), money(review, width), missing(review, width))


def right_and_wrong(review: Review, width: int) -> Lines:
    """Show the 2x2 of right and wrong, student against teacher."""
    told = review.right_and_wrong
    if not told.rows:
        return []
    columns = (Column("", 14), Column("TEACHER RIGHT", 14, right=True), Column("TEACHER WRONG", 14, right=True))
    rows: list[tuple[str | tuple[str, str], ...]] = [
        ("student right", f"{told.both:,}", f"{told.student_only:,}"),
        ("student wrong", (f"{told.teacher_only:,}", "$tone-warn"), f"{told.neither:,}"),
    ]
    note = f"{told.rows:,} rows with gold; f pages through failures"
    return [page.heading("RIGHT AND WRONG", note), *page.table(columns, rows, width)]


def confusions(review: Review, width: int) -> Lines:
    """Show which labels the student takes for which."""
    if not review.confusions:
        return []
    columns = (
        Column("IS", 22),
        Column("TAKEN FOR", 22),
        Column("BY THE STUDENT", 14, right=True),
        Column("BY THE TEACHER", 14, 1, right=True),
    )
    rows = [(each.label, each.said, f"{each.student:,}", f"{each.teacher:,}") for each in review.confusions]
    return [page.heading("CONFUSIONS"), *page.table(columns, rows, width)]


def calibration(review: Review, width: int) -> Lines:
    """Show how often the student is right when it is so sure."""
    found = review.calibration
    if found is None:
        return []
    columns = (
        Column("SURE", 6, right=True),
        Column("RIGHT", 6, right=True),
        Column("ROWS", 7, right=True),
        Column("", 24, 1),
    )
    rows = []
    for each in found.bins:
        bar = page.progress(round(each.right * 100), 100, 20)
        rows.append((show.percent(each.sure, 0), show.percent(each.right, 0), f"{each.rows:,}", bar))
    note = f"off by {found.error * 100:.1f} points on average; right by {'gold' if found.by_gold else 'the teacher'}"
    lines = [page.heading("HOW SURE, HOW RIGHT", note), *page.table(columns, rows, width)]
    for told in review.scores:
        lines += page.sentence(told, width, label="")
    return lines


def changes(review: Review, width: int) -> Lines:
    """Say how this round differs from the last."""
    if not review.since_before:
        return []
    lines = [page.heading("SINCE THE ROUND BEFORE")]
    for each in review.since_before:
        lines += page.sentence(each, width, label="")
    return lines


def money(review: Review, width: int) -> Lines:
    """Say what a cost play is worth, and what that hangs on."""
    if review.worth is None:
        return []
    lines = [page.heading("MONEY", "by the locked numbers; what matters most first")]
    for each in payback.sentences(review.worth):
        lines += page.sentence(each, width, label="")
    columns = (
        Column("INPUT", 24),
        Column(f"FROM {show.glyph('dash')} TO", 24, 1, right=True),
        Column("NET AT FROM", 13, right=True),
        Column("NET AT TO", 13, right=True),
        Column("", 0, 2),
    )
    most = max((swing.width for swing in review.worth.swings), default=0)
    rows = [
        (
            swing.name,
            f"{payback.plainly(swing.low)} {show.glyph('dash')} {payback.plainly(swing.high)}",
            f"{swing.net_at_low:,.0f}",
            f"{swing.net_at_high:,.0f}",
            page.progress(int(swing.width * 100 / most) if most else 0, 100, 16),
        )
        for swing in review.worth.swings
    ]
    return [*lines, *page.table(columns, rows, width)]


def missing(review: Review, width: int) -> Lines:
    """Say what was not measured."""
    lines = [page.heading("NOT MEASURED")]
    for each in review.not_measured:
        lines += page.sentence(each, width, word="unmeasured")
    return lines

"""One evaluation as one HTML file for somebody without a terminal: nothing is loaded, nothing runs. Pure.

Every text that a person or a file brought in is made visible and escaped; the policy in the head forbids scripts,
images and whatever else is fetched. Held-out rows are counted here and never shown.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

from distill_tui import gates
from distill_tui.gates import economics
from distill_tui.reports import text as report
from distill_tui.review import controls, deferral, payback, serving_costs
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.next_step import advice
from distill_tui.terms import Metric, Verdict
from distill_tui.text import visible

_STYLE = """
:root { color-scheme: light; --good: #0b6e4f; --bad: #a4243b; --warn: #9a6700; --line: #d7dbe0; --soft: #f4f6f8; }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; max-width: 60rem; margin: 2rem auto; padding: 0 1.2rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem }
p { margin: .4rem 0 } .soft { color: #5b6675 }
.verdict { border-left: .5rem solid; padding: .8rem 1.2rem; background: var(--soft); margin: 1rem 0 }
.verdict strong { font-size: 1.3rem; display: block }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem }
.pair > div { border: 1px solid var(--line); border-radius: .4rem; padding: .8rem 1rem }
.figure { font-size: 1.6rem; font-weight: 600; display: block }
.holds { color: var(--good) } .misses { color: var(--bad) } .unproven, .unmeasured { color: var(--warn) }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top }
th:first-child, td:first-child { text-align: left; max-width: 24rem; overflow-wrap: break-word }
th { font-weight: 600; color: #5b6675 }
ul { padding-left: 1.2rem } li { margin: .25rem 0; overflow-wrap: anywhere }
.scroll { overflow-x: auto } .scroll + .scroll, ul + .scroll { margin-top: 1.2rem }
@media print { body { margin: 0 } }
"""


def page(dossier: PlayDossier) -> str:
    """Write the page of this round's evaluation, the verdict first."""
    play = dossier.play
    assert dossier.evaluation is not None and dossier.record is not None
    title = _said(f"{play.code} {play.name}")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    body = "\n".join(part for part in _parts(dossier) if part)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _parts(dossier: PlayDossier) -> Iterator[str]:
    yield _head(dossier)
    yield _verdict(dossier)
    yield _side_by_side(dossier)
    yield _judgements(dossier)
    yield _subjects(dossier)
    yield _segments(dossier)
    yield _errors(dossier)
    yield _money(dossier)
    yield _part("Since the round before", _list(report.since_before(dossier)))
    yield _part("Not measured", _list(_not_measured(dossier)))
    yield _foot(dossier)


def _said(text: object) -> str:
    return html.escape(visible(str(text)))


def _part(title: str, content: str) -> str:
    return f"<h2>{_said(title)}</h2>\n{content}" if content else ""


def _list(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{_said(each)}</li>" for each in sentences)
    return f"<ul>{items}</ul>" if items else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{_said(each)}</th>" for each in head)
    body = "".join(f"<tr>{''.join(f'<td>{_said(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _head(dossier: PlayDossier) -> str:
    play, seen = dossier.play, dossier.evaluation
    assert seen is not None
    about = f"{play.kind.value} play, round {play.round}, evaluated {seen.recorded_at}"
    return f'<h1>{_said(f"{play.code} {play.name}")}</h1>\n<p class="soft">{_said(about)}. {_said(play.summary)}</p>'


def _verdict(dossier: PlayDossier) -> str:
    counting = [each for each in dossier.judgements if each.criterion.counts]
    holding = sum(each.verdict is Verdict.HOLDS for each in counting)
    word, what = ("holds", "The gate is held") if dossier.passed else ("misses", "The gate is not held")
    advised, reasons = advice(dossier)
    told = f"{holding} of {len(counting)} criteria hold. Recommended: {advised.value}. {reasons[0] if reasons else ''}"
    return f'<div class="verdict {word}"><strong>{what}</strong><span>{_said(told)}</span></div>'


def _side_by_side(dossier: PlayDossier) -> str:
    """Quality, and for a cost play the savings beside it; never one without the other."""
    assert dossier.record is not None
    served = dossier.record if dossier.gate is None else gates.together(dossier.gate, dossier.record)
    rates = gates.segment_rates(served)[0]
    shown = rates.student or rates.agreement
    name = "accuracy" if rates.student else "agreement with the teacher"
    boxes = []
    if shown is not None:
        beside = f"; the teacher {_percent(rates.teacher.share)}" if rates.teacher else ""
        interval = f"{_percent(shown.lower)} to {_percent(shown.upper)}, {shown.n:,} rows{beside}"
        boxes.append(("Quality", _percent(shown.share), f"{name}, {interval}"))
    found = payback.of(dossier)
    if found is not None:
        pays = "never paid back" if found.payback is None else f"paid back in {found.payback:,.1f} months"
        boxes.append(("Savings a month", f"{found.saving:,.0f}", f"{pays}; the gate allows {found.window:f}"))
    latency = next((each for each in dossier.judgements if each.criterion.metric is Metric.P95_LATENCY), None)
    if latency is not None and latency.estimate is not None:
        boxes.append(("p95 latency", f"{latency.estimate:,.2f} ms", "one request at a time, the slowest run"))
    cells = "".join(
        f'<div>{_said(title)}<span class="figure">{_said(figure)}</span><span class="soft">{_said(note)}</span></div>'
        for title, figure, note in boxes
    )
    return f'<div class="pair">{cells}</div>'


def _judgements(dossier: PlayDossier) -> str:
    items = "".join(
        f'<li><strong class="{each.verdict.value}">{_said(report.MARKS[each.verdict])} {each.verdict.value}</strong> '
        f"{'(binding) ' if each.criterion.binding else ''}{_said(each.sentence)}</li>"
        for each in dossier.judgements
    )
    told = deferral.named(dossier.gate, dossier.record) if dossier.gate and dossier.record else ()
    exact = [gates.EXACT_MATCH] if dossier.record is not None and dossier.record.of_answers else []
    beside = "".join(f'<p class="soft">{_said(sentence)}</p>' for sentence in (*exact, *told))
    return _part("What the gate asked for", f"<ul>{items}</ul>{beside}")


def _subjects(dossier: PlayDossier) -> str:
    assert dossier.record is not None
    rates = gates.segment_rates(dossier.record)[0]
    quality = {"student": rates.student, "teacher": rates.teacher, "baseline": rates.baseline}
    rows = []
    for each in gates.subjects(dossier.record):
        rate = quality.get(each.name)
        rows.append(
            (
                each.name,
                "–" if rate is None else f"{_percent(rate.share)} ({_percent(rate.lower)}–{_percent(rate.upper)})",
                "–" if each.p95_ms is None else f"{each.p95_ms:,.2f}",
                "–" if each.bytes is None else f"{each.bytes / 1e6:,.1f}",
                "–" if each.parameters is None else f"{each.parameters:,}",
            )
        )
    rows += [
        (each.arm, f"{_percent(each.other)} (student leads by {each.lead * 100:+.1f})", "–", "–", "–")
        for each in controls.comparisons(dossier.record)
    ]
    told = _list([*controls.verdict(dossier), *serving_costs.sentences(dossier.record)])
    return _part(
        "Side by side, with 95 % intervals", _table(("", "accuracy", "p95 ms", "MB", "parameters"), rows) + told
    )


def _segments(dossier: PlayDossier) -> str:
    assert dossier.record is not None
    rows = [
        (
            each.scope.removeprefix(gates.SEGMENT),
            f"{each.n:,}",
            *("–" if rate is None else _percent(rate.share) for rate in (each.student, each.teacher, each.agreement)),
            "–"
            if each.difference is None
            else "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * x for x in each.difference)),
        )
        for each in gates.by_danger(gates.segment_rates(dossier.record))
    ]
    head = ("segment, worst first", "rows", "student", "teacher", "agreement", "points ahead of the teacher")
    return _part("By segment, on rows kept aside", _table(head, rows))


def _lead(difference: tuple[float, float, float] | None) -> str:
    if difference is None:
        return "–"
    middle, low, high = (100 * each for each in difference)
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"


def _errors(dossier: PlayDossier) -> str:
    record = dossier.record
    assert record is not None
    told, content = gates.right_and_wrong(record), ""
    if told.rows:
        rows = [
            ("student right", f"{told.both:,}", f"{told.student_only:,}"),
            ("student wrong", f"{told.teacher_only:,}", f"{told.neither:,}"),
        ]
        content += _table(("", "teacher right", "teacher wrong"), rows)
    mixed = [(each.label, each.said, f"{each.student:,}", f"{each.teacher:,}") for each in gates.confusions(record, 6)]
    if mixed:
        content += _table(("is", "taken for", "by the student", "by the teacher"), mixed)
    sure = gates.calibration(record)
    if sure is not None:
        rows_ = [(_percent(each.sure), _percent(each.right), f"{each.rows:,}") for each in sure.bins]
        content += _table(("the student is so sure", "and right so often", "rows"), rows_)
    content += _list([each.sentence for each in gates.score_means(record)])
    return _part("Where it errs", content)


def _money(dossier: PlayDossier) -> str:
    found = payback.of(dossier)
    if found is None:
        return ""
    rows = [
        (
            each.name,
            f"{payback.plainly(each.low)} – {payback.plainly(each.high)}",
            f"{each.net_at_low:,.0f} – {each.net_at_high:,.0f}",
            f"{each.width:,.0f}",
        )
        for each in found.swings
    ]
    head = ("input, what matters most first", "from – to", f"net after {found.window:f} months", "swing")
    sources = _sources(dossier)
    return _part("Money", _list(payback.sentences(found)) + _table(head, rows) + sources)


def _sources(dossier: PlayDossier) -> str:
    asked = [question.name for question in economics.WORKSHEET[dossier.play.kind]]
    rows = [
        (name, row.value, row.at[:10] or "–", row.source)
        for name, row in sorted(dossier.worksheet.items(), key=lambda each: (each[0] not in asked, each[0]))
    ]
    return _table(("number", "value", "filled in", "from"), rows) if rows else ""


def _not_measured(dossier: PlayDossier) -> list[str]:
    if dossier.gate is None or dossier.record is None:
        return []
    return gates.not_measured(dossier.gate, dossier.record, dossier.judgements, len(dossier.burnt))


def _foot(dossier: PlayDossier) -> str:
    seen, row = dossier.evaluation, dossier.gate_row
    assert seen is not None
    locked = f"locked {row.locked_at} by {row.locked_by}" if row is not None and row.locked_at else "not locked"
    facts = [
        ("gate", locked, seen.gate_digest),
        ("data", "", seen.data_digest),
        ("student", f"run {seen.run_id}", seen.model),
        ("evaluation", seen.recorded_at, seen.record),
    ]
    people = ", ".join(f"{role.value} {person}" for role, person in sorted(dossier.roles.items()))
    return _part("What this is about", _table(("", "", "digest"), facts) + f'<p class="soft">{_said(people)}</p>')


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"

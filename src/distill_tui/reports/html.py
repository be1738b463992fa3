"""A review as one HTML file for a reader without a terminal: nothing is loaded, nothing runs. Pure.

Each text that a person or a file brought in is made visible and escaped; the policy in the head forbids scripts,
images and anything that would be fetched. Held-out rows are counted here and never shown.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from distill_tui.gates.wording import DASH, milliseconds, money
from distill_tui.reports import svg
from distill_tui.reports.text import MARKS
from distill_tui.review import sections
from distill_tui.review.review import Review
from distill_tui.review.sections import Line, Section
from distill_tui.terms import PlayKind, Verdict
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
.words, th:first-child, td:first-child { text-align: left }
th:first-child, td:first-child { max-width: 24rem; overflow-wrap: break-word }
th { font-weight: 600; color: #5b6675 } th, td:not(:first-child) { white-space: nowrap }
ul { padding-left: 1.2rem } li { margin: .25rem 0; overflow-wrap: anywhere }
.scroll { overflow-x: auto } .scroll + .scroll, ul + .scroll { margin-top: 1.2rem }
@media print { body { margin: 0 } }
"""


PLOTS: dict[str, Callable[[Review], str]] = {  # by the section that one stands under
    "segments": lambda review: svg.segments(review.segments),
    "deferral": lambda review: svg.routing(review.points),
}


def report(review: Review, decided: Iterable[Line]) -> str:
    """Return the page of a play: its evaluation with plots, and who decided what."""
    who = Section("decided", "Who decided and signed", lines=tuple(decided))
    return _document(f"{review.play.code} {review.play.name}", "\n".join([*_parts(review), _section(who)]))


def page_of(title: str, note: str, parts: Iterable[Section], end: str = "") -> str:
    """Return a page of any sections, with a last line for what to do next."""
    body = [f"<h1>{_said(title)}</h1>", f'<p class="soft">{_said(note)}</p>', *map(_section, parts)]
    return _document(title, "\n".join([*body, f"<h2>Next</h2><p><code>{_said(end)}</code></p>" if end else ""]))


def _document(title: str, body: str) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{_said(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _parts(review: Review) -> Iterator[str]:
    play, seen = review.play, review.evaluation
    yield f"<h1>{_said(f'{play.code} {play.name}')}</h1>"
    when = f"{play.kind.value} play, round {seen.round}, evaluated {seen.recorded_at}. {play.summary}"
    yield f'<p class="soft">{_said(when)}</p>'
    for section in sections.of(review):
        yield _verdict(review, section) if section.name == "verdict" else _section(section)
        if section.name in PLOTS:
            yield PLOTS[section.name](review)
    yield _about(review)


def _said(text: object) -> str:
    return html.escape(visible(str(text)))


def _verdict(review: Review, section: Section) -> str:
    (first, *rest), word = section.lines, "holds" if review.passed else "misses"
    items = "".join(f"<p>{_said(line.text)}</p>" for line in rest)
    return f'<div class="verdict {word}"><strong>{_said(first.text)}</strong>{items}</div>\n{_boxes(review)}'


def _boxes(review: Review) -> str:
    """Quality, and for a cost play the savings next to it; never one without the other."""
    found, boxes = review.headline, []
    if found.interval is not None:
        teacher = "" if found.teacher is None else f"; the teacher {found.worded(found.teacher)}"
        note = f"{found.on} {found.measure} {found.estimate}, {found.interval[0]:,} rows{teacher}"
        boxes.append(("Quality", found.worded(found.student), note))
    if review.play.kind is PlayKind.COST:
        boxes.append(
            ("Savings per month", DASH if found.saves is None else money(found.saves, found.currency), found.savings)
        )
    if review.latency is not None:
        boxes.append(("p95 latency", milliseconds(review.latency.estimate), "one request at a time, the slowest run"))
    cells = "".join(
        f'<div>{_said(title)}<span class="figure">{_said(figure)}</span><span class="soft">{_said(note)}</span></div>'
        for title, figure, note in boxes
    )
    return f'<div class="pair">{cells}</div>'


def _section(section: Section) -> str:
    note = f'<p class="soft">{_said(section.note)}</p>' if section.note else ""
    items = "".join(f"<li>{_line(line)}</li>" for line in section.lines)
    head = [column.title for column in section.columns]
    table = _table(head, section.rows) if section.rows else ""
    return f"<h2>{_said(section.title)}</h2>\n{note}{f'<ul>{items}</ul>' if items else ''}{table}"


def _line(line: Line) -> str:
    marks = {verdict.value: mark for verdict, mark in MARKS.items() if verdict is not Verdict.UNMEASURED}
    mark = f'<strong class="{line.word}">{marks[line.word]} {line.word}</strong> ' if line.word in marks else ""
    return mark + _said(line.text)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    columns = list(zip(head, *rows, strict=True))
    kinds = ["" if _DIGIT.search(" ".join(cells)) else ' class="words"' for _, *cells in columns]
    top, *lines = zip(*columns, strict=True)
    heads = "".join(f"<th{kind}>{_said(each)}</th>" for kind, each in zip(kinds, top, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{kind}>{_cell(each)}</td>' for kind, each in zip(kinds, line, strict=True))}</tr>"
        for line in lines
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


_DIGIT = re.compile(r"\d")


def _cell(text: str) -> str:
    """Return a cell; it may be broken before a bracket only, so that an interval moves below its value."""
    return _said(text).replace(" (", " <wbr>(")


def _about(review: Review) -> str:
    seen = review.evaluation
    numbers = [(each.name, each.value, each.at[:10] or DASH, each.source) for each in review.numbers]
    facts = [
        ("gate", review.locked, seen.gate_digest),
        ("data", "", seen.data_digest),
        ("student", f"run {seen.run_id}", seen.model),
        ("evaluation", seen.recorded_at, seen.record),
    ]
    people = ", ".join(f"{role} {person}" for role, person in review.people)
    sources = f"<h2>Numbers</h2>\n{_table(('number', 'value', 'date', 'source'), numbers)}" if numbers else ""
    return f'{sources}<h2>About</h2>\n{_table(("", "", "digest"), facts)}<p class="soft">{_said(people)}</p>'

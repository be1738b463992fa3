"""The model card that ships with a student, as Markdown: what it is, its review, its data and its people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from distill_tui import tasks
from distill_tui.gates.scale import is_range
from distill_tui.review import review, sections
from distill_tui.review.review import Review
from distill_tui.review.sections import Section
from distill_tui.rules.data import findings
from distill_tui.rules.dossier import PlayDossier, SignOffFacts
from distill_tui.rules.labels import scale_of
from distill_tui.rules.results import DataCounts, ImportReport, TrainResult
from distill_tui.store.json_columns import read, result_of
from distill_tui.tasks import loaders
from distill_tui.terms import Role, Task, Verdict

# the sections of a review that a card shows, with the titles that it gives them
SHOWN = {"judgements": "Gate", "segments": "Held-out rows", "scores": "", "worth": "", "costs": "", "deferral": ""}
_VERDICTS = frozenset(verdict.value for verdict in Verdict)


SURE = "`max(predict(text).values())`"
SURE_OF_SET = "the probability of the label that it is least sure of, in the answer or not,"


def plain(text: str) -> str:
    """Make a text from people safe in Markdown: one line, no markup."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#+!|~" else c for c in line)


def model_card(dossier: PlayDossier, signed: SignOffFacts) -> str:
    found = review.of(dossier)
    assert found is not None
    parts = {section.name: section for section in sections.of(found)}
    card = [*_head(dossier, found), *_part("Use", _use(dossier, found))]
    for name, title in SHOWN.items():
        card += _section(parts[name], title) if name in parts else ()
    card += [*_part("Data", _data(dossier)), *_part("People", _people(dossier, signed))]
    card += _section(parts["not_measured"])
    return "\n".join(card) + "\n"


def _part(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield from lines


def _section(section: Section, title: str = "") -> Iterator[str]:
    yield from _part(title or section.title, (f"{plain(section.note)}.", "") if section.note else ())
    for line in section.lines:
        yield f"- {f'{line.word}: ' if line.word in _VERDICTS else ''}{plain(line.text)}"
    if section.rows:
        yield from ([""] if section.lines else [])
        yield f"| {' | '.join(column.title for column in section.columns)} |"
        yield f"|{'---|' * len(section.columns)}"
        yield from (f"| {' | '.join([plain(name), *cells])} |" for name, *cells in section.rows)


def _head(dossier: PlayDossier, found: Review) -> Iterator[str]:
    play = dossier.play
    yield f"# {plain(play.name)}"
    yield ""
    task = tasks.of(found.task)
    yield f"{plain(play.summary) or task.student} A {play.kind.value} play, round {play.round}."
    shown = (
        sorted({name for answer in found.labels for name in task.names_in(answer)}) if task.several else [*found.labels]
    )
    labels = f"Labels: {', '.join(map(plain, shown))}. " if task.has_labels else ""
    scale = scale_of(play)
    if scale is not None:
        labels = f"Scores: {f'numbers of {scale.text}' if scale.ranged else f'the levels {scale.text}'}. "
    yield f"{labels}Teacher: {plain(play.teacher_name)}."
    data = dossier.data_set
    names = read(DataCounts, data.counts, f"the count of data set {data.id}").names if data is not None else {}
    if names:
        yield (
            "In gold and in the teacher's answers, other names stood for these labels: "
            + "; ".join(f"{plain(name)} for {plain(label)}" for name, label in sorted(names.items()))
            + "."
        )


def _use(dossier: PlayDossier, found: Review) -> Iterator[str]:
    yield "```python"
    several = tasks.of(found.task).several
    scale = ("range" if is_range(found.labels) else "levels") if found.task is Task.SCORE else ""
    yield loaders.FORMS[form(dossier)].program_for(several=several, scale=scale).rstrip()
    yield "```"
    if found.pair is not None:
        yield ""
        yield (
            f"It was judged together with the teacher: where {SURE_OF_SET if several else SURE} is below "
            f"{found.pair.threshold:.4f}, ask the teacher and serve its answer."
        )


def _data(dossier: PlayDossier) -> Iterator[str]:
    data, terms = dossier.data_set, dossier.terms
    assert data is not None
    splits = read(DataCounts, data.counts, f"the count of data set {data.id}").splits
    rows = ", ".join(f"{name} {count:,}" for name, count in splits.items())
    yield f"Rows: {rows}; {data.digest}."
    replaced: Counter[str] = Counter()
    for each in dossier.traffic:
        replaced.update(read(ImportReport, each.report, f"the report of traffic file {each.id}").scrubbed)
    if replaced:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in replaced.most_common())
        yield f"- personal data replaced by placeholders at import, and in requests that a gateway serves: {kinds}"
    for finding in findings(dossier):
        state = f"accepted: {plain(finding.accepted)}" if finding.accepted else "left open"
        yield f"- {plain(finding.says)} ({state})"
    if terms is not None:
        yield (
            f"- terms of {plain(terms.provider)} ({plain(terms.version)}, {terms.dated}): training on outputs "
            f"{'permitted' if terms.permits else 'NOT permitted'}, read by {terms.checked_by}"
        )


def _people(dossier: PlayDossier, signed: SignOffFacts) -> Iterator[str]:
    play = dossier.play
    for role in Role:
        yield f"- {role.value}: {dossier.roles.get(role, 'none')}"
    yield f"- built by: {', '.join(sorted(dossier.builders))}"
    comment = f": {plain(signed.row.comment)}" if signed.row.comment else ""
    yield f"- signed off by {signed.row.person_id} ({signed.row.assurance.value}) on {signed.row.recorded_at}{comment}"
    yield f"- monitored on {play.sampling_per_month:,} calls per month, refreshed every {play.refresh_days} days"


def form(dossier: PlayDossier) -> str:
    run = dossier.run(dossier.evaluation.run_id) if dossier.evaluation else None
    name = result_of(TrainResult, run).form if run else ""
    return name if name in loaders.FORMS else "transformers"

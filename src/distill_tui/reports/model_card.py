"""The model card, as Markdown (pure: a dossier in, text out)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from distill_tui import gates
from distill_tui.review import controls, deferral, serving_costs
from distill_tui.rules.data import findings
from distill_tui.rules.dossier import PlayDossier, SignOffFacts
from distill_tui.store.json_columns import stored
from distill_tui.tasks import loaders
from distill_tui.terms import Role


def plain(text: str) -> str:
    """Make a text from people safe in Markdown: one line, no markup."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#+!|~" else c for c in line)


def model_card(dossier: PlayDossier, signed: SignOffFacts) -> str:
    """Write the card that ships with the student."""
    record = dossier.record
    assert record is not None
    parts = (
        ("Use", _use(dossier, record)),
        ("What it was held to", _held_to(dossier)),
        ("On the held-out split", _segments(record)),
        ("What distillation is worth", _listed(controls.verdict(dossier))),
        ("Cost of a request", _listed(serving_costs.sentences(record))),
        ("Sending back what the student is least sure of", _deferral(dossier, record)),
        ("Data", _data(dossier)),
        ("Who answers for it", _people(dossier, signed)),
    )
    card = [*_head(dossier, record)]
    for title, lines in parts:
        told = list(lines)
        card += ["", f"## {title}", "", *told] if told else []
    return "\n".join(card) + "\n"


def _listed(sentences: Iterable[str]) -> Iterator[str]:
    return (f"- {plain(sentence)}" for sentence in sentences)


def _head(dossier: PlayDossier, record: gates.Record) -> Iterator[str]:
    play = dossier.play
    yield f"# {plain(play.name)}"
    yield ""
    what = "A distilled student that writes its answers." if record.of_answers else "A distilled classifier."
    yield f"{plain(play.summary) or what} A {play.kind.value} play, round {play.round}."
    labels = "" if record.of_answers else f"Labels: {', '.join(plain(label) for label in record.labels)}. "
    yield f"{labels}Teacher: {plain(play.teacher_name)}."


def _use(dossier: PlayDossier, record: gates.Record) -> Iterator[str]:
    yield "```python"
    yield loaders.BY_FORM[form(dossier)].rstrip()
    yield "```"
    if dossier.gate is not None and dossier.gate.deferral is not None:
        yield ""
        yield (
            f"It was judged with the teacher behind it: where `max(predict(text).values())` is below "
            f"{record.deferred_below / gates.CERTAIN:.4f}, ask the teacher and serve its answer instead."
        )


def _held_to(dossier: PlayDossier) -> Iterator[str]:
    for judgement in dossier.judgements:
        role = "binding" if judgement.criterion.binding else ("" if judgement.criterion.counts else "watched only")
        yield f"- {judgement.verdict.value}{f' ({role})' if role else ''}: {plain(judgement.sentence)}"


def _data(dossier: PlayDossier) -> Iterator[str]:
    data, terms = dossier.data_set, dossier.terms
    assert data is not None
    splits = stored(data.counts, f"the count of data set {data.id}", "splits")
    rows = ", ".join(f"{name} {count:,}" for name, count in splits.items() if isinstance(count, int))
    yield f"Rows: {rows}; {data.digest}."
    for finding in findings(dossier):
        state = f"accepted: {plain(finding['accepted'])}" if finding["accepted"] else "left open"
        yield f"- {plain(finding['says'])} ({state})"
    if terms is not None:
        yield (
            f"- terms of {plain(terms.provider)} ({plain(terms.version)}, {terms.dated}): training on outputs "
            f"{'permitted' if terms.permits else 'NOT permitted'}, as {terms.checked_by} read them"
        )


def _people(dossier: PlayDossier, signed: SignOffFacts) -> Iterator[str]:
    play = dossier.play
    for role in Role:
        yield f"- {role.value}: {dossier.roles.get(role, 'nobody')}"
    yield f"- built by: {', '.join(sorted(dossier.builders))}"
    comment = f": {plain(signed.row.comment)}" if signed.row.comment else ""
    yield f"- signed off by {signed.row.person_id} ({signed.row.assurance.value}) on {signed.row.recorded_at}{comment}"
    yield f"- watched on {play.sampling_per_month:,} sampled calls a month, refreshed every {play.refresh_days} days"


def _segments(record: gates.Record) -> Iterator[str]:
    if record.of_answers:
        yield gates.EXACT_MATCH
        yield ""
    yield "| segment | rows | student | teacher | baseline | agreement |"
    yield "|---|---|---|---|---|---|"
    for rates in gates.segment_rates(record):
        cells = [_share(rate) for rate in (rates.student, rates.teacher, rates.baseline, rates.agreement)]
        yield f"| {plain(rates.scope)} | {rates.n:,} | {' | '.join(cells)} |"


def _deferral(dossier: PlayDossier, record: gates.Record) -> Iterator[str]:
    named = list(deferral.named(dossier.gate, record)) if dossier.gate is not None else []
    told = [*named, *deferral.sentences(record)]
    if told:
        yield from _listed(told)
        other = "All other thresholds" if named else "The thresholds"
        yield f"- {other} were read off the rows that they are described on; judge one anew before serving it."


def form(dossier: PlayDossier) -> str:
    """Name the form in which the evaluated student ships."""
    run = dossier.run(dossier.evaluation.run_id) if dossier.evaluation else None
    told = str(stored(run.result, f"the result of run {run.id}").get("form")) if run else ""
    return told if told in loaders.BY_FORM else "transformers"


def _share(rate: gates.Rate | None) -> str:
    return f"{rate.share:.3f} ({rate.lower:.3f}–{rate.upper:.3f})" if rate is not None else "–"

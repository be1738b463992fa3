"""A paid teacher's work as files: requests for a provider's batch service, and its results back into the cache.

The requests ask what the endpoint is asked, one a line, in the shape of OpenAI or Anthropic. A request's `custom_id`
names teacher and input, so that results join in any order and those of another teacher are not taken. What was exported
and not answered is not exported again, until its result is a failure or `again` is set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

from distill_tui.dataset import records
from distill_tui.dataset.opening import parts_of
from distill_tui.dataset.traces import batch_files
from distill_tui.dataset.traces.bodies import Answer as Given
from distill_tui.dataset.traces.bodies import object_at
from distill_tui.dataset.traces.call import PassedOver
from distill_tui.dataset.traces.call_mapping import answer_of
from distill_tui.dataset.traffic import distinct_inputs, file_digest, replacing
from distill_tui.digests import canonical
from distill_tui.rules.dossier import PlayDossier
from distill_tui.store.artifacts import Artifacts
from distill_tui.teachers import cache, endpoint
from distill_tui.teachers.description import Described
from distill_tui.teachers.endpoint import Answer
from distill_tui.teachers.limits import Limits
from distill_tui.terms import TeacherSource

OPENAI, ANTHROPIC = SHAPES = ("openai", "anthropic")
MOST_REQUESTS = {OPENAI: 50_000, ANTHROPIC: 100_000}  # of one file, as the providers limit it
MOST_BYTES = 190_000_000
# providers whose price lists (November 2026) charge batches at half the price
HALF_PRICE = ("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com", "api.mistral.ai")


@dataclass(frozen=True)
class Exported:
    """Files of requests that were written."""

    files: tuple[Path, ...]
    requests: int
    answered: int  # inputs that the teacher has answered, and are not asked about
    waiting: int  # inputs that an earlier export asks about
    manifest: Path | None = None


@dataclass(frozen=True)
class Failed:
    """A result without an answer. Its input is exported again."""

    reason: str
    digest: str = ""  # of the input; "" where the result is of no input here


def shape_of(teacher: Described) -> str:
    return ANTHROPIC if (urlsplit(teacher.base_url).hostname or "").endswith("anthropic.com") else OPENAI


def price_share(teacher: Described) -> Decimal:
    """Return the share of the list price that the provider charges for a batch."""
    return Decimal("0.5") if urlsplit(teacher.base_url).hostname in HALF_PRICE else Decimal(1)


def custom_id(teacher: str, digest: str) -> str:
    """Return the ID of a request: 16 digits of the teacher's digest and 47 of the input's, as providers allow 64."""
    return f"{teacher.removeprefix('sha256:')[:16]}-{digest[:47]}"


def asked(artifacts: Artifacts, dossier: PlayDossier) -> Described:
    """Return the endpoint that a batch is for. Raises ValueError."""
    if dossier.play.teacher_source is not TeacherSource.ENDPOINT:
        raise ValueError("Batch files are for an endpoint; this teacher is on this machine: leave out --export.")
    teacher = Described.from_json(artifacts.text(dossier.play.teacher_digest))
    if teacher.api:
        raise ValueError("A typed-decision API takes no batch files; leave out --export and --import.")
    return teacher


def export(artifacts: Artifacts, dossier: PlayDossier, out: Path, shape: str = "", *, again: bool = False) -> Exported:
    """Write the requests for every input that is not answered, in files that a provider takes, and their manifest.

    Raises ValueError, OSError.
    """
    teacher, name = asked(artifacts, dossier), dossier.play.teacher_digest
    inputs = inputs_of(artifacts, dossier)
    known = cache.answered(artifacts.folder, name) & inputs.keys()
    waiting = set() if again else (cache.exported(artifacts.folder, name) & inputs.keys()) - known
    todo = {digest: text for digest, text in inputs.items() if digest not in known and digest not in waiting}
    if not todo:
        return Exported((), 0, len(known), len(waiting))
    shape = shape or shape_of(teacher)
    lines = (_request(teacher, custom_id(name, digest), text, shape) for digest, text in todo.items())
    files = _write(lines, out, MOST_REQUESTS[shape])
    about = {
        "format": "distill-tui batch 1",
        "files": {each.name: f"sha256:{file_digest(each)}" for each in files},
        "requests": len(todo),
        "shape": shape,
        "teacher": name,
    }
    manifest = out.with_suffix(".manifest.json")
    with replacing(manifest) as draft:
        draft.write_bytes(canonical(about))
    cache.mark_exported(artifacts.folder, name, todo)
    return Exported(tuple(files), len(todo), len(known), len(waiting), manifest)


def inputs_of(artifacts: Artifacts, dossier: PlayDossier) -> dict[str, str]:
    return distinct_inputs([artifacts.path(traffic.artifact) for traffic in dossier.traffic])


def _request(teacher: Described, key: str, text: str, shape: str) -> bytes:
    messages = teacher.messages(teacher.prompt(text))
    body: dict[str, object] = {"model": teacher.model, "messages": messages, "temperature": 0}
    body |= json.loads(teacher.body or "{}")
    if shape == ANTHROPIC:
        system = [each["content"] for each in messages if each["role"] == "system"]
        if system:  # it stands apart there
            others = [each for each in messages if each["role"] != "system"]
            body |= {"messages": others, "system": "\n\n".join(system)}
        if teacher.schema:
            body |= {"output_config": {"format": {"type": "json_schema", "schema": json.loads(teacher.schema)}}}
        value: dict[str, object] = {"custom_id": key, "params": body | {"max_tokens": teacher.max_tokens}}
    else:
        newer = (urlsplit(teacher.base_url).hostname or "").endswith(("openai.com", "azure.com"))
        body |= {"max_completion_tokens" if newer else "max_tokens": teacher.max_tokens}
        body |= {"response_format": endpoint.answer_format(teacher)} if teacher.schema else {}
        chooses = teacher.labels and not teacher.several
        body |= {"logprobs": True, "top_logprobs": endpoint.TOP} if chooses else {}
        value = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _write(lines: Iterator[bytes], out: Path, most: int) -> list[Path]:
    """Write one file, or as many as the limits need: `batch.jsonl`, `batch-2.jsonl` …"""
    files: list[Path] = []
    waiting = next(lines, None)
    while waiting is not None:
        path = out if not files else out.with_name(f"{out.stem}-{len(files) + 1}{out.suffix}")
        size = count = 0
        with replacing(path) as draft, draft.open("wb") as file:
            while waiting is not None and count < most and (not count or size + len(waiting) <= MOST_BYTES):
                file.write(waiting)
                size, count, waiting = size + len(waiting), count + 1, next(lines, None)
        files.append(path)
    return files


def results(
    source: list[Path], teacher: Described, name: str, inputs: Mapping[str, str], limits: Limits
) -> Iterator[Answer | Failed]:
    """Read the results of batches, in any order and from several files: an answer, or why there is none."""
    keys = {custom_id(name, digest): digest for digest in inputs}
    share = price_share(teacher)
    for part in parts_of(source):
        for line, record in records.records(part):
            if isinstance(record, str):
                yield Failed(f"{part.name}, line {line}: {record}")
                continue
            digest = keys.get(str(record.get("custom_id")))
            if digest is None:
                yield Failed("the custom_id is of no input of this play and teacher")
                continue
            outcome = batch_files.outcome(record)
            if isinstance(outcome, PassedOver):
                yield Failed(outcome.reason, digest)
                continue
            yield _answer(outcome, record, teacher, digest, inputs[digest], limits, share)


def _answer(
    given: Given,
    record: Mapping[str, object],
    teacher: Described,
    digest: str,
    text: str,
    limits: Limits,
    share: Decimal,
) -> Answer | Failed:
    message = given.message
    said = answer_of(message) if message is not None and not message.refusal else None
    if said is None:
        return Failed(
            "the provider refused to answer" if message and message.refusal else "the answer is empty", digest
        )
    label = teacher.read(said)
    tokens_in = _count(given.tokens_in, teacher.prompt(text))
    tokens_out = _count(given.tokens_out, said)
    shares = _shares(record, teacher) if label else None
    money = limits.money(tokens_in, tokens_out, given.cached, given.written) * share
    kept = said[: endpoint.LONGEST_ANSWER]
    return Answer(digest, label, kept, shares, tokens_in, tokens_out, money, given.model, given.cached)


def _count(tokens: object, text: str) -> int:
    return int(tokens) if isinstance(tokens, int) else math.ceil(len(text.encode()) / 3)


def _shares(record: Mapping[str, object], teacher: Described) -> tuple[float, ...] | None:
    """Return the probabilities of the labels, where the result has log-probabilities."""
    choices = object_at(record, "response", "body").get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not teacher.labels or teacher.several or not isinstance(choice, dict) or not choice.get("logprobs"):
        return None
    try:
        return endpoint.shares(json.loads(json.dumps(choice), object_hook=lambda own: SimpleNamespace(**own)), teacher)
    except (AttributeError, TypeError):
        return None

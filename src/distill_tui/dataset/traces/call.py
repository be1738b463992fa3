"""One logged call of a model, whatever tool logged it, and the plain columns that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from distill_tui.dataset.traces.call_mapping import CallMapping, NotMapped, answer_of, input_of
from distill_tui.dataset.traces.messages import Message, opened

COLUMNS = (
    "chat_input",
    "chat_output",
    "chat_gold",
    "chat_segment",
    "chat_group",
    "chat_time",
    "chat_cost",
    "chat_latency_ms",
    "chat_tokens_in",
    "chat_tokens_out",
    "chat_model",
)
PARAMETER = "parameters."  # begins the name of a column
PARAMETERS = frozenset(
    ("temperature", "topp", "topk", "seed", "maxtokens", "maxcompletiontokens", "maxoutputtokens", "reasoningeffort",
     "thinkingbudget", "presencepenalty", "frequencypenalty", "servicetier")
)  # fmt: skip
CUT = frozenset(("length", "max_tokens", "max_output_tokens", "model_length", "max_length", "incomplete"))
FILTERED = frozenset(
    ("content_filter", "content_filtered", "safety", "recitation", "blocklist", "prohibited_content", "spii")
) | {"refusal", "guardrail_intervened", "malformed_function_call"}


@dataclass(frozen=True)
class PassedOver:
    """A record that is not traffic, by its nature and not by a fault: another kind of span, an error, a refusal."""

    reason: str
    events: str = ""  # joins it with its log records, which are then not traffic either
    joined: bool = False  # whether it went into a row, with what another file holds of the same call


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call: its messages, the model's answer, and what the log states about it."""

    messages: tuple[Message, ...] = ()
    answer: Message | None = None
    finish: str = ""  # why the answer ended, as the provider names it
    model: str = ""  # that answered, as the provider resolved it
    time: object = None
    cost: object = None
    latency_ms: object = None
    tokens_in: object = None
    tokens_out: object = None
    segment: str | None = None
    group: object = None
    gold: object = None  # a person's label
    plain: Mapping[str, object] = field(default_factory=dict)  # further columns, by their names in the source
    key: str = ""  # joins the call with its question, which stands in another file
    events: str = ""  # joins the call of a span with its log records, which stand in another file
    span: tuple[str, ...] = ()  # IDs under which people scored the call
    no_content: str = ""  # why a call of this source has no messages, and the cure

    def read(self, mapping: CallMapping) -> Mapping[str, object] | PassedOver | str:
        """Return the columns of this call, or why it is not a row."""
        return columns_of(self, mapping)

    def with_question(self, messages: tuple[Message, ...]) -> Call:
        return replace(self, messages=messages)


Read = Call | PassedOver | str  # a call, or why the record is none: passed over, or rejected


def columns_of(call: Call, mapping: CallMapping) -> Mapping[str, object] | PassedOver | str:
    """Return the columns of a call, each of `COLUMNS`; or why it is not a row."""
    finish = call.finish.casefold()
    if finish in CUT:
        return "the answer was cut off for length"
    if finish in FILTERED or (call.answer is not None and call.answer.refusal):
        return PassedOver(f"the provider refused to answer ({call.finish or 'refusal'})")
    if not call.messages:
        return call.no_content or "the call has no messages"
    try:
        made = input_of(call.messages, mapping)
        answer = None if call.answer is None else answer_of(call.answer, mapping)
    except NotMapped as reason:
        return str(reason)
    columns = {
        "chat_input": made,
        "chat_output": answer,
        "chat_gold": call.gold,
        "chat_segment": call.segment,
        "chat_group": call.group,
        "chat_time": call.time,
        "chat_cost": call.cost,
        "chat_latency_ms": call.latency_ms,
        "chat_tokens_in": call.tokens_in,
        "chat_tokens_out": call.tokens_out,
        "chat_model": call.model or None,
    }
    return {**call.plain, **columns}


def segment_of(tags: object) -> str | None:
    """Return tags as one segment: a single tag as it is, several sorted."""
    if isinstance(tags, str):
        return tags or None
    if not isinstance(tags, list | tuple):
        return None
    return ", ".join(sorted({str(each) for each in tags if isinstance(each, str | int) and str(each)})) or None


def parameters_in(*places: object) -> dict[str, object]:
    """Return the parameters of a request as columns `parameters.NAME`: those that change what a model answers."""
    found: dict[str, object] = {}
    for place in places:
        value = opened(place)
        for name, own in value.items() if isinstance(value, Mapping) else ():
            bare = str(name).removeprefix("gen_ai.request.").removeprefix("llm.invocation_parameters.")
            if bare.casefold().replace("_", "") in PARAMETERS and isinstance(own, str | int | float):
                found.setdefault(f"{PARAMETER}{bare}", own)
    return found


def tags_in(value: object) -> dict[str, object]:
    """Return the plain entries of metadata as columns `metadata.NAME`, at most 50."""
    if not isinstance(value, Mapping):
        return {}
    plain = [(f"metadata.{name}", own) for name, own in value.items() if isinstance(own, str | int | float)]
    return dict(plain[:50])

"""OpenAI and Azure stored completions: the list of completions, and the messages of each from another call.

`GET /v1/chat/completions` gives the answers and not the questions; `/chat/completions/{id}/messages` gives those. The
second file has, for each completion, `{"id": …, "messages": […]}`, or the list that the call returned. Both calls give
pages: `has_more` is true on each but the last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from distill_tui.dataset.traces.bodies import answer_in, first
from distill_tui.dataset.traces.call import Call, tags_in
from distill_tui.dataset.traces.format import Format, Found, Question, text_of
from distill_tui.dataset.traces.messages import messages_of, opened

NO_QUESTION = "no question: fetch /chat/completions/{id}/messages of each completion, and import both files together"

CUT_OFF = "the messages are not whole (has_more: true): fetch the next page (after: last_id), and join both lists"
_PLACE = re.compile(r"-\d+$")  # of a message in its completion, at the end of its ID


def unfinished(open_pages: int, pages: int) -> str:
    """Word that no page is the last of its list; "" where one is."""
    if not open_pages or open_pages < pages:
        return ""
    these = "1 page is" if pages == 1 else f"{pages:,} pages are all"
    return (
        f"Stored completions: {these} followed by another (has_more: true). "
        "Fetch the next page (after: last_id), and import all together."
    )


def looks(record: Mapping[str, object]) -> bool:
    return record.get("object") == "chat.completion" and "choices" in record and "messages" not in record


def looks_messages(record: Mapping[str, object]) -> bool:
    answered = {"choices", "response", "completion", "output"} & set(record)
    named = "completion_id" in record or _key(record).startswith("chatcmpl")
    return named and not answered and ("messages" in record or "data" in record)


def read(record: Mapping[str, object]) -> Found:
    answer, tags = answer_in(record), opened(record.get("metadata"))
    return Call(
        answer=answer.message,
        finish=answer.finish,
        model=answer.model,
        time=answer.created,
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        group=first(record, "user"),
        plain=tags_in(tags),
        key=text_of(record.get("id")),
        no_content=NO_QUESTION,
    )


def read_messages(record: Mapping[str, object]) -> Found:
    messages = messages_of(first(record, "messages", "data"))
    if record.get("has_more") is True:
        return CUT_OFF
    key = _key(record)
    return Question(key, messages) if messages else "the record has no messages"


def _key(record: Mapping[str, object]) -> str:
    """Return the completion's ID, that of its first message where it is not named: `chatcmpl-x-0`."""
    own = text_of(first(record, "completion_id", "id"))
    listed = opened(record.get("data"))
    inner = listed[0] if not own and isinstance(listed, list) and listed else None
    found = text_of(inner.get("id")) if isinstance(inner, Mapping) else ""
    return own or _PLACE.sub("", found)


COMPLETIONS = Format("stored completions", looks, read)
MESSAGES = Format("messages of stored completions", looks_messages, read_messages, halves=True)

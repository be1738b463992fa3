"""Join what stands in two files: questions, people's labels and log records with the calls that they belong to.

They are kept by their keys in a temporary database, so that memory stays small.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from distill_tui.dataset.traces.call import Call, PassedOver
from distill_tui.dataset.traces.format import Event, Question, Score
from distill_tui.dataset.traces.messages import SYSTEM, Message, ToolCall

JOINED = PassedOver("a question, joined to its answer", joined=True)
LABELLED = PassedOver("a person's label, joined to its call", joined=True)
LOGGED = (  # by what became of a log record's call
    PassedOver("a log record, joined to its span", joined=True),
    PassedOver("a second log record of the same call"),
    PassedOver("the log record of a call that is passed over"),
)
NOT_HERE = PassedOver("a person's label for a call that is not in these files")

_Became = tuple[str, int, Call | PassedOver | str]  # file, line, what it is


class Join:
    """Questions, labels and log records by their keys, in a temporary database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._db.execute(
            "CREATE TABLE q (key BLOB PRIMARY KEY, file TEXT, line INT, messages TEXT, used INT DEFAULT 0)"
        )
        self._db.execute("CREATE TABLE s (key BLOB PRIMARY KEY, file TEXT, line INT, label TEXT, used INT DEFAULT 0)")
        self._db.execute("CREATE TABLE e (key BLOB, file TEXT, line INT, call TEXT, whole INT, half TEXT, used INT)")
        self._db.execute("CREATE INDEX e_key ON e (key)")

    def put(self, file: str, line: int, found: Question | Score | Event) -> PassedOver | str | None:
        """Keep a question, a label or a log record; return why it is not kept."""
        if isinstance(found, Event):
            try:
                row = (_bytes(found.key), file, line, _call_text(found.call), found.whole, found.half)
            except RecursionError:
                return "the record is nested too deeply"
            self._db.execute("INSERT INTO e VALUES (?, ?, ?, ?, ?, ?, 0)", row)
            return None
        if isinstance(found, Score):
            key, table, value = found.span, "s", json.dumps(found.label)
        else:
            key, table, value = found.key, "q", json.dumps([asdict(each) for each in found.messages])
        put = f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?, 0)"
        if self._db.execute(put, (_bytes(key), file, line, value)).rowcount:
            return None
        if isinstance(found, Score):
            return PassedOver("a second label of a person for the same call")
        return f"the key {key[:40]!r} comes twice among the questions"

    def complete(self, call: Call | PassedOver) -> Call | PassedOver | str:
        """Add the question, the log records and the person's label to a call."""
        if isinstance(call, PassedOver):
            if call.events:
                self._db.execute("UPDATE e SET used = 3 WHERE key = ? AND used = 0", (_bytes(call.events),))
            return call
        call = self._with_events(call) if call.events else call
        if call.key and not call.messages:
            row = self._db.execute("SELECT messages, used FROM q WHERE key = ?", (_bytes(call.key),)).fetchone()
            if row is None:
                return f"no question has the key of this answer ({call.key[:40]})"
            if row[1]:
                return f"the key {call.key[:40]!r} comes twice among the answers"
            self._db.execute("UPDATE q SET used = 1 WHERE key = ?", (_bytes(call.key),))
            call = call.with_question(_messages(row[0]))
        for span in call.span if call.gold is None else ():
            row = self._db.execute("SELECT label FROM s WHERE key = ?", (_bytes(span),)).fetchone()
            if row is not None:
                self._db.execute("UPDATE s SET used = 1 WHERE key = ?", (_bytes(span),))
                return replace(call, gold=json.loads(row[0]))
        return call

    def _with_events(self, call: Call) -> Call:
        """Complete the call of a span by its log records: the first of the whole call, or else all single messages."""
        find = "SELECT rowid, call, whole FROM e WHERE key = ? ORDER BY whole DESC, rowid"
        rows = self._db.execute(find, (_bytes(call.events),)).fetchall()
        taken = rows[:1] if rows and rows[0][2] else rows
        for row, _, _ in taken:
            self._db.execute("UPDATE e SET used = 1 WHERE rowid = ?", (row,))
        self._db.execute("UPDATE e SET used = 2 WHERE key = ? AND used = 0", (_bytes(call.events),))
        return _completed(call, [_call_of(text) for _, text, _ in taken]) if taken else call

    def rest(self) -> Iterator[_Became]:
        """Yield what the halves became: joined, or a question without an answer, which is an input."""
        for file, line, messages, used in self._db.execute("SELECT file, line, messages, used FROM q ORDER BY rowid"):
            yield file, line, JOINED if used else Call(messages=_messages(messages))
        for file, line, used in self._db.execute("SELECT file, line, used FROM s ORDER BY rowid"):
            yield file, line, LABELLED if used else NOT_HERE
        for file, line, text, half, used in self._db.execute(
            "SELECT file, line, call, half, used FROM e ORDER BY rowid"
        ):
            yield file, line, LOGGED[used - 1] if used else half or _call_of(text)


def _completed(call: Call, events: Sequence[Call]) -> Call:
    """Fill what a span does not state from the log records of its call."""
    logged = tuple(message for each in events for message in each.messages)
    if any(message.role != SYSTEM for message in call.messages):
        messages = call.messages
    elif any(message.role == SYSTEM for message in logged):
        messages = logged
    else:
        messages = (*call.messages, *logged)
    more: dict[str, object] = {}
    for name in ("answer", "finish", "model", "cost", "tokens_in", "tokens_out", "group"):
        values = (getattr(each, name) for each in (call, *events))
        more[name] = next((value for value in values if value not in (None, "")), getattr(call, name))
    plain = {name: value for each in (*events, call) for name, value in each.plain.items()}
    return replace(call, messages=messages, plain=plain, **more)  # type: ignore[arg-type]


def _call_text(call: Call) -> str:
    return json.dumps(asdict(call), default=str)


def _call_of(text: str) -> Call:
    found = json.loads(text)
    answer = None if found["answer"] is None else _message(found["answer"])
    messages = tuple(map(_message, found["messages"]))
    return Call(**found | {"messages": messages, "answer": answer, "span": tuple(found["span"])})


def _messages(text: str) -> tuple[Message, ...]:
    return tuple(map(_message, json.loads(text)))


def _message(found: dict[str, Any]) -> Message:
    return Message(**found | {"calls": tuple(ToolCall(**call) for call in found["calls"])})


@contextmanager
def joining() -> Iterator[Join]:
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(str(Path(folder) / "join"))) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = OFF")
        yield Join(connection)


def _bytes(key: str) -> bytes:
    """Return a key as the database takes it: a file may hold half a surrogate pair."""
    return key.encode(errors="surrogatepass")

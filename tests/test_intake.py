"""Traffic as it really is: packed, saved, logged as chats, damaged; what it means is shown before it is stored."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill_tui import actions
from distill_tui.dataset import build, traffic
from distill_tui.dataset.previews import preview
from distill_tui.dataset.readers import (
    BadInput,
    ColumnMapping,
    Reject,
    TrafficRow,
    column_names,
    guess_mapping,
    read_rows,
)
from distill_tui.dataset.split import SplitRule
from distill_tui.rules import data
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import ImportTraffic
from distill_tui.store.project import Project
from distill_tui.terms import PlayKind, Role, Split
from support import data_runs
from support.datasets import saved
from support.intake import MIA, MINE

PLAIN = ColumnMapping(input="text", gold="label")
ROWS = [{"text": f"sentence number {n}", "label": "ab"[n % 2]} for n in range(7)]


def jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def packed(path: Path) -> Path:
    into = path.with_name(f"{path.name}.gz")
    with path.open("rb") as plain, gzip.open(into, "wb") as file:
        shutil.copyfileobj(plain, file)
    return into


# refusals


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_damaged_gzip_is_refused_in_one_sentence_and_not_read_short(tmp_path: Path, cut: int) -> None:
    path = packed(jsonl(tmp_path / "calls.jsonl", ROWS * 200))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(BadInput, match=r"calls\.jsonl\.gz is damaged gzip"):
        list(read_rows(path, PLAIN))


def test_what_calls_itself_gzip_and_is_not_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(b"\x1f\x8b not gzip at all")
    with pytest.raises(BadInput, match="damaged gzip"):
        guess_mapping(tmp_path / "x.jsonl.gz")


@pytest.mark.parametrize("name", ["../secret.arrow", "/etc/passwd", "sub/data.arrow", "", None])
def test_a_saved_folder_never_leads_out_of_itself(tmp_path: Path, name: str | None) -> None:
    folder = saved(tmp_path / "set", [("a", 0)])
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(BadInput, match=r"not a plain name|does not list"):
        list(read_rows(folder, PLAIN))


def test_a_link_in_a_saved_folder_is_not_followed(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", [("a", 0)])
    part = folder / "data-00000-of-00001.arrow"
    part.rename(tmp_path / "elsewhere.arrow")
    part.symlink_to(tmp_path / "elsewhere.arrow")
    with pytest.raises(BadInput, match="not a plain name"):
        list(read_rows(folder, PLAIN))


def test_a_saved_folder_that_was_damaged_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", [("a", 0)])
    (folder / "data-00000-of-00001.arrow").write_bytes(b"no arrow")
    with pytest.raises(BadInput, match="not a readable Arrow file"):
        list(read_rows(folder, PLAIN))
    (folder / "state.json").write_text("[")
    with pytest.raises(BadInput, match="not readable JSON"):
        list(read_rows(folder, PLAIN))


def test_tokens_that_are_no_count_reject_their_row(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [{"text": "a", "prompt_tokens": value} for value in (-1, 1.5, "many", 10**12)])
    found = list(read_rows(path, guess_mapping(path)))
    assert [row.line for row in found if isinstance(row, Reject)] == [1, 2, 3, 4]


# gzip and saved folders


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_gzip_of_a_file_reads_as_the_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "jsonl":
        jsonl(path, ROWS)  # type: ignore[arg-type]
    elif kind == "csv":
        path.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in ROWS))
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    assert guess_mapping(packed(path)) == guess_mapping(path) == PLAIN
    assert list(read_rows(packed(path), PLAIN)) == list(read_rows(path, PLAIN))
    assert len(list(read_rows(path, PLAIN))) == len(ROWS)


def test_a_saved_set_reads_with_its_class_names(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", [("one", 0), ("two", 1), ("three", -1)], ["bad", "good"])
    assert guess_mapping(folder) == PLAIN
    assert list(read_rows(folder, PLAIN)) == [
        TrafficRow(1, "one", gold="bad"),
        TrafficRow(2, "two", gold="good"),
        TrafficRow(3, "three"),
    ]


def test_every_split_of_a_saved_set_is_read(tmp_path: Path) -> None:
    saved(tmp_path / "all" / "train", [("one", 0)])
    saved(tmp_path / "all" / "test", [("two", 1)])
    (tmp_path / "all" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert [row.input for row in read_rows(tmp_path / "all", PLAIN) if isinstance(row, TrafficRow)] == ["one", "two"]


def test_the_folder_is_like_the_real_one(tmp_path: Path) -> None:
    write = (
        "import sys, datasets as d\n"
        "f = d.Features({'text': d.Value('string'), 'label': d.ClassLabel(names=['bad', 'good'])})\n"
        "s = d.Dataset.from_dict({'text': ['one', 'two', 'three'], 'label': [0, 1, -1]}, features=f)\n"
        "d.DatasetDict({'train': s, 'test': s.select([1])}).save_to_disk(sys.argv[1])\n"
    )
    subprocess.run([sys.executable, "-c", write, str(tmp_path / "set")], check=True, capture_output=True)
    found = [(row.input, row.gold) for row in read_rows(tmp_path / "set", PLAIN) if isinstance(row, TrafficRow)]
    assert found == [("one", "bad"), ("two", "good"), ("three", None), ("two", "good")]


# chat logs


def call(text: str, answer: str | None = "good", **more: object) -> dict[str, object]:
    messages = [{"role": "system", "content": "Name the mood."}, {"role": "user", "content": text}]
    choices = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}]
    usage = {"prompt_tokens": 21, "completion_tokens": 1, "total_tokens": 22}
    flat = {"messages": messages, "choices": choices, "usage": usage, "created": 1795525200, "model": "big-1"}
    return flat | more


def nested(flat: dict[str, object]) -> dict[str, object]:
    said = {name: flat[name] for name in ("choices", "usage", "created", "model")}
    return {"request": {"messages": flat["messages"]}, "response": said}


def batch(flat: dict[str, object]) -> dict[str, object]:
    both = nested(flat)
    return {"request": {"body": both["request"]}, "response": {"status_code": 200, "body": both["response"]}}


@pytest.mark.parametrize(
    "shape",
    [
        lambda flat: flat,
        nested,
        batch,
        lambda flat: {name: json.dumps(value) for name, value in nested(flat).items()},
    ],
    ids=["flat", "request and response", "batch bodies", "JSON in text"],
)
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_chat_log_in_any_usual_shape_is_one_row_a_call(tmp_path: Path, shape: object, kind: str) -> None:
    logged = shape(call("I love it"))  # type: ignore[operator]
    path = tmp_path / f"x.{kind}"
    if kind == "jsonl":
        jsonl(path, [logged])
    else:
        pq.write_table(pa.Table.from_pylist([logged]), path)
    time_ = datetime(2026, 11, 24, 13, tzinfo=UTC)
    expected = TrafficRow(1, "I love it", "good", time=time_, tokens_in=21, tokens_out=1, model="big-1")
    assert list(read_rows(path, guess_mapping(path))) == [expected]


def test_a_conversation_keeps_who_said_what_and_its_last_answer_is_the_output(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Where is my parcel?"},
        {"role": "assistant", "content": "delivery"},
    ]
    path = jsonl(tmp_path / "x.jsonl", [{"messages": messages}])
    (row,) = read_rows(path, guess_mapping(path))
    assert isinstance(row, TrafficRow)
    assert row.input == "user: Hello\nassistant: Hi\nuser: Where is my parcel?"
    assert row.teacher_output == "delivery"


def test_an_answer_that_never_came_is_none(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [call("two", None), call("three", choices=[]), call("four", choices=None)])
    found = [
        (row.input, row.teacher_output) for row in read_rows(path, guess_mapping(path)) if isinstance(row, TrafficRow)
    ]
    assert found == [("two", None), ("three", None), ("four", None)]


def test_a_cut_answer_and_a_picture_are_rejects_with_their_reasons(tmp_path: Path) -> None:
    cut = call("one")
    cut["choices"] = [{"finish_reason": "length", "message": {"role": "assistant", "content": "go"}}]
    picture = call("two")
    picture["messages"] = [{"role": "user", "content": [{"type": "text", "text": "this"}, {"type": "image_url"}]}]
    path = jsonl(tmp_path / "x.jsonl", [cut, picture, call("three")])
    reasons = [row.reason for row in read_rows(path, guess_mapping(path)) if isinstance(row, Reject)]
    assert reasons == ["the answer was cut off for length", "a message holds “image_url”, which is not text"]


def test_a_chat_without_a_question_is_a_reject(tmp_path: Path) -> None:
    rows = [call("fine"), {"messages": [{"role": "system", "content": "Be brief."}]}, {"messages": "none"}]
    path = jsonl(tmp_path / "x.jsonl", rows)
    assert [row.line for row in read_rows(path, guess_mapping(path)) if isinstance(row, Reject)] == [2, 3]


# what keeps a conversation together


def requested(**more: object) -> dict[str, object]:
    flat = nested(call("one"))
    return flat | {"request": {**flat["request"], **more}}  # type: ignore[dict-item]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("logged", "group"),
    [
        (call("one"), None),
        (call("one", conversation_id="c-1", user="u-1"), "c-1"),
        (call("one", thread_id="t-1", session_id="s-1"), "t-1"),
        (call("one", session_id=71), "71"),
        (call("one", user="u-1"), "u-1"),
        (call("one", user="u-1", metadata={"conversation_id": "c-1", "tenant": "t"}), "c-1"),
        (call("one", metadata=json.dumps({"user_id": "u-1"})), "u-1"),
        (call("one", conversation={"id": "c-1"}, user=""), "c-1"),
        (requested(user="u-1", metadata={"session_id": "s-1"}), "s-1"),
        (batch(call("one")) | {"request": {"body": {"messages": call("one")["messages"], "user": "u-1"}}}, "u-1"),
        (call("one", user=True, metadata=["c-1"]), None),
    ],
)
def test_what_keeps_a_call_with_others_is_found_where_logs_have_it(
    tmp_path: Path, logged: dict[str, object], group: str | None, kind: str
) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "jsonl":
        jsonl(path, [logged])
    else:
        pq.write_table(pa.Table.from_pylist([logged]), path)
    mapping = guess_mapping(path)
    assert mapping.group == (None if group is None else "chat_group")
    assert [row.group for row in read_rows(path, mapping) if isinstance(row, TrafficRow)] == [group]


def test_an_entry_of_metadata_can_be_named_instead(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [call("one", user="u-1", metadata={"tenant": "t-9", "tags": ["a"]})])
    look = preview(path, guess_mapping(path))
    assert look.rows[0]["group"] == "u-1" and "metadata.tenant" in look.columns and "metadata.tags" not in look.columns
    (row,) = read_rows(path, ColumnMapping(input="chat_input", group="metadata.tenant"))
    assert isinstance(row, TrafficRow) and row.group == "t-9"


def test_no_conversation_of_a_chat_log_crosses_the_splits(tmp_path: Path) -> None:
    words = random.Random(1)
    rows = [
        call(" ".join("".join(words.choices("abcdefghijklmnopqrst", k=7)) for _ in range(8)),
             metadata={"conversation_id": f"c-{n % 30}"})
        for n in range(240)
    ]  # fmt: skip
    path = jsonl(tmp_path / "x.jsonl", rows)
    traffic.import_traffic(path, guess_mapping(path), tmp_path / "traffic.parquet")
    rule = SplitRule(seed=3, held_out_rows=40, validation_share=0.2)
    built = build.build([tmp_path / "traffic.parquet"], {}, rule)
    where: dict[str | None, set[str]] = {}
    for row in built.rows:
        where.setdefault(row.group, set()).add(row.split)
    assert len(where) == 30 and all(len(splits) == 1 for splits in where.values())
    assert {row.split for row in built.rows} == set(Split)


# preview, limits, crashes


def test_a_preview_tells_the_columns_sample_rows_and_what_is_wrong(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", ROWS)  # type: ignore[arg-type]
    path.write_text("{\n" + path.read_text())
    look = preview(path, guess_mapping(path))
    assert look.columns == column_names(path) == ["text", "label"]
    assert look.rows[0] == {"line": 2, "input": "sentence number 0", "gold": "a"}
    assert (look.sampled, [reject.line for reject in look.rejects]) == (8, [1])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project.create(tmp_path / "team.distill", "Team", "mia", "Mia", Actor(None, MINE))
    play = actions.open_play(made, MIA, "mood", PlayKind.COST)
    actions.assign_role(made, play, MIA, Role.DRIVER, "mia")
    return made


def test_more_bad_rows_than_the_driver_allows_refuse_the_import_and_keep_nothing(
    project: Project, tmp_path: Path
) -> None:
    path = jsonl(tmp_path / "calls.jsonl", ROWS)  # type: ignore[arg-type]
    path.write_text(path.read_text() + "{\n" + '{"text": ""}\n{"text": ""}\n')
    before = sorted(project.artifacts.folder.glob("*")) if project.artifacts.folder.exists() else []
    with pytest.raises(Refused) as refusal:
        data_runs.import_traffic(project, 1, MIA, path, most_rejects=0.2)
    (reason,) = refusal.value.objections
    assert reason.rule == "traffic.rejects"
    assert "3 of the 10 rows" in reason.sentence and "the input ('text') is empty (2)" in reason.sentence
    kept = [path for path in sorted(project.artifacts.folder.glob("*")) if path.name != "runs"]
    assert kept == before and not list(project.artifacts.folder.glob("runs/*/work")) and not project.dossier(1).traffic
    report = data_runs.import_traffic(project, 1, MIA, path, most_rejects=0.3)
    assert (report["rows"], report["rejects"]) == (7, 3)
    lines = project.artifacts.path(report["rejects_file"]).read_text().splitlines()
    assert json.loads(lines[0])["file"] == "calls.jsonl" and json.loads(lines[0])["line"] == 8


def test_importing_again_adds_nothing_whatever_it_is_packed_in(project: Project, tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", [(f"text {n}", 0) for n in range(5)])
    data_runs.import_traffic(project, 1, MIA, folder)
    with pytest.raises(Refused) as refusal:
        data_runs.import_traffic(project, 1, MIA, folder)
    assert [reason.rule for reason in refusal.value.objections] == ["traffic.twice"]


def test_the_rules_ask_for_counts_before_they_object_to_rejects() -> None:
    assert not list(data._too_many_rejects(ImportTraffic("calls.jsonl", "sha256:0", "{}")))


def test_a_source_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "one", [("a", 0)]), saved(tmp_path / "other", [("a", 0)])
    assert traffic.source_digest(one) == traffic.source_digest(other)
    assert traffic.source_digest(one) != traffic.source_digest(saved(tmp_path / "third", [("b", 0)]))

"""Traffic comes in whole or row by row, and no split ever leaks into another."""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import io
import json
import random
import tarfile
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill_tui.dataset import columns, duplicates, frozen, merge, split, traffic
from distill_tui.dataset.audit import counts as counting
from distill_tui.dataset.build import TeacherOutput, build, write
from distill_tui.dataset.readers import ColumnMapping, TrafficRow, guess_mapping, read_rows
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.split import Candidate, LeftOut, SplitRule
from distill_tui.digests import Part
from distill_tui.gates.gate import default_gate
from distill_tui.gates.usable import Need
from distill_tui.rounds import weights
from distill_tui.rules.results import Reject
from distill_tui.terms import PlayKind, Split, Task
from support.datasets import EVERY, file_of, imported, jsonl

PLAIN = ColumnMapping(input="input")
GATE = default_gate(PlayKind.COST)
RULE = SplitRule(seed=7, held_out_rows=10, validation_share=Decimal("0.2"))
WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("alo", "emi", "irun", "otesk", "uvan")]

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def sentence(number: int) -> str:
    """A text that is like no other."""
    return " ".join(random.Random(number).choices(WORDS, k=12))


def examples(count: int, start: int = 0) -> list[dict[str, object]]:
    labels = ("bad", "fine", "good")
    return [
        {"input": sentence(n), "gold": labels[n % 3], "segment": "web" if n % 4 else "mail", "group": f"g{n // 3}"}
        for n in range(start, start + count)
    ]


def reasons(path: Path, mapping: ColumnMapping = EVERY) -> list[str]:
    return [f"{row.line}: {row.reason}" for row in read_rows(path, mapping) if isinstance(row, Reject)]


def one_reason(folder: Path, line: str | bytes, mapping: ColumnMapping = PLAIN) -> str:
    content = line if isinstance(line, bytes) else line.encode()
    path = file_of(folder, "one.jsonl", b'{"input": "before"}\n' + content + b'\n{"input": "after"}\n')
    before, bad, after = read_rows(path, mapping)
    assert isinstance(before, TrafficRow) and isinstance(after, TrafficRow) and isinstance(bad, Reject)
    assert bad.line == 2
    return bad.reason


# files that are refused as a whole


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.jsonl", "", "empty.jsonl is empty"),
        ("blank.csv", " \n\n", "blank.csv is empty"),
        ("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(60), "is an image. Take it out"),
        ("wide.csv", "input,x\n".encode("utf-16"), "is UTF-16. Save it as UTF-8"),
        ("broken.parquet", b"PAR1 and no more", "not a readable Parquet file"),
        ("header.csv", "input,gold\n", "has a header and no rows"),
        ("twice.csv", "input,input\na,b\n", "the column 'input' comes twice"),
        ("unnamed.csv", "input,,gold\na,b,c\n", "line 1: column 2 has no name"),
        ("latin.csv", b"input,gr\xfc\xdfe\na,b\n", "the header is not UTF-8"),
        ("mac.csv", "input,gold\ra,b\r", "carriage return alone"),
        ("other.csv", "words,gold\na,b\n", "no column 'input'; it has 'words', 'gold'"),
        ("other.jsonl", '{"words": "a"}\n', "no column 'input'; it has 'words'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(tmp_path, name, content, says):
    path = file_of(tmp_path, name, content)
    with pytest.raises(BadInput) as refusal:
        list(read_rows(path, PLAIN))
    assert says in str(refusal.value)
    assert name in str(refusal.value) and str(tmp_path) not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_folder_that_nobody_saved_a_set_in_is_refused(tmp_path):
    with pytest.raises(BadInput, match="a folder without files of traffic"):
        read_rows(tmp_path, PLAIN)


def test_a_column_that_no_row_has_is_refused_even_without_a_header(tmp_path):
    path = jsonl(tmp_path, [{"input": "a"}, {"input": "b"}])
    with pytest.raises(BadInput, match="no column 'gold'; it has 'input'"):
        list(read_rows(path, ColumnMapping("input", gold="gold")))


def test_a_parquet_column_that_is_not_there_is_refused(tmp_path):
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(BadInput, match="no column 'input'"):
        read_rows(tmp_path / "x.parquet", PLAIN)


def test_a_file_without_one_good_row_is_refused_and_leaves_nothing(tmp_path):
    path = jsonl(tmp_path, [{"input": ""}, {"input": 3}])
    with pytest.raises(BadInput, match=r"no usable row\. Line 1: the input \('input'\) is empty"):
        traffic.import_traffic(path, PLAIN, tmp_path / "out" / "t.parquet")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failed_import_leaves_the_earlier_one_as_it_was(tmp_path):
    out = imported(tmp_path, examples(3))
    before = out.read_bytes()
    with pytest.raises(BadInput):
        traffic.import_traffic(jsonl(tmp_path, [{"input": ""}]), PLAIN, out)
    assert out.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


# rows that are set aside


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON (column 2"),
        ("nonsense", "not JSON (column 1"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 50_000, "nested too deeply"),
        ('{"input": "a", "input": "b"}', "the key 'input' comes twice"),
        ('{"input": "a", "x": {"y": 1, "y": 2}}', "the key 'y' comes twice"),
        ('["input"]', "the line is a list, not an object"),
        ("null", "the line is null, not an object"),
        ('{"input": 3}', "the input ('input') is a number, not text"),
        ('{"input": {"text": "a"}}', "the input ('input') is an object, not text"),
        ('{"input": null}', "is missing"),
        ('{"other": "a"}', "is missing"),
        ('{"input": " \\n "}', "the input ('input') is empty"),
        ('{"input": "a\\u0000b"}', "a NUL character"),
        ('{"input": "\\ud83d"}', "half a character"),
        (b'{"input": "\xff\xfe"}', "not UTF-8 (byte 12)"),
        (b'{"input": "' + b"a" * 1_100_000 + b'"}', "over 1 MB"),
        ('{"input": "a", "x": ' + "9" * 5_000 + "}", "4300 digits"),
    ],
)
def test_a_bad_json_line_is_a_reject_with_its_line_and_reason(tmp_path, line, says):
    assert says in one_reason(tmp_path, line)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"probs": {"a": 0.5, "b": 0.4}}, "sum to 0.9, not to 1"),
        ({"probs": {"a": 1.2, "b": -0.2}}, "outside 0 to 1"),
        ({"probs": [1.005, -0.005]}, "outside 0 to 1"),
        ({"probs": {"a": "1"}}, "is not a number"),
        ({"probs": {"a": True}}, "is not a number"),
        ({"probs": []}, "sum to 0"),
        ({"probs": "{"}, "the probabilities ('probs') are not JSON"),
        ({"probs": "[" * 90_000}, "the probabilities ('probs') are not JSON"),
        ({"probs": "[NaN, 1]"}, "the probabilities ('probs') are not JSON"),
        ({"probs": 1}, "are a number, not an object or a list"),
        ({"probs": [10**400]}, "outside 0 to 1"),
        ({"time": "yesterday"}, "'time' “yesterday” is not an ISO 8601 time"),
        ({"time": 1e300}, "is not an ISO 8601 time"),
        ({"time": True}, "is not an ISO 8601 time"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "is not an ISO 8601 time"),
        ({"cost": -0.01}, "'cost' “-0.01” is negative"),
        ({"cost": "free"}, "'cost' “free” is not a number"),
        ({"cost": "NaN"}, "is not finite"),
        ({"cost": "1e999999"}, "is out of range"),
        ({"latency_ms": -1}, "'latency_ms' “-1” is negative"),
        ({"latency_ms": [1]}, "is not a number"),
        ({"gold": ["a"]}, "'gold' is a list, not text"),
        ({"gold": "a\0"}, "'gold' holds a NUL character"),
        ({"group": {"id": 1}}, "'group' is an object, not text"),
    ],
)
def test_a_value_that_cannot_be_meant_rejects_its_row(tmp_path, value, says):
    columns = {name: name for name in value}
    columns = {"teacher_probabilities": "probs"} if "probs" in value else columns
    path = jsonl(tmp_path, [{"input": "a", **value}])
    (reason,) = reasons(path, ColumnMapping("input", **columns))
    assert says in reason


def test_a_reason_never_carries_control_codes(tmp_path):
    path = jsonl(tmp_path, [{"input": "a", "time": "\x1b[2J\u202e"}, {"input": "a", "time": {"\x1b": "\x07"}}])
    for reason in reasons(path, ColumnMapping("input", time="time")):
        assert reason.isprintable()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("a\n", "2: the row has 1 fields where the header has 2"),
        ("a,b,c\n", "2: the row has 3 fields where the header has 2"),
        ('"a"b,c\n', "2: the quoting is broken"),
        (b"\xff,b\n", "2: the input ('input') is not UTF-8"),
        ("a\0,b\n", "2: the input ('input') holds a NUL character"),
        (",b\n", "2: the input ('input') is empty"),
        ("a" * 1_100_000 + ",b\n", "2: the line is over 1 MB"),
    ],
)
def test_a_bad_csv_row_is_a_reject_and_the_next_row_is_read(tmp_path, body, says):
    body = body if isinstance(body, bytes) else body.encode()
    path = file_of(tmp_path, "x.csv", b"input,gold\n" + body + b"fine,good\n")
    bad, good = read_rows(path, ColumnMapping("input", gold="gold"))
    assert isinstance(bad, Reject) and says in f"{bad.line}: {bad.reason}"
    assert good == TrafficRow(3, "fine", gold="good")


def test_a_quote_that_is_never_closed_says_how_far_it_ran(tmp_path):
    path = file_of(tmp_path, "x.csv", 'input\nfirst\n"never closed\nsecond\nthird\n')
    first, bad = read_rows(path, PLAIN)
    assert isinstance(first, TrafficRow) and isinstance(bad, Reject)
    assert bad.line == 3 and "runs to line 5" in bad.reason


def test_a_quote_that_is_never_closed_does_not_hold_the_memory(tmp_path):
    path = file_of(tmp_path, "x.csv", 'input\n"' + "line of text\n" * 200_000)
    assert any("field larger" in reason for reason in reasons(path, PLAIN))


def test_parquet_that_is_not_utf8_rejects_only_its_row(tmp_path):
    raw = pa.array([b"good", b"\xff", b"fine"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"input": raw}), tmp_path / "x.parquet")
    found = list(read_rows(tmp_path / "x.parquet", PLAIN))
    assert found == [TrafficRow(1, "good"), Reject(2, "the row is not UTF-8"), TrafficRow(3, "fine")]


def test_a_bad_row_is_counted_and_never_stops_an_import(tmp_path):
    lines = [json.dumps({"input": sentence(n)}) if n % 3 else "{" for n in range(90)]
    report = traffic.import_traffic(file_of(tmp_path, "x.jsonl", "\n".join(lines)), PLAIN, tmp_path / "x.parquet")
    assert (report.rows, report.rejects, len(report.first_rejects)) == (60, 30, 20)
    assert report.first_rejects[0] == Reject(1, report.first_rejects[1].reason)
    logged = (tmp_path / "x.rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in logged] == [n + 1 for n in range(0, 90, 3)]


@quick
@given(st.binary(max_size=400), st.sampled_from(["x.jsonl", "x.csv", "x.tsv", "x.parquet", "x"]))
def test_no_file_whatever_ends_in_anything_but_rows_rejects_or_a_refusal(tmp_path, content, name):
    prefix = b"input,gold\n" if name.endswith("sv") else b'{"input": "a"}\n'
    for start in (b"", prefix, b"\xef\xbb\xbf" + prefix):
        try:
            for row in read_rows(file_of(tmp_path, name, start + content), PLAIN):
                assert isinstance(row, TrafficRow | Reject)
        except BadInput as refusal:
            assert "\n" not in str(refusal)


# rows that are read


def test_byte_order_marks_and_windows_line_ends_are_read(tmp_path):
    rows = [TrafficRow(2, "a, b", gold="x"), TrafficRow(3, "two\r\nlines", gold="y")]
    path = file_of(tmp_path, "x.csv", b'\xef\xbb\xbfinput,gold\r\n"a, b",x\r\n"two\r\nlines",y\r\n\r\n')
    assert list(read_rows(path, guess_mapping(path))) == rows
    path = file_of(tmp_path, "x.jsonl", b'\xef\xbb\xbf{"input": "a"}\r\n\r\n{"input": "b"}')
    assert list(read_rows(path, PLAIN)) == [TrafficRow(1, "a"), TrafficRow(3, "b")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_a_csv_file_is_found(tmp_path, delimiter):
    path = file_of(tmp_path, "x.csv", delimiter.join(["text", "label"]) + "\n" + delimiter.join(["hello", "good"]))
    assert list(read_rows(path, guess_mapping(path))) == [TrafficRow(2, "hello", gold="good")]


def test_columns_are_guessed_by_their_usual_names(tmp_path):
    path = file_of(tmp_path, "x.csv", "id,Prompt,completion,label,domain,conversation_id,created,price,latency\n")
    assert guess_mapping(path) == ColumnMapping(
        "Prompt", "completion", None, "label", "domain", "conversation_id", "created", "price", "latency"
    )
    with pytest.raises(BadInput, match=r"no column that looks like the input\. Name it: 'id', 'x'"):
        guess_mapping(file_of(tmp_path, "y.csv", "id,x\n1,2\n"))


@pytest.mark.parametrize(
    "written",
    ["2026-11-24T13:00:00Z", "2026-11-24 14:00:00+01:00", "2026-11-24T13:00", 1795525200, 1795525200000, "1795525200"],
)
def test_times_of_any_usual_form_are_one_utc_time(tmp_path, written):
    path = jsonl(tmp_path, [{"input": "a", "time": written}])
    (row,) = read_rows(path, ColumnMapping("input", time="time"))
    assert row.time == datetime(2026, 11, 24, 13, tzinfo=UTC)


def test_the_three_kinds_of_file_read_as_the_same_rows(tmp_path):
    probabilities = {"a": 0.25, "b": 0.75}
    row = {"input": "Grüße", "teacher_output": "b", "probs": probabilities, "gold": "a", "segment": "s", "group": "7"}
    row |= {"time": "2026-01-02T03:04:05Z", "cost": "0.0012", "latency_ms": 12.5}
    by_json = jsonl(tmp_path, [row])
    cells = [json.dumps(value) if isinstance(value, dict) else str(value) for value in row.values()]
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    by_csv = file_of(tmp_path, "x.csv", ",".join(row) + "\n" + quoted)
    kinds = {
        "probs": pa.array([list(probabilities.items())], pa.map_(pa.string(), pa.float64())),
        "time": pa.array([datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)]),
        "cost": pa.array([Decimal("0.0012")]),
        "group": pa.array([7]),
    }
    pq.write_table(pa.table({name: kinds.get(name, pa.array([row[name]])) for name in row}), tmp_path / "x.parquet")
    (expected,) = read_rows(by_json, EVERY)
    assert expected.cost == Decimal("0.0012") and expected.teacher_probabilities == probabilities
    assert [replace(found, line=1) for found in read_rows(by_csv, EVERY)] == [expected]
    assert list(read_rows(tmp_path / "x.parquet", EVERY)) == [expected]


def test_an_import_reports_what_a_worksheet_needs(tmp_path):
    start = datetime(2026, 10, 1, tzinfo=UTC)
    rows = [
        {
            "input": sentence(n),
            "teacher_output": "a" if n % 10 else "b",
            "gold": "a" if n < 50 else None,
            "time": (start + timedelta(hours=n)).isoformat(),
            "cost": "0.002",
            "latency_ms": n,
            "segment": "s" if n % 4 else "t",
        }
        for n in range(1, 101)
    ]
    out = tmp_path / "t.parquet"
    columns = {name: name for name in rows[0]}
    report = traffic.import_traffic(jsonl(tmp_path, rows), ColumnMapping(**columns), out)
    assert (report.rows, report.rejects, report.file_name) == (100, 0, "rows.jsonl")
    assert (report.mean_cost, report.total_cost, report.p95_latency_ms) == (Decimal("0.002"), Decimal("0.2"), 95)
    assert report.first_time == "2026-10-01T01:00:00.000000+00:00"
    assert (report.gold_share, report.teacher_share, report.names.gold) == (0.49, 1.0, {"a": 49})
    assert report.names.answers == {"a": 90, "b": 10}
    assert report.disagreement == pytest.approx(4 / 49)
    assert report.segments == (("s", 75), ("t", 25))
    assert report.parquet_digest == traffic.file_digest(out)
    assert not (tmp_path / "t.rejects.jsonl").exists()


def test_the_same_file_imports_to_the_same_bytes(tmp_path):
    one, other = imported(tmp_path, examples(50), "one"), imported(tmp_path, examples(50), "other")
    assert one.read_bytes() == other.read_bytes()


def test_an_import_holds_a_batch_in_memory_and_not_the_file(tmp_path):
    import tracemalloc

    line = json.dumps({"input": "a text of usual length, said once more " * 3}) + "\n"
    path = file_of(tmp_path, "x.jsonl", line * 20_000)
    tracemalloc.start()
    report = traffic.import_traffic(path, PLAIN, tmp_path / "x.parquet")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.rows == 20_000
    assert peak < 8_000_000  # bytes: a batch or two, and not the file


# what is the same


@pytest.mark.parametrize("other", ["  Cafe\u0301 \t Au lait", "CAFÉ AU LAIT", "café\nau\u00a0lait"])
def test_case_space_and_composition_make_no_other_text(other):
    assert duplicates.input_digest(other) == duplicates.input_digest("café au lait")


def test_near_duplicates_are_found_and_strangers_are_not():
    rng = random.Random(3)
    originals = [sentence(n) for n in range(200)]
    changed = []
    for text in originals:
        words = text.split()
        words[rng.randrange(len(words))] = "changed"
        changed.append(" ".join(words))
    clusters = duplicates.near_duplicates(originals + changed)
    found = sum(clusters[n] == clusters[n + 200] for n in range(200))
    assert found >= 195  # one word in twelve: a Jaccard similarity of about .7
    assert len(set(clusters[:200])) == 200


def test_punctuation_and_case_make_no_distance():
    assert len(set(duplicates.near_duplicates(["Great phone!!", "great phone", "GREAT, phone :)", ":)"]))) == 2


def test_a_prompt_that_frames_every_row_makes_no_near_duplicates():
    frame = "You are a careful assistant. Name the sentiment of the following customer message in one word: "
    clusters = duplicates.near_duplicates([frame + sentence(n) for n in range(100)])
    assert len(set(clusters)) == 100


def test_the_order_of_rows_makes_no_other_clusters():
    texts = [sentence(n % 40) + " " * (n % 2) + str(n // 40) for n in range(80)]
    shuffled = random.Random(1).sample(range(80), 80)
    one = duplicates.near_duplicates(texts)
    other = duplicates.near_duplicates([texts[n] for n in shuffled])
    for a in range(80):
        for b in range(80):
            assert (one[shuffled[a]] == one[shuffled[b]]) == (other[a] == other[b])


MIXED = [
    "", "a", "!!", "\x00", "short", "a sentence of more than eight characters",
    "Ünïcode, café and naïve: ﬁnally?",
    "今天天气很好我们去公园散步吧",
    "これは日本語の文です。", "한국어 문장입니다",
    "e\u0301 combining a\u0308", "x" * 2_000,
]  # fmt: skip


def test_the_rule_of_near_duplicates_is_that_of_every_release():
    keys = duplicates._band_keys(duplicates._minima(*duplicates._sketches(MIXED, np.empty(0, np.uint64))))
    assert (
        hashlib.sha256(keys.tobytes()).hexdigest() == "a6c9cb9580217a1cd27824e8cab0802594e46a27845cacc67c985cfa0e0e44d9"
    )


@pytest.mark.parametrize("limit", ["IN_MEMORY", "BATCH", "BATCH_CHARACTERS", "AT_ONCE"])
def test_the_clusters_do_not_depend_on_how_many_rows_are_in_memory(monkeypatch, limit):
    frame = "Name the sentiment of the following message: "
    texts = [
        *MIXED,
        *[frame + sentence(n % 60) + " " * (n // 60) for n in range(90)],
        " ".join(map(sentence, range(90))),
    ]
    whole = duplicates.near_duplicates(texts)
    monkeypatch.setattr(duplicates, limit, 8)
    assert duplicates.near_duplicates(texts) == whole and len(set(whole)) < len(texts)


def test_a_long_text_costs_no_more_than_its_sketch():
    began = time.perf_counter()
    long = " ".join(sentence(n) for n in range(10_000))
    clusters = duplicates.near_duplicates([long, long + " end", sentence(1)])
    assert clusters[0] == clusters[1] != clusters[2]
    assert time.perf_counter() - began < 5


# splits


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"held_out_rows": 0}, "0 held-out rows. Ask for 1 or more"),
        ({"validation_share": 1}, "validation share is 1"),
        ({"validation_share": float("nan")}, "validation share is nan"),
        ({"window_from": "soon"}, "not in ISO 8601"),
        ({"window_from": "2026-02-01", "window_to": "2026-01-01"}, "before it begins"),
        ({"held_out_rows": 30}, "asks for 30 held-out rows, and only 30 of the 30"),
        ({"window_from": "2026-02-01"}, "None of the 30 rows of traffic is in the window"),
        ({"by_time": True}, "30 rows have none"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(tmp_path, changes, says):
    with pytest.raises(BadInput, match=says):
        build([imported(tmp_path, examples(30))], {}, replace(RULE, **changes))


def test_rows_that_all_belong_together_cannot_be_split(tmp_path):
    rows = [{"input": sentence(n), "group": "one"} for n in range(20)]
    with pytest.raises(BadInput, match="no held-out split can be cut"):
        build([imported(tmp_path, rows)], {}, RULE)


def test_what_is_no_imported_traffic_is_refused(tmp_path):
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(BadInput, match="is not imported traffic"):
        build([tmp_path / "x.parquet"], {}, RULE)
    with pytest.raises(BadInput, match="cannot be read"):
        build([tmp_path / "gone.parquet"], {}, RULE)


candidates = st.lists(
    st.tuples(
        st.integers(0, 60),  # the text
        st.sampled_from(["", " indeed", " indeed!"]),  # its near duplicates
        st.sampled_from(["a", "b", "c"]),  # the segment
        st.lists(st.integers(0, 25), max_size=2),  # its groups
    ),
    min_size=12,
    max_size=60,
    unique_by=lambda row: row[:2],
)


def as_candidates(drawn: list[tuple[int, str, str, list[int]]]) -> list[Candidate]:
    found = {}
    for number, ending, segment, groups in drawn:
        text = sentence(number) + ending
        digest = duplicates.input_digest(text)
        found[digest] = Candidate(digest, text, segment, tuple(f"g{group}" for group in groups))
    return list(found.values())


def crossings(rows: list[Candidate], places: list[split.Place]) -> set[int]:
    inside = [(row, place) for row, place in zip(rows, places, strict=True) if isinstance(place, Split)]
    roots = split.components([row.text for row, _ in inside], [row.groups for row, _ in inside])
    where: dict[int, set[Split]] = {}
    for root, (_, place) in zip(roots, inside, strict=True):
        where.setdefault(root, set()).add(place)
    return {root for root, found in where.items() if len(found) > 1}


def try_assign(rows: list[Candidate], rule: SplitRule, keep: dict[str, Split] | None = None) -> list[split.Place]:
    try:
        return split.assign(rows, rule, keep or {})
    except BadInput as refusal:
        assert "held-out" in str(refusal)  # too few rows, or all tied together
        return []


@quick
@given(candidates, st.integers(1, 15), st.integers(0, 9))
def test_no_group_ever_crosses_the_split(drawn, held_out, seed):
    rows = as_candidates(drawn)
    places = try_assign(rows, replace(RULE, seed=seed, held_out_rows=held_out))
    assert not places or not crossings(rows, places)
    assert not any(isinstance(place, LeftOut) for place in places)


@quick
@given(candidates, st.integers(1, 15), st.randoms())
def test_the_split_does_not_depend_on_the_order_of_rows(drawn, held_out, rng):
    rows = as_candidates(drawn)
    rule = replace(RULE, held_out_rows=held_out)
    one = dict(zip((row.digest for row in rows), try_assign(rows, rule), strict=False))
    rng.shuffle(rows)
    assert one == dict(zip((row.digest for row in rows), try_assign(rows, rule), strict=False))


@quick
@given(candidates, st.integers(1, 15))
def test_the_held_out_split_is_as_large_as_asked_but_for_one_component(drawn, held_out):
    rows = as_candidates(drawn)
    places = try_assign(rows, replace(RULE, held_out_rows=held_out))
    if places:
        sizes = Counter(split.components([row.text for row in rows], [row.groups for row in rows])).values()
        held = places.count(Split.HELD_OUT)
        assert held < held_out + max(sizes)
        assert held == held_out or held > held_out or held_out - held < max(sizes)
        if max(sizes) == 1:
            assert held == held_out


@quick
@given(candidates, candidates, st.integers(1, 12), st.sampled_from([0, 0.2, 0.5]))
def test_the_held_out_split_never_grows_in_a_later_round(first, second, held_out, share):
    rows = as_candidates(first)
    rule = replace(RULE, held_out_rows=held_out, validation_share=share)
    before = dict(zip((row.digest for row in rows), try_assign(rows, rule), strict=False))
    if not before:
        return
    later = list({row.digest: row for row in as_candidates(second) + rows}.values())
    places = split.assign(later, rule, before)
    after = dict(zip((row.digest for row in later), places, strict=True))
    held = {digest for digest, place in before.items() if place is Split.HELD_OUT}
    assert {digest for digest, place in after.items() if place is Split.HELD_OUT} == held
    assert not crossings(later, places)
    assert all(after[digest] is not Split.VALIDATION for digest, place in before.items() if place is Split.TRAIN)


def test_a_row_that_is_too_close_to_held_out_rows_is_left_out_and_counted(tmp_path):
    rows = examples(60)
    first = build([imported(tmp_path, rows, "one")], {}, RULE)
    held = next(row for row in first.rows if row.split is Split.HELD_OUT)
    new = [
        {"input": held.input + " indeed", "gold": "bad", "segment": "web", "group": "new"},
        {"input": sentence(900), "gold": "bad", "segment": "web", "group": held.group},
        {"input": sentence(901), "gold": "bad", "segment": "web", "group": "fresh"},
    ]
    keep = {row.input_digest: row.split for row in first.rows}
    second = build([tmp_path / "one.parquet", imported(tmp_path, new, "two")], {}, RULE, keep=keep)
    assert second.tally.contaminated == 2
    assert len(second.rows) == 61
    held_before = [row.input_digest for row in first.rows if row.split is Split.HELD_OUT]
    assert [row.input_digest for row in second.rows if row.split is Split.HELD_OUT] == held_before
    write(second, tmp_path / "second.parquet")
    assert frozen.leaks(tmp_path / "second.parquet") == []


def test_a_held_out_row_that_was_opened_moves_to_validation_only_without_its_kin(tmp_path):
    rows = [{"input": sentence(n), "group": f"g{n // 2}"} for n in range(60)]
    path = imported(tmp_path, rows)
    first = build([path], {}, RULE)
    keep = {row.input_digest: row.split for row in first.rows}
    burnt = next(row for row in first.rows if row.split is Split.HELD_OUT)
    second = build([path], {}, RULE, keep={**keep, burnt.input_digest: Split.VALIDATION})
    assert burnt.input_digest not in {row.input_digest for row in second.rows}  # its group is still held out
    assert sum(row.split is Split.HELD_OUT for row in second.rows) == 9
    assert second.tally.contaminated == 1


def test_held_out_rows_that_are_missing_from_the_traffic_are_refused(tmp_path):
    first = build([imported(tmp_path, examples(60), "one")], {}, RULE)
    keep = {row.input_digest: row.split for row in first.rows}
    with pytest.raises(BadInput, match="held-out rows of the round before are not in the traffic"):
        build([imported(tmp_path, examples(60, 500), "two")], {}, RULE, keep=keep)


def test_a_later_window_does_not_shrink_the_held_out_split(tmp_path):
    old = [row | {"time": "2026-01-10"} for row in examples(60)]
    new = [row | {"time": "2026-03-10"} for row in examples(60, 600)]
    first = build([imported(tmp_path, old, "one")], {}, RULE)
    keep = {row.input_digest: row.split for row in first.rows}
    files = [tmp_path / "one.parquet", imported(tmp_path, new, "two")]
    second = build(files, {}, replace(RULE, window_from="2026-03-01"), keep=keep)
    assert sum(row.split is Split.HELD_OUT for row in second.rows) == 12  # groups of three reach ten with twelve
    assert second.tally.outside_window == 48


def test_segments_share_the_held_out_rows_in_proportion(tmp_path):
    rows = [{"input": sentence(n), "segment": "big" if n % 5 else "small"} for n in range(200)]
    held = [row for row in build([imported(tmp_path, rows)], {}, RULE).rows if row.split is Split.HELD_OUT]
    assert Counter(row.segment for row in held) == {"big": 8, "small": 2}


def test_by_time_every_held_out_row_is_later_than_every_training_row(tmp_path):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = {n: (start + timedelta(hours=7 * n % 97)).isoformat() for n in range(90)}
    rows = [{"input": sentence(n), "group": f"g{n // 2}", "time": times[n]} for n in range(90)]
    dataset = build([imported(tmp_path, rows)], {}, replace(RULE, by_time=True))
    by_digest = {duplicates.input_digest(sentence(n)): times[n] for n in range(90)}
    when = {place: [by_digest[row.input_digest] for row in dataset.rows if row.split is place] for place in Split}
    assert max(when[Split.TRAIN] + when[Split.VALIDATION]) < min(when[Split.HELD_OUT])
    assert 10 <= len(when[Split.HELD_OUT]) <= 11
    assert dataset.tally.straddling + len(dataset.rows) == 90


def test_by_time_a_late_row_of_a_conversation_that_began_early_is_left_out(tmp_path):
    rows = [{"input": sentence(n), "time": f"2026-03-{n // 5 + 1:02}"} for n in range(50)]
    rows += [
        {"input": sentence(n), "time": day, "group": "long"} for n, day in ((60, "2026-03-01"), (61, "2026-04-01"))
    ]
    dataset = build([imported(tmp_path, rows)], {}, replace(RULE, by_time=True))
    late = duplicates.input_digest(sentence(61))
    assert dataset.tally.straddling == 1 and late not in {row.input_digest for row in dataset.rows}


def test_by_time_a_later_round_trains_on_what_came_after_the_held_out_period(tmp_path):
    def row(n: int, day: int) -> dict[str, object]:
        return {"input": sentence(n), "time": f"2026-03-{day:02}"}

    rule = replace(RULE, by_time=True)
    one = imported(tmp_path, [row(n, n // 5 + 1) for n in range(50)], "one")
    first = build([one], {}, rule)
    assert sum(found.split is Split.HELD_OUT for found in first.rows) == 10  # the 9th and the 10th
    two = imported(tmp_path, [row(60, 9), row(61, 10), row(62, 11), row(63, 12)], "two")
    second = build([one, two], {}, rule, keep={found.input_digest: found.split for found in first.rows})
    assert second.tally.straddling == 2
    assert len(second.rows) == len(first.rows) + 2


# the data set


def test_what_is_the_same_is_one_row_with_its_count_as_weight(tmp_path):
    rows = examples(40)
    rows += [{"input": "  " + str(rows[5]["input"]).upper(), "gold": "bad"}] * 2
    dataset = build([imported(tmp_path, rows)], {}, RULE)
    merged = {row.input_digest: row for row in dataset.rows}[duplicates.input_digest(sentence(5))]
    assert (merged.weight, merged.gold) == (3.0, "bad")  # two of three say so
    assert (dataset.tally.duplicates_merged, dataset.tally.gold_conflicts, dataset.tally.gold_ties) == (2, 1, 0)


def test_a_tie_between_gold_labels_drops_the_label_and_is_counted(tmp_path):
    rows = [*examples(40), {"input": sentence(5), "gold": "bad", "segment": "web", "group": "g1"}]
    dataset = build([imported(tmp_path, rows)], {}, RULE)
    assert {row.input_digest: row for row in dataset.rows}[duplicates.input_digest(sentence(5))].gold is None
    assert (dataset.tally.gold_conflicts, dataset.tally.gold_ties) == (1, 1)


def test_weights_of_a_round_touch_training_rows_only(tmp_path):
    dataset = build([imported(tmp_path, examples(40))], {}, RULE)
    factors = {weights.cell(row.segment, row.gold): 3.0 for row in dataset.rows}
    heavy = [weights.weighted(row, factors, dataset.task) for row in dataset.rows]
    assert {row.split: row.weight for row in heavy} == {
        Split.TRAIN: 3.0,
        Split.VALIDATION: 1.0,
        Split.HELD_OUT: 1.0,
    }


def test_computed_outputs_stand_above_recorded_ones(tmp_path):
    rows = [row | {"teacher_output": "fine"} for row in examples(40)]
    digest = duplicates.input_digest(sentence(0))
    outputs = {digest: TeacherOutput(probabilities={"good": 0.9, "bad": 0.105})}
    dataset = build([imported(tmp_path, rows)], outputs, RULE)
    assert dataset.labels == ("bad", "fine", "good")
    found = {row.input_digest: row for row in dataset.rows}
    assert found[digest].teacher_output == "good"
    assert found[digest].teacher_probabilities == pytest.approx((0.105 / 1.005, 0.0, 0.9 / 1.005))
    assert found[duplicates.input_digest(sentence(1))].teacher_output == "fine"


def test_the_latest_output_of_the_teacher_is_what_it_says(tmp_path):
    rows = examples(40)
    rows += [
        {"input": sentence(0), "teacher_output": say, "time": f"2026-0{m}-01"} for say, m in (("good", 2), ("bad", 1))
    ]
    found = {row.input_digest: row for row in build([imported(tmp_path, rows)], {}, RULE).rows}
    assert found[duplicates.input_digest(sentence(0))].teacher_output == "good"


def test_answers_outside_the_labels_are_kept_as_written_and_counted(tmp_path):
    rows = [row | {"teacher_output": "I cannot say"} for row in examples(40)]
    dataset = build([imported(tmp_path, rows)], {}, RULE, labels=("bad", "good"))
    assert all(row.teacher_output == "I cannot say" and row.outside and row.answer is None for row in dataset.rows)
    assert all(row.gold != "fine" for row in dataset.rows) and dataset.unmatched_gold == {"fine": 13}
    assert (dataset.tally.unknown_outputs, dataset.tally.unknown_gold) == (40, 13)


def test_lists_of_probabilities_need_as_many_labels(tmp_path):
    rows = [{"input": sentence(n), "probs": [0.25, 0.75], "gold": "no"} for n in range(40)]
    path = imported(tmp_path, rows)
    with pytest.raises(BadInput, match="lists of 2, and the task has 1 labels"):
        build([path], {}, RULE)
    dataset = build([path], {}, RULE, labels=("yes", "no"))
    assert {row.teacher_output for row in dataset.rows} == {"no"}


def test_a_task_with_free_text_has_no_labels(tmp_path):
    rows = [{"input": sentence(n), "teacher_output": sentence(n + 1000)} for n in range(120)]
    path = imported(tmp_path, rows)
    with pytest.raises(BadInput, match="120 different labels on 120 rows, like free text"):
        build([path], {}, RULE)
    write(build([path], {}, RULE, labels=(), task=Task.GENERATION), tmp_path / "d.parquet")
    found = frozen.load(tmp_path / "d.parquet", Split.HELD_OUT)
    assert found.labels == () and found.soft.shape == (10, 0)
    assert found.teacher_texts[0] is not None and set(found.teacher) == {-1}


SMALL = ((merge, "AT_ONCE", 7), (merge, "BATCH", 11), (columns, "BATCH", 5), (duplicates, "IN_MEMORY", 8))


def test_in_parts_the_data_set_is_the_same_and_no_file_is_left(tmp_path, monkeypatch):
    chance = random.Random(5)
    rows = [
        {
            "input": f"{sentence(chance.randrange(70))}{chance.choice(['', ' ', ' indeed'])}",
            "gold": chance.choice(["bad", "good", None]),
            "teacher_output": chance.choice(["bad", "good", "strange", None]),
            "segment": chance.choice(["web", "app", None]),
            "group": chance.choice([None, f"g{n % 9}"]),
            "time": f"2026-0{chance.randint(1, 9)}-11",
        }
        for n in range(220)
    ]
    files = [imported(tmp_path, rows[:70], "one"), imported(tmp_path, rows[70:], "two")]
    outputs = {duplicates.input_digest(sentence(n)): TeacherOutput("good", (0.25, 0.75)) for n in range(0, 70, 3)}
    asked: list[Part] = []

    def of_part(part):
        asked.append(part)
        return {digest: output for digest, output in outputs.items() if part.start <= digest < part.end}

    def made(name, of):
        data = build(files, of, replace(RULE, needs=Need.BOTH), ("bad", "good"), scratch=tmp_path / "scratch")
        return write(data, tmp_path / name), data.tally, data.labels, list(data.rows), list(data.since)

    (tmp_path / "scratch").mkdir()
    whole = made("whole.parquet", outputs)
    for module, limit, count in SMALL:
        monkeypatch.setattr(module, limit, count)
    assert made("parts.parquet", of_part) == whole and len(set(asked)) > 20
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(BadInput, match="asks for 900 held-out rows"):
        build(files, outputs, replace(RULE, held_out_rows=900), ("bad", "good"), scratch=tmp_path / "scratch")
    gc.collect()
    assert not list((tmp_path / "scratch").iterdir())


def test_shuffled_traffic_gives_the_same_bytes_and_digest(tmp_path):
    rows = [row | {"teacher_output": "fine", "time": f"2026-01-0{n % 9 + 1}"} for n, row in enumerate(examples(90))]
    rows += [row | {"gold": "good"} for row in rows[:20]]
    one = imported(tmp_path, rows, "one")
    random.Random(5).shuffle(rows)
    halves = [imported(tmp_path, rows[55:], "b"), imported(tmp_path, rows[:55], "a")]
    first = write(build([one], {}, RULE), tmp_path / "1.parquet")
    second = write(build(halves, {}, RULE), tmp_path / "2.parquet")
    assert first == second == frozen.content_digest(tmp_path / "1.parquet")
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_the_digest_does_not_depend_on_the_encoding_but_on_every_field(tmp_path):
    digest = write(build([imported(tmp_path, examples(40))], {}, RULE), tmp_path / "d.parquet")
    table = pq.read_table(tmp_path / "d.parquet")
    pq.write_table(table, tmp_path / "e.parquet", compression="none", row_group_size=7, use_dictionary=False)
    assert frozen.content_digest(tmp_path / "e.parquet") == digest
    seen = {digest}
    rows = table.to_pylist()
    changes = {"row": 9, "input_digest": "x", "input": "x", "gold": None, "segment": "x", "group": "", "split": "train"}
    changes |= {"weight": 2.0, "teacher_output": "", "teacher_probabilities": [0.5, 0.25, 0.25]}
    for name, value in changes.items():
        other = pa.Table.from_pylist([*rows[:-1], rows[-1] | {name: value}], table.schema)
        pq.write_table(other, tmp_path / "e.parquet")
        seen.add(frozen.content_digest(tmp_path / "e.parquet"))
    assert len(seen) == 1 + len(changes)


def test_a_data_set_comes_back_as_it_was_built(tmp_path):
    rows = [row | {"probs": {"bad": 0.5, "fine": 0.25, "good": 0.25}} for row in examples(40)]
    rows[3]["probs"] = rows[7]["gold"] = None
    dataset = build([imported(tmp_path, rows)], {}, RULE)
    write(dataset, tmp_path / "d.parquet")
    assert pq.read_schema(tmp_path / "d.parquet").names == list(frozen.COLUMNS)
    numbers = []
    for place in Split:
        expected = [row for row in dataset.rows if row.split is place]
        found = frozen.load(tmp_path / "d.parquet", place)
        numbers += found.rows.tolist()
        assert found.inputs == tuple(row.input for row in expected)
        assert found.gold.tolist() == [-1 if row.gold is None else dataset.labels.index(row.gold) for row in expected]
        assert found.weights.tolist() == [row.weight for row in expected]
        assert found.groups == tuple(row.group for row in expected)
        assert found.soft.dtype == np.float32 and found.soft.shape == (len(expected), 3)
        for row, soft in zip(expected, found.soft, strict=True):
            assert np.isnan(soft).all() if row.teacher_probabilities is None else soft.tolist() == [0.5, 0.25, 0.25]
    assert numbers == list(range(40))
    assert frozen.splits_of(tmp_path / "d.parquet") == {row.input_digest: row.split for row in dataset.rows}


def test_counts_add_up_and_say_what_was_lost(tmp_path):
    rows = [{"input": " ", "gold": "bad"}, *examples(90), *examples(9)]
    dataset = build([imported(tmp_path, rows)], {}, RULE)
    write(dataset, tmp_path / "d.parquet")
    counts = counting.count(tmp_path / "d.parquet", GATE)
    tally = counts.tally
    assert tally["rows"] == sum(cell.rows for cell in counts.cells) == 90
    assert tally["rows_read"] == tally["rows"] + tally["duplicates_merged"] + tally["outside_window"] == 99
    assert (counts.of(Split.HELD_OUT), counts.groups) == (12, 30)
    assert (tally["without_teacher"], tally["without_gold"]) == (90, 0)
    told = [finding.says for finding in counts.findings]
    assert "90 rows have no teacher output. Label before training." in told
    assert all(sentence(n) not in said for said in told for n in range(90))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"group": "same"}, "1 group is in more than one split (train and held-out)"),
        ({"input_digest": "same"}, "1 input is in more than one split (train and held-out)"),
        ({"input": sentence(5000)}, "1 set of near duplicates is in more than one split (train and held-out)"),
    ],
)
def test_a_leak_is_named_without_quoting_a_row(tmp_path, change, says):
    write(build([imported(tmp_path, examples(40))], {}, RULE), tmp_path / "d.parquet")
    assert frozen.leaks(tmp_path / "d.parquet") == []
    table = pq.read_table(tmp_path / "d.parquet")
    rows = table.to_pylist()
    rows[0] |= change
    rows[-1] |= change
    pq.write_table(pa.Table.from_pylist(rows, table.schema), tmp_path / "d.parquet")
    found = frozen.leaks(tmp_path / "d.parquet")
    assert any(says in said for said in found)
    assert not any(sentence(5000) in said for said in found)


def test_what_is_no_data_set_is_refused_by_all_who_read_one(tmp_path):
    path = imported(tmp_path, examples(5))
    count = partial(counting.count, gate=GATE)
    for read in (frozen.content_digest, frozen.leaks, frozen.splits_of, count, frozen.labels_of):
        with pytest.raises(BadInput, match="not a frozen data set"):
            read(path)
        with pytest.raises(BadInput, match="is missing"):
            read(tmp_path / "gone.parquet")
    with pytest.raises(BadInput, match="not a readable Parquet"):
        frozen.load(file_of(tmp_path, "x.parquet", "x"), Split.TRAIN)


def test_25_000_short_rows_are_clustered_in_seconds():
    texts = [sentence(n) for n in range(2_500)]
    began = time.process_time()
    duplicates.near_duplicates(texts)
    assert time.process_time() - began < 2  # a tenth of the rows in a tenth of 20 seconds


def test_bad_input_is_a_value_error():
    assert issubclass(BadInput, ValueError)


# the sample's data


@pytest.fixture
def fetching():
    path = Path(__file__).parent.parent / "sample_projects" / "feedback_sentiment" / "fetch.py"
    spec = importlib.util.spec_from_file_location("feedback_sentiment_fetch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def package(fetching, texts: int = 2, prefix: str = "x/") -> bytes:
    """A package like the real one, with that many texts in each of its files."""
    inner = {}
    for stem, documented, _ in fetching.SEGMENTS.values():
        numbers = [f"1_{n}" if documented else str(n) for n in range(texts)]
        inner[f"{prefix}{stem}_GroundTruth.txt"] = "".join(f"{n}\t0.5\ttext {n}\r\n" for n in numbers).encode()
        ratings = "".join(f"{n}\t0.5\t1\t[1, 0, 1, 0]\r\n" for n in numbers)
        inner[f"{prefix}{stem}_anonDataRatings.txt"] = b"\xef\xbb\xbf" + ratings.encode()
    return archive({fetching.INNER_ARCHIVE: archive(inner)})


def test_a_package_with_other_counts_is_refused(fetching):
    with pytest.raises(BadInput, match="has 2 texts and 2 ratings where 4,200 of each were expected"):
        list(fetching.rows(package(fetching)))


def test_a_package_without_its_data_is_refused(fetching):
    for content in (b"", b"no archive", archive({"other": b""}), archive({fetching.INNER_ARCHIVE: b"x"})):
        with pytest.raises(BadInput, match="has no readable"):
            list(fetching.rows(content))


def test_names_in_an_archive_never_become_paths(fetching, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {name: (stem, documented, 2) for name, (stem, documented, _) in fetching.SEGMENTS.items()}
    monkeypatch.setattr(fetching, "SEGMENTS", small)
    rows = list(fetching.rows(package(fetching, prefix="../../")))
    assert Counter(row["segment"] for row in rows) == {"tweet": 2, "amazon": 2, "movie": 2, "nyt": 2}
    assert rows[2] == {
        "id": "amazon-1_0",
        "input": "text 1_0",
        "gold": "positive",
        "votes": 4,
        "shares": {"negative": 0.0, "neutral": 0.5, "positive": 0.5},
        "segment": "amazon",
        "group": "amazon-1",
    }
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("votes", "label"),
    [([1, 0], "positive"), ([-1, 0], "negative"), ([1, 0, 0], "neutral"), ([4, -4], "neutral"), ([0] * 20, "neutral")],
)
def test_gold_is_the_class_of_the_mean_rating(fetching, votes, label):
    assert fetching.gold(votes) == label


def test_pairs_at_the_border_show_what_is_taken_as_the_same_and_what_is_not():
    texts = [sentence(n) for n in range(60)]
    for n in range(20):
        words = texts[n].split()
        changed = words[:9] + sentence(900 + n).split()[:3]  # a quarter is another
        texts.append(" ".join(changed))
    found = duplicates.border(texts, 0.5, 0.25)
    assert {(pair.one, pair.other) for pair in found} >= {(n, n + 60) for n in range(20)}
    assert [pair.similarity for pair in found] == sorted(
        (pair.similarity for pair in found), key=lambda s: abs(s - 0.5)
    )
    clusters = duplicates.near_duplicates(texts)
    assert all(pair.joined == (clusters[pair.one] == clusters[pair.other]) for pair in found)
    assert duplicates.border([]) == []

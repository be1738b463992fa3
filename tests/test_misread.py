"""Input that is easily misread: times, unnamed columns, NaN, other encodings. It is read rightly or questioned."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tui.dataset import encodings, times, traffic
from distill_tui.dataset.previews import preview
from distill_tui.dataset.readers import ColumnMapping, Reject, TrafficRow, candidates, guess_mapping, read_rows
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.shared_inputs import split_of
from distill_tui.reports import data as reports
from distill_tui.tasks import label_map
from distill_tui.ui.forms import traffic as form
from support.datasets import file_of, jsonl, saved
from support.findings import sentence

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
TIMED = ColumnMapping("input", time="when")

# times


@pytest.mark.parametrize(
    ("value", "moment", "written"),
    [
        (20261120, "2026-11-20T00:00:00+00:00", "dates written as numbers"),
        ("20261120", "2026-11-20T00:00:00+00:00", "dates written as numbers"),
        (20261120.0, "2026-11-20T00:00:00+00:00", "dates written as numbers"),
        (20261120101500, "2026-11-20T10:15:00+00:00", "dates written as numbers"),
        ("202611201015", "2026-11-20T10:15:00+00:00", "dates written as numbers"),
        ("2026112010", "2026-11-20T10:00:00+00:00", "dates written as numbers"),
        (202611, "2026-11-01T00:00:00+00:00", "dates written as numbers"),
        (46346, "2026-11-20T00:00:00+00:00", "serial days of Excel"),
        ("46346.5", "2026-11-20T12:00:00+00:00", "serial days of Excel"),
        (46346.427083333336, "2026-11-20T10:15:00+00:00", "serial days of Excel"),
        (1795168800, "2026-11-20T10:00:00+00:00", "seconds since 1970"),
        ("1795168800.25", "2026-11-20T10:00:00.250000+00:00", "seconds since 1970"),
        (1795168800123, "2026-11-20T10:00:00.123000+00:00", "milliseconds since 1970"),
        (1795168800123456, "2026-11-20T10:00:00.123456+00:00", "microseconds since 1970"),
        (1795168800123456789, "2026-11-20T10:00:00.123457+00:00", "nanoseconds since 1970"),
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00+00:00", times.ISO),
    ],
)
def test_a_time_is_read_in_the_one_form_that_gives_a_likely_time(value: object, moment: str, written: str) -> None:
    found = times.read(value, NOW)
    assert found is not None and (found.moment.isoformat(), found.form) == (moment, written)
    assert not found.problem(NOW)
    assert found.usual == (written in (times.ISO, "seconds since 1970", "milliseconds since 1970"))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (20991201, "in the future"),
        ("2027-01-01", "in the future"),
        (0, "before 2010"),
        (12345, "before 2010"),
        ("1970-01-01T00:00:00", "before 2010"),
        ("2009-12-31T23:59:59Z", "before 2010"),
        (4102444800, "in the future"),
    ],
)
def test_a_time_before_2010_or_in_the_future_is_questioned(value: object, problem: str) -> None:
    found = times.read(value, NOW)
    assert found is not None and found.problem(NOW) == problem


@given(st.datetimes(datetime(2010, 1, 1), datetime(2026, 11, 30)))
def test_every_form_of_a_likely_time_is_read_as_that_time(moment: datetime) -> None:
    at = moment.replace(tzinfo=UTC, microsecond=0)
    seconds = int(at.timestamp())
    serial = Decimal(seconds) / 86_400 + 25_569
    forms = [seconds, seconds * 10**3, seconds * 10**6, seconds * 10**9, at.isoformat(), str(seconds), float(seconds)]
    forms += [int(f"{at:%Y%m%d%H%M%S}"), f"{at:%Y%m%d%H%M%S}"]
    for value in forms:
        found = times.read(value, NOW)
        assert found is not None and found.moment == at, value
    excel = times.read(float(serial), NOW)
    assert excel is not None and abs(excel.moment - at) < timedelta(milliseconds=2)


@given(st.one_of(st.floats(allow_nan=True), st.integers(), st.text(max_size=25)))
def test_whatever_a_time_holds_is_read_or_refused(value: object) -> None:
    try:
        found = times.read(value, NOW)
    except ValueError:
        return
    assert found is None or found.moment.tzinfo is not None


def test_an_unlikely_time_rejects_its_row_by_column_unless_it_is_kept(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"input": "a", "when": 20991201}, {"input": "b", "when": "2005-03-01"}])
    first, second = read_rows(path, TIMED)
    assert isinstance(first, Reject) and isinstance(second, Reject)
    assert first.reason == "'when' “20991201” is read as 2099-12-01, in the future; --any-time keeps such times"
    assert "before 2010" in second.reason
    kept = list(read_rows(path, ColumnMapping("input", time="when", any_time=True)))
    assert [row.time.year for row in kept if isinstance(row, TrafficRow) and row.time] == [2099, 2005]


def test_a_form_of_time_that_is_guessed_is_counted_and_shown(tmp_path: Path) -> None:
    path = file_of(tmp_path, "x.csv", "input,when\n" + "".join(f"{sentence(n)},{46300 + n}\n" for n in range(20)))
    report = traffic.import_traffic(path, TIMED, tmp_path / "x.parquet")
    assert report.time_forms == (("serial days of Excel", 20),)
    assert report.first_time is not None and report.first_time.startswith("2026-10-05")
    look = preview(path, TIMED)
    assert "! 'when': 20 times are serial days of Excel" in list(reports.import_preview(look, TIMED.named(), "", "USD"))
    assert ("look", "20 times are serial days of Excel.") in form.held(look.columns, look, TIMED)


# which column is gold


def table(folder: Path, columns: dict[str, list[str]], name: str = "x.csv") -> Path:
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    return file_of(folder, name, "\n".join(lines) + "\n")


def texts(count: int = 40) -> list[str]:
    return [sentence(n) for n in range(count)]


@pytest.mark.parametrize("column", ["category", "intent", "Class", "Kategorie"])
def test_a_column_of_labels_is_proposed_as_gold_with_its_values(tmp_path: Path, column: str) -> None:
    path = table(tmp_path, {"text": texts(), column: ["refund", "post", "other", "post"] * 10})
    mapping = guess_mapping(path)
    assert mapping == ColumnMapping("text", gold=column)
    shown = list(reports.import_preview(preview(path, mapping), mapping.named(), "", "USD"))
    assert any(line.split()[:3] == ["gold", column, "3"] for line in shown)
    assert any(f"'{column}' is read as gold because its 3 values look like labels" in line for line in shown)


def test_a_segment_gives_way_to_gold_and_the_next_name_takes_its_place(tmp_path: Path) -> None:
    path = table(tmp_path, {"text": texts(), "category": ["a", "b"] * 20, "language": ["de", "en"] * 20})
    assert guess_mapping(path) == ColumnMapping("text", gold="category", segment="language")
    named = table(tmp_path, {"text": texts(), "category": ["a", "b"] * 20, "label": ["x", "y"] * 20}, "y.csv")
    assert guess_mapping(named) == ColumnMapping("text", gold="label", segment="category")


def test_next_to_a_teacher_only_a_column_in_its_words_is_gold(tmp_path: Path) -> None:
    said = ["refund", "post"] * 20
    own = table(tmp_path, {"text": texts(), "category": ["Refund", "Post"] * 20, "answer": said})
    assert guess_mapping(own).gold == "category"
    other = table(tmp_path, {"text": texts(), "category": ["retail", "bank"] * 20, "answer": said}, "y.csv")
    assert (guess_mapping(other).gold, guess_mapping(other).segment) == (None, "category")


def test_two_unusual_columns_are_both_named_and_neither_is_chosen(tmp_path: Path) -> None:
    path = table(tmp_path, {"text": texts(), "one": ["a", "b"] * 20, "two": ["x", "y", "z", "x"] * 10})
    look, mapping = preview(path, guess_mapping(path)), guess_mapping(path)
    assert mapping.gold is None
    assert "look like labels: 'one' (2 values), 'two' (3 values). --gold" in reports.gold_proposal(
        look.values, mapping.named()
    )


@pytest.mark.parametrize(
    "values",
    [
        [f"id {n}" for n in range(40)],  # each row its own
        ["same"] * 40,
        ["long " * 30 + str(n % 2) for n in range(40)],
    ],
)
def test_what_is_no_column_of_labels_is_not_proposed(tmp_path: Path, values: list[str]) -> None:
    path = table(tmp_path, {"text": texts(), "extra": values})
    assert guess_mapping(path).gold is None and "extra" not in candidates(path)


# NaN, encodings, summaries


def test_nan_is_a_missing_value_and_rejects_nothing(tmp_path: Path) -> None:
    lines = '{"input": "a", "when": NaN, "price": NaN, "gold": NaN, "score": NaN}\n' * 3
    path = file_of(tmp_path, "x.jsonl", lines)
    found = list(read_rows(path, ColumnMapping("input", gold="gold", time="when", cost="price")))
    assert found == [TrafficRow(line, "a") for line in (1, 2, 3)]
    pq.write_table(pa.table({"input": ["a"], "when": [float("nan")], "gold": [float("nan")]}), tmp_path / "x.parquet")
    assert list(read_rows(tmp_path / "x.parquet", ColumnMapping("input", gold="gold", time="when"))) == [
        TrafficRow(1, "a")
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"input": NaN}', "the input ('input') is missing"),
        ('{"input": "a", "price": Infinity}', "'price' “inf” is not finite"),
        ('{"input": "a", "probs": [NaN, 1]}', "'probs' has the probability “nan”, outside 0 to 1"),
    ],
)
def test_nan_and_infinity_are_rejected_where_they_cannot_be_meant(tmp_path: Path, line: str, says: str) -> None:
    path = file_of(tmp_path, "x.jsonl", line + '\n{"input": "fine", "price": 1, "probs": null}\n')
    row, _ = read_rows(path, ColumnMapping("input", cost="price", teacher_probabilities="probs"))
    assert isinstance(row, Reject) and says in row.reason


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        ("Der Käse wäre schön, très bien, señor", "latin-1", "Windows-1252"),
        ("Preis: 5 € – “teuer”", "cp1252", "Windows-1252"),
        ("包裹还没有到，请帮我查询", "gb18030", "GB18030"),
        ("посылка не пришла", "cp1251", "Windows-1251"),
        ("荷物がまだ届きません", "shift_jis", "Shift JIS"),
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_another_encoding_is_named_with_the_command_that_converts_it(
    tmp_path: Path, text: str, encoding: str, named: str, kind: str
) -> None:
    content = (
        f"input,gold\n{text.replace(',', ' ')},a\n"
        if kind == "csv"
        else json.dumps({"input": text}, ensure_ascii=False)
    )
    path = file_of(tmp_path, f"x.{kind}", content.encode(encoding))
    (row,) = read_rows(path, ColumnMapping("input"))
    assert isinstance(row, Reject) and named in row.reason and "iconv -f" in row.reason
    assert encodings.cure(text.encode(encoding)) in row.reason


def test_the_header_of_another_encoding_is_refused_with_the_cure(tmp_path: Path) -> None:
    path = file_of(tmp_path, "x.csv", "input,größe\na,b\n".encode("latin-1"))
    with pytest.raises(BadInput, match=r"header is not UTF-8; it looks like Windows-1252.*iconv"):
        guess_mapping(path)


FOREIGN = {  # bytes of a file that is not read, and the cure
    "rows.7z": (b"7z\xbc\xaf\x27\x1c\0\4", "is a 7z archive. Unpack it"),
    "rows.rar": (b"Rar!\x1a\x07\x01\x00", "is a RAR archive. Unpack it"),
    "rows.jsonl.Z": (b"\x1f\x9d\x90abc", "compressed by compress. Decompress it"),
    "rows.jsonl.gz.gz": (gzip.compress(gzip.compress(b'{"input": "a"}\n')), "is compressed twice. Decompress it once"),
    "rows.feather": (b"ARROW1\0\0", "Arrow .Feather. file. Write it as Parquet"),
    "rows.orc": (b"ORC\n\0", "is an ORC file. Write it as Parquet"),
    "rows.avro": (b"Obj\x01\x04", "is an Avro file. Write it as Parquet or JSONL"),
    "rows.pkl": (b"\x80\x04\x95abc", "which is never opened. Write it as Parquet or JSONL"),
    "rows.db": (b"SQLite format 3\0", "is an SQLite database. Export its table as CSV"),
    "rows.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1", "old Excel workbook. Save its sheet as CSV"),
    "rows.html": (b"<html><table>", "is HTML or XML. Export the data as CSV or JSONL"),
    "rows.png": (b"\x89PNG\r\n", "is an image. Take it out"),
    "rows.txt": (b"good morning\n", "if it is packed in another way, unpack it first"),
    "rows.csv": ("text,label\na,b\n".encode("utf-16-le"), "UTF-16 without a mark: `iconv -f UTF-16LE"),
    "more.csv": ("text,label\na,b\n".encode("utf-16-be"), "UTF-16 without a mark: `iconv -f UTF-16BE"),
    "wide.csv": ("text,label\na,b\n".encode("utf-32"), "is UTF-32. Save it as UTF-8: `iconv -f UTF-32"),
    "mac.csv": (b"text,label\ra,b\rc,d\r", "carriage return alone. `tr"),
}


@pytest.mark.parametrize("name", list(FOREIGN))
def test_a_file_that_is_not_read_is_named_with_the_cure(tmp_path: Path, name: str) -> None:
    content, says = FOREIGN[name]
    with pytest.raises(BadInput, match=says):
        guess_mapping(file_of(tmp_path, name, content))


def test_an_excel_workbook_is_named_as_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "rows.xlsx", "w") as packed:
        packed.writestr("[Content_Types].xml", "<x/>")
        packed.writestr("xl/worksheets/sheet1.xml", "<x/>")
    with pytest.raises(BadInput, match=r"is an Office file. Save its sheet as CSV \(UTF-8\)"):
        guess_mapping(tmp_path / "rows.xlsx")


@pytest.mark.parametrize("mark", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_line_in_which_excel_names_the_delimiter_is_read_as_that(tmp_path: Path, mark: str) -> None:
    path = file_of(tmp_path, "x.csv", f"{mark}\ninput;gold\na, b;x\nno gold\nc;y\n")
    first, bad, last = read_rows(path, ColumnMapping("input", gold="gold"))
    assert isinstance(first, TrafficRow) and (first.line, first.input, first.gold) == (3, "a, b", "x")
    assert isinstance(bad, Reject) and bad.line == 4 and isinstance(last, TrafficRow) and last.line == 5


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Die Größe passt".encode().decode("cp1252"), "GrÃ¶ÃŸe"),
        ("it’s late".encode().decode("cp1252"), "itâ€™s"),
        ("naïve café".encode().decode("latin-1"), "naÃ¯ve"),
        ("Gr\ufffd\ufffde", "Gr\ufffd\ufffde"),
    ],
)
def test_a_text_that_was_decoded_wrongly_before_is_shown(
    tmp_path: Path, text: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = jsonl(tmp_path, [{"input": f"{text} {n}", "gold": "a"} for n in range(3)] + [{"input": "NÃO, Ã e Â"}])
    (doubt,) = preview(path, guess_mapping(path)).doubts
    assert doubt.startswith(f"3 of 4 rows were decoded wrongly before they were saved, like “{word}”")
    assert traffic.import_traffic(path, guess_mapping(path), tmp_path / "x.parquet").doubts == (doubt,)
    assert f"! {doubt}" in list(
        reports.import_preview(preview(path, guess_mapping(path)), {"input": "input"}, "", "USD")
    )


@given(st.text(max_size=40))
def test_whatever_is_written_is_garbled_or_not(text: str) -> None:
    assert isinstance(encodings.garbled(text), str)
    assert not encodings.garbled(text.encode("ascii", "ignore").decode())


@pytest.mark.parametrize(
    "text", ["für Größe", "mañana", "señor", "не пришла", "包裹", "ÂNGULO", "CORAÇÃO", "İade", "🙂"]
)
def test_a_text_with_accents_is_not_called_garbled(text: str) -> None:
    assert encodings.garbled(text) == ""


@pytest.mark.parametrize("missing", ["NA", "N/A", "#N/A", "NaN", "null", "<NA>"])
def test_what_programs_write_for_a_missing_value_is_a_label_only_once_it_is_confirmed(missing: str) -> None:
    names = label_map.Vocabulary(gold={"good": 9, "bad": 8, missing: 3}, answers={"good": 10, missing: 10})
    found = label_map.read(names, {})
    assert found.labels == ("bad", "good") and found.gold == (17, 20) and found.answers == (10, 20)
    assert missing in label_map.read(names, {**dict.fromkeys(("bad", "good"), None), "bad": "bad", "good": "good",
                                             missing: missing}).labels  # fmt: skip
    assert label_map.read(label_map.Vocabulary(choices=("good", missing)), {}).labels == ("good", missing), (
        "a teacher's"
    )


def test_a_summary_of_rejects_names_the_column_and_leaves_out_what_varies(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"input": "a", "price 2": f"about {n}", "tags": "x"} for n in range(3)]
    rows += [{"input": "b", "price 2": 1, "tags": ["x"]}, {"input": "c", "price 2": -1, "tags": None}]
    rows.append({"input": "fine"})
    mapping = ColumnMapping("input", gold="tags", cost="price 2")
    report = traffic.import_traffic(jsonl(tmp_path, rows), mapping, tmp_path / "x.parquet")
    assert dict(report.reasons) == {
        "'price 2' … is not a number": 3,
        "'tags' is a list, not text": 1,
        "'price 2' … is negative": 1,
    }


def test_a_preview_in_which_no_row_can_be_used_fails(tmp_path: Path) -> None:
    program, project = [sys.executable, "-m", "distill_tui"], str(tmp_path / "t.distill")

    def ran(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*program, *words], capture_output=True, text=True, check=False)

    def shown(content: bytes) -> subprocess.CompletedProcess[str]:
        path = file_of(tmp_path, "x.jsonl", content)
        return ran("--project", project, "import", "P-001", str(path), "--preview")

    ran("init", project, "--name", "Team", "--me", "mia").check_returncode()
    ran("--project", project, "new", "mood", "--kind", "cost").check_returncode()
    latin = shown('{"input": "k\xe4se"}\n'.encode("latin-1") * 3)
    assert latin.returncode == 4 and "line 1: the line is not UTF-8".lower() in latin.stderr.lower()
    assert "iconv -f WINDOWS-1252 -t UTF-8" in latin.stderr
    empty = shown(b'{"input": "", "gold": "a"}\n' * 3)
    assert empty.returncode == 4 and "None of the first 3 rows of x.jsonl can be used" in empty.stderr
    assert "! 3 left out, first line 1: the input ('input') is empty" in empty.stdout
    assert shown(b'{"input": "fine"}\n{"input": ""}\n').returncode == 0


@pytest.mark.parametrize(
    ("column", "latencies", "shown"),
    [
        ("latency", [0.42, 0.61, 0.4], "0.42 ms"),
        ("latency", [1200, 2400.4, 3000], "2,400 ms"),
        ("Latency", ["12.34", None, "12.36"], "12.3 ms"),
        ("latency_s", [1.5, 2.0, 3.0], "2 ms"),
        ("latency_ms", [0.42, 0.61, 0.4], ""),
        ("durationMillis", [0.42, 0.61, 0.4], ""),
        ("latency", [None, "", None], ""),
    ],
)
def test_a_latency_without_a_unit_shows_how_it_is_read(
    tmp_path: Path, column: str, latencies: list[object], shown: str
) -> None:
    path = jsonl(tmp_path, [{"input": f"text {n}", column: each} for n, each in enumerate(latencies)])
    says = f"'{column}' is read as milliseconds, with a median of {shown}. Leave it out if these are seconds."
    said = preview(path, ColumnMapping("input", latency_ms=column)).doubts
    assert [each for each in said if "milliseconds" in each] == ([says] if shown else [])


# files of one source that differ


def shards(folder: Path, *lacking: str, count: int = 40, name: str = "{0}.jsonl") -> Path:
    """A folder with a file for each word: the column, or columns, that this file lacks."""
    for place, without in enumerate(lacking):
        whole = ({"input": f"file {place} row {n}", "gold": "ab"[n % 2], "teacher": "ab"[n % 2]} for n in range(count))
        rows = [{key: value for key, value in row.items() if key not in without.split()} for row in whole]
        path = folder / "shards" / name.format(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "shards"


@pytest.mark.parametrize(
    ("lacking", "doubts"),
    [
        (("", ""), []),
        (("", "teacher"), ["1.jsonl (0 of 40 rows) has no teacher output; of the other files, 40 of 40 rows have it."]),
        (("gold", "", ""), ["0.jsonl (0 of 40 rows) has no gold; of the other files, 80 of 80 rows have it."]),
        (
            ("gold", "teacher"),
            [
                "0.jsonl (0 of 40 rows) has no gold; of the other files, 40 of 40 rows have it.",
                "1.jsonl (0 of 40 rows) has no teacher output; of the other files, 40 of 40 rows have it.",
            ],
        ),
        (
            ("", *["gold"] * 5),
            [
                "1.jsonl (0 of 40 rows), 2.jsonl (0 of 40 rows), 3.jsonl (0 of 40 rows) and 2 more files "
                "(0 of 200 rows) have no gold; of the other files, 40 of 40 rows have it."
            ],
        ),
    ],
)
def test_a_file_that_lacks_a_column_of_the_others_is_named_and_counted(
    tmp_path: Path, lacking: tuple[str, ...], doubts: list[str]
) -> None:
    folder = shards(tmp_path, *lacking)
    mapping = guess_mapping(folder)
    said = preview(folder, mapping).doubts
    assert sorted(said) == [f"{doubt} Check the names of the columns there." for doubt in doubts]
    report = traffic.import_traffic(folder, mapping, tmp_path / "x.parquet")
    assert report.doubts == said == tuple(report.lacking.values())
    assert report.rows == 40 * len(lacking) and not report.rejects, "they are imported all the same"


def test_files_of_one_name_in_several_folders_are_not_one_file(tmp_path: Path) -> None:
    folder = shards(tmp_path, "", "gold", "", name="2026-11-0{0}/part.jsonl")
    (doubt,) = preview(folder, guess_mapping(folder)).doubts
    assert doubt.startswith("2026-11-01/part.jsonl (0 of 40 rows) has no gold; of the other files, 80 of 80 rows")


def test_a_preview_looks_into_the_files_that_it_does_not_reach(tmp_path: Path) -> None:
    folder = shards(tmp_path, "", "", "gold")
    seen = preview(folder, guess_mapping(folder), sampled=60)
    assert not seen.whole and seen.taken == 60, "these rows are compared, and not counted as read"
    (doubt,) = seen.doubts
    assert doubt.startswith("2.jsonl (0 of 40 rows) has no gold; of the other files, 60 of 60 rows have it.")


def test_a_column_that_few_rows_have_may_be_empty_in_a_short_file(tmp_path: Path) -> None:
    long = [{"input": f"text {n}", "gold": "ab"[n % 2] if n % 40 < 2 else None} for n in range(400)]
    short: list[dict[str, object]] = [{"input": f"note {n}"} for n in range(20)]
    files = [jsonl(tmp_path, long, "long.jsonl"), jsonl(tmp_path, short, "short.jsonl")]
    mapping = ColumnMapping("input", gold="gold")
    assert not preview(files, mapping, sampled=1_000).doubts, "5% of 20 rows may well be none"
    files[1] = jsonl(tmp_path, short * 10, "short.jsonl")
    assert len(preview(files, mapping, sampled=1_000).doubts) == 1


def test_a_table_without_a_column_of_the_others_is_refused_with_the_cure(tmp_path: Path) -> None:
    files = [file_of(tmp_path, "a.csv", "input,gold\nx,a\n"), file_of(tmp_path, "b.csv", "input\ny\n")]
    with pytest.raises(BadInput, match=r"b.csv has no column 'gold'; it has 'input'\. Import it on its own\."):
        preview(files, ColumnMapping("input", gold="gold"))


def saved_splits(folder: Path, **splits: tuple[list[str], range]) -> Path:
    """Save a set as `datasets` does: of each split its class names, and the numbers that its texts hold."""
    for name, (classes, numbers) in splits.items():
        saved(folder / name, [(f"text number {n}", n % 2) for n in numbers], classes)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": [*splits]}))
    return folder


def test_the_splits_of_a_saved_set_are_compared_with_one_another(tmp_path: Path) -> None:
    words, capitals = ["neg", "pos"], ["bad", "good"]
    folder = saved_splits(tmp_path / "set", train=(words, range(60)), test=(capitals, range(50, 90)))
    mapping = guess_mapping(folder)
    said = preview(folder, mapping).doubts
    assert said == (
        "set/test (40 rows) shares no gold with the other files: it has “bad”, “good”, they have “neg”, “pos”. "
        "Check that each is a label of its own, or write one name for one label.",
        "set/train, set/test are read as one: held-out rows are drawn by the gate's rule, not by file. "
        "10 inputs are in more than one of them.",
        "Of 10 inputs that several files have, the gold differs; the first is “neg” in set/train and “bad” in "
        "set/test. The more frequent label counts, of a tie none.",
    )
    report = traffic.import_traffic(folder, mapping, tmp_path / "x.parquet")
    assert report.doubts == said and [*report.lacking.values()] == [said[0]] and report.rows == 100


def test_splits_that_agree_are_only_named_as_read_together(tmp_path: Path) -> None:
    folder = saved_splits(tmp_path / "set", train=(["neg", "pos"], range(60)), test=(["pos", "neg"], range(61, 90)))
    (said,) = preview(folder, guess_mapping(folder)).doubts
    assert said.startswith("set/train, set/test are read as one") and "inputs" not in said


def test_a_split_without_labels_or_with_another_column_is_named(tmp_path: Path) -> None:
    folder = saved_splits(tmp_path / "set", train=(["neg", "pos"], range(60)))
    saved(folder / "test", [(f"note {n}", -1) for n in range(40)], ["neg", "pos"])
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    mapping = guess_mapping(folder)
    assert preview(folder, mapping).doubts[0].startswith("set/test (0 of 40 rows) has no gold; of the other files")
    saved(folder / "test", [("note", 0)], ["neg", "pos"], column="sentiment")
    with pytest.raises(BadInput, match=r"set/test has no column 'label'; it has 'text', 'sentiment'"):
        preview(folder, mapping)


def test_shards_by_label_and_files_of_words_that_differ_in_case_are_no_doubt(tmp_path: Path) -> None:
    (tmp_path / "by_label").mkdir()
    (tmp_path / "by_case").mkdir()
    for label in ("bill", "Parcel", "other"):
        rows = [{"input": f"{label} {n}", "gold": label} for n in range(30)]
        jsonl(tmp_path / "by_label", rows, f"{label}.jsonl")
    by_case = [[{"input": f"{name} {n}", "gold": name[n % 2]} for n in range(30)] for name in ("AB", "ab")]
    for n, rows in enumerate(by_case):
        jsonl(tmp_path / "by_case", rows, f"{n}.jsonl")
    for folder in (tmp_path / "by_label", tmp_path / "by_case"):
        assert not preview(folder, guess_mapping(folder)).doubts


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("set/train", "train"), ("train-00000-of-00002.parquet", "train"), ("data/val.csv", "valid"), ("x:dev", "dev"),
        ("validation.jsonl", "valid"), ("held-out.csv", "held-out"), ("trainer.csv", ""), ("latest.csv", ""),
        ("values.csv", ""), ("contest.jsonl", ""), ("my_test_set.csv", "test"),
    ],
)  # fmt: skip
def test_a_files_name_states_its_split(file: str, split: str) -> None:
    assert split_of(file) == split


# what a preview states


def test_rows_left_out_for_one_reason_are_one_line_with_the_first_of_them(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"input": f"text {n}", "cost": f"free {n}" if n % 2 else 0.1} for n in range(60)]
    look = preview(jsonl(tmp_path, rows), ColumnMapping("input", cost="cost"))
    assert look.reasons == (("'cost' … is not a number", 30),)
    lines = [
        line for line in reports.import_preview(look, {"input": "input", "cost": "cost"}, "", "USD") if "!" in line
    ]
    assert lines == ["! 30 left out, first line 2: 'cost' “free 1” is not a number"]


def test_a_column_in_use_without_any_value_is_named(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"input": f"text {n}", "gold": None, "segment": "" if n else "a"} for n in range(9)
    ]
    look = preview(jsonl(tmp_path, rows), ColumnMapping("input", gold="gold", segment="segment"))
    assert look.doubts == ("No value in the 9 rows read: 'gold' (gold).",)


@pytest.mark.parametrize(
    ("share", "like"), [(-0.3, "a log-probability"), (70, "a percentage"), (512.5, "a score"), (-1e9, "a log-prob")]
)
def test_shares_on_another_scale_are_rejected_with_what_they_look_like(tmp_path: Path, share: float, like: str) -> None:
    rows: list[dict[str, object]] = [{"input": "text", "teacher": "a", "probs": {"a": share, "b": 0.1}}]
    (bad,) = preview(jsonl(tmp_path, rows), ColumnMapping("input", "teacher", "probs")).rejects
    assert f"outside 0 to 1: it looks like {like}" in bad.reason

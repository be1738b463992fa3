"""The page on traffic: each tool's import command, as it is printed, reads what the tool's export writes."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.rules.actor import Actor
from distill_tui.runs.executors import local
from distill_tui.store.project import Project
from distill_tui.terms import PlayKind, Role
from support import data_runs
from support import traces as logs
from support.intake import MIA, MINE

PAGE = Path(__file__).resolve().parents[1] / "docs" / "traffic.md"
TOOLS = {
    match[1].strip(): shlex.split(match[2])
    for match in re.finditer(r"^\| ([^|]+) \| [^|]+ \| `distill-tui (import P-001 [^`]+)` \|$", PAGE.read_text(), re.M)
}
MANY = range(12)


def lines(path: Path, records: list[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt") as file:
        file.writelines(json.dumps(each) + "\n" for each in records)


def queue(n: int) -> str:
    return ("delivery", "refund")[n % 2]


def langfuse() -> None:
    scored = {
        "name": "queue",
        "value": None,
        "string_value": "refund",
        "data_type": "CATEGORICAL",
        "source": "ANNOTATION",
    }
    lines(Path("export/observations_v2/0.jsonl"), [logs.langfuse(f"t {n}", queue(n), n) for n in MANY])
    marks = [{"id": f"sc-{n}", "trace_id": f"trace-{n}", "observation_id": f"obs-{n}"} | scored for n in (0, 1)]
    lines(Path("export/scores/0.jsonl"), [*marks])


def parquet(path: str, records: list[logs.Record]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    flat = [{name: json.dumps(own) if isinstance(own, dict) else own for name, own in each.items()} for each in records]
    pq.write_table(pa.Table.from_pylist(flat), path)


def phoenix() -> None:
    parquet("spans.parquet", [logs.phoenix(f"t {n}", queue(n), n) for n in MANY])
    mark = {"annotation_name": "q", "annotator_kind": "HUMAN", "label": "refund"}
    parquet("annotations.parquet", [{"span_id": f"span-{n}"} | mark for n in (0, 1)])


def otel() -> None:
    calls = [logs.logged(f"t {n}", queue(n), n) for n in MANY]
    lines(Path("traces.json"), [logs.otlp(span) for span, _ in calls])
    lines(Path("logs.json"), [logs.otlp_logs(event) for _, event in calls])


def spend() -> None:
    records = [logs.litellm(f"t {n}", queue(n), n) for n in MANY]
    with Path("spend.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        for each in records:
            writer.writerow({n: json.dumps(own) if isinstance(own, dict | list) else own for n, own in each.items()})


def stored() -> None:
    data = [logs.completion(queue(n), id_=f"chatcmpl-{n}") for n in MANY]
    Path("completions.json").write_text(json.dumps({"object": "list", "data": data, "has_more": False}))
    lines(Path("messages.jsonl"), [{"id": f"chatcmpl-{n}", "messages": logs.chat(f"t {n}")} for n in MANY])


def batch() -> None:
    pairs = [logs.openai_batch(f"t {n}", queue(n), n) for n in MANY]
    lines(Path("requests.jsonl"), [request for request, _ in pairs])
    lines(Path("results.jsonl"), [result for _, result in reversed(pairs)])


def rows() -> None:
    Path("rows.csv").write_text("text,label\n" + "".join(f"t {n},{queue(n)}\n" for n in MANY))


EXPORTS: dict[str, Callable[[], object]] = {
    "Langfuse": langfuse,
    "LangSmith": lambda: parquet("runs/0.parquet", [logs.langsmith(f"t {n}", queue(n), n) for n in MANY]),
    "Phoenix": phoenix,
    "OpenTelemetry": otel,
    "LiteLLM": spend,
    "Helicone": lambda: lines(Path("calls.jsonl"), [logs.helicone(f"t {n}", queue(n), n) for n in MANY]),
    "OpenAI, Azure stored completions": stored,
    "batch files of OpenAI, Together, Mistral, vLLM, Anthropic, Gemini": batch,
    "Bedrock": lambda: lines(
        Path("AWSLogs/1/BedrockModelInvocationLogs/eu-central-1/2026/11/24/13/x.json.gz"),
        [logs.converse(f"t {n}", queue(n), n) for n in MANY],
    ),
    "anything else with chats": lambda: lines(
        Path("chats.jsonl"), [{"messages": logs.chat(f"t {n}"), "completion": queue(n)} for n in MANY]
    ),
    "plain columns": rows,
}


def test_the_page_has_a_command_for_each_tool() -> None:
    assert set(TOOLS) == set(EXPORTS)


@pytest.mark.parametrize("tool", EXPORTS)
def test_the_command_on_the_page_imports_what_the_tool_exports(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "start", data_runs.here)
    project = Project.create(tmp_path / "team.distill", "Team", "mia", "Mia", Actor(None, MINE))
    play = actions.open_play(project, MIA, "tickets", PlayKind.COST)
    actions.assign_role(project, play, MIA, Role.DRIVER, "mia")
    EXPORTS[tool]()
    words = ["--project", str(project.path), *TOOLS[tool]]
    assert main([*words, "--preview"]) == 0 and "12 of 12 rows usable" in capsys.readouterr().out
    assert main(words) == 0
    (found,) = project.dossier(play).traffic
    golds = json.loads(found.report)["gold_share"]
    assert (found.rows, found.rejects) == (12, 0)
    assert golds == {"Langfuse": 2 / 12, "Phoenix": 2 / 12, "plain columns": 1.0}.get(tool, 0.0)

"""A teacher that is asked: over a real server with a model behind faults, or locally in words; never paid twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from support.endpoints import (
    LABELS,
    PRICES,
    TODO,
    Server,
    causal,  # noqa: F401
    does,
    server,  # noqa: F401
)

os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"

import pytest

from distill_tui import actions
from distill_tui.cli import exits
from distill_tui.people import identity
from distill_tui.rounds import cost_estimate, play_traffic
from distill_tui.rules.actor import Actor
from distill_tui.rules.data import labelled
from distill_tui.rules.objection import Refused
from distill_tui.rules.results import Finding
from distill_tui.runs import build
from distill_tui.store.project import Project
from distill_tui.teachers import cache, endpoint, model_names
from distill_tui.teachers.cache import labelled as teacher_outputs
from distill_tui.teachers.description import TEMPLATES, Described
from distill_tui.teachers.endpoint import Answer, EndpointError, Limits
from distill_tui.terms import FindingLevel, RunKind, RunStatus, TeacherSource
from support import data_runs, data_stage

MIA = Actor("mia", f"account uid {os.getuid()}")
QUICK = Limits(budget=Decimal(1), price_in=Decimal(1), price_out=Decimal(2), concurrency=3, timeout=5, backoff=0.01)


def teacher_of(server: Server) -> Described:
    return Described(TeacherSource.ENDPOINT, "tiny", LABELS, TEMPLATES[TeacherSource.ENDPOINT], server.url)


def asked(
    server: Server, todo: list[tuple[str, str]] = TODO, limits: Limits = QUICK, key: str = ""
) -> dict[str, Answer]:
    kept: dict[str, Answer] = {}

    def keep(answer: Answer) -> None:
        assert answer.digest not in kept
        kept[answer.digest] = answer

    endpoint.ask(teacher_of(server), todo, limits, spent=Decimal(0), keep=keep, tell=lambda *_: None, key=key)
    return kept


# what is described


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": ("one",)}, "needs two labels or more"),
        ({"labels": ("Good", "good!")}, "labels or more that differ"),
        ({"template": "What is it?"}, "The template has no {input}"),
        ({"model": " "}, "needs the name of a model"),
        ({"base_url": "ftp://x/v1"}, "is like https://host/v1"),
        ({"base_url": "https://me:secret@x/v1"}, "with no key"),
        ({"base_url": "http://example.org/v1"}, "needs https"),
    ],
)
def test_a_teacher_that_cannot_be_is_refused_in_one_sentence(changes: dict[str, Any], says: str) -> None:
    good = Described(TeacherSource.ENDPOINT, "m", LABELS, TEMPLATES[TeacherSource.ENDPOINT], "https://example.org/v1")
    assert good.problem() is None and Described.from_json(good.to_json()) == good
    assert says in str(replace(good, **changes).problem())


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("good", "good"), (" Good. ", "good"), ("**GOOD**", "good"), ("The answer is: fine", "fine"),
        ("not good", "not good"), ("good or bad", None), ("goodness", None), ("", None), ("42", None),
    ],
)  # fmt: skip
def test_an_answer_is_the_only_label_that_it_names(answer: str, label: str | None) -> None:
    assert Described(TeacherSource.PROMPTED, "", ("good", "bad", "fine", "not good"), "{input}").read(answer) == label


def test_what_an_input_says_is_never_a_place_to_fill_in() -> None:
    prompt = Described(TeacherSource.PROMPTED, "", LABELS, "{input} of {labels}").prompt("{labels} {input}")
    assert prompt == "{labels} {input} of bad, fine, good"


# the endpoint


def test_a_wrong_key_costs_one_request_and_is_in_no_error(server: Server) -> None:
    server.plan = ["401"]
    with pytest.raises(EndpointError) as refusal:
        asked(server, key="sk-very-secret")
    assert "AuthenticationError" in str(refusal.value) and "sk-very-secret" not in str(refusal.value)
    assert server.keys == ["Bearer sk-very-secret"] and "\n" not in str(refusal.value)


def test_keys_come_from_the_environment_and_go_to_their_own_host_only() -> None:
    assert endpoint.key_for("https://api.openai.com/v1", {"OPENAI_API_KEY": "o"}) == "o"
    assert endpoint.key_for("https://elsewhere.example/v1", {"OPENAI_API_KEY": "o"}) == ""
    assert endpoint.key_for("https://elsewhere.example/v1", {"DISTILL_TEACHER_KEY": "d", "OPENAI_API_KEY": "o"}) == "d"


def test_an_endpoint_that_stays_broken_fails_with_what_was_kept(server: Server) -> None:
    server.plan = [""] * 5 + ["500"] * 60
    with pytest.raises(EndpointError, match="InternalServerError") as refusal:
        asked(server, limits=replace(QUICK, attempts=3))
    assert f"{len(server.asked):,} answers were kept" in str(refusal.value)


def test_nobody_there_is_one_sentence() -> None:
    gone = Described(TeacherSource.ENDPOINT, "m", LABELS, TEMPLATES[TeacherSource.ENDPOINT], "http://127.0.0.1:9/v1")
    with pytest.raises(EndpointError, match="0 answers were kept"):
        endpoint.ask(gone, TODO, replace(QUICK, attempts=2), spent=Decimal(0), keep=print, tell=print)


FAULTS = ["429", "500", "no json", "503", "cut", "no choices", "null", "429", "timeout"]


def test_every_input_is_answered_once_whatever_comes_between(server: Server) -> None:
    server.plan = [fault for pair in zip(FAULTS, [""] * len(FAULTS), strict=True) for fault in pair]
    server.hangs = 6.0
    kept = asked(server, limits=replace(QUICK, timeout=4))
    assert set(kept) == {digest for digest, _ in TODO} and not server.plan
    alone = {digest: server.answer(teacher_of(server).prompt(text)) for digest, text in TODO}
    for digest, answer in kept.items():
        label, shares = alone[digest]
        assert answer.label == label and answer.probabilities == pytest.approx(shares, abs=1e-4)
        assert answer.money == QUICK.money(answer.tokens_in, 2) and answer.tokens_in > 10


def test_an_endpoint_without_log_probabilities_gives_hard_labels(server: Server) -> None:
    server.logprobs = False
    kept = asked(server)
    assert len(kept) == len(TODO) and len(server.asked) == len(TODO)
    assert {answer.probabilities for answer in kept.values()} == {None} and all(a.label for a in kept.values())


def test_an_answer_that_names_no_label_is_kept_as_paid(server: Server) -> None:
    server.says = "I would rather not say."
    kept = asked(server, TODO[:3])
    assert {answer.label for answer in kept.values()} == {None} and all(a.money > 0 for a in kept.values())


def no(message: str, code: str = "invalid_request_error") -> str:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": code}})


def test_a_model_that_takes_other_options_is_asked_with_those(server: Server) -> None:
    server.plan = [
        no(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        ),
        no("Unsupported value: 'temperature' does not support 0 with this model."),
        no("You are not allowed to request logprobs from this model."),
    ]
    kept = asked(server, TODO[:4])
    assert len(kept) == 4 and all(answer.label for answer in kept.values())
    first, last = server.bodies[0], server.bodies[-1]
    assert (first["max_tokens"], first["temperature"], first["logprobs"]) == (16, 0, True)
    assert last["max_completion_tokens"] == 16 and not {"max_tokens", "temperature", "logprobs"} & last.keys()


def test_system_message_several_messages_headers_and_body_go_as_they_are_described(server: Server) -> None:
    template = json.dumps(
        [
            {"role": "system", "content": "You choose among {labels}."},
            {"role": "user", "content": "An example"},
            {"role": "assistant", "content": "good"},
            {"role": "user", "content": "{input}"},
        ]
    )
    teacher = replace(
        teacher_of(server), template=template, headers='{"x-team": "search"}', body='{"top_p": 0.5, "seed": 7}'
    )
    assert teacher.problem() is None
    kept: list[Answer] = []
    spoken = [("d" * 64, 'say "good" {labels}\n')]
    endpoint.ask(teacher, spoken, QUICK, spent=Decimal(0), keep=kept.append, tell=lambda *_: None)
    body = server.bodies[-1]
    assert [each["role"] for each in body["messages"]] == ["system", "user", "assistant", "user"]
    assert body["messages"][-1]["content"].strip() == 'say "good" {labels}', "what an input says is never filled in"
    assert ", ".join(LABELS) in body["messages"][0]["content"]
    assert (body["top_p"], body["seed"]) == (0.5, 7) and server.heads[-1]["x-team"] == "search"
    assert Described.from_json(teacher.to_json()) == teacher
    for changes, says in (
        ({"headers": '{"Authorization": "Bearer x"}'}, "looks like a key"),
        ({"body": '{"model": "other"}'}, "sets itself"),
        ({"body": "[1]"}, "not a JSON object"),
        ({"body": "{"}, "not JSON"),
    ):
        assert says in str(replace(teacher, **changes).problem())


def test_tokens_from_the_providers_cache_cost_what_they_are_said_to(server: Server) -> None:
    server.usage = {"prompt_tokens": 100, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 80}}
    (answer,) = asked(server, TODO[:1], replace(QUICK, price_cached=Decimal("0.1"))).values()
    assert (answer.tokens_in, answer.cached, answer.money) == (100, 80, Decimal("0.000032"))
    (answer,) = asked(server, TODO[:1]).values()
    assert answer.money == Decimal("0.000104"), "without a price of their own they cost as much as the others"


def test_an_endpoint_is_asked_to_answer_by_the_schema_or_not_at_all(server: Server) -> None:
    schema = '{"type": "object", "properties": {"city": {"type": "string"}}}'
    writes = Described.chosen(TeacherSource.ENDPOINT, "tiny", "", "", server.url, schema=schema)
    server.says, kept = (lambda prompt: '{"city": "Ulm"}' if "0" in prompt else "Ulm"), list[Answer]()
    one = replace(QUICK, concurrency=1)
    endpoint.ask(writes, TODO[:2], one, spent=Decimal(0), keep=kept.append, tell=lambda *_: None, logprobs=False)
    assert [answer.label for answer in kept] == ['{"city": "Ulm"}', None]
    asked_for = server.bodies[-1]["response_format"]
    assert asked_for["type"] == "json_schema" and asked_for["json_schema"]["schema"] == json.loads(schema)
    server.plan = [no("response_format of type json_schema is not supported")]
    with pytest.raises(EndpointError, match="response_format"):
        endpoint.ask(writes, TODO[:1], one, spent=Decimal(0), keep=kept.append, tell=lambda *_: None, logprobs=False)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"message": {"role": "assistant", "content": None, "refusal": "I cannot help."}}, "I cannot help."),
        ({"finish_reason": "content_filter", "message": {"role": "assistant", "content": ""}}, "content_filter"),
        ({"finish_reason": "tool_calls", "message": {"role": "assistant", "content": None}}, "[no text: tool_calls]"),
        ({"finish_reason": "length", "message": {"role": "assistant", "content": None}}, "[no text: length]"),
    ],
)
def test_a_refusal_is_recorded_and_skipped(server: Server, fault: dict[str, Any], said: str) -> None:
    server.plan = ["", json.dumps(fault)]
    kept = asked(server, TODO[:6], replace(QUICK, concurrency=1))
    (refused,) = [answer for answer in kept.values() if answer.label is None]
    assert said in refused.said and refused.probabilities is None and refused.money > 0, "it was paid"
    assert len(kept) == 6 and len(server.bodies) == 6, "it is not asked again"


def test_a_request_that_a_filter_rejects_is_skipped_too(server: Server) -> None:
    server.plan = ["", no("The prompt was filtered.", "content_filter")]
    kept = asked(server, TODO[:4], replace(QUICK, concurrency=1))
    assert len(kept) == 4 and [answer.money for answer in kept.values() if answer.label is None] == [Decimal(0)]


def test_half_an_answer_is_none(server: Server) -> None:
    writes = Described(TeacherSource.ENDPOINT, "tiny", (), "{input}", server.url)
    half = {"finish_reason": "length", "message": {"role": "assistant", "content": '{"city": "Sal'}}
    server.plan, kept = ["", json.dumps(half)], list[Answer]()
    endpoint.ask(
        writes, TODO[:4], replace(QUICK, concurrency=1), spent=Decimal(0), keep=kept.append, tell=lambda *_: None
    )
    assert [answer.label is None for answer in kept] == [False, True, False, False]
    assert kept[1].said == '{"city": "Sal' and kept[1].money > 0


def test_twenty_answers_in_a_row_that_cannot_be_used_end_the_run(server: Server) -> None:
    server.says, kept = "I would rather not say.", list[Answer]()
    alone = replace(QUICK, concurrency=1)
    with pytest.raises(EndpointError, match="20 answers in a row cannot be used, the last one “I would rather not say"):
        endpoint.ask(teacher_of(server), TODO, alone, spent=Decimal(0), keep=kept.append, tell=lambda *_: None)
    assert len(kept) == len(server.asked) == 20 < len(TODO)
    server.says = lambda prompt: "" if len(server.asked) % 10 else "good"  # type: ignore[assignment]
    assert len(asked(server, TODO, alone)) == len(TODO), "one that can be used starts the count again"


def test_the_budget_is_never_passed(server: Server) -> None:
    kept: list[Answer] = []
    tight = replace(QUICK, budget=Decimal("0.0008"))
    with pytest.raises(EndpointError, match=r"The budget of USD 0\.0008 is reached"):
        endpoint.ask(teacher_of(server), TODO, tight, spent=Decimal(0), keep=kept.append, tell=lambda *_: None)
    assert 0 < sum(answer.money for answer in kept) <= tight.budget and len(kept) == len(server.asked) < len(TODO)


def test_requests_a_minute_are_not_passed(server: Server) -> None:
    began = time.monotonic()
    asked(server, TODO[:6], replace(QUICK, per_minute=600))
    assert time.monotonic() - began >= 5 * 0.1


def test_a_stop_keeps_what_is_in_flight(server: Server) -> None:
    kept: list[Answer] = []

    def tell(done: int, *_: object) -> None:
        if done == 7:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        endpoint.ask(teacher_of(server), TODO, QUICK, spent=Decimal(0), keep=kept.append, tell=tell)
    assert 7 <= len(kept) == len(server.asked) <= 7 + QUICK.concurrency


# a server that others wrote


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny chat model that has learnt what to answer to the inputs here."""
    import torch
    import transformers

    from distill_tui.training import vocabulary

    torch.manual_seed(0)
    torch.set_num_threads(1)
    template = Described(
        TeacherSource.ENDPOINT, "tiny", LABELS, TEMPLATES[TeacherSource.ENDPOINT], "http://localhost/v1"
    )
    pairs = [(template.prompt(text), LABELS[at % 3]) for at, (_, text) in enumerate(TODO)]
    tokenizer = vocabulary.train([prompt for prompt, _ in pairs] + list(LABELS) * 300, 300)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    end = tokenizer.sep_token_id
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=128, eos_token_id=end, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)

    def tokens(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])  # as a chat template is tokenised

    rows = [[*tokens(prompt), *tokens(label), end] for prompt, label in pairs]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [end] * (longest - len(row)) for row in rows])
    wanted = torch.full_like(ids, -100)
    for at, (prompt, _) in enumerate(pairs):
        begins = len(tokens(prompt))
        wanted[at, begins : len(rows[at])] = ids[at, begins : len(rows[at])]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(200):
        loss = model(input_ids=ids, labels=wanted).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.02:
            break
    folder = tmp_path_factory.mktemp("taught")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def served(taught: Path, server: Server) -> Iterator[Server]:
    """`transformers serve` in a process of its own, with the relay and its faults before it."""
    import socket
    import urllib.request

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name("transformers"))
    words = [program, "serve", str(taught), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with (taught / "serve.log").open("wb") as log:
        process = subprocess.Popen([*words, "--dtype", "float32"], stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until and process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        server.behind = f"http://127.0.0.1:{port}/v1"
        yield server
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_the_worker_labels_by_transformers_serve_whatever_comes_between(
    project: Project, served: Server, taught: Path
) -> None:
    teacher = chosen(project, served, str(taught))
    assert does(project, "label", "P-001", "--estimate", *PRICES) == 0
    served.plan = [fault for pair in zip(FAULTS, [""] * len(FAULTS), strict=True) for fault in pair]
    served.hangs = 12.0
    assert does(project, "label", "P-001", *PRICES, "--timeout", "10", "--wait") == 0
    assert labelled(project.dossier(1)) and not served.plan
    said = cache.answers(project.artifacts.folder, teacher)
    assert len(said) == len(TODO) == len(set(served.asked))
    from distill_tui.dataset.row_identity import input_digest

    expected = {input_digest(text): LABELS[at % 3] for at, (_, text) in enumerate(TODO)}
    assert {digest: label for digest, (label, _) in said.items()} == expected
    paid = play_traffic.ledger(project, 1)
    assert paid["calls"] == len(TODO) and paid["unread"] == 0 and paid["tokens_in"] > 20 * len(TODO)


@pytest.mark.slow
def test_the_typed_decisions_of_transformers_serve_label_in_one_call(served: Server, taught: Path) -> None:
    address = served.behind
    labels = "bad,fine,good"
    teacher = Described.chosen(TeacherSource.ENDPOINT, str(taught), labels, "", address, api="systemone")
    kept = list[Answer]()
    endpoint.ask(teacher, TODO[:6], QUICK, spent=Decimal(0), keep=kept.append, tell=lambda *_: None)
    assert len(kept) == 6 and all(answer.label in LABELS and answer.model == str(taught) for answer in kept)
    assert all(answer.probabilities and sum(answer.probabilities) == pytest.approx(1) for answer in kept)
    assert all(answer.tokens_in > 10 and answer.tokens_out == 0 for answer in kept)


# through the door


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = data_stage.with_traffic(tmp_path, ({"input": text} for _, text in TODO))
    yield made
    made.close()


def chosen(project: Project, server: Server, model: str = "tiny") -> str:
    teacher = ["--endpoint", server.url, "--model", model, "--labels", ",".join(LABELS)]
    assert does(project, "teacher", "P-001", *teacher) == 0
    play = project.dossier(1).play
    assert play is not None and play.teacher_source is TeacherSource.ENDPOINT
    return play.teacher_digest


def test_without_a_budget_nothing_is_asked(project: Project, server: Server) -> None:
    chosen(project, server)
    with pytest.raises(Refused) as refusal:
        actions.label(project, 1, MIA, {"price_in": "1"})
    assert [o.rule for o in refusal.value.objections] == ["teacher.budget"] and not server.keys


def test_a_paid_run_does_not_start_before_one_row_was_tried(project: Project, server: Server) -> None:
    limits = {"budget": "1", "price_in": "1", "price_out": "2"}
    chosen(project, server)
    with pytest.raises(Refused, match="label P-001 --estimate") as refusal:
        actions.label(project, 1, MIA, limits)
    assert [o.rule for o in refusal.value.objections] == ["teacher.untried"] and not server.keys
    assert does(project, "label", "P-001", *PRICES) == 3
    assert not any(run.kind is RunKind.LABEL for run in project.dossier(1).runs)
    assert does(project, "label", "P-001", "--estimate", *PRICES) == 0
    assert does(project, "label", "P-001", *PRICES, "--wait") == 0
    assert len(server.asked) == len(set(server.asked)) == len(TODO)  # the trial's row was not asked again
    chosen(project, server, "another")  # another model, so another trial
    assert does(project, "label", "P-001", *PRICES) == 3


def test_a_description_that_was_altered_is_asked_by_nobody(
    project: Project, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person who swaps the address in the file next to the project is sent neither traffic nor key."""
    teacher = chosen(project, server)
    assert does(project, "label", "P-001", "--estimate", *PRICES) == 0
    file = project.artifacts.path(teacher)
    file.write_text(file.read_text().replace("/v1", "/v2"))
    capsys.readouterr()
    asked = len(server.keys)
    assert does(project, "label", "P-001", "--estimate", *PRICES) == exits.BAD_INPUT
    assert "was altered after it was made; restore the original." in capsys.readouterr().err
    assert does(project, "label", "P-001", *PRICES, "--wait") == exits.FAILED
    run = project.dossier(1).runs[-1]
    assert run.status is RunStatus.FAILED and run.message.endswith("after it was made; restore the original.")
    assert len(server.keys) == asked


@pytest.mark.parametrize("text", ["", "7", "[]", "{}", '{"labels": 3}', '{"labels": ["a"], "new": 1}'])
def test_a_description_that_is_none_is_told_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="choose the teacher again"):
        Described.from_json(text)
    whole = json.loads(Described(TeacherSource.ENDPOINT, "tiny", LABELS, "{input}").to_json())
    with pytest.raises(ValueError, match="choose the teacher again"):
        Described.from_json(json.dumps(whole | {"max_tokens": "16"}))


def test_a_run_asks_each_input_once_and_another_run_asks_nothing(
    project: Project, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = chosen(project, server)
    assert does(project, "label", "P-001", "--estimate", *PRICES) == 0
    assert len(server.asked) == 9 and "15 inputs are left" in capsys.readouterr().out
    assert does(project, "label", "P-001", *PRICES, "--wait") == 0
    assert len(server.asked) == len(set(server.asked)) == len(TODO)
    assert labelled(project.dossier(1))
    assert does(project, "label", "P-001", *PRICES, "--wait") == 0
    assert len(server.asked) == len(TODO)
    paid = play_traffic.ledger(project, 1)
    assert (paid["calls"], paid["unread"], paid["cache_hits"]) == (24, 0, 9 + 24)
    assert Decimal(paid["money_not_spent"]) > 0
    assert len(cache.answers(project.artifacts.folder, teacher)) == len(TODO)
    chosen(project, server, "another")
    assert play_traffic.ledger(project, 1)["calls"] == 0  # another model is another teacher


def test_an_estimate_extrapolates_from_warm_calls_and_counts_them(
    project: Project, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first call is slow, as where a model has to be loaded."""
    calls: list[str] = []

    def says(prompt: str) -> str:
        calls.append(prompt)
        time.sleep(1.5 if len(calls) == 1 else 0)
        return "bad"

    server.says = says
    chosen(project, server)
    capsys.readouterr()
    assert does(project, "label", "P-001", "--estimate", *PRICES, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["timed"], found["concurrency"], found["left"]) == (8, 4, 15) and len(calls) == 9
    assert found["seconds"] >= 1.5 > found["pace"] and found["minutes"] == pytest.approx(15 * found["pace"] / 60)
    assert does(project, "label", "P-001", "--estimate", *PRICES) == 0
    said = capsys.readouterr().out
    assert "then timed 7 calls, 4 at once: one every" in said and "7 inputs are left" in said
    assert "minutes at that pace; what was asked is cached" in said


def test_an_estimate_that_its_budget_ends_says_so_and_counts_what_it_timed(
    project: Project, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.says = "bad"
    chosen(project, server)
    capsys.readouterr()
    few = ["--budget", "0.0002", "--price-in", "1", "--price-out", "2", "--concurrency", "1"]
    assert does(project, "label", "P-001", "--estimate", *few) == 0
    said = capsys.readouterr().out
    assert "! The budget of USD 0.0002 is reached" in said and len(server.asked) < 9


def test_an_estimate_works_before_the_lock_and_labelling_waits_for_it(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    early = data_stage.opened(tmp_path)
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps({"input": text}) + "\n" for _, text in TODO))
    data_runs.import_traffic(early, 1, MIA, path)
    chosen(early, server)
    bob = Actor("bob", "account uid 4009")
    actions.enrol_person(early, MIA, "bob", "Bob", uid=4009)
    with monkeypatch.context() as other:
        other.setattr(identity, "by_account", lambda dossier: bob)
        assert does(early, "label", "P-001", "--estimate", *PRICES) == exits.REFUSED, "only the driver spends"
    assert does(early, "label", "P-001", *PRICES) == exits.REFUSED and not server.asked
    capsys.readouterr()
    assert does(early, "label", "P-001", "--estimate") == exits.REFUSED, "a budget is needed all the same"
    assert "--budget" in capsys.readouterr().err and not server.asked
    assert does(early, "label", "P-001", "--estimate", *PRICES) == exits.DONE
    assert "15 inputs are left" in capsys.readouterr().out and len(server.asked) == 9
    assert not any(run.kind is RunKind.LABEL for run in early.dossier(1).runs)
    assert play_traffic.ledger(early, 1)["calls"] == 9, "what was paid is in the ledger"
    early.close()


@pytest.mark.parametrize(
    ("asked", "served", "same"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("openai/GPT-4o", "gpt-4o-2024-08-06", True),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", True),
        ("llama3", "llama3:latest", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", False),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-11-20", False),
        ("gpt-4", "gpt-4o", False),
        ("llama-3", "llama-3-70b", False),
        ("tiny", "other", False),
    ],
)
def test_a_served_name_is_the_one_asked_for_or_a_version_of_it(asked: str, served: str, same: bool) -> None:
    assert model_names.is_same(asked, served) is same


def test_answers_of_another_model_or_of_two_versions_are_named_with_their_number(project: Project) -> None:
    teacher = Described(TeacherSource.ENDPOINT, "big", LABELS, "{input}", "http://localhost/v1")
    digest = project.artifacts.store_bytes(teacher.to_json().encode())
    play = replace(project.dossier(1).play, teacher_source=TeacherSource.ENDPOINT, teacher_digest=digest)

    def answered(first: int, model: str) -> list[Finding]:
        for key, text in TODO[first : first + 3]:
            cache.add_answer(
                project.artifacts.folder, digest, Answer(key, "bad", text, None, 1, 1, Decimal(0), model=model)
            )
        return list(build._served(project.artifacts, play))

    assert answered(0, "big-2026-01-01") == []
    (two,) = answered(3, "big-2026-06-01")
    assert two.level is FindingLevel.MUST and "by 2 versions of big" in two.says
    (other,) = answered(6, "small")
    assert "big was asked for, and 3 of 9 answers are by another model: small (3)." in other.says


@pytest.mark.parametrize(("rows", "timed"), [(1, 0), (2, 0), (3, 1), (17, 8), (400, 8)])
def test_an_estimate_asks_half_of_the_inputs_at_most_and_spreads_over_them(rows: int, timed: int) -> None:
    todo = [(f"{n:064x}", f"{n}") for n in range(rows)]
    asked = cost_estimate._sample(todo)
    assert len(asked) == len(set(asked)) == 1 + timed and set(asked) <= set(todo)
    assert int(asked[-1][1]) >= rows // 2 - 1 or not timed


@pytest.mark.parametrize(
    ("words", "command"), [(["label", "P-001"], "label"), (["data", "vary", "P-001"], "data vary")]
)
def test_the_cure_for_a_missing_budget_is_a_command_that_works(
    project: Project, server: Server, words: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen(project, server)
    capsys.readouterr()
    assert does(project, *words, "--estimate") == exits.REFUSED
    said = capsys.readouterr().err
    cure = f"distill-tui {command} P-001 --estimate --budget 1 --price-in 0.5 --price-out 1.5"
    assert f"`{cure}`" in said
    server.says = "bad"
    if command == "label":
        assert does(project, *cure.split()[1:]) == 0


def test_a_killed_worker_loses_at_most_what_was_in_flight(project: Project, server: Server, monkeypatch: Any) -> None:
    teacher = chosen(project, server)
    monkeypatch.setenv("DISTILL_TEACHER_KEY", "sk-very-secret")
    assert does(project, "label", "P-001", "--estimate", *PRICES) == 0
    server.slow = 0.15
    run = actions.label(project, 1, MIA, {"budget": "1", "price_in": "1", "price_out": "2", "concurrency": "2"})
    until = time.monotonic() + 60
    while len(server.asked) < 9 + 5 and time.monotonic() < until:
        time.sleep(0.02)
    pid = project.dossier(1).run(run).pid  # type: ignore[union-attr]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    kept = len(cache.answered(project.artifacts.folder, teacher))
    assert len(server.asked) - 2 <= kept <= len(server.asked)
    server.slow = 0.0
    until = time.monotonic() + 60
    while project.dossier(1).run(run).status is not RunStatus.LOST and time.monotonic() < until:  # type: ignore[union-attr]
        from distill_tui.runs.executors import local

        local.reap(project)
        time.sleep(0.1)
    assert does(project, "train", "resume", "P-001", "--wait") == 0
    assert len(cache.answered(project.artifacts.folder, teacher)) == len(TODO)
    assert len(server.asked) <= len(TODO) + 2
    written = b"".join(path.read_bytes() for path in project.path.parent.rglob("*") if path.is_file())
    assert b"sk-very-secret" not in written and server.keys[-1] == "Bearer sk-very-secret"


@pytest.mark.parametrize("words", [["--endpoint", "x", "--recorded"], ["--zero-shot", "--recorded"], []])
def test_one_teacher_is_chosen(project: Project, words: list[str]) -> None:
    assert does(project, "teacher", "P-001", *words) == 2


# local models that are asked in words


def test_a_causal_model_gives_each_label_a_share_whatever_the_batch(causal: Path) -> None:
    from distill_tui.training import local_teachers

    teacher = Described(TeacherSource.PROMPTED, "", LABELS, TEMPLATES[TeacherSource.PROMPTED])
    texts = [text for _, text in TODO]

    def shares(size: int) -> dict[int, list[float]]:
        batches = local_teachers.prompted(causal, texts, teacher, threads=1, batch_size=size)
        return {at: row.tolist() for places, rows in batches for at, row in zip(places, rows, strict=True)}

    one, many = shares(1), shares(8)
    assert set(one) == set(range(len(texts)))
    for at in one:
        assert sum(one[at]) == pytest.approx(1, abs=1e-5) and many[at] == pytest.approx(one[at], abs=1e-4)


def test_the_label_words_are_scored_as_the_model_scores_them(causal: Path) -> None:
    import torch
    import transformers

    from distill_tui.training import local_teachers

    teacher = Described(TeacherSource.PROMPTED, "", ("good", "bad"), "{input} is")
    ((_, shares),) = local_teachers.prompted(causal, ["the table"], teacher, threads=1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(causal)
    model = transformers.AutoModelForCausalLM.from_pretrained(causal).eval()
    scores = []
    for label in ("good", "bad"):
        prompt = tokenizer("the table is")["input_ids"]
        answer = tokenizer(f" {label}", add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logs = torch.log_softmax(model(torch.tensor([prompt + answer])).logits[0], dim=-1)
        scores.append(sum(float(logs[len(prompt) - 1 + n, token]) for n, token in enumerate(answer)) / len(answer))
    assert shares[0].tolist() == pytest.approx(torch.softmax(torch.tensor(scores), 0).tolist(), abs=1e-5)


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny NLI model of random weights."""
    import torch
    import transformers

    from distill_tui.training import vocabulary

    torch.manual_seed(1)
    tokenizer = vocabulary.train([text for _, text in TODO] * 3 + [*LABELS] * 9, 200)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        initializer_range=0.5, id2label={0: "contradiction", 1: "neutral", 2: "entailment"},
        label2id={"contradiction": 0, "neutral": 1, "entailment": 2},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("nli")
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_without_entailment_is_no_nli_model(nli: Path, tmp_path: Path) -> None:
    import shutil

    from distill_tui.training import local_teachers

    shutil.copytree(nli, tmp_path / "other")
    config = json.loads((nli / "config.json").read_text())
    config |= {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    teacher = Described(TeacherSource.ZERO_SHOT, "", LABELS, TEMPLATES[TeacherSource.ZERO_SHOT])
    with pytest.raises(ValueError, match="is not an NLI model"):
        next(local_teachers.zero_shot(tmp_path / "other", ["a"], teacher, threads=1))


def test_an_nli_model_labels_the_traffic_and_its_words_are_part_of_the_teacher(
    project: Project, nli: Path, tmp_path: Path
) -> None:
    words = ["teacher", "P-001", str(nli), "--zero-shot", "--labels", ",".join(LABELS)]
    assert does(project, *words) == 0
    first = project.dossier(1).play
    assert first is not None and first.teacher_source is TeacherSource.ZERO_SHOT
    assert does(project, "label", "P-001", "--wait") == 0
    outputs = teacher_outputs(project.artifacts.folder, TeacherSource.ZERO_SHOT, first.teacher_digest, LABELS)
    assert len(outputs) == len(TODO) and all(label in LABELS for label, _ in outputs.values())
    (tmp_path / "template.txt").write_text("The mood is {label}.")
    assert does(project, *words, "--template", str(tmp_path / "template.txt")) == 0
    second = project.dossier(1).play
    assert second is not None and second.teacher_digest != first.teacher_digest
    assert not labelled(project.dossier(1))


def test_a_classifier_is_no_causal_model_and_the_other_way(project: Project, nli: Path, causal: Path) -> None:
    assert does(project, "teacher", "P-001", str(nli), "--prompted", "--labels", "a,b") == 4
    assert does(project, "teacher", "P-001", str(causal), "--zero-shot", "--labels", "a,b") == 4


def test_the_front_end_needs_no_openai(tmp_path: Path) -> None:
    code = (
        "import sys, distill_tui.cli.teacher, distill_tui.teachers.limits, distill_tui.teachers.endpoint;"
        "print('openai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

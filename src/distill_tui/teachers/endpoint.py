"""Ask an OpenAI-compatible endpoint: several requests at once, retried, rate-limited, and never over a budget.

Every answer is passed to `keep` the moment it arrives, so that a kill loses at most the requests in flight. The key
comes from the environment or the keyring, and is in no file, log or error.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from distill_tui.gates.wording import money
from distill_tui.teachers import decisions
from distill_tui.teachers.description import Described
from distill_tui.teachers.limits import Limits
from distill_tui.teachers.usage import Usage, usage_in

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion
    from openai.types.chat.chat_completion import Choice

KEYS = ("DISTILL_TEACHER_KEY", "OPENAI_API_KEY")
TOP = 20  # log-probabilities of the first token that are asked for
ENOUGH_MASS = 0.5  # of the first token's probability on labels: with less the probabilities are not about them
SURE = 1e-3  # a log-probability above is none; rounding makes a certain token a little more than certain
LONGEST_WAIT = 60.0  # seconds between two attempts
UNREADABLE = 20  # answers in a row that cannot be used end a run
FILTERED = ("content_filter", "content_policy_violation")  # codes of a request that is never answered
LONGEST_ANSWER = 20_000  # characters that are kept

Todo = Sequence[tuple[str, str]]  # (input digest, text)


class EndpointError(ValueError):
    """The endpoint cannot be used; one sentence has the reason, what was kept, and the cure."""


@dataclass(frozen=True)
class Answer:
    """The endpoint's answer to one input, and what it cost."""

    digest: str
    label: str | None  # None: it names none of the labels
    said: str
    probabilities: tuple[float, ...] | None  # in the order of the labels, where log-probabilities were given
    tokens_in: int
    tokens_out: int
    money: Decimal
    model: str = ""  # that answered, as the provider resolved it
    cached: int = 0  # input tokens that the provider read from its cache


@dataclass
class _State:
    """The state of one call of `ask`."""

    spent: Decimal
    reserved: Decimal = Decimal(0)
    tokens_a_byte: float = 0.5  # the most of the prompts so far; the first guess is high
    logprobs: bool = True
    temperature: bool = True  # whether it may be set; models that reason have their own
    limit: str = "max_tokens"  # the name of the most tokens of an answer; newer models have another
    done: int = 0
    unreadable: int = 0  # answers in a row that could not be used
    retries: int = 0
    next_start: float = 0.0
    halted: BaseException | None = None  # why no more requests start

    def give_way(self, said: str) -> bool:
        """Leave out what an endpoint does not support, by the words with which it rejected a request."""
        if "max_completion_tokens" in said and self.limit == "max_tokens":
            self.limit = "max_completion_tokens"
        elif "temperature" in said and self.temperature:
            self.temperature = False
        elif self.logprobs and "response_format" not in said:
            self.logprobs = False
        else:
            return False
        return True

    def note(self, answer: Answer) -> None:
        """Count an answer. Raises EndpointError where so many in a row cannot be used that the prompt must be wrong."""
        self.done += 1
        self.unreadable = 0 if answer.label is not None else self.unreadable + 1
        if self.unreadable == UNREADABLE:
            raise EndpointError(
                f"{UNREADABLE} answers in a row cannot be used, the last one “{answer.said[:80]}”; all {self.done:,} "
                "are kept and paid. Change the template, the labels or --answer-tokens, and label again."
            )


Keep = Callable[[Answer], None]  # takes each answer as it arrives
Tell = Callable[[int, int, Decimal], None]  # is called with the answers, retries and money so far


def key_for(base_url: str, environ: Mapping[str, str] = os.environ) -> str:
    """Find the key: DISTILL_TEACHER_KEY, OPENAI_API_KEY for OpenAI's own host only, or the keyring; else none."""
    host = urlsplit(base_url).hostname or ""
    if environ.get(KEYS[0]):
        return str(environ[KEYS[0]])
    if host == "api.openai.com" and environ.get(KEYS[1]):
        return str(environ[KEYS[1]])
    try:
        import keyring  # an extra of the user's own; not required
    except ImportError:
        return ""
    return str(keyring.get_password("distill-tui", host) or "")


def ask(
    teacher: Described,
    todo: Todo,
    limits: Limits,
    *,
    spent: Decimal,
    keep: Keep,
    tell: Tell,
    key: str = "",
    logprobs: bool = True,
) -> int:
    """Ask about every input, the first one alone; returns the number of retries.

    `keep` takes each answer as it arrives, `tell` is called with (answers, retries, money) and may raise to stop: then
    requests in flight are awaited and kept, and the exception is re-raised. `spent` counts against the budget. Raises
    EndpointError where the budget is reached or the endpoint cannot be used.
    """
    return asyncio.run(_ask(teacher, list(todo), limits, _State(spent, logprobs=logprobs), keep, tell, key))


async def _ask(
    teacher: Described, todo: list[tuple[str, str]], limits: Limits, state: _State, keep: Keep, tell: Tell, key: str
) -> int:
    try:
        from openai import AsyncOpenAI
    except ImportError:
        raise EndpointError(
            "Endpoints need the package openai; install it: `pip install 'distill-tui[endpoint]'`."
        ) from None

    async def work(source: Iterator[tuple[str, str]]) -> None:
        for digest, text in source:
            if state.halted is not None:
                return
            try:
                answer = await _one(client, teacher, digest, text, limits, state)
                keep(answer)
                state.note(answer)
                tell(state.done, state.retries, state.spent)
            except BaseException as error:  # the others finish their requests, which are paid for, and stop
                state.halted = state.halted or error

    async with AsyncOpenAI(
        base_url=teacher.base_url, api_key=key or "none", max_retries=0, timeout=limits.timeout
    ) as client:
        await work(iter(todo[:1]))  # alone: an endpoint that cannot be used costs one request
        rest = iter(todo[1:])  # one iterator for all, so that each input is taken once
        await asyncio.gather(*(work(rest) for _ in range(limits.concurrency)))
    if state.halted is not None:
        raise _spoken(state.halted, teacher, state, key) from None
    return state.retries


async def _one(
    client: AsyncOpenAI, teacher: Described, digest: str, text: str, limits: Limits, state: _State
) -> Answer:
    """Ask about one input until there is an answer; its maximum cost is reserved first."""
    prompt = teacher.prompt(text)
    most = limits.money(math.ceil(len(prompt.encode()) * state.tokens_a_byte) + 32, teacher.max_tokens)
    if state.spent + state.reserved + most > limits.budget:
        budget, spent, next_one = (money(each, limits.currency) for each in (limits.budget, state.spent, most))
        raise EndpointError(
            f"The budget of {budget} is reached: {spent} spent, and the next request may cost {next_one}; "
            f"{state.done:,} answers were kept. Label again with a higher --budget."
        )
    state.reserved += most
    try:
        answer = await _answered(client, teacher, digest, prompt, limits, state)
    finally:
        state.reserved -= most
    state.spent += answer.money
    state.tokens_a_byte = max(state.tokens_a_byte, answer.tokens_in / max(1, len(prompt.encode())))
    return answer


async def _answered(
    client: AsyncOpenAI, teacher: Described, digest: str, prompt: str, limits: Limits, state: _State
) -> Answer:
    import openai

    for attempt in range(1, limits.attempts + 1):
        await _paced(limits, state)
        try:
            return _read(await _request(client, teacher, prompt, state), teacher, digest, prompt, limits)
        except openai.BadRequestError as error:
            if getattr(error, "code", None) in FILTERED:
                return Answer(digest, None, f"[rejected: {error.code}]", None, 0, 0, Decimal(0))
            if attempt == limits.attempts or not state.give_way(str(error)):
                raise
        except (openai.APIConnectionError, openai.APIResponseValidationError, openai.InternalServerError) as error:
            await _later(error, attempt, limits, state)
        except openai.RateLimitError as error:
            if getattr(error, "code", None) == "insufficient_quota":
                raise
            await _later(error, attempt, limits, state)
        except (ValueError, TypeError, AttributeError) as error:  # an incomplete answer, or not JSON
            await _later(error, attempt, limits, state)
    raise AssertionError("the last attempt raises")


async def _request(client: AsyncOpenAI, teacher: Described, prompt: str, state: _State) -> object:
    if teacher.api:
        body = decisions.body_of(teacher, prompt)
        return await client.post(decisions.path_of(teacher), body=body, cast_to=object)
    more: dict[str, Any] = {"logprobs": True, "top_logprobs": TOP} if state.logprobs else {}
    more |= {state.limit: teacher.max_tokens} | ({"temperature": 0} if state.temperature else {})
    more |= {"response_format": answer_format(teacher)} if teacher.schema else {}
    return await client.chat.completions.create(
        model=teacher.model,
        messages=cast("Any", teacher.messages(prompt)),
        extra_headers=json.loads(teacher.headers or "{}"),
        extra_body=json.loads(teacher.body or "{}"),
        **more,
    )


def answer_format(teacher: Described) -> dict[str, Any]:
    """Return the option that has an OpenAI-compatible endpoint answer by the teacher's JSON schema."""
    asked = {"name": "answer", "schema": json.loads(teacher.schema), "strict": True}
    return {"type": "json_schema", "json_schema": asked}


async def _paced(limits: Limits, state: _State) -> None:
    if not limits.per_minute:
        return
    now = time.monotonic()
    start = max(now, state.next_start)
    state.next_start = start + 60 / limits.per_minute
    await asyncio.sleep(start - now)


async def _later(error: Exception, attempt: int, limits: Limits, state: _State) -> None:
    """Wait before the next attempt: as long as the endpoint asks for, else exponentially longer with jitter."""
    if attempt == limits.attempts or state.halted is not None:
        raise error
    state.retries += 1
    response = getattr(error, "response", None)
    asked = response.headers.get("retry-after", "") if response is not None else ""
    wait = float(asked) if asked.replace(".", "", 1).isdigit() else limits.backoff * 2 ** (attempt - 1)
    await asyncio.sleep(min(LONGEST_WAIT, wait) * (1 if asked else random.uniform(0.5, 1.5)))


def _read(given: object, teacher: Described, digest: str, prompt: str, limits: Limits) -> Answer:
    """Read an answer. Raises ValueError, TypeError or AttributeError where it is incomplete."""
    if teacher.api:
        made = decisions.read(teacher, given, prompt)
        money = limits.money(made.tokens_in, made.tokens_out)
        return Answer(digest, made.label, made.said, made.shares, made.tokens_in, made.tokens_out, money, made.model)
    response = cast("ChatCompletion", given)
    choice = response.choices[0] if response.choices else None
    if choice is None or choice.message is None:
        raise ValueError("the answer holds no text")
    usage, refused = response.usage, _refusal(choice)
    if not refused and not isinstance(choice.message.content, str):
        raise ValueError("the answer holds no text")
    said = refused or choice.message.content or ""
    used = Usage(math.ceil(len(prompt.encode()) / 3), math.ceil(len(said.encode()) / 3))
    if usage is not None:
        used = usage_in(usage.model_dump())
    if used.tokens_in is None or used.tokens_out is None:
        raise ValueError("the answer does not state its tokens")
    own = shares(choice, teacher)
    cut = choice.finish_reason == "length" and teacher.writes  # half an answer is none
    label = None if refused or cut else teacher.read(said)
    return Answer(
        digest,
        label,
        said[:LONGEST_ANSWER],
        own if label else None,
        used.tokens_in,
        used.tokens_out,
        limits.money(used.tokens_in, used.tokens_out, used.cached, used.written),
        str(getattr(response, "model", "") or ""),
        used.cached,
    )


def _refusal(choice: Choice) -> str:
    """Return the words with which a model declines, or that it was kept from answering; empty where it answers."""
    words = getattr(choice.message, "refusal", None)
    if isinstance(words, str) and words:
        return words
    if choice.finish_reason == "content_filter":
        return "[no answer: content_filter]"
    empty = choice.message.content is None and choice.finish_reason in ("stop", "length", "tool_calls")
    return f"[no text: {choice.finish_reason}]" if empty else ""


def shares(choice: Choice, teacher: Described) -> tuple[float, ...] | None:
    """Turn the log-probabilities of the first token into probabilities of the labels; None where little is on them."""
    content = getattr(choice.logprobs, "content", None) if choice.logprobs is not None else None
    if not content or teacher.several:
        return None
    begun = [0.0] * len(teacher.labels)
    folded = [label.casefold() for label in teacher.labels]
    top = content[0].top_logprobs or ()
    if any(math.isnan(each.logprob) or each.logprob > SURE for each in top):
        return None  # not a logarithm of a probability
    for each in top:
        token = each.token.strip().casefold()
        starts = [at for at, label in enumerate(folded) if token and label.startswith(token)]
        if len(starts) == 1:  # a prefix of two labels belongs to neither
            begun[starts[0]] += math.exp(min(0.0, each.logprob))
    total = math.fsum(begun)
    return tuple(share / total for share in begun) if total >= ENOUGH_MASS else None


def _spoken(error: BaseException, teacher: Described, state: _State, key: str) -> BaseException:
    """Word an endpoint's error in one sentence without the key; other errors stay as they are."""
    foreign = type(error).__module__.split(".")[0] in ("openai", "httpx", "httpx2", "json")
    if isinstance(error, EndpointError) or not (foreign or isinstance(error, ValueError)):
        return error
    said = " ".join(str(error).split())[:300]
    said = said.replace(key, "[key]") if key else said
    host = urlsplit(teacher.base_url).hostname
    return EndpointError(
        f"{host} cannot be asked ({type(error).__name__}: {said}); {state.done:,} answers were kept: see to it and "
        "resume the run."
    )

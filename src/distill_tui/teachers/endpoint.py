"""Ask an OpenAI-compatible endpoint: several requests at once, retried, rate-limited, and never over a budget.

Every answer is passed to `keep` the moment it arrives, so that a kill loses at most the requests in flight. The key
comes from the environment or the keyring, and is in no file, log or error.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from distill_tui.teachers.description import Described
from distill_tui.teachers.limits import Limits

KEYS = ("DISTILL_TEACHER_KEY", "OPENAI_API_KEY")
TOP = 20  # log-probabilities of the first token that are asked for
ENOUGH_MASS = 0.5  # of the first token's probability on labels: with less the probabilities say nothing about them
LONGEST_WAIT = 60.0  # seconds between two attempts
LONGEST_ANSWER = 20_000  # characters that are kept

Todo = Sequence[tuple[str, str]]  # (input digest, text)


class EndpointError(ValueError):
    """The endpoint cannot be used; one sentence says why, what was kept, and what to do."""


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


@dataclass
class _State:
    """The state of one call of `ask`."""

    spent: Decimal
    reserved: Decimal = Decimal(0)
    tokens_a_byte: float = 0.5  # the most of the prompts so far; the first guess is high
    logprobs: bool = True
    done: int = 0
    retries: int = 0
    next_start: float = 0.0
    halted: BaseException | None = None  # why no more requests start


def key_for(base_url: str, environ: Any = os.environ) -> str:
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
    keep: Callable[[Answer], None],
    tell: Callable[[int, int, Decimal], None],
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
    teacher: Described, todo: list[tuple[str, str]], limits: Limits, state: _State, keep: Any, tell: Any, key: str
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
                keep(await _one(client, teacher, digest, text, limits, state))
                state.done += 1
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


async def _one(client: Any, teacher: Described, digest: str, text: str, limits: Limits, state: _State) -> Answer:
    """Ask about one input until there is an answer; its maximum cost is reserved first."""
    prompt = teacher.prompt(text)
    most = limits.money(math.ceil(len(prompt.encode()) * state.tokens_a_byte) + 32, teacher.max_tokens)
    if state.spent + state.reserved + most > limits.budget:
        raise EndpointError(
            f"The budget of {limits.budget} is reached: {state.spent:.6f} are spent and the next request may cost "
            f"{most:.6f}; {state.done:,} answers were kept. Label again with a higher --budget."
        )
    state.reserved += most
    try:
        answer = await _answered(client, teacher, digest, prompt, limits, state)
    finally:
        state.reserved -= most
    state.spent += answer.money
    state.tokens_a_byte = max(state.tokens_a_byte, answer.tokens_in / max(1, len(prompt.encode())))
    return answer


async def _answered(client: Any, teacher: Described, digest: str, prompt: str, limits: Limits, state: _State) -> Answer:
    import openai

    for attempt in range(1, limits.attempts + 1):
        await _paced(limits, state)
        try:
            return _read(await _request(client, teacher, prompt, state), teacher, digest, prompt, limits)
        except openai.BadRequestError:
            if not state.logprobs or attempt == limits.attempts:
                raise
            state.logprobs = False  # many servers do not support log-probabilities: ask again without
        except (openai.APIConnectionError, openai.APIResponseValidationError, openai.InternalServerError) as error:
            await _later(error, attempt, limits, state)
        except openai.RateLimitError as error:
            if getattr(error, "code", None) == "insufficient_quota":
                raise
            await _later(error, attempt, limits, state)
        except (ValueError, TypeError, AttributeError) as error:  # an incomplete answer, or not JSON
            await _later(error, attempt, limits, state)
    raise AssertionError("the last attempt raises")


async def _request(client: Any, teacher: Described, prompt: str, state: _State) -> Any:
    more = {"logprobs": True, "top_logprobs": TOP} if state.logprobs else {}
    return await client.chat.completions.create(
        model=teacher.model,
        messages=[{"role": "user", "content": prompt}],
        temperature=0,
        max_tokens=teacher.max_tokens,
        **more,
    )


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


def _read(response: Any, teacher: Described, digest: str, prompt: str, limits: Limits) -> Answer:
    """Read an answer. Raises ValueError, TypeError or AttributeError where it is incomplete."""
    choice = response.choices[0] if response.choices else None
    if choice is None or choice.message is None or not isinstance(choice.message.content, str):
        raise ValueError("the answer holds no text")
    said, usage = choice.message.content, response.usage
    tokens_in = int(usage.prompt_tokens) if usage is not None else math.ceil(len(prompt.encode()) / 3)
    tokens_out = int(usage.completion_tokens) if usage is not None else math.ceil(len(said.encode()) / 3)
    shares = _shares(choice, teacher)
    label = teacher.read(said)
    return Answer(
        digest,
        label,
        said[:LONGEST_ANSWER],
        shares if label else None,
        tokens_in,
        tokens_out,
        limits.money(tokens_in, tokens_out),
    )


def _shares(choice: Any, teacher: Described) -> tuple[float, ...] | None:
    """Turn the log-probabilities of the first token into probabilities of the labels; None where little is on them."""
    content = getattr(choice.logprobs, "content", None) if choice.logprobs is not None else None
    if not content:
        return None
    begun = [0.0] * len(teacher.labels)
    folded = [label.casefold() for label in teacher.labels]
    for each in content[0].top_logprobs or ():
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

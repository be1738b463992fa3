"""The tokens that a provider states for a call: OpenAI's chat and Responses, Anthropic, Gemini, Bedrock (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_IN = ("prompt_tokens", "input_tokens", "inputTokens", "promptTokenCount", "input")
_OUT = ("completion_tokens", "output_tokens", "outputTokens", "candidatesTokenCount", "output")
_CACHED = ("prompt_cache_hit_tokens", "cachedContentTokenCount")  # of the prompt's tokens: DeepSeek, Gemini
_DETAILS = ("prompt_tokens_details", "input_tokens_details")  # OpenAI
_READ = ("cache_read_input_tokens", "cacheReadInputTokens")  # not among the prompt's tokens: Anthropic, Bedrock
_WRITTEN = ("cache_creation_input_tokens", "cacheWriteInputTokens")


@dataclass(frozen=True)
class Usage:
    """The tokens of one call. Those of the prompt may be read from a cache of the provider's, or written to it."""

    tokens_in: int | None  # of the whole prompt; None where none are stated
    tokens_out: int | None
    cached: int = 0
    written: int = 0


def usage_in(used: Mapping[str, object]) -> Usage:
    """Read what a body states under `usage` or `usageMetadata`."""
    prompt, out = _first(used, _IN), _first(used, _OUT)
    if "candidatesTokenCount" in used and out is not None:
        out += _first(used, ("thoughtsTokenCount",)) or 0
    read, written = _first(used, _READ) or 0, _first(used, _WRITTEN) or 0
    inside = _first(used, _CACHED) or 0
    for name in _DETAILS:
        details = used.get(name)
        if isinstance(details, Mapping):
            inside = inside or _first(details, ("cached_tokens",)) or 0
    whole = None if prompt is None else prompt + read + written
    return Usage(whole, out, min(inside or read, whole or 0), written)


def _first(used: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    found = (used[name] for name in names if name in used)
    return next(
        (value for value in found if isinstance(value, int) and not isinstance(value, bool) and value >= 0), None
    )

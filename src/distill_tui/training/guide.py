"""Keep a language model to JSON answers of a shape: which of its tokens may come next, as `json_shape` allows bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from distill_tui.tasks.json_shape import Grammar, State

if TYPE_CHECKING:
    from distill_tui.training.models import Tokenizer

KEPT = 1024  # places in an answer whose tokens are remembered
# bytes that a byte-level vocabulary writes as they are; the others as letters from 256 on
_PRINTED = [*range(33, 127), *range(161, 173), *range(174, 256)]
_REST = [byte for byte in range(256) if byte not in _PRINTED]
_BYTES = {chr(byte): byte for byte in _PRINTED} | {chr(256 + at): byte for at, byte in enumerate(_REST)}


class Guide:
    """A shape, and the bytes of each token of a vocabulary."""

    def __init__(self, shape: dict[str, Any], pieces: Mapping[int, bytes], size: int, stop: int) -> None:
        self.grammar, self.pieces, self.size, self.stop = Grammar(shape), pieces, size, stop
        # tokens that may end a string, or may not stand in one; all others go on within it
        closing = {token for token, piece in pieces.items() if any(byte < 0x20 or byte in b'"\\' for byte in piece)}
        self._all, self._closing = by_first(pieces), by_first({token: pieces[token] for token in closing})
        self._plain = torch.ones(size, dtype=torch.bool)
        self._plain[[token for token in range(size) if token not in pieces or token in closing]] = False
        self._masks: dict[State, torch.Tensor] = {}

    def allowed(self, states: Sequence[State]) -> torch.Tensor:
        """Return which tokens may come next, (rows, vocabulary)."""
        return torch.stack([self._mask(state) for state in states])

    def after(self, state: State, token: int) -> State:
        return self.grammar.walk(state, self.pieces.get(token, b"")) or ()

    def _mask(self, state: State) -> torch.Tensor:
        if state not in self._masks:
            if len(self._masks) >= KEPT:
                self._masks.clear()
            self._masks[state] = self._made(state)
        return self._masks[state]

    def _made(self, state: State) -> torch.Tensor:
        within = bool(state) and state[-1] == ("string",)
        mask = self._plain.clone() if within else torch.zeros(self.size, dtype=torch.bool)
        for byte, tokens in (self._closing if within else self._all).items():
            begun = self.grammar.step(state, byte)
            if begun is not None:
                mask[[token for token, rest in tokens if self.grammar.walk(begun, rest) is not None]] = True
        mask[self.stop] = not state or not bool(mask.any())
        return mask


def by_first(pieces: Mapping[int, bytes]) -> dict[int, list[tuple[int, bytes]]]:
    """Return the tokens, and what follows in each, by their first byte."""
    found: dict[int, list[tuple[int, bytes]]] = {}
    for token, piece in pieces.items():
        found.setdefault(piece[0], []).append((token, piece[1:]))
    return found


def pieces(tokenizer: Tokenizer) -> dict[int, bytes] | None:
    """Return the bytes of each token that is not a special one; None where the vocabulary is not of bytes."""
    stored = json.loads(tokenizer.backend_tokenizer.to_str())
    decoder = stored.get("decoder") or {}
    if "ByteLevel" not in {decoder.get("type"), *(each["type"] for each in decoder.get("decoders", ()))}:
        return None
    added = {each["id"] for each in stored.get("added_tokens", ())}
    vocabulary = {token: piece for piece, token in tokenizer.get_vocab().items() if token not in added}
    if not all(letter in _BYTES for piece in vocabulary.values() for letter in piece):
        return None
    return {token: bytes(_BYTES[letter] for letter in piece) for token, piece in sorted(vocabulary.items()) if piece}

"""What makes a row the same row in every round, and whether it stays unseen (standard library only)."""

from __future__ import annotations

import hashlib
import unicodedata

from distill_tui.text import PAIR


def normalise(text: str) -> str:
    """Return the text that rows are compared by: NFC, casefold, white space collapsed; a pair stays a pair."""
    whole = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return PAIR.join(" ".join(part.split()) for part in whole.split(PAIR))


def input_digest(text: str) -> str:
    """Return the SHA-256 of the normalised text, in hexadecimal: the row's identity in every round."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()


def sealed(digest: str) -> bool:
    """Whether an observed row stays unseen: half of them do, and a refresh draws its held-out rows from those."""
    return hashlib.sha256(f"sealed {digest}".encode()).digest()[0] < 128

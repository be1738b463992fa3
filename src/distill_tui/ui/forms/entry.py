"""A line to type into, which takes all of a paste."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from textual import events
from textual.widgets import Input

_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")  # line breaks, tabs and control characters


class Entry(Input):
    """A line; several pasted lines become one, and a pasted path loses what a terminal or a file manager put around."""

    is_path = False

    def _on_paste(self, event: events.Paste) -> None:
        text = _BREAKS.sub(" ", event.text).strip()  # a terminal sends a line break as a carriage return
        if text:
            self.replace(as_path(text) if self.is_path else text, *self.selection)
        event.stop()
        event.prevent_default()

    @property
    def suggested(self) -> str:
        """What the right arrow would complete."""
        return self._suggestion if self.cursor_at_end else ""


def as_path(text: str) -> str:
    """Return a pasted path without quotes, backslashes before blanks, and file://."""
    if text.startswith("file://"):
        return unquote(urlsplit(text).path)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text.replace("\\ ", " ")

"""The last line of a sheet: what its keys do. A click on one presses it."""

from __future__ import annotations

from rich.cells import cell_len
from textual import events
from textual.widgets import Static

GAP = "   "
Part = str | tuple[str, str]  # words, or a key and the words for it


class Foot(Static):
    """Parts in one line."""

    def __init__(self, *parts: Part, id: str | None = None) -> None:
        super().__init__(_line(parts), id=id, classes="form-foot", markup=False)
        self.parts = parts

    def put(self, *parts: Part) -> None:
        self.parts = parts
        self.update(_line(parts))

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        end = 0
        for part in self.parts if place is not None else ():
            end += cell_len(_words(part))
            if place is not None and place.x < end:
                if isinstance(part, tuple):
                    self.app.simulate_key(part[0])
                return
            end += len(GAP)


def _words(part: Part) -> str:
    return part if isinstance(part, str) else part[1]


def _line(parts: tuple[Part, ...]) -> str:
    return GAP.join(_words(part) for part in parts if _words(part))

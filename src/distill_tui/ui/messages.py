"""Messages from the app to its screens."""

from __future__ import annotations

from textual.message import Message


class ProjectChanged(Message, bubble=False):
    """The project file changed, perhaps by another process: load again what you show.

    `everything`: neither the log nor a run explains the change, so load all of it.
    """

    def __init__(self, *, everything: bool = False) -> None:
        super().__init__()
        self.everything = everything

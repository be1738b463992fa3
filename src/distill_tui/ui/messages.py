"""What the app tells its screens."""

from __future__ import annotations

from textual.message import Message


class ProjectChanged(Message, bubble=False):
    """Somebody changed the project file, perhaps in another process: load what you show again.

    With `anew` all of it, for neither the log nor a run says what changed.
    """

    def __init__(self, *, anew: bool = False) -> None:
        super().__init__()
        self.anew = anew

"""The student of the stand in force: loaded before it answers, and the earlier one ended afterwards."""

from __future__ import annotations

import asyncio

from distill_tui.serving.stand import Stand
from distill_tui.serving.students import StudentGone, Students


class Loaded:
    """At most one student with its processes, and the one that is being loaded in its place."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.students: Students | None = None
        self.trouble = ""  # why the student of the stand does not answer
        self._loading: asyncio.Task[None] | None = None

    def follow(self, before: Stand | None, stand: Stand) -> None:
        """Load the student of a stand, where it is another one than before."""
        if before is None or before.student != stand.student or (stand.student and self.students is None):
            earlier, self._loading = self._loading, None
            self._loading = asyncio.get_running_loop().create_task(self._load(stand, earlier))

    async def _load(self, stand: Stand, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            earlier.cancel()
            await asyncio.gather(earlier, return_exceptions=True)
        if self.students is not None and self.students.student == stand.student:
            return
        fresh: Students | None = None
        self.trouble = ""
        if stand.student is not None:
            fresh = Students(stand.student, self.processes)
            try:
                await fresh.start()
            except StudentGone as error:
                self.trouble, fresh = str(error), None
        gone, self.students = self.students, fresh
        if gone is not None:
            await gone.close()

    async def settled(self) -> None:
        """Wait until the student of the present stand answers, or cannot."""
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)

    def ready(self, stand: Stand) -> Students | None:
        """Return the student of a stand where it is loaded and alive."""
        students = self.students
        return students if students is not None and students.student == stand.student and students.alive else None

    async def close(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        if self.students is not None:
            await self.students.close()

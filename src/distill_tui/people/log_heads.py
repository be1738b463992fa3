"""The last head of each project's audit log that this account saw, on this machine.

The file alone cannot show that it is an older copy of itself, or that somebody else was shown another one. Whoever has
seen a later head can: a log that does not hold it was restored, rewritten or forked. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distill_tui.people import remembered


@dataclass(frozen=True)
class Head:
    """So many entries, and the digest of the last."""

    size: int
    digest: str


def file() -> Path:
    """Say where heads are kept: beside what else this account remembers."""
    return remembered.file().with_name("heads.json")


def seen(project: str) -> Head | None:
    """Give the last head that was seen of a project, by its uid."""
    kept = remembered.read(file).get(project)
    if isinstance(kept, dict) and isinstance(kept.get("size"), int) and isinstance(kept.get("digest"), str):
        return Head(kept["size"], kept["digest"])
    return None


def remember(project: str, head: Head) -> None:
    """Remember a head that follows on the last one."""
    kept = remembered.read(file)
    kept[project] = {"size": head.size, "digest": head.digest}
    remembered.write(file, kept)


def forget(project: str) -> None:
    """Forget what was seen of a project: its log begins anew for this account."""
    kept = remembered.read(file)
    if kept.pop(project, None) is not None:
        remembered.write(file, kept)


def trouble(project: str, now: Head, at: str | None) -> str:
    """Say so where a log no longer holds the head that was seen; `at` is the digest that it has at that place now."""
    last = seen(project)
    if last is None or at == last.digest:
        return ""
    if now.size < last.size:
        return (
            f"The audit log has {now.size} entries, and you have seen {last.size}: this file is an older copy, or part "
            "of its log was taken away. If it was restored on purpose, `distill-tui audit verify --forget` begins anew."
        )
    return (
        f"Entry {last.size} of the audit log is not the one that you have seen: the log was rewritten, or this is "
        "another copy of the project. If that is right, `distill-tui audit verify --forget` begins anew."
    )

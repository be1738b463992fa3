"""The last head of each project's audit log that this account saw, on this machine.

A project file alone cannot show that it is an older copy of itself, or that another person was shown another one. An
account that saw a later head can: a log that does not contain it was restored, rewritten or forked. Standard library
only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distill_tui.people import remembered


@dataclass(frozen=True)
class Head:
    """The number of entries of a log, and the digest of the last one."""

    size: int
    digest: str


def file() -> Path:
    """Return the file that heads are kept in, next to what else this account remembers."""
    return remembered.file().with_name("heads.json")


def seen(project: str) -> Head | None:
    """Return the last head that was seen of a project, by its uid."""
    kept = remembered.read(file).get(project)
    if isinstance(kept, dict) and isinstance(kept.get("size"), int) and isinstance(kept.get("digest"), str):
        return Head(kept["size"], kept["digest"])
    return None


def remember(project: str, head: Head) -> None:
    """Remember a head."""
    kept = remembered.read(file)
    kept[project] = {"size": head.size, "digest": head.digest}
    remembered.write(file, kept)


def forget(project: str) -> None:
    """Forget the head of a project."""
    kept = remembered.read(file)
    if kept.pop(project, None) is not None:
        remembered.write(file, kept)


def trouble(project: str, now: Head, at: str | None) -> str:
    """Return a sentence where a log no longer contains the head that was seen, or "".

    `at` is the digest that the log has now at the place of that head.
    """
    last = seen(project)
    if last is None or at == last.digest:
        return ""
    if now.size < last.size:
        return (
            f"The audit log has {now.size} entries, and you have seen {last.size}: this file is an older copy, or part "
            "of its log was removed. If it was restored on purpose, run `distill-tui audit verify --forget`."
        )
    return (
        f"Entry {last.size} of the audit log is not the one that you have seen: the log was rewritten, or this is "
        "another copy of the project. If that is intended, run `distill-tui audit verify --forget`."
    )

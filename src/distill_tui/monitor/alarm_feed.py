"""What happened to live students as a JSON Feed (jsonfeed.org, version 1.1): alarms, and what people did about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from distill_tui.monitor.history import stored_findings
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import observed
from distill_tui.terms import Standing

MOST = 50  # items


@dataclass(frozen=True)
class Item:
    """One thing that happened."""

    id: str
    at: str
    title: str
    text: str
    tag: str


def feed(title: str, plays: Iterable[PlayDossier]) -> dict[str, object]:
    """Return the feed of a project, newest first."""
    items = sorted((item for play in plays for item in _items(play)), key=lambda each: (each.at, each.id), reverse=True)
    return {
        "version": "https://jsonfeed.org/version/1.1",
        "title": title,
        "items": [
            {"id": e.id, "title": e.title, "content_text": e.text, "date_published": e.at, "tags": [e.tag]}
            for e in items[:MOST]
        ],
    }


def _items(play: PlayDossier) -> Iterator[Item]:
    name, about = f"{play.code} {play.play.name}", f"{play.project.uid}/{play.code}"
    for before, watch in zip((None, *play.watches), play.watches, strict=False):
        if watch.standing is Standing.ALARM and not _same_alarm(play, before, watch):
            result = observed(play.runs, watch.feed_id)
            drift = result.drift.line if result is not None and result.drift is not None else ""
            text = " ".join([*(each.sentence for each in stored_findings(watch)), drift]).strip()
            title = f"{name}: drift alarm of bundle {watch.bundle_id}"
            yield Item(f"{about}/feed-{watch.feed_id}", watch.recorded_at, title, text, "alarm")
    for remedy in play.remedies:
        word = remedy.kind.value.replace("_", " ")
        text = f"{remedy.person_id}: {remedy.reason}"
        yield Item(f"{about}/remedy-{remedy.id}", remedy.at, f"{name}: {word}", text, remedy.kind.value)
    for bundle in play.bundles:
        title = f"{name}: bundle {bundle.id} shipped"
        text = f"Round {bundle.round}, by {bundle.shipped_by}, {bundle.digest}"
        yield Item(f"{about}/bundle-{bundle.id}", bundle.shipped_at, title, text, "ship")


def _same_alarm(play: PlayDossier, before: entities.Watch | None, watch: entities.Watch) -> bool:
    """Whether an alarm stood before of the same bundle, with no acknowledgement in between."""
    if before is None or before.bundle_id != watch.bundle_id or before.standing is not Standing.ALARM:
        return False
    return not any(before.feed_id <= r.feed_id < watch.feed_id and r.kind.value == "acknowledge" for r in play.remedies)

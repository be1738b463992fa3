"""What changes in a play when a teacher is chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence

from distill_tui.rules import entities
from distill_tui.rules.labels import scale_of
from distill_tui.terms import TeacherSource


def choose(
    play: entities.Play, source: TeacherSource, name: str, digest: str, labels: Sequence[str]
) -> dict[str, object]:
    """Make this the teacher of a play; return what the log records.

    A label map that was confirmed is cleared: it was about the words of another teacher. The levels of a scale stay.
    """
    if (play.teacher_source, play.teacher_digest) != (source, digest):
        scale = scale_of(play)
        play.label_map = json.dumps({level: level for level in scale.labels} if scale is not None else {})
    play.teacher_source, play.teacher_name, play.teacher_digest = source, name, digest
    play.teacher_labels = json.dumps(list(labels), ensure_ascii=False)
    return {"source": source, "name": name, "teacher": digest, "labels": list(labels)}

"""`python -m distill_tui.runs.away SHARD`: work on one shard of a run, without its project file.

Training and labelling are the code that works on this machine too. Progress is written to `progress.json`, and what
came of it to `outcome.json`, last. A shard that is started again continues from its checkpoint, or from the answers it
has. Runs in workers only.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from distill_tui.digests import digest_of, file_digest
from distill_tui.gates import written
from distill_tui.rules import entities, results
from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.results import decode, encode
from distill_tui.runs import label, train
from distill_tui.runs.claim import EVERY, Companion, Stopped
from distill_tui.runs.executors import files
from distill_tui.runs.worker import in_a_line
from distill_tui.store import sqlite
from distill_tui.store.artifacts import Artifacts, write_whole
from distill_tui.teachers import cache
from distill_tui.terms import RunKind
from distill_tui.training import ranks


@dataclass(frozen=True)
class AwayHost:
    """The part of the project that a shard brings along."""

    artifacts: Artifacts
    shard: files.Shard

    def dossier(self, play_id: int) -> PlayDossier:
        shard = self.shard
        return PlayDossier(
            project=ProjectDossier(uid=shard.project, name="", keeper=""),
            play=shard.play,
            gate=written.from_json(shard.gate) if shard.gate else None,
            data_sets=(shard.data_set,) if shard.data_set is not None else (),
            traffic=shard.traffic,
            runs=(shard.run,),
        )


class Away:
    """A run that works on a shard: reports and results are files."""

    def __init__(self, where: Path, attempt: str) -> None:
        self.where, self.attempt = where, attempt
        text = (where / files.SHARD).read_bytes()
        self.digest, self.shard = digest_of(text), decode(files.Shard, text.decode())
        self.run, self.id, self.folder = self.shard.run, self.shard.run.id, where / "work"
        self.project = AwayHost(Artifacts(where / "artifacts"), self.shard)
        self.given, self._last = set(self.shard.artifacts), 0.0
        self.folder.mkdir(exist_ok=True)
        _cut_half_line(where / files.POINTS)

    def report(
        self, step: int, total: int, message: str, *, point: entities.RunPoint | None = None, always: bool = False
    ) -> None:
        """Write how far it is. Raises Stopped where a stop was requested, or another attempt has begun."""
        if not (time.monotonic() - self._last >= EVERY or always):
            return
        self._last = time.monotonic()
        self._still_ours()
        if point is not None:
            with (self.where / files.POINTS).open("a", encoding="utf-8") as file:
                file.write(encode(point) + "\n")
        now = files.Progress(step=step, total=total, message=message)
        write_whole(self.where / files.PROGRESS, encode(now).encode())

    def _still_ours(self) -> None:
        """Raise Stopped where a stop was requested, or another attempt has begun."""
        if (self.where.parent / files.STOP).exists() or _taken_over(self.where, self.attempt):
            raise Stopped

    def finish(self, result: results.Result, steps: int, artifact: str | None) -> None:
        """Write the outcome; nothing is taken in before this file is there. Raises Stopped."""
        self._still_ours()
        answers = self._answers() if self.run.kind is RunKind.LABEL else ""
        self._write(results.encode(result), steps, artifact, {}, answers)

    def finish_arms(self, arms: dict[str, str]) -> None:
        """Write the outcome of a shard that trained some arms of a run: the folder of each. Raises Stopped."""
        self._still_ours()
        self._write("", 0, None, arms, "")

    def _write(self, result: str, steps: int, artifact: str | None, arms: dict[str, str], answers: str) -> None:
        folder = self.project.artifacts.folder
        made = [f"sha256:{each.name}" for each in folder.iterdir() if len(each.name) == 64]
        outcome = files.Outcome(
            shard=self.digest,
            result=result,
            steps=steps,
            artifact=artifact,
            artifacts=tuple(sorted(set(made) - self.given)),
            arms=arms,
            answers=answers,
        )
        write_whole(self.where / files.OUTCOME, encode(outcome).encode())

    def _answers(self) -> str:
        """Write the answers as JSONL, by input digest; return the digest of the file."""
        folder, teacher = self.project.artifacts.folder, self.shard.play.teacher_digest
        lines = [
            json.dumps({"input": digest, "probabilities": row})
            for digest, row in cache.outputs(folder, teacher).items()
        ]
        for digest, read, said, tokens_in, tokens_out in cache.texts(folder, teacher):
            value = {"input": digest, "label": read, "said": said, "tokens_in": tokens_in, "tokens_out": tokens_out}
            lines.append(json.dumps(value, ensure_ascii=False))
        write_whole(self.where / files.ANSWERS, "".join(f"{line}\n" for line in lines).encode())
        return file_digest(self.where / files.ANSWERS)


def _cut_half_line(path: Path) -> None:
    """Cut the last line of a file where a kill or a full disk left only a part of it."""
    with suppress(FileNotFoundError), path.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def _taken_over(where: Path, attempt: str) -> bool:
    return bool(attempt) and _text(where.parent / files.ATTEMPT) != attempt


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8")
    return ""


def work(where: Path, attempt: str = "") -> None:
    """Work on a shard to its end. Raises ValueError with one sentence, and Stopped."""
    away = Away(where, attempt)
    if (where / files.OUTCOME).exists():
        if files.is_done(where, away.digest):
            return
        (where / files.OUTCOME).unlink()  # it was altered on the way; the work is done again
    if away.shard.format != files.FORMAT:
        raise ValueError(f"{where.name} is of format “{away.shard.format}”; this release reads “{files.FORMAT}”.")
    for digest in away.shard.artifacts:
        if trouble := away.project.artifacts.trouble(digest):
            raise ValueError(trouble)
    dossier = away.project.dossier(away.run.play_id)
    if away.shard.arms:
        away.finish_arms(train.train_arms(away, dossier, away.shard.arms))
    elif away.run.kind is RunKind.TRAIN:
        train.run(away, dossier)
    else:
        done = label.label(away, dossier)
        away.finish(done, done.new, None)


def accompany(where: Path) -> int:
    """Train a shard as one of several launched processes, next to the first, which reports and writes."""
    text = (where / files.SHARD).read_bytes()
    shard = decode(files.Shard, text.decode())
    if shard.run.kind is RunKind.TRAIN and not files.is_done(where, digest_of(text)):
        host = AwayHost(Artifacts(where / "artifacts"), shard)
        train.accompany(Companion(host, shard.run.id, where / "work"), shard.run, shard.arms)
    return 0


def _sentence(error: Exception) -> str:
    if isinstance(error, sqlite.errors()):
        return f"The answers cannot be kept: {sqlite.sentence(error)}; make room, and run this shard again."
    return str(error) if isinstance(error, ValueError) else in_a_line(error, "run this shard again")


def main(arguments: list[str]) -> int:
    """Work on a shard; exit code 0 done, 1 failed, 3 stopped."""
    where = Path(arguments[0])
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    if ranks.rank() > 0:
        return accompany(where)
    with suppress(FileNotFoundError):
        (where / files.FAILED).unlink()
    attempt = arguments[1] if len(arguments) > 1 else ""
    try:
        work(where, attempt)
    except Stopped:
        return 3
    except Exception as error:
        if _taken_over(where, attempt):  # the newer attempt may have removed what this one wanted to write to
            return 3
        sentence = _sentence(error)
        with suppress(OSError):  # a full disk does not take it either
            write_whole(where / files.FAILED, json.dumps({"error": sentence}).encode())
        sys.stderr.write(f"{sentence}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

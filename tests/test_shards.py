"""Runs that work elsewhere: shards that anything can run, and Slurm. What comes back is believed by digest only."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from distill_tui import actions, digests
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.rules import entities
from distill_tui.runs import label
from distill_tui.runs.executors import files, local, place
from distill_tui.runs.executors.place import Place
from distill_tui.spec import Spec
from distill_tui.store import queries
from distill_tui.store.project import Project, ProjectError
from distill_tui.teachers import cache
from distill_tui.terms import Action, Executor, RunKind, RunStatus, StudentKind
from support import data_runs, latency_play, needs, slurm, small_disk
from support.forked import AWAY, Forked, workers
from support.latency_play import DAN, QUICK
from support.live_play import workers_here
from support.training import spoilt
from support.training import teacher as tiny_teacher  # noqa: F401
from support.unlabelled_play import unlabelled  # noqa: F401

TORN = 9  # shards that came back doubled, cut or changed
LONG = replace(latency_play.LONG, epochs=4, patience=4)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A play with a frozen data set, and the same student trained on this machine."""
    folder = tmp_path_factory.mktemp("frozen")
    with workers_here():
        project, play = latency_play.frozen(folder)
        actions.start_run(project, play, DAN, QUICK)
    project.close()
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(made, tmp_path / "work")
    opened = Project.open(tmp_path / "work" / "team.distill")
    with workers_here():
        yield opened
    opened.close()


def newest(project: Project) -> entities.Run:
    return project.dossier(1).runs[-1]


def away(shard: Path, *attempt: str) -> Forked:
    """Work on a shard as an engine would: a process that knows the shard and nothing else."""
    return Forked(AWAY, str(shard), *attempt)


def done(shard: Path) -> None:
    process = away(shard)
    _, told = process.communicate()
    assert process.returncode == 0, told


def exported(project: Project, folder: Path, spec: Spec = QUICK) -> int:
    run = actions.start_run(project, 1, DAN, spec, Place(on=Executor.FILES, folder=str(folder)))
    assert newest(project).status is RunStatus.STOPPED and "1 shard written to" in newest(project).message
    return run


def back(project: Project, run: int, folder: Path) -> entities.Run:
    actions.resume_run(project, 1, DAN, run, Place(on=Executor.FILES, folder=str(folder)))
    ended = project.dossier(1).run(run)
    assert ended is not None
    return ended


# --- what is rejected ------------------------------------------------------------------------------------------------


def test_only_training_and_labelling_leave_this_machine() -> None:
    for kind in RunKind:
        refused = Place(on=Executor.SLURM).problem(kind)
        assert bool(refused) is (kind not in (RunKind.TRAIN, RunKind.LABEL)), kind
    assert "needs a folder" in Place(on=Executor.FILES).problem(RunKind.TRAIN)
    assert "cannot be split into 0 shards" in Place(on=Executor.SLURM, shards=0).problem(RunKind.TRAIN)
    assert not Place(on=Executor.SLURM, shards=2).problem(RunKind.TRAIN)
    assert "leave out --slurm gpus" in Place(on=Executor.SLURM, gpus=1).problem(RunKind.LABEL)
    assert not Place(on=Executor.SLURM, gpus=1).problem(RunKind.TRAIN)
    for bad in ({"queue": "x"}, {"minutes": "soon"}):
        with pytest.raises(ValueError, match="Slurm setting"):
            Place(on=Executor.SLURM).with_settings(bad)


def test_a_run_that_cannot_leave_is_not_queued(project: Project) -> None:
    before = len(project.dossier(1).runs)
    with pytest.raises(ProjectError, match="needs a folder"):
        actions.start_run(project, 1, DAN, QUICK, Place(on=Executor.FILES))
    assert len(project.dossier(1).runs) == before


def test_a_folder_with_something_in_it_takes_no_shards(project: Project, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    actions.start_run(project, 1, DAN, QUICK, Place(on=Executor.FILES, folder=str(tmp_path / "full")))
    assert newest(project).status is RunStatus.FAILED and "full is not empty" in (newest(project).error or "")


def altered(shard: Path) -> None:
    (student,) = [
        each for each in (shard / "artifacts").iterdir() if each.is_dir() and (each / "config.json").exists()
    ][:1]
    (student / "config.json").write_text("{}")


def altered_arm(shard: Path) -> None:
    (config, *_) = (shard / "artifacts").glob("*/student/config.json")
    config.write_text("{}")


def of_another_shard(shard: Path) -> None:
    value = json.loads((shard / files.OUTCOME).read_text())
    (shard / files.OUTCOME).write_text(json.dumps(value | {"shard": "sha256:" + "0" * 64}))


def half_written(shard: Path) -> None:
    text = (shard / files.OUTCOME).read_text()
    (shard / files.OUTCOME).write_text(text[: len(text) // 2])


def other_work(shard: Path) -> None:
    (shard / files.SHARD).write_text((shard / files.SHARD).read_text().replace('"seed":0', '"seed":1') + " ")


def test_what_was_altered_on_the_way_is_rejected_and_leaves_nothing(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    run = exported(project, folder)
    done(folder / "shard-0001")
    kept = {path.name for path in project.artifacts.folder.iterdir()}
    for spoil in (altered, of_another_shard, half_written, other_work):
        shutil.copytree(folder, tmp_path / spoil.__name__)
        spoil(tmp_path / spoil.__name__ / "shard-0001")
        ended = back(project, run, tmp_path / spoil.__name__)
        assert ended.status is RunStatus.FAILED and "shard-0001" in (ended.error or ""), spoil.__name__
        assert {path.name for path in project.artifacts.folder.iterdir()} == kept
    assert back(project, run, folder).status is RunStatus.FINISHED


def torn(shard: Path, chance: random.Random) -> str:
    """Cut a file of a shard that came back, or change one byte of it; return what was done."""
    path = shard / chance.choice((files.SHARD, files.OUTCOME, files.ANSWERS))
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content.rstrip()))
    if chance.random() < 0.5 or path.name == files.OUTCOME:
        del content[at:]
    else:
        content[at] ^= chance.randrange(1, 256)
    path.write_bytes(content)
    return f"{path.name} at {at}"


def test_a_doubled_or_torn_shard_is_one_line_and_nothing_counts_twice(unlabelled: Project, tmp_path: Path) -> None:
    folder, chance = tmp_path / "shards", random.Random(1)
    run = actions.label(unlabelled, 1, DAN, where=Place(on=Executor.FILES, folder=str(folder), shards=2))
    for number in (1, 2):
        done(folder / f"shard-000{number}")
    teacher = unlabelled.dossier(1).play.teacher_digest
    for trial in range(TORN):
        copy = shutil.copytree(folder, tmp_path / f"torn-{trial}")
        if trial == 0:
            shutil.rmtree(copy / "shard-0002")
            shutil.copytree(copy / "shard-0001", copy / "shard-0002")
        how = "doubled" if trial == 0 else torn(copy / "shard-0002", chance)
        ended = back(unlabelled, run, copy)
        assert ended.status is RunStatus.FAILED and "shard-0002" in (ended.error or ""), (how, ended.error)
        assert "\n" not in (ended.error or "")
    assert back(unlabelled, run, folder).status is RunStatus.FINISHED
    once = cache.outputs(unlabelled.artifacts.folder, teacher)
    result = json.loads(newest(unlabelled).result)
    assert result["rows"] == len(once) == len(cache.answered(unlabelled.artifacts.folder, teacher)), result


def test_a_shard_that_another_version_of_the_teacher_answered_is_rejected_and_counts_nothing(
    unlabelled: Project, tiny_teacher: Path, tmp_path: Path
) -> None:
    folder, teacher = tmp_path / "shards", unlabelled.dossier(1).play.teacher_digest
    run = actions.label(unlabelled, 1, DAN, where=Place(on=Executor.FILES, folder=str(folder), shards=2))
    for number in (1, 2):
        done(folder / f"shard-000{number}")
    data_runs.try_teacher(unlabelled, 1, DAN, spoilt(tiny_teacher, tmp_path / "newer", initializer_range=0.5))
    newer = unlabelled.dossier(1).play.teacher_digest
    ended = back(unlabelled, run, folder)
    assert newer != teacher and ended.status is RunStatus.FAILED
    assert "shard-0001 was answered by another teacher than P-001 has now; export again" in (ended.error or "")
    tried = {each: len(cache.outputs(unlabelled.artifacts.folder, each)) for each in (teacher, newer)}
    assert max(tried.values()) < 90, "nothing was taken in, for neither of them"
    data_runs.try_teacher(unlabelled, 1, DAN, tiny_teacher)
    ended = back(unlabelled, run, folder)
    assert ended.status is RunStatus.FINISHED
    assert len(cache.outputs(unlabelled.artifacts.folder, teacher)) == json.loads(ended.result)["rows"]


def test_a_full_disk_is_one_line_and_the_run_goes_on_where_there_is_room(unlabelled: Project, tmp_path: Path) -> None:
    with small_disk.mounted(tmp_path / "spool", 200) as disk:
        folder = disk.folder / "shards"
        run = actions.label(unlabelled, 1, DAN, where=Place(on=Executor.FILES, folder=str(folder)))
        ended = newest(unlabelled)
        assert ended.status is RunStatus.FAILED and not any(folder.iterdir())
        assert f"The shards cannot be written to {folder}: No space left on device. Free" in (ended.error or "")
        disk.resize(20_000)
        assert "1 shard written" in back(unlabelled, run, folder).message
        disk.fill()
        process = away(folder / "shard-0001")
        _, told = process.communicate()
        assert process.returncode == 1 and not (folder / "shard-0001" / files.OUTCOME).exists()
        assert len(told.splitlines()) == 1 and ("No space left on device" in told or "disk is full" in told), told
        ended = back(unlabelled, run, folder)
        assert ended.status is RunStatus.STOPPED and "0 of 1 shards came back with 0 answers" in ended.message
        disk.empty()
        done(folder / "shard-0001")
        assert back(unlabelled, run, folder).status is RunStatus.FINISHED
    teacher = unlabelled.dossier(1).play.teacher_digest
    assert len(cache.outputs(unlabelled.artifacts.folder, teacher)) == json.loads(newest(unlabelled).result)["rows"]


def test_an_export_that_was_killed_is_written_again_and_no_other_folder_is_touched(
    project: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    run = exported(project, folder)
    (folder / files.JOB).unlink()  # as a kill before the last file leaves it
    assert "is not empty" in (back(project, run, folder).error or ""), "its mark is gone: it may be someone's"
    (folder / files.BEGUN).write_text(f"{project.dossier(1).project.uid} {run}")
    assert "1 shard written" in back(project, run, folder).message
    assert not (folder / files.BEGUN).exists()


def test_a_job_that_was_taken_over_reports_nothing_more(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    run, shard = exported(project, folder, LONG), folder / "shard-0001"
    late = away(shard, files.begin(folder))
    _until(lambda: any((shard / "work").rglob("state.safetensors")), late)
    late.send_signal(signal.SIGSTOP)
    process = away(shard, files.begin(folder))
    assert process.wait() == 0
    outcome, points = (shard / files.OUTCOME).read_bytes(), (shard / files.POINTS).read_bytes()
    late.send_signal(signal.SIGCONT)
    assert late.wait() == 3
    assert ((shard / files.OUTCOME).read_bytes(), (shard / files.POINTS).read_bytes()) == (outcome, points)
    assert back(project, run, folder).status is RunStatus.FINISHED


def test_a_shard_whose_answers_were_altered_is_made_whole_by_its_command(unlabelled: Project, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    run = actions.label(unlabelled, 1, DAN, where=Place(on=Executor.FILES, folder=str(folder)))
    done(folder / "shard-0001")
    (folder / "shard-0001" / files.ANSWERS).write_text("")
    assert "answers.jsonl is missing or altered; run this shard again" in (back(unlabelled, run, folder).error or "")
    done(folder / "shard-0001")
    assert back(unlabelled, run, folder).status is RunStatus.FINISHED


def test_shards_of_another_run_or_project_are_rejected_before_a_run_is_resumed(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = exported(project, tmp_path / "shards")
    assert main(["--project", str(project.path), "runs", "import", "P-001", str(tmp_path / "none"), "--run", str(run)])
    assert "has no job.json" in capsys.readouterr().err
    words = ["--project", str(project.path), "runs", "import", "P-001", str(tmp_path / "shards"), "--run", "1"]
    assert main(words) == exits.BAD_INPUT and "not of run 1" in capsys.readouterr().err


# --- what comes back -------------------------------------------------------------------------------------------------


def test_a_student_trained_elsewhere_is_the_same_to_the_bit(project: Project, tmp_path: Path) -> None:
    here = newest(project)
    assert here.status is RunStatus.FINISHED
    run = exported(project, tmp_path / "shards")
    early = back(project, run, tmp_path / "shards")
    assert early.status is RunStatus.STOPPED and "missing: shard-0001 (no outcome yet)" in early.message
    done(tmp_path / "shards" / "shard-0001")
    there = back(project, run, tmp_path / "shards")
    assert there.status is RunStatus.FINISHED and there.artifact == here.artifact and there.result != "{}"
    curves = [[p for p in queries.curve(project, each) if p.validation is not None] for each in (run, here.id)]
    steps = [[(point.step, point.loss, point.validation) for point in curve] for curve in curves]
    assert steps[0] == steps[1] != [], "the curve came along"


LADDER = Spec(
    student=StudentKind.NGRAM, ladder=("ngram", "static"), max_tokens=24, vocabulary=300, hidden=32, epochs=2, seeds=1,
)  # fmt: skip


def what_came_of(project: Project, run: entities.Run) -> object:
    """What is stored of a training, without seconds and the loss of each epoch, which only its process knows."""
    result = json.loads(run.result)
    del result["seconds"], result["terms"]
    for arm in (*result["rungs"], *result["controls"].values()):
        del arm["seconds"]
    curve = [(point.step, point.loss, point.validation) for point in queries.curve(project, run.id)]
    return result, run.artifact, [each for each in curve if each[2] is not None]


@pytest.fixture(scope="module")
def trained_here(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[float, object]:
    """What comes of a ladder whose first rung is good enough, of one whose second is not either, and of no ladder."""
    shutil.copytree(made, folder := tmp_path_factory.mktemp("here") / "work")
    opened, found = Project.open(folder / "team.distill"), {}
    with workers_here():
        for enough in (0.4, 1.0):
            actions.start_run(opened, 1, DAN, replace(LADDER, enough=enough))
            found[enough] = what_came_of(opened, newest(opened))
    opened.close()
    return found


@pytest.mark.parametrize("enough", [0.4, 1.0])
def test_arms_in_shards_give_the_same_run_as_here(
    project: Project, tmp_path: Path, trained_here: dict[float, object], enough: float
) -> None:
    folder, second = tmp_path / "shards", tmp_path / "shards" / "compared"
    spec = replace(LADDER, enough=enough)
    run = actions.start_run(project, 1, DAN, spec, Place(on=Executor.FILES, folder=str(folder), shards=9))
    assert newest(project).message.startswith(f"2 shards written to {folder}; run them, then `distill-tui runs import")
    assert f"{folder} --run {run}`" in newest(project).message
    done(folder / "shard-0002")
    early = back(project, run, folder)
    assert early.status is RunStatus.STOPPED
    assert early.message == "1 arm came back; missing: shard-0001 (no outcome yet)"
    done(folder / "shard-0001")
    rungs = back(project, run, folder)
    assert rungs.status is RunStatus.STOPPED and f"2 shards written to {second}; run them" in rungs.message
    assert f"{folder} --run {run}`" in rungs.message, "the folder of the first shards is named, as before"
    arms = [json.loads((second / f"shard-000{number}" / files.SHARD).read_text())["arms"] for number in (1, 2)]
    assert arms == [["control hard"], ["seed 8"]]
    for number in (1, 2):
        done(second / f"shard-000{number}")
    ended = back(project, run, folder)
    assert ended.status is RunStatus.FINISHED, ended.error
    assert what_came_of(project, ended) == trained_here[enough]
    spent = json.loads(ended.result)
    assert spent["seconds"] >= sum(arm["seconds"] for arm in spent["controls"].values()) > 0


def without_its_arms(shard: Path) -> None:
    value = json.loads((shard / files.OUTCOME).read_text())
    (shard / files.OUTCOME).write_text(json.dumps(value | {"arms": {"seed 9": value["arms"]["static"]}}))


def test_arms_that_were_altered_on_the_way_are_rejected_and_a_run_goes_on_here(
    project: Project, tmp_path: Path
) -> None:
    spec, folder, here = replace(QUICK, seeds=1), tmp_path / "shards", newest(project)
    run = actions.start_run(project, 1, DAN, spec, Place(on=Executor.FILES, folder=str(folder), shards=2))
    assert json.loads((folder / "shard-0001" / files.SHARD).read_text())["arms"] == ["static", "seed 8"]
    done(folder / "shard-0001")
    work = project.artifacts.run_folder(run)
    for spoil in (altered_arm, of_another_shard, half_written, other_work, without_its_arms):
        shutil.copytree(folder, tmp_path / spoil.__name__)
        spoil(tmp_path / spoil.__name__ / "shard-0001")
        ended = back(project, run, tmp_path / spoil.__name__)
        assert ended.status is RunStatus.FAILED and "shard-0001" in (ended.error or ""), spoil.__name__
        assert not (work / "static").exists() and not (work / "seed-8").exists()
    assert "2 arms came back; missing: shard-0002" in back(project, run, folder).message
    actions.resume_run(project, 1, DAN, run, Place(on=Executor.LOCAL))
    ended = newest(project)
    assert ended.status is RunStatus.FINISHED and ended.artifact == here.artifact


def test_a_shard_that_was_killed_goes_on_and_gives_the_same_student(project: Project, tmp_path: Path) -> None:
    outcomes = []
    for name, kills in (("whole", 0), ("killed", 1)):
        exported(project, tmp_path / name, LONG)
        shard = tmp_path / name / "shard-0001"
        for _ in range(kills):
            process = away(shard)
            _until(lambda: any((shard / "work").rglob("state.safetensors")), process)  # noqa: B023
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert not (shard / files.OUTCOME).exists()
        done(shard)
        outcomes.append(json.loads((shard / files.OUTCOME).read_text()))
    assert outcomes[0]["artifact"] == outcomes[1]["artifact"]


def _until(reached: Callable[[], bool], process: Forked, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not reached() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_answers_of_shards_are_those_of_one_worker_and_what_is_poison_or_missing_is_named(
    unlabelled: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    run = actions.label(unlabelled, 1, DAN, where=Place(on=Executor.FILES, folder=str(folder), shards=3))
    assert "3 shards written" in newest(unlabelled).message
    for number in (1, 3):
        done(folder / f"shard-000{number}")
    poisoned = folder / "shard-0003"
    lines = (poisoned / files.ANSWERS).read_text().splitlines()
    lines[0] = json.dumps({"input": json.loads(lines[0])["input"], "probabilities": [float("nan")] * 3})
    lines.append(lines[1])  # twice
    (poisoned / files.ANSWERS).write_text("".join(f"{line}\n" for line in lines))
    ended = back(unlabelled, run, folder)
    assert ended.status is RunStatus.FAILED and "missing or altered" in (ended.error or "")
    outcome = json.loads((poisoned / files.OUTCOME).read_text())
    digest = files.file_digest(poisoned / files.ANSWERS)
    (poisoned / files.OUTCOME).write_text(json.dumps(outcome | {"answers": digest}))
    ended = back(unlabelled, run, folder)
    assert ended.status is RunStatus.STOPPED and "2 of 3 shards came back with 59 answers" in ended.message
    assert "2 put into quarantine.jsonl" in ended.message and "missing: shard-0002" in ended.message
    done(folder / "shard-0002")
    ended = back(unlabelled, run, folder)
    assert "export the run again for the inputs that lack one" in ended.message
    actions.resume_run(unlabelled, 1, DAN, run, Place(on=Executor.FILES, folder=str(tmp_path / "rest")))
    done(tmp_path / "rest" / "shard-0001")
    assert back(unlabelled, run, tmp_path / "rest").status is RunStatus.FINISHED
    teacher = unlabelled.dossier(1).play.teacher_digest
    there = cache.outputs(unlabelled.artifacts.folder, teacher)
    (unlabelled.artifacts.folder / cache.TEACHER_CACHE).unlink()
    actions.label(unlabelled, 1, DAN)
    assert newest(unlabelled).status is RunStatus.FINISHED
    assert there.keys() == (here := cache.outputs(unlabelled.artifacts.folder, teacher)).keys()
    assert all(there[digest] == pytest.approx(here[digest], abs=1e-5) for digest in here)


def test_in_parts_labels_and_shards_are_the_same(
    unlabelled: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts, exports = [], []
    for name, at_once in (("whole", 10_000), ("parts", 13)):
        monkeypatch.setattr(files, "AT_ONCE", at_once)
        folder = tmp_path / name
        actions.label(unlabelled, 1, DAN, where=Place(on=Executor.FILES, folder=str(folder), shards=3))
        exports.append(folder)
        shards = [json.loads((folder / f"shard-000{number}" / files.SHARD).read_text()) for number in (1, 2, 3)]
        artifacts.append([(shard["traffic"][0]["artifact"], shard["traffic"][0]["rows"]) for shard in shards])
    assert artifacts[0] == artifacts[1]
    results, answers = [], []
    teacher, folder = unlabelled.dossier(1).play.teacher_digest, unlabelled.artifacts.folder
    for at_once in (10_000, 13):
        monkeypatch.setattr(label, "AT_ONCE", at_once)
        actions.label(unlabelled, 1, DAN)
        assert newest(unlabelled).status is RunStatus.FINISHED, newest(unlabelled).error
        results.append(json.loads(newest(unlabelled).result) | {"seconds": 0})
        answers.append(cache.outputs(folder, teacher))
        (folder / cache.TEACHER_CACHE).unlink()
    assert results[0] == results[1]
    assert all(answers[0][digest] == pytest.approx(row, abs=1e-5) for digest, row in answers[1].items())


@pytest.mark.parametrize("rows", [0, 1, 100, 12_345_678])
def test_parts_hold_every_digest_once_and_in_order(rows: int) -> None:
    found = digests.parts(rows, 1_000)
    assert [part.start for part in found[1:]] == [part.end for part in found[:-1]]
    assert found[0].start == "" and found[-1].end > "f" * 64 and len(found) == max(1, -(-rows // 1_000))
    assert [part.start for part in found] == sorted({part.start for part in found})


# --- Slurm -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("slurm")
    with slurm.running(folder):
        yield folder


def on_slurm(project: Project, spec: Spec, **settings: str) -> int:
    """Queue a training run for Slurm, its worker a process of its own."""
    return actions.start_run(
        project, 1, DAN, spec, Place(on=Executor.SLURM).with_settings({"memory_gb": "2", **settings})
    )


@pytest.fixture
def real(started: Project) -> Iterator[Project]:
    """The same project with workers that are processes."""
    with workers():
        yield started


@pytest.fixture
def started(made: Path, tmp_path: Path) -> Iterator[Project]:
    """The same project with workers that are started afresh, in this environment."""
    shutil.copytree(made, tmp_path / "work")
    opened = Project.open(tmp_path / "work" / "team.distill")
    yield opened
    for run in queries.active_runs(opened):
        if run.pid is not None:
            os.kill(run.pid, signal.SIGKILL)
    opened.close()


def ended(project: Project, run_id: int, reached: Callable[[entities.Run], bool] | None = None) -> entities.Run:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        run = queries.run(project, run_id)
        assert run is not None
        if reached(run) if reached else not run.status.active:
            return run
        local.reap(project)
        time.sleep(0.1)
    raise AssertionError(f"run {run_id}: {run}")


def test_slurm_that_does_not_take_the_job_is_one_line_and_the_run_can_be_resumed(cluster: Path, real: Project) -> None:
    run = ended(real, on_slurm(real, QUICK, partition="nowhere"))
    assert run.status is RunStatus.FAILED and "Slurm does not take the job" in (run.error or "")
    again = actions.resume_run(real, 1, DAN, run.id, Place(on=Executor.LOCAL))
    assert ended(real, again).status is RunStatus.FINISHED


def test_slurm_that_is_down_is_one_line_and_the_run_can_be_resumed(
    real: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs.program("sbatch")
    monkeypatch.setenv("SLURM_CONF", str(slurm.configured(tmp_path)))
    run = ended(real, on_slurm(real, QUICK))
    assert run.status is RunStatus.FAILED and "Slurm does not take the job" in (run.error or "")
    assert "Unable to contact slurm controller" in (run.error or "") and "\n" not in (run.error or "")
    assert ended(real, actions.resume_run(real, 1, DAN, run.id, Place(on=Executor.LOCAL))).status is RunStatus.FINISHED


def test_a_launcher_that_is_not_there_is_one_line_before_anything_is_submitted(
    started: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(local.LAUNCHER, "no-such-launcher --num_processes 2")
    run = ended(started, on_slurm(started, QUICK))
    assert run.status is RunStatus.FAILED and "no-such-launcher, which is not there" in (run.error or "")


@pytest.mark.slow
def test_a_job_trains_in_the_processes_that_the_environment_launches(
    cluster: Path, started: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = Path(sys.executable).with_name("accelerate")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(local.LAUNCHER, f"{launcher} launch --multi_gpu --main_process_port 0 --num_processes 2")
    run = ended(started, on_slurm(started, QUICK))
    assert run.status is RunStatus.FINISHED, run
    here = started.dossier(1).runs[-2]
    both = [load_file(started.artifacts.path(str(each.artifact)) / "model.safetensors") for each in (run, here)]
    assert both[0].keys() == both[1].keys()
    furthest = max(float(abs(both[0][name] - both[1][name]).max()) for name in both[0])
    assert 0 < furthest < 2e-5, "the sums of two processes, in another order than those of one"


def test_an_array_trains_the_arms_of_a_ladder(cluster: Path, real: Project, trained_here: dict[float, object]) -> None:
    there = Place(on=Executor.SLURM, shards=2).with_settings({"memory_gb": "2"})
    run = ended(real, actions.start_run(real, 1, DAN, replace(LADDER, enough=1.0), there))
    assert run.status is RunStatus.FINISHED, run
    assert what_came_of(real, run) == trained_here[1.0]
    shards = real.artifacts.run_folder(run.id) / "shards"
    assert sorted(each.parent.relative_to(shards).as_posix() for each in shards.rglob(files.OUTCOME)) == [
        "compared/shard-0001", "compared/shard-0002", "shard-0001", "shard-0002",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_job_outlives_a_slurm_that_is_down_for_a_while(cluster: Path, real: Project) -> None:
    run = on_slurm(real, LONG)
    ended(real, run, lambda each: each.step > 0 or not each.status.active)
    slurm.stop(cluster, "slurmctld", "KILL")
    down = ended(real, run, lambda each: "Unable to contact slurm controller" in each.message or not each.status.active)
    assert down.status is RunStatus.RUNNING, down
    subprocess.run([needs.program("slurmctld")], check=True, capture_output=True)
    found, here = ended(real, run), ended(real, actions.start_run(real, 1, DAN, LONG))
    assert found.status is RunStatus.FINISHED and found.artifact == here.artifact, found
    ends = [each for each in queries.entries(real, 1) if each.action is Action.FINISH_RUN]
    assert sum(json.loads(each.detail)["run"] == run for each in ends) == 1


def test_a_job_gives_the_same_student_is_stopped_with_the_run_and_requeued_from_its_checkpoint(
    cluster: Path, real: Project
) -> None:
    here = newest(real)
    run = ended(real, on_slurm(real, QUICK))
    assert run.status is RunStatus.FINISHED and run.artifact == here.artifact, run

    stopped = on_slurm(real, replace(LONG, epochs=40, patience=40))
    ended(real, stopped, lambda each: each.step > 0)
    actions.stop_run(real, 1, DAN, stopped)
    run = ended(real, stopped)
    assert run.status is RunStatus.STOPPED
    left = subprocess.run(["squeue", "-h", "-n", f"distill-{stopped}"], capture_output=True, text=True, check=True)
    assert not left.stdout.split() or "CG" in left.stdout, "the job was cancelled with the run"

    requeued = on_slurm(real, LONG)
    folder = real.artifacts.run_folder(requeued) / "shards"
    ended(real, requeued, lambda each: any(folder.rglob("state.safetensors")) or not each.status.active)
    (job, *_) = json.loads((folder / "slurm.json").read_text())
    subprocess.run(["scontrol", "requeue", job], check=True)
    ended(real, requeued, lambda each: "pending" in each.message or not each.status.active)
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)  # Slurm would wait two minutes
    run = ended(real, requeued)
    assert run.status is RunStatus.FINISHED, run
    local_run = ended(real, actions.start_run(real, 1, DAN, LONG))
    assert run.artifact == local_run.artifact, "pre-emption changes nothing"
    assert place.read(real.artifacts.run_folder(requeued)).on is Executor.SLURM

"""A bundle's language model as a GGUF file, by llama.cpp's converter, compared with the student that was judged.

The file is another form of the student: no gate judged it and no signature covers it. It is kept only if llama.cpp's
server loads it and answers enough validation rows as the student does; the JSON next to it states how many.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from distill_tui.bundles import student as students_of
from distill_tui.bundles.student import BundledStudent
from distill_tui.digests import file_digest, folder_digest
from distill_tui.tasks.answer_text import spelled
from distill_tui.text import visible

FORMAT = "distill-tui gguf 1"
FORMS = ("causal", "causal_labels")  # forms of a bundle's model that a converter can read
CONVERT_SECONDS = 3600  # what a converter may take
LOAD_SECONDS = 600  # what a server may take until it answers
ANSWER_SECONDS = 300  # what one answer may take
ROOM = 16  # tokens of the context that no row needs
WORDS = 300  # characters of a program's last line that are shown


@dataclass(frozen=True)
class Wanted:
    """How a GGUF file is made, and when it is good enough to be kept."""

    converter: str  # a command with the options of llama.cpp's convert_hf_to_gguf.py
    outtype: str  # its --outtype, like f16 or q8_0
    runtime: str  # a command with the options of llama-server; empty: the one that is installed
    rows: int  # validation rows that both answer
    least: Decimal  # share of them that must be answered alike


def make(bundle: Path, texts: Sequence[str], wanted: Wanted, target: Path) -> dict[str, Any]:
    """Write a GGUF file as `target`, and next to it what is known of it as `target` + .json; return the latter.

    `texts` are inputs of validation rows. Raises ValueError with one sentence, with nothing left behind, where the
    student has no such form, a program fails, or too few rows are answered alike.
    """
    student, facts = students_of.read(bundle), target.with_name(f"{target.name}.json")
    if student.form not in FORMS:
        raise ValueError(
            f"Only a student of kind {' or '.join(FORMS)} can be a GGUF; this one is of form {student.form}."
        )
    asked = _settings(student)
    if asked.get("windows") is True:
        raise ValueError("This student reads longer texts in windows, and llama.cpp cannot; train it without.")
    for path in (target, facts):
        if path.exists():
            raise ValueError(f"{path} exists; remove it, or name another folder.")
    if not texts:
        raise ValueError("The bundle's data set has no validation row to compare answers on.")
    converter, runtime = _command(wanted.converter, "--gguf"), _runtime(wanted.runtime)
    target.parent.mkdir(parents=True, exist_ok=True)
    making = target.with_name(f".{target.name}.making")
    shutil.rmtree(making, ignore_errors=True)  # left by a process that was killed here
    making.mkdir()
    try:
        made = making / target.name
        _convert([*converter, str(student.folder), "--outfile", str(made), "--outtype", wanted.outtype], made, making)
        found = _compared(bundle, student, texts[: wanted.rows], made, runtime, making)
        if found["same"] < wanted.least * found["rows"]:
            raise ValueError(_too_few(found, wanted))
        known = _facts(student, wanted, asked, found, made, converter)
        (making / facts.name).write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (making / facts.name).rename(facts)
        made.rename(target)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return known


def _settings(student: BundledStudent) -> dict[str, Any]:
    """Return how the student is asked, as its folder has it."""
    name = "labels.json" if student.labels else "answer.json"
    settings: dict[str, Any] = json.loads((student.folder / name).read_text(encoding="utf-8"))
    return settings


def _too_few(found: dict[str, Any], wanted: Wanted) -> str:
    rows, differ = found["rows"], found["rows"] - found["same"]
    tokens = f", and reads {found['other_tokens']:,} of them in other tokens" if found["other_tokens"] else ""
    return (
        f"The GGUF answers {differ:,} of {rows:,} validation rows otherwise than the student{tokens}; --least "
        f"{wanted.least} allows {int(rows - wanted.least * rows):,}. Nothing was kept: take another --gguf-type or "
        "converter."
    )


def _facts(
    student: BundledStudent,
    wanted: Wanted,
    asked: dict[str, Any],
    found: dict[str, Any],
    made: Path,
    converter: list[str],
) -> dict[str, Any]:
    grammar = {"grammar": _grammar(student.labels)} if student.labels else {}
    return {
        "format": FORMAT,
        "judged": False,
        "statement": statement(found["rows"], found["same"]),
        "gguf": file_digest(made),
        "bundle": student.bundle,
        "model": folder_digest(student.folder),
        "type": wanted.outtype,
        "converter": {"command": shlex.join(converter), "digest": _program_digest(converter)},
        "runtime": found["runtime"],
        "rows": found["rows"],
        "same": found["same"],
        "other_tokens": found["other_tokens"],
        "least": str(wanted.least),
        "template": asked["template"],
        "max_tokens": asked["max_tokens"],
        **grammar,
    }


def statement(rows: int, same: int) -> str:
    """Word what may be relied on, for people."""
    return (
        f"Not judged and not signed: the gate judged the bundle's own model. This file answers {rows - same:,} of "
        f"{rows:,} validation rows otherwise."
    )


# --- the programs ----------------------------------------------------------------------------------------------------


def _command(text: str, option: str) -> list[str]:
    """Split a command; a script of Python that is not executable runs in this Python."""
    words = shlex.split(text)
    if not words:
        raise ValueError(f"{option} is empty; name a program.")
    if shutil.which(words[0]):
        return words
    if Path(words[0]).is_file() and words[0].endswith(".py"):
        return [sys.executable, *words]
    raise ValueError(f"{option}: there is no program {visible(words[0])}; give its path.")


def _runtime(text: str) -> list[str]:
    if text:
        return _command(text, "--runtime")
    if shutil.which("llama-server"):
        return ["llama-server"]
    if importlib.util.find_spec("xllamacpp"):
        return [sys.executable, "-m", "distill_tui.bundles.llama_server"]
    raise ValueError(
        "Nothing here loads a GGUF: install llama.cpp's llama-server, or `pip install 'distill-tui[gguf]'`, or name a "
        "server with --runtime."
    )


def _program_digest(command: Sequence[str]) -> str:
    """Digest the script of a command, else its program."""
    script = next((word for word in command if word.endswith(".py") and Path(word).is_file()), None)
    return file_digest(Path(script or shutil.which(command[0]) or command[0]).resolve())


def _convert(command: list[str], made: Path, scratch: Path) -> None:
    """Run the converter. Raises ValueError with its last line where it makes no file."""
    log = scratch / "converter.log"
    with log.open("wb") as file:
        try:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False, timeout=CONVERT_SECONDS
            ).returncode
        except subprocess.TimeoutExpired:
            raise ValueError(f"The converter took over {CONVERT_SECONDS / 60:.0f} minutes and was ended.") from None
    if code:
        raise ValueError(f"The converter failed with code {code}: {_last_line(log)}")
    if not made.is_file():
        raise ValueError(f"The converter ended without an error, but wrote no file at --outfile: {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return visible(lines[-1].strip()[:WORDS]) if lines else "it printed nothing."


@contextmanager
def _served(runtime: list[str], made: Path, room: int, scratch: Path) -> Iterator[str]:
    """Load a GGUF file in a server of its own, and yield its address. Raises ValueError where it does not load."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["-m", made, "-c", room, "-np", 1, "--host", "127.0.0.1", "--port", port]
    log = scratch / "runtime.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*runtime, *map(str, options)], stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        address, ends = f"http://127.0.0.1:{port}", time.monotonic() + LOAD_SECONDS
        while not _is_ready(address):
            if process.poll() is not None:
                raise ValueError(f"The runtime did not load the GGUF: {_last_line(log)}")
            if time.monotonic() > ends:
                raise ValueError(f"The runtime did not answer within {LOAD_SECONDS / 60:.0f} minutes.")
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _is_ready(address: str) -> bool:
    try:
        with OPENER.open(f"{address}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, ValueError):
        return False


def _ask(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with OPENER.open(request, timeout=ANSWER_SECONDS) as reply:
            answer: dict[str, Any] = json.load(reply)
    except urllib.error.HTTPError as error:
        raise ValueError(
            f"The runtime answered {path} with {error.code}: {visible(str(error.read()[:WORDS]))}"
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(f"The runtime did not answer {path}: {visible(str(error))}") from None
    return answer


# --- both answer -----------------------------------------------------------------------------------------------------


def _compared(
    bundle: Path, student: BundledStudent, texts: Sequence[str], made: Path, runtime: list[str], scratch: Path
) -> dict[str, Any]:
    """Have student and GGUF answer texts: how many there are, how many answers are the same, how many read otherwise.

    The runtime gets the tokens that the student reads, so that an answer shows the weights; whether it cuts the text
    into the same tokens by itself is asked apart. A row is the same where both are.
    """
    rows, most = _student_rows(bundle, texts, scratch), _most_tokens(student)
    room = max(len(row["prompt"]) for row in rows) + most + ROOM
    guided = {"grammar": _grammar(student.labels)} if student.labels else {}
    same = other_tokens = 0
    with _served(runtime, made, room, scratch) as address:
        for row in rows:
            plain = {"content": row["text"], "add_special": False, "parse_special": False}
            alike = _ask(address, "/tokenize", plain).get("tokens") == row["read"]
            body = {"prompt": row["prompt"], "n_predict": most, "temperature": 0, "cache_prompt": False, **guided}
            said = str(_ask(address, "/completion", body).get("content", ""))
            other_tokens += not alike
            same += alike and (said if student.labels else spelled(said.strip())) == row["answer"]
    return {"rows": len(rows), "same": same, "other_tokens": other_tokens, "runtime": shlex.join(runtime)}


def _student_rows(bundle: Path, texts: Sequence[str], scratch: Path) -> list[dict[str, Any]]:
    """Ask the student, in a process of its own: of each text its tokens, those of the prompt, and the answer."""
    given, found = scratch / "texts.json", scratch / "answers.json"
    given.write_text(json.dumps(list(texts)), encoding="utf-8")
    words = [sys.executable, "-m", "distill_tui.bundles.gguf_rows", str(bundle), str(given), str(found)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "The student did not answer.")
    rows: list[dict[str, Any]] = json.loads(found.read_text(encoding="utf-8"))
    return rows


def _most_tokens(student: BundledStudent) -> int:
    """Return how many tokens an answer can have; a label may be spelled byte by byte."""
    if student.labels:
        return max(len(label.encode()) for label in student.labels) + 1
    return int(_settings(student)["answer_tokens"])


def _grammar(labels: Sequence[str]) -> str:
    """Write the grammar of llama.cpp by which only a label is an answer."""
    return f"root ::= {' | '.join(json.dumps(label, ensure_ascii=False) for label in labels)}"

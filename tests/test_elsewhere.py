"""A signed play that was made on another machine: this one finds the same digests, signatures and verdicts.

Every machine that runs the suite is a second machine, except one with the processor and torch that `made.json` names;
there the weights of the retrained student are the same to the bit. `proofs/elsewhere.py` wrote it
(`make fixture-elsewhere`), and checks more thread counts.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

sys.path.insert(0, str(Path(__file__).parents[1] / "proofs"))

import elsewhere

FIXTURE = Path(__file__).parent / "fixtures" / "elsewhere.tar.gz"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    with tarfile.open(FIXTURE) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / "made"


def test_what_another_machine_made_verifies_and_retrains_to_the_same_verdict_here(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = elsewhere.check(made, thread_counts=[1])
    bundle, data, weights, answers, verdict = lines
    if not (weights.same and answers.same):
        machines = capsys.readouterr().out
        with capsys.disabled():
            sys.stdout.write("\n".join(["", machines, *map(str, lines), ""]))
    assert [str(line) for line in lines if line.wrong] == []
    assert bundle.promised and data.promised and verdict.promised


@pytest.mark.parametrize(
    "name",
    ("model/config.json", "model/model.onnx", "records", "gate.json", "sign_off.json", "recipe.json", "log.jsonl"),
)
def test_one_changed_byte_of_what_was_made_elsewhere_is_named(made: Path, name: str) -> None:
    path = made / "bundle" / name
    path = next(path.iterdir()) if path.is_dir() else path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    bundle = elsewhere.check(made, thread_counts=())[0]
    assert bundle.wrong
    assert path.name in bundle.detail


def test_one_changed_byte_of_a_row_of_the_data_set_is_named(made: Path) -> None:
    path = made / "data.parquet"
    table = parquet.read_table(path)
    at = table.schema.get_field_index("input")
    inputs = table.column(at).to_pylist()
    inputs[7] = "X" + inputs[7][1:]
    parquet.write_table(table.set_column(at, table.schema.field(at), pyarrow.array(inputs)), path)
    wrong = [line.what for line in elsewhere.check(made, thread_counts=()) if line.wrong]
    assert wrong == ["data set: the digest that the recipe names"]


def test_another_signer_than_was_named_is_rejected(made: Path) -> None:
    path = made / "made.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps(about | {"signer": about["signer"][:-1] + "-"}))
    bundle = elsewhere.check(made, thread_counts=())[0]
    assert bundle.wrong and about["signer"] in bundle.detail


def write() -> Path:
    """Write the fixture: what `proofs/elsewhere.py make` makes here."""
    with tempfile.TemporaryDirectory() as folder:
        elsewhere.make(Path(folder) / "made")
        with tarfile.open(FIXTURE, "w:gz") as tar:
            tar.add(Path(folder) / "made", "made")
    return FIXTURE


if __name__ == "__main__":
    sys.stdout.write(f"{write().stat().st_size:,} bytes\n")

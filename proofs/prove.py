"""Everything that is too long for the tests, one after the other, and one table: what was tried, what was lost.

make prove                                 # full counts
make prove ARGS='--scale 0.1'              # a tenth of each
make prove ARGS='--only SIGKILL'           # the proofs whose name holds this word
make prove ARGS='--table'                  # only the table of what was proved so far
make prove ARGS='--markdown'               # the same as it stands in docs/proofs.md

What held at this scale is kept in `--kept` and not run again, so that one may break off and go on; `--again` begins
anew.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STORIES, TERMINALS = 10_000, 100
DEEDS = ("import", "data build", "gate lock", "training's end", "evaluation", "sign-off", "ship")
STORMS = ("writers", *DEEDS, "init, migration", "backup", "8 writers", "6 make", "SIGSTOP", "race")
ON_A_DISK = (*DEEDS, "labelling", "a training", "backup", "init", "upgrade")
WAYS = ("failing disk", "interrupted at", "killed at")
FILES = ("write-ahead log", "project file", "EINTR", "board", "upgrade at once", "upgrade killed")


def proofs(scale: float) -> dict[str, list[str]]:
    """Name each proof, and how it is run: most is proved by the first ones."""
    often = ["--scale", str(scale)]
    found = {"people": ["people.py", "--stories", str(round(STORIES * scale))]}
    for name in STORMS:
        killed = name in DEEDS or name in ("writers", "init, migration", "backup")
        only = f"SIGKILL: {name}" if killed else name
        found[only] = ["storms.py", *often, "--only", only]
    found |= {"SIGKILL: labelling": ["storms_teacher.py", *often], "SIGKILL: training": ["storms_training.py", *often]}
    found |= {f"file: {name}": ["storms_files.py", *often, "--only", name] for name in FILES}
    for only in (f"{way}: {name}" for way in WAYS for name in ON_A_DISK):
        found[only] = ["storms_disk.py", *often, "--only", only]
    found |= {
        "full disk": ["storms_disk.py", *often, "--only", "full disk"],
        "flips": ["flips.py", *often],
        "bad input": ["bad_input.py", *often],
        "suites": ["bad_suites.py", *often],
        "fuzz": ["fuzz.py", *often],
        "clocks": ["storms_clocks.py", *often],
        "guards": ["guards.py"],
        "writes": ["../benchmarks/writes.py", *often],
        "sessions": ["../benchmarks/sessions.py", "--only", "many"],
        "terminals": [
            *("../benchmarks/sessions.py", "--only", "drops"),
            *("--terminals", str(max(1, round(TERMINALS * scale)))),
        ],
    }
    return found


def proved(words: list[str]) -> dict[str, Any]:
    """Run one proof; gives its lines, whether it held, and how long it took."""
    started, at = time.monotonic(), commit()
    with tempfile.NamedTemporaryFile("r") as lines:
        environment = os.environ | {"PROVED": lines.name}
        code = subprocess.run([sys.executable, str(HERE / words[0]), *words[1:]], env=environment).returncode
        rows = [json.loads(line) for line in lines]
    return {"code": code, "seconds": round(time.monotonic() - started, 1), "rows": rows, "commit": at}


def commit() -> str:
    """Name what is proved; a star says that files differ from the commit. Empty outside a repository."""
    words = ["git", "-C", str(HERE), "describe", "--always", "--exclude=*", "--dirty=*"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def show(kept: dict[str, dict[str, Any]]) -> int:
    """Print the table; gives the exit code: 1 where something was lost or did not hold."""
    lines = [("WHAT WAS TRIED", "TIMES", "LOST", "SECONDS", "EACH", "COMMIT", "HOW FAR")]
    for name, proof in kept.items():
        for row in proof["rows"] or [{"what": name, "times": 0, "lost": [], "progress": "see what it printed"}]:
            share = proof["seconds"] / max(1, sum(each["times"] for each in proof["rows"]))
            ends = "" if not proof["code"] else "DID NOT HOLD; "
            counts = (f"{row['times']:,}", str(len(row["lost"])), f"{proof['seconds']:,.0f}", f"{share:.3f}")
            lines.append((row["what"], *counts, proof.get("commit", ""), ends + row["progress"]))
    wide = [max(len(line[at]) for line in lines) for at in range(6)]
    for line in lines:
        numbers = (f"{each:>{width}}" for each, width in zip(line[1:6], wide[1:], strict=True))
        print(f"{line[0]:<{wide[0]}}  {'  '.join(numbers)}  {line[6]}")
    return int(any(proof["code"] for proof in kept.values()))


def markdown(kept: dict[str, dict[str, Any]]) -> None:
    """Print the table as the documentation has it."""
    print("| proof | times | lost | minutes | commit | how far |\n|---|---|---|---|---|---|")
    for proof in kept.values():
        for row in proof["rows"]:
            held = "" if not proof["code"] else "did not hold; "
            minutes, at = f"{proof['seconds'] / 60:,.1f}", proof.get("commit", "")
            cells = (f"{row['times']:,}", str(len(row["lost"])), minutes, at)
            print(f"| {row['what']} | {' | '.join(cells)} | {held}{row['progress'].replace('|', '/')} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", default="", help="the proofs whose name holds this word")
    parser.add_argument("--again", action="store_true", help="run what held already, too")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--markdown", action="store_true", help="run nothing, and print Markdown")
    parser.add_argument("--kept", type=Path, default=Path(".proved.json"), help="where what came of it is kept")
    given = parser.parse_args()
    kept = json.loads(given.kept.read_text()) if given.kept.exists() else {}
    here: dict[str, dict[str, Any]] = kept.setdefault(str(given.scale), {})
    for name, words in proofs(given.scale).items():
        held = here.get(name, {}).get("code") == 0 and not given.again
        if given.only in name and not held and not (given.table or given.markdown):
            print(f"\n=== {name}: {' '.join(words)}", flush=True)
            here[name] = proved(words)
            given.kept.write_text(json.dumps(kept))
    done = {name: here[name] for name in proofs(given.scale) if name in here}
    if given.markdown:
        markdown(done)
        return 0
    print()
    return show(done)


if __name__ == "__main__":
    sys.exit(main())

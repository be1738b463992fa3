"""What several benchmarks need: the folders of the test helpers, the proofs and the samples, a parser, environments."""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "build" / "peers"
for folder in ("sample_projects/address_extraction", "sample_projects/feedback_sentiment", "proofs", "tests"):
    sys.path.insert(0, str(ROOT / folder))


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the module's docstring."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def environment(name: str, packages: Sequence[str], *, ours: bool = False) -> Path:
    """Return the environment of a peer, below `build/`; the first call creates it.

    With `ours` it sees the packages of this environment too, after its own.
    """
    home = PEERS / name
    if not (home / "ready").exists():
        print(f"installing {name} below {PEERS}", flush=True)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run(
            [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *packages], check=True
        )
        if ours:
            (own,) = home.glob("lib/python*/site-packages")
            (own / "ours.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("site-packages")))
        (home / "ready").touch()
    return home

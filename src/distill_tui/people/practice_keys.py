"""Keys for practice: key pairs of made-up colleagues in a folder next to a project, so that one person plays all parts.

They have no passphrase and prove no one. The screens offer them only where the marker is there, which means practice.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from distill_tui.people.keys import BadSignature

FOLDER, MARKER = "keys", "FOR-PRACTICE"
TEXT = "These keys are for practice: this account can act as each of these people. Real people keep their own keys.\n"


def make(folder: Path, people: Sequence[str]) -> None:
    """Make a key pair for each person. Raises BadSignature where ssh-keygen is missing or fails."""
    folder.mkdir(mode=0o700)
    (folder / MARKER).write_text(TEXT, encoding="utf-8")
    for person in people:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", person, "-f", str(folder / person)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except FileNotFoundError:
            raise BadSignature("ssh-keygen is not installed; install OpenSSH's client.") from None
        except subprocess.CalledProcessError as error:
            raise BadSignature(f"ssh-keygen made no key: {error.stderr.decode(errors='replace').strip()}") from None


def near(project: Path) -> dict[str, Path]:
    """Return the practice keys next to a project file, by person; none where the folder is not marked."""
    folder = project.absolute().parent / FOLDER
    if not (folder / MARKER).is_file():
        return {}
    return {public.stem: public.with_suffix("") for public in sorted(folder.glob("*.pub"))}

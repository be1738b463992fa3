"""A terminal of a real process: what it is sent, and what it shows."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from struct import pack
from typing import Any


class Terminal:
    """The program on a pty of its own: what it writes, and keys for it."""

    def __init__(
        self,
        *words: str,
        ignore_hangup: bool = False,
        cwd: Path | None = None,
        size: tuple[int, int] = (120, 36),
        program: bool = False,
        **env: str,
    ) -> None:
        if cwd is not None:
            cwd.mkdir(exist_ok=True)
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, pack("HHHH", size[1], size[0], 0, 0))
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("DISTILL_", "SSH_", "NO_COLOR", "TEXTUAL"))}

        def own_the_terminal() -> None:
            os.setsid()
            ioctl(0, termios.TIOCSCTTY, 0)
            if ignore_hangup:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)

        self.process = subprocess.Popen(
            [sys.executable, *words] if program else [sys.executable, "-m", "distill_tui", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=clean | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"} | env,
            preexec_fn=own_the_terminal,
            cwd=cwd,
        )
        os.close(slave)
        self.written = b""

    def read(self, quiet: float = 0.2) -> bytes:
        """Read until nothing came for a while; give what came."""
        found = b""
        while select.select([self.master], [], [], quiet)[0]:
            try:
                piece = os.read(self.master, 65_536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            found += piece
        self.written += found
        return found

    def until(self, found: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not found():
            assert time.monotonic() < end, self.written[-3000:]
            self.read(0.05)

    def shows(self, text: bytes) -> None:
        self.until(lambda: text in self.written)

    def press(self, keys: bytes) -> bytes:
        os.write(self.master, keys)
        return self.read()

    def ended(self, seconds: float = 10) -> int:
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        assert self.process.poll() is not None, "it never ended"
        self.read(0.05)
        return self.process.returncode

    def mode(self) -> list[Any]:
        """Return the modes of the terminal, as `stty` has them."""
        return termios.tcgetattr(self.master)

    def sleeps(self) -> bool:
        """See whether the program is stopped."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.master >= 0:
            os.close(self.master)

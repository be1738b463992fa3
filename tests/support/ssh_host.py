"""A real sshd on a loopback port, started as people start it, and people who connect to it with real keys."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path
from struct import pack

from support import needs
from support.real_play import Play


def free_port() -> int:
    """Find a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Host:
    """`distill-tui ssh serve` of one play's project, and its clients."""

    def __init__(self, play: Play, folder: Path, *more: str) -> None:
        needs.program("sshd")
        self.play, self.folder, self.port = play, folder, free_port()
        self.env = os.environ | {"XDG_STATE_HOME": str(folder / "state")}
        self.log = (folder / "serve.log").open("wb")
        play.path.chmod(0o600)
        words = ["--project", str(play.path), "ssh", "serve", "--port", str(self.port), "--listen", "127.0.0.1", *more]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "distill_tui", *words],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=self.env,
        )
        deadline = time.monotonic() + 90
        while b"listening" not in (folder / "serve.log").read_bytes():
            assert self.process.poll() is None and time.monotonic() < deadline, (folder / "serve.log").read_text()
            time.sleep(0.05)
        self.config = folder / "ssh_config"
        self.config.write_text(
            f"Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile {folder / 'known'}\n  IdentitiesOnly yes\n"
            "  LogLevel ERROR\n  BatchMode yes\n  IdentityAgent none\n"
        )

    @property
    def url(self) -> str:
        """Where `sign --via` finds it."""
        return f"ssh://127.0.0.1:{self.port}"

    def command(self, person: str, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        """The command that connects as a person, with their key."""
        key = ["-i", str(self.play.key(person)), "-p", str(self.port)]
        return ["ssh", "-F", str(self.config), *key, *options, "127.0.0.1", *words]

    def run(
        self, person: str, *words: str, options: tuple[str, ...] = (), given: bytes = b"", **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Connect without a terminal."""
        command = self.command(person, *words, options=options)
        return subprocess.run(command, input=given, capture_output=True, env=self.env | env, timeout=120, check=False)

    def close(self) -> None:
        """End the server as ctrl+c does."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


class Session:
    """A session with a terminal: what it writes, and keys for it."""

    def __init__(
        self,
        host: Host,
        person: str,
        size: tuple[int, int] = (80, 24),
        options: tuple[str, ...] = (),
        **env: str,
    ) -> None:
        self.master, slave = pty.openpty()
        self.resize(*size)

        def own_the_terminal() -> None:
            os.setsid()
            ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            host.command(person, options=("-tt", *options)),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=host.env | {"TERM": "xterm-256color"} | env,
            preexec_fn=own_the_terminal,
        )
        os.close(slave)
        self.written = b""

    def resize(self, width: int, height: int) -> None:
        """Change the size of the terminal."""
        ioctl(self.master, termios.TIOCSWINSZ, pack("HHHH", height, width, 0, 0))

    def read(self, seconds: float) -> bytes:
        """Take what is written for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    new = os.read(self.master, 65536)
                except OSError:
                    break
                if not new:
                    break
                self.written += new
        return self.written

    def wait_for(self, text: bytes, seconds: float = 60) -> bytes:
        """Wait until something was written."""
        end = time.monotonic() + seconds
        while text not in self.written:
            assert time.monotonic() < end, f"{text!r} is not in {self.written[-2000:]!r}"
            self.read(0.1)
        return self.written

    def press(self, keys: bytes) -> None:
        """Send keys."""
        os.write(self.master, keys)

    def ended(self, seconds: float = 30) -> int | None:
        """Wait for the end of the connection; gives the exit code, or None where it goes on."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        return self.process.poll()

    def close(self) -> None:
        """Hang up."""
        os.close(self.master)
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

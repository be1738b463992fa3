"""Reach a project over SSH: write and check the lines and settings of an OpenSSH server, or run a private one.

Both ways start `ssh session` and nothing else. The recommended one is an account of its own under the system's sshd,
with a forced command for each key. `serve` runs a private sshd on a port, for teams without an administrator: see
decision 0037.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from distill_tui.people import remembered, signatures
from distill_tui.people.keys import BadSignature
from distill_tui.rules.dossier import ProjectDossier

IDLE = 30.0  # minutes without a key after which a session leaves
SETTINGS = {  # what `sshd -T` must print for the account that sessions run under, and why
    "exposeauthinfo": ("yes", "without it a session cannot prove who it is"),
    "permituserrc": ("no", "a file in the account's home would run before our command"),
    "permituserenvironment": ("no", "a key could set variables"),
    "disableforwarding": ("yes", "a session needs no tunnel"),
    "allowtcpforwarding": ("no", "a session needs no tunnel"),
    "x11forwarding": ("no", "a session needs no windows"),
    "passwordauthentication": ("no", "a password proves no key"),
    "kbdinteractiveauthentication": ("no", "a password proves no key"),
    "pubkeyauthentication": ("yes", "people prove themselves by keys"),
    "authenticationmethods": ("publickey", "only a key proves a person"),
    "hostbasedauthentication": ("no", "a host proves no person"),
    "gssapiauthentication": ("no", "a ticket proves no key"),
    "kerberosauthentication": ("no", "a ticket proves no key"),
    "permitemptypasswords": ("no", "a password proves no key"),
    "trustedusercakeys": ("none", "a certificate would bypass the command of each key"),
    "authorizedkeyscommand": ("none", "keys of another source have no command of ours"),
    "permittunnel": ("no", "a session needs no tunnel"),
    "allowstreamlocalforwarding": ("no", "a session needs no socket"),
    "gatewayports": ("no", "a session needs no tunnel"),
    "maxsessions": ("1", "a connection has one channel"),
    "strictmodes": ("yes", "others could write the keys"),
    "forcecommand": ("none", "it would run in the place of the command of each key"),
    "authorizedprincipalsfile": ("none", "a certificate would bypass the command of each key"),
    "authorizedprincipalscommand": ("none", "a certificate would bypass the command of each key"),
    "gssapikeyexchange": ("no", "a ticket proves no key"),
    "ignorerhosts": ("yes", "a host proves no person"),
    "securitykeyprovider": ("internal", "another library would check the touch of a hardware key"),
}
HARMLESS = ("LANG", "LC_*", "COLORTERM", "NO_COLOR")  # that a client may set; a session keeps none of them
STARTUPS = {  # of the whole server: connections that have not logged in may not keep others out
    "MaxStartups": "1000:30:1000",
    "PerSourceMaxStartups": "300",
}
LEAST_STARTUPS = 300  # that are let in before the server drops any


SESSION = {  # of every server that we describe or run
    "AuthenticationMethods": "publickey",
    "ExposeAuthInfo": "yes",
    "PermitUserRC": "no",
    "MaxSessions": "1",
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "HostbasedAuthentication": "no",
    "PermitEmptyPasswords": "no",
    "TrustedUserCAKeys": "none",
}


class ServerError(ValueError):
    """An SSH server that cannot be set up; with the reason and the cure."""


class Project(Protocol):
    """What a server needs of an open project file."""

    path: Path

    def version(self) -> int: ...

    def project_dossier(self) -> ProjectDossier: ...


@dataclass(frozen=True)
class Look:
    """One check of a server's set-up."""

    name: str
    ok: bool
    says: str


def program(path: Path, idle: float = IDLE) -> str:
    """Return the only command that a key may run: the session of this project."""
    source = Path(__file__).parents[2]
    named = {"PYTHONPATH": str(source)} if "site-packages" not in source.parts else {}  # a working copy
    if os.environ.get("XDG_STATE_HOME", "").startswith("/"):
        named["XDG_STATE_HOME"] = os.environ["XDG_STATE_HOME"]
    words = [sys.executable, "-s", "-P", "-m", "distill_tui", "--project", str(path.absolute()), "ssh", "session"]
    words += ["--idle", f"{idle:g}"] if idle != IDLE else []
    before = ["/usr/bin/env", *(f"{name}={value}" for name, value in named.items())] if named else []
    return shlex.join([*before, *words])


def key_lines(dossier: ProjectDossier, path: Path, *, agent: bool = False, idle: float = IDLE) -> list[str]:
    """Write an authorized_keys line for each key that is enrolled and not revoked; made of checked parts only."""
    command = program(path, idle).replace("\\", "\\\\").replace('"', '\\"')
    if "\n" in command:
        raise ServerError(f"The path of {path.name} holds a line break; move the project to another folder.")
    options = f'restrict,pty,{"agent-forwarding," if agent else ""}command="{command}"'
    found = []
    for key in sorted(dossier.keys, key=lambda key: (key.person_id, key.fingerprint)):
        if key.revoked_at is None:
            try:
                line = signatures.read_public_key(f"{key.kind} {key.blob}").line
            except BadSignature as error:
                raise ServerError(
                    f"A key of {key.person_id} cannot be used: {error}. Revoke it with `distill-tui key revoke "
                    f"{key.fingerprint}`."
                ) from None
            found.append(f"{options} {line}")
    return found


def match_block(user: str, *, agent: bool = False) -> str:
    """Write the part of sshd_config for the account that sessions run under."""
    settings = SESSION | {
        "AuthorizedKeysFile": ".ssh/authorized_keys",  # or one that only root can write; one file in either case
        "X11Forwarding": "no",
        "AllowTcpForwarding": "no",
        "AllowStreamLocalForwarding": "no",
        "PermitTunnel": "no",
        ("AllowAgentForwarding" if agent else "DisableForwarding"): "yes",
    }
    whole = [f"{name} {value}" for name, value in STARTUPS.items()]
    return "\n".join([*whole, f"Match User {user}", *(f"    {name} {value}" for name, value in settings.items())])


# --- checking a set-up -------------------------------------------------------------------------------------------


def check_keys(dossier: ProjectDossier, path: Path, text: str) -> Iterator[Look]:
    """Check an authorized_keys file: each line is as `key_lines` writes it, and no key is missing."""
    wanted = {line.rsplit(" ", 2)[-1]: line for line in key_lines(dossier, path)}
    forwarding = {line.rsplit(" ", 2)[-1]: line for line in key_lines(dossier, path, agent=True)}
    owners = {key.blob: key.person_id for key in dossier.keys}
    there = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for number, line in enumerate(there, 1):
        blob = next((word for word in line.split() if word in owners), "")
        if not blob or blob not in wanted:
            yield Look(f"line {number}", False, "this key is not enrolled, or it is revoked; remove the line")
        elif line not in (wanted[blob], forwarding[blob]):
            yield Look(
                f"line {number}", False, f"{owners[blob]}'s key may do more than a session; write the line as shown"
            )
        else:
            yield Look(f"line {number}", True, f"{owners[blob]}, restricted to the session")
    for blob in wanted.keys() - {word for line in there for word in line.split()}:
        yield Look("missing", False, f"a key of {owners[blob]} has no line")


def check_server(user: str, config: Path | None = None, *, agent: bool = False) -> Iterator[Look]:
    """Check every setting that sshd itself reports for this account and that could widen a session."""
    command = [sshd(), "-T", "-C", f"user={user},host=localhost,addr=127.0.0.1"]
    done = subprocess.run(
        [*command, *(["-f", str(config)] if config else [])], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield Look("sshd -T", False, f"sshd does not print its settings ({last}); run this as root")
        return
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    found = {name: value for name, _, value in lines if value}
    yield from _startups(found)
    yield from _environment([(name, value) for name, _, value in lines])
    keys = found.get("authorizedkeysfile", "").split()
    more = "" if len(keys) == 1 else "; it must be one file, the one that is checked: keys of another have no command"
    yield Look("authorizedkeysfile", not more, f"{' '.join(keys)}{more}")
    for name, (wanted, why) in SETTINGS.items():
        if agent and name == "disableforwarding":
            continue  # an agent is forwarded; the other kinds of forwarding are off, each by its own setting
        forwards = name in ("allowtcpforwarding", "allowstreamlocalforwarding", "gatewayports")
        ok = found.get(name, wanted) == wanted or (forwards and found.get("disableforwarding") == "yes")
        yield Look(name, ok, f"{found.get(name, 'unknown')}" + ("" if ok else f"; it must be {wanted}: {why}"))


def _environment(lines: Sequence[tuple[str, str]]) -> Iterator[Look]:
    """A client sets nothing that a program reads before a session has cleaned its environment; sshd sets nothing."""
    taken = [word for name, value in lines if name == "acceptenv" for word in value.split()]
    odd = [word for word in taken if word not in HARMLESS]
    says = f"{' '.join(odd)}: a client could set what programs load; accept only LANG and LC_*"
    yield Look("acceptenv", not odd, says if odd else " ".join(taken) or "none")
    given = [value for name, value in lines if name == "setenv" and value]
    yield Look("setenv", not given, f"{' '.join(given)}; remove it: a session begins without" if given else "none")


def _startups(found: Mapping[str, str]) -> Iterator[Look]:
    """Connections that do not log in leave room for those that do, and one address cannot take it all."""
    begin = found.get("maxstartups", "").partition(":")[0]
    one = found.get("persourcemaxstartups", "none")
    room = begin.isdecimal() and int(begin) >= LEAST_STARTUPS
    yield Look("maxstartups", room, found.get("maxstartups", "unknown") + ("" if room else
        f"; idle connections could keep people out: {STARTUPS['MaxStartups']}"))  # fmt: skip
    held = one.isdecimal() and begin.isdecimal() and int(one) < int(begin)
    yield Look("persourcemaxstartups", held, one + ("" if held else
        f"; one address could take all of them: {STARTUPS['PerSourceMaxStartups']}"))  # fmt: skip


def sshd() -> str:
    """Find OpenSSH's server. Raises ServerError where it is not installed."""
    found = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        raise ServerError("sshd is not installed; install OpenSSH's server (the package openssh-server).")
    return found


# --- a private server --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Serving:
    """Where a private server listens, whether agents are forwarded, and after how many idle minutes sessions end."""

    port: int
    listen: str
    agent: bool = False
    idle: float = IDLE


def serve(project: Project, how: Serving, talk: Callable[[str], object]) -> int:
    """Run a private sshd in the foreground, with its keys kept up to date; return its exit code."""
    dossier = project.project_dossier()
    folder = _state(dossier.uid)
    config = _write_config(folder, how)
    tested = subprocess.run([sshd(), "-t", "-f", str(config)], capture_output=True, text=True, check=False)
    if tested.returncode:
        raise ServerError(f"sshd does not accept its settings: {tested.stderr.strip()}.")
    _write_keys(folder, dossier, project.path, how)
    user = pwd.getpwuid(os.getuid()).pw_name
    host = signatures.read_public_key((folder / "host_key.pub").read_text())
    talk(f"Serving {project.path.name} on port {how.port} of {how.listen}, as {user}; press ctrl+c to stop.")
    talk(f"Host key, to compare when you connect: {host.fingerprint}")
    talk(f"  ssh -t -p {how.port} {user}@HOST")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = subprocess.Popen([sshd(), "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return _watch(server, project, folder, how)
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def _watch(server: subprocess.Popen[bytes], project: Project, folder: Path, how: Serving) -> int:
    version = project.version()
    while server.poll() is None:
        time.sleep(0.5)
        if project.version() != version:
            version = project.version()
            _write_keys(folder, project.project_dossier(), project.path, how)
    return server.returncode


def _state(uid: str) -> Path:
    """Return the folder of a private server, which no other account may read, write or replace."""
    folder = remembered.file().parent / "ssh" / uid
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    for place in (folder, *folder.parents):
        status = place.stat()
        others = status.st_mode & 0o022 and not status.st_mode & 0o1000  # in a sticky folder only the owner can rename
        if others or status.st_uid not in (0, os.getuid()):
            raise ServerError(f"Others can write {place}, where the server's keys would be; set XDG_STATE_HOME.")
    if not (folder / "host_key").exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / "host_key")]
        subprocess.run(command, check=True)
    return folder


def _write_config(folder: Path, how: Serving) -> Path:
    user = pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd will not start as root without it
    settings = (
        SESSION
        | STARTUPS
        | {  # what is not here is off by default, and off for each key: its line begins with `restrict`
            "Port": str(how.port),
            "ListenAddress": how.listen,
            "HostKey": f'"{folder / "host_key"}"',
            "PidFile": "none",
            "AuthorizedKeysFile": f'"{folder / "authorized_keys"}"',
            "StrictModes": "no",  # `_state` has looked, and knows sticky folders
            "AllowUsers": user,
            "PermitRootLogin": "forced-commands-only",
            "UsePAM": "no",
            "AllowAgentForwarding": "yes" if how.agent else "no",
            "DisableForwarding": "no" if how.agent else "yes",
            "MaxAuthTries": "10",
            "LoginGraceTime": "30",
            "ClientAliveInterval": "30",
            "ClientAliveCountMax": "4",
        }
    )
    config = folder / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    return config


def _write_keys(folder: Path, dossier: ProjectDossier, path: Path, how: Serving) -> None:
    """Write the keys that are enrolled now, all of them or none."""
    new = folder / "authorized_keys.new"
    new.write_text("".join(f"{line}\n" for line in key_lines(dossier, path, agent=how.agent, idle=how.idle)))
    new.chmod(0o600)
    new.replace(folder / "authorized_keys")

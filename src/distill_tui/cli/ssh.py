"""Commands for sessions over SSH: set a server up, check it, run a private one, serve one session."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import click

from distill_tui.cli import ssh_session
from distill_tui.cli.call import Call, text_of
from distill_tui.cli.exits import DONE, FAILED
from distill_tui.cli.options import FILE, command, option_of
from distill_tui.people import ssh_server
from distill_tui.text import visible

_idle = click.option(
    "--idle", metavar="MINUTES", type=float, default=30.0, help="a session ends after this long without a key press"
)
_agent = click.option("--agent", is_flag=True, help="allow agent forwarding, so that people can sign in the session")


@command("ssh setup", "Show what an OpenSSH server needs for sessions of this project, and check its settings.")
@click.option("--user", metavar="NAME", help="the account that sessions run under (default: yours)")
@click.option(
    "--check", metavar="FILE", type=FILE, help="check this authorized_keys file and sshd's settings; exit 1 if wrong"
)
@option_of("--check", "--sshd-config", metavar="FILE", type=FILE, help="the settings to check (default: the system's)")
@_agent
def ssh_setup(call: Call, user: str | None, check: str | None, sshd_config: str | None, agent: bool) -> int | None:
    user = user or pwd.getpwuid(os.getuid()).pw_name
    dossier, path = call.project.project_dossier(), call.project.path
    if check is None:
        keys = ssh_server.key_lines(dossier, path, agent=agent)
        block = ssh_server.match_block(user, agent=agent)
        lines = [
            f"# ~{user}/.ssh/authorized_keys, or better a file that only root can write:",
            *keys,
            "",
            "# /etc/ssh/sshd_config:",
            *block.splitlines(),
        ]
        call.data({"user": user, "authorized_keys": keys, "sshd_config": block}, map(visible, lines))
        return None
    config = Path(sshd_config) if sshd_config else None
    looks = [*ssh_server.check_keys(dossier, path, text_of(check)), *ssh_server.check_server(user, config, agent=agent)]
    return call.checked(looks)


@command("ssh serve", "Run a private OpenSSH server whose sessions open only this project; ctrl+c stops it.")
@click.option("--port", metavar="N", type=click.IntRange(1, 65535), required=True, help="the port to listen on")
@click.option("--listen", metavar="ADDRESS", default="0.0.0.0", help="the address to listen on")
@_idle
@_agent
def ssh_serve(call: Call, port: int, listen: str, idle: float, agent: bool) -> int:
    how = ssh_server.Serving(port, listen, agent, idle)
    return FAILED if ssh_server.serve(call.project, how, call.talk) else DONE


@command("ssh session", "Internal: the entry point of an SSH session, started by a forced command.")
@_idle
def session(call: Call, idle: float) -> int:
    return ssh_session.run(call.path, idle)

"""What `distill-tui serve` starts: plays of a project, or a bundle alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.requests import ServeMode
from distill_tui.store.project import Project
from distill_tui.teachers.description import Described
from distill_tui.teachers.endpoint import key_for
from distill_tui.terms import ServingMode, TeacherSource

try:
    from distill_tui.serving import guard, retention, server
    from distill_tui.serving.served_log import folder_of
    from distill_tui.serving.stand import BundleSource, ProjectSource, Stand
except ModuleNotFoundError as missing:  # an extra, because only a host that serves needs it
    if (missing.name or "").startswith("distill_tui"):
        raise
    raise ValueError(
        f"Serving needs the package {missing.name}; install what it needs: `pip install 'distill-tui[serve]'`."
    ) from None


def keep(days: float | None, gigabytes: float | None, *, alone: bool) -> retention.Keep:
    """Return how long a served log is kept; nothing takes from that of a bundle alone, so only limits count there."""
    usual = retention.Keep(0, 0) if alone else retention.Keep()
    size = usual.bytes if gigabytes is None else int(gigabytes * 1e9)
    return retention.Keep(usual.days if days is None else days, size)


def play(path: Path, code: str, kept: retention.Keep | None = None) -> server.Served:
    return server.Served(code, ProjectSource(path, code), folder_of(path, code), kept or keep(None, None, alone=False))


def bundle(
    folder: Path, signer: str | None, asked: ServeMode, log: Path | None, kept: retention.Keep | None = None
) -> server.Served:
    """Return a bundle alone as it is served. Raises ValueError without a signer, and in a mode that needs a project."""
    if not signer:
        raise ValueError("A bundle alone is served for a signer that you know: name the key with --signer FINGERPRINT.")
    if asked.mode not in (ServingMode.SHADOW, ServingMode.CANARY, ServingMode.CASCADE):
        raise ValueError(f"A bundle alone is served as shadow, canary or cascade; {asked.mode.value} needs a play.")
    if asked.mode is ServingMode.CANARY and not 1 <= asked.percent <= 100:
        raise ValueError("A canary needs a share of requests from 1 to 100: set --percent.")
    name = folder.resolve().name
    stand = Stand(
        name,
        asked.mode,
        asked.percent,
        asked.content,
        float(asked.audit_share),
        asked.on_fault,
        wrong="The bundle is being verified.",
    )
    source = BundleSource(folder, signer, stand)
    log = log or folder.with_name(f"{name}.served")
    return server.Served(name, source, log, kept or keep(None, None, alone=True))


def teacher_of(project: Project, dossier: PlayDossier) -> str:
    """Return the address of a play's teacher, where it is an endpoint."""
    if dossier.play.teacher_source is not TeacherSource.ENDPOINT:
        return ""
    described = Described.of(project.artifacts, dossier.play)
    return described.base_url if described is not None else ""


def run(served: Sequence[server.Served], teacher: str, more: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Serve until the process is asked to end. Raises ValueError with one sentence."""
    setup = server.Setup(
        served,
        host=more["host"],
        port=more["port"],
        teacher=teacher,
        key=key_for(teacher) if teacher else "",
        teacher_timeout=more["teacher_timeout"],
        tokens=Path(more["tokens"]) if more["tokens"] else None,
        processes=more["processes"],
        observe_every=more["observe_every"],
        limits=guard.Limits(body=more["max_body"]),
    )
    server.run(setup, say)

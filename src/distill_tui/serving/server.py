"""Run the gateway: uvicorn on one address, a watch for each play, and the figures that screens read."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp

from distill_tui.people import identity
from distill_tui.rules.objection import Refused
from distill_tui.serving import app as routes
from distill_tui.serving import feed, figures, guard, retention, spans
from distill_tui.serving.play import Play
from distill_tui.serving.stand import BundleSource, ProjectSource, Stand, Watch
from distill_tui.serving.teacher import Teacher
from distill_tui.store import queries
from distill_tui.store.project import Project, ProjectError

if TYPE_CHECKING:
    from distill_tui.serving.otlp import Spans

KEEPS_EVERY = 1.0  # seconds between two writings of the figures
HANDS_OVER = 0.0005  # seconds a thread that looks or writes may delay a request; Python's default is 0.005
DELETES_EVERY = 600.0  # seconds between two looks for segments of the served log that may go


@dataclass(frozen=True)
class Served:
    """One play to serve, where its log lies, and how long that is kept."""

    code: str
    source: BundleSource | ProjectSource
    folder: Path
    keep: retention.Keep = field(default_factory=retention.Keep)


@dataclass(frozen=True)
class Setup:
    """All that a gateway is started with."""

    plays: Sequence[Served]
    host: str = "127.0.0.1"
    port: int = 8080
    teacher: str = ""
    key: str = ""  # of the teacher; in the environment only
    teacher_timeout: float = 60.0
    tokens: Path | None = None
    processes: int = 1
    observe_every: float = 86_400.0  # seconds between two hand-overs of the audit channel to the monitor
    limits: guard.Limits = field(default_factory=guard.Limits)


def made(setup: Setup, say: Callable[[str], None]) -> uvicorn.Server:
    """Make the server, which does not listen yet. Raises ValueError with one sentence where it must not begin."""
    tokens = guard.Tokens(setup.tokens)
    if not guard.is_loopback(setup.host) and not tokens.any:
        raise ValueError(
            f"{setup.host} is reached from other machines: set tokens with --tokens FILE or {guard.TOKENS}, or bind "
            "127.0.0.1."
        )
    meters = figures.Meters()
    sends = spans.from_environment(meters)
    plays = {each.code: _play(each, setup, meters, sends) for each in setup.plays}
    whole = guard.Guard(routes.make(plays, meters), tokens, setup.limits, meters.refuse)
    config = uvicorn.Config(
        _Lifespan(whole, setup, plays, sends, say),
        host=setup.host,
        port=setup.port,
        http=guard.impatient(setup.limits),
        ws="none",
        lifespan="on",
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=4 * setup.limits.at_once,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )
    return uvicorn.Server(config)


def run(setup: Setup, say: Callable[[str], None]) -> None:
    """Serve until the process is asked to end. Raises ValueError with one sentence where it cannot begin."""
    server = made(setup, say)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: no collection has to walk through it while a request waits
    sys.setswitchinterval(HANDS_OVER)
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        server.run()
    if not server.started:
        trouble = getattr(server.config.app, "trouble", "")
        raise ValueError(trouble or f"Port {setup.port} on {setup.host} cannot be used; name another with --port.")


def _play(served: Served, setup: Setup, meters: figures.Meters, sends: Spans | None) -> Play:
    teacher = Teacher(setup.teacher, setup.key, setup.teacher_timeout) if setup.teacher else None
    return Play(served.code, served.folder, teacher, meters, setup.processes, sends, served.keep)


class _Lifespan:
    """The application with what runs next to its requests: watches, figures, students."""

    def __init__(
        self, app: ASGIApp, setup: Setup, plays: dict[str, Play], sends: Spans | None, say: Callable[[str], None]
    ) -> None:
        self.app, self.setup, self.plays, self.sends, self.say = app, setup, plays, sends, say
        self._troubles: list[str] = []
        self.trouble = ""  # why it could not start

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        await receive()
        async with self._running():
            self.trouble = next((each for each in self._troubles if each), "")
            if self.trouble:
                await send({"type": "lifespan.startup.failed"})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        watches = []
        for served in self.setup.plays:
            first = asyncio.Event()

            def take(stand: Stand, play: Play = self.plays[served.code], first: asyncio.Event = first) -> None:
                def now() -> None:
                    play.take(stand)
                    if not stand.checking:
                        first.set()

                loop.call_soon_threadsafe(now)

            def fail(why: str, first: asyncio.Event = first) -> None:
                self._troubles.append(why)
                loop.call_soon_threadsafe(first.set)

            watch = Watch(served.source, take, fail)
            watch.start()
            watches.append(watch)
            await first.wait()
            play = self.plays[served.code]
            await play.loaded.settled()
            if play.stand is None:
                continue
            wrong = f" ({play.stand.wrong})" if play.stand.wrong else ""
            self.say(f"{served.code} {play.stand.name}: {play.stand.mode.value}{wrong}")
            if play.teacher is None:
                self.say(f"{served.code} has no teacher: where its student may not answer, requests get 503.")
        if not self._troubles:
            self.say(f"http://{self.setup.host}:{self.setup.port}/v1")
        tasks = [loop.create_task(each) for each in (self._keep(), self._observe(), self._delete())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for watch in watches:
                await asyncio.to_thread(watch.close)
            for play in self.plays.values():
                await play.close()
            if self.sends is not None:
                await asyncio.to_thread(self.sends.close)

    async def _observe(self) -> None:
        """Hand the audit channel's pairs to the monitor, without anyone copying a file."""
        while True:
            await asyncio.sleep(self.setup.observe_every)
            for served in self.setup.plays:
                play = self.plays[served.code]
                if isinstance(served.source, ProjectSource) and play.stand is not None:
                    play.notes = await asyncio.to_thread(_handed_over, served.source.path, served.code)

    async def _delete(self) -> None:
        """Delete what the served logs need not keep, and print what went."""
        while True:
            for play in self.plays.values():
                if play.stand is not None:
                    for each in await asyncio.to_thread(play.retention.run, play.stand.uses):
                        play.meters.removed.labels(play.code).inc()
                        self.say(f"{play.code}: {retention.sentence(each)}")
                    play.meters.log_bytes.labels(play.code).set(play.retention.found.bytes)
            await asyncio.sleep(DELETES_EVERY)

    async def _keep(self) -> None:
        while True:
            for play in self.plays.values():
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(figures.keep, play.folder, play.health())
            await asyncio.sleep(KEEPS_EVERY)


def _handed_over(path: Path, code: str) -> list[str]:
    """Observe what is new in the audit channel; return what an operator should know."""
    project = Project.open(path)
    try:
        play_id = queries.find_play(project, code)
        if project.dossier(play_id).live is None:
            feed.pass_over(project, code)
            return []
        feed.observe(project, play_id, code, identity.by_account(project.project_dossier()))
        return []
    except Refused as refused:
        if {each.rule for each in refused.objections} <= {"run.observes"}:
            return []  # the next time
        return [f"The audit channel waits for `observe {code} --from-gateway`: {refused.objections[0].sentence}"]
    except (ValueError, OSError, ProjectError) as error:
        return [f"The audit channel was not observed: {error}"]
    finally:
        project.close()

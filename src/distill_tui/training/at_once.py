"""Train several arms of a run at once, each in a forked child that shares the rows; the parent passes on their steps.

A process that has computed with torch cannot be forked: its threads are not there in the child. So all that an arm
computes, its predictions too, is computed in its child, and comes back through a pipe. Children end with the parent.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import shutil
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from distill_tui.training import processes
from distill_tui.training.loop import Step
from distill_tui.training.replace import alone

Made = TypeVar("Made")
Enough = Callable[[Made], bool]
AHEAD = "ahead"  # a file in the folder of a rung that is trained before it is known whether it will be wanted
ORPHAN = 10.0  # seconds that a child may live on after a worker that was killed
LOOK, STOP = 0.5, "stop"  # seconds between two looks for a free core; what asks a child to stop
FORK = multiprocessing.get_context("fork")
PR_SET_PDEATHSIG = 1
NEEDED = ("torch._dynamo", "transformers.modeling_utils")  # what optimizers and models import when they are made


class Spare(Protocol):
    """Cores that a run may borrow next to its own, for one arm at a time."""

    def borrow(self) -> list[int]: ...  # without waiting; none where none is free
    def give_back(self, cores: list[int]) -> None: ...
    def wanted(self) -> bool: ...  # whether another run waits for cores


@dataclass(frozen=True)
class Plan(Generic[Made]):
    """One arm that is to be trained."""

    name: str
    place: Path  # its folder
    before: int  # steps that are planned for the arms before it
    train: Callable[[], Generator[Step, None, Made]]
    keep: Callable[[Made], None]  # is called in the order of the plans


def in_turn(
    plans: Iterable[Plan[Made]], enough: Enough[Made] | None = None
) -> Generator[tuple[Plan[Made], Step], None, None]:
    """Train one arm after the other in this process, up to the first that is good enough."""
    for plan in plans:
        with processes.join().main_first():
            _prepare(plan)
        with closing(plan.train()) as steps:
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    made: Made = end.value
                    break
                yield plan, step
        plan.keep(made)
        if enough is not None and enough(made):
            return


def _prepare(plan: Plan[Any], *, ahead: bool = False) -> None:
    """Remove what was trained ahead by a process that was killed: the steps of it were not reported."""
    with alone(plan.place, ORPHAN):
        if (plan.place / AHEAD).exists():
            shutil.rmtree(plan.place)
        if ahead:
            plan.place.mkdir(parents=True, exist_ok=True)
            (plan.place / AHEAD).touch()


class _Child(Generic[Made]):
    """A process that trains one arm, and what it sent so far."""

    def __init__(self, plan: Plan[Made], ahead: bool, others: Sequence[Connection]) -> None:
        self.plan, self.ahead = plan, ahead
        self.asked = self.dropped = self.over = self.ended = False
        self.sent: deque[Any] = deque()
        self.made: list[Made] = []
        _prepare(plan, ahead=ahead)
        self.pipe, theirs = FORK.Pipe()
        arguments = (plan, theirs, [self.pipe, *others], os.getpid())
        self.process = FORK.Process(target=_work, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def read(self) -> None:
        """Take one message; the end of the pipe is the end of the child."""
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            self.pipe.close()
            self.ended = True
            if not (self.over or self.asked):
                self.sent.append(ValueError(
                    f"The process that trained {self.plan.name} was killed, perhaps because memory ran out. Resume "
                    "the run; with DISTILL_CORES=1 its arms are trained one after the other, which takes less memory."
                ))  # fmt: skip
        else:
            self.over = not isinstance(message, Step)
            self.sent.append(message)

    def stop(self) -> None:
        """Have it write a checkpoint after its present step; one that trains ahead is killed."""
        self.asked, self.dropped = True, self.ahead
        if self.dropped:
            self.process.kill()
        with suppress(OSError):
            self.pipe.send(STOP)

    def end(self) -> list[BaseException]:
        """Wait for the end of a child that was asked to stop; return what went wrong with it."""
        while not self.ended:
            self.read()
        if self.dropped:
            shutil.rmtree(self.plan.place, ignore_errors=True)
            self.sent.clear()
        return [each for each in self.sent if isinstance(each, BaseException)]


def _work(plan: Plan[Any], pipe: Connection, others: Sequence[Connection], parent: int) -> None:
    """Train in a child: send each step, then what came of it, or the error that ended it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    gc.freeze()  # what the parent had open is its own to close
    for each in others:
        each.close()
    try:
        with closing(plan.train()) as steps:
            while not pipe.poll():
                try:
                    step = next(steps)
                except StopIteration as end:
                    pipe.send(end.value)
                    return
                pipe.send(step)
    except BaseException as error:
        error.add_note(traceback.format_exc())
        try:
            pipe.send(deepcopy(error))  # which fails where the parent could not make it again
        except Exception:  # of a library: it may fail in any way
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


class Team(Generic[Made]):
    """The arms at work: the first on the cores of the run, each further one on cores that were borrowed for it."""

    def __init__(self, spare: Spare) -> None:
        for name in NEEDED:  # once, and not in each child
            if name.partition(".")[0] in sys.modules:
                import_module(name)
        self.spare = spare
        self.children: list[_Child[Made]] = []  # in the order of their plans, until their arms are kept
        self.borrowed: list[list[int]] = []
        self.look = 0.0  # when to look for a free core again

    @property
    def working(self) -> list[_Child[Made]]:
        return [child for child in self.children if not child.ended]

    def train(
        self, plans: Sequence[Plan[Made]], enough: Enough[Made] | None = None
    ) -> Generator[tuple[Plan[Made], Step], None, None]:
        """Train the arms as cores allow, up to the first that is good enough.

        Where one may be, the next is trained ahead: its steps are yielded once it is known to be wanted.
        """
        waiting = deque(plans)
        try:
            while waiting or self.children:
                self._start(waiting, enough is not None)
                pipes = {child.pipe: child for child in self.working}
                for pipe in wait([*pipes], LOOK) if pipes else ():
                    pipes[pipe].read()  # type: ignore[index]
                yield from self._pass_on(enough is not None)
                if self._keep(waiting, enough):
                    return
        except GeneratorExit:
            for error in self._end():
                raise error from None
            raise
        finally:
            self._end()

    def _start(self, waiting: deque[Plan[Made]], in_order: bool) -> None:
        """Return cores that are not used or that another run waits for, and start arms on those that are free."""
        while len(self.borrowed) > max(0, len(self.working) - 1):
            self.spare.give_back(self.borrowed.pop())
            self.look = 0.0
        if self.working and time.monotonic() < self.look:
            return
        self.look = time.monotonic() + LOOK
        if self.borrowed and self.spare.wanted() and not any(child.asked for child in self.working):
            self.working[-1].stop()
        while waiting and not (in_order and len(self.children) > 1):
            if self.working:
                cores = self.spare.borrow()
                if not cores:
                    return
                self.borrowed.append(cores)
            others = [child.pipe for child in self.working]
            self.children.append(_Child(waiting.popleft(), in_order and bool(self.children), others))
            self.children.sort(key=lambda child: child.plan.before)

    def _pass_on(self, in_order: bool) -> Generator[tuple[Plan[Made], Step], None, None]:
        for child in self.children[:1] if in_order else [*self.children]:
            while child.sent and not child.dropped:
                message = child.sent.popleft()
                if isinstance(message, Step):
                    yield child.plan, message
                elif isinstance(message, BaseException):
                    raise message
                else:
                    child.made.append(message)
            if child.ahead and not child.dropped:
                child.ahead = False
                (child.plan.place / AHEAD).unlink(missing_ok=True)

    def _keep(self, waiting: deque[Plan[Made]], enough: Enough[Made] | None) -> bool:
        """Keep the arms that are trained, in the order of their plans; return whether no more are wanted."""
        for child in [child for child in self.children if child.ended and not child.made and child.asked]:
            child.end()
            self.children.remove(child)
            waiting.appendleft(child.plan)  # its core was wanted; it goes on where it was
        while self.children and self.children[0].made:
            child = self.children[0]
            if waiting and waiting[0].before < child.plan.before:
                break
            while not child.ended:
                child.read()
            self.children.pop(0)
            child.plan.keep(child.made[0])
            if enough is not None and enough(child.made[0]):
                return True
        return False

    def _end(self) -> list[BaseException]:
        """Stop what is at work, and return what went wrong while it stopped."""
        for child in self.working:
            child.stop()
        found = [error for child in self.children for error in child.end()]
        self.children.clear()
        while self.borrowed:
            self.spare.give_back(self.borrowed.pop())
        return found

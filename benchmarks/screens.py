"""How quick are the screens: first frame, keys, filter, opening a play, bytes on the line, memory; and the commands.

    python benchmarks/screens.py [--plays 10 1000 10000] [--runs 5] [--keys 40] [--rows 1000000]
                                 [--no-peers] [--no-training]

Every program runs on a pty that answers nothing, 120 by 36, in turn with the others, so that whatever else the machine
does falls on all alike: read the ratios. Next to ours stand a bare Textual app (the floor) and, unless left out,
kanban-tui with 200 tasks and posting, each in an environment of its own that the first run makes below `build/`.

"First frame" is from the start of the process to the first bytes that hold what is waited for: a play's name, a
task's, a request's; everyone was there once before, so that bytecode is written and the board is as it was left. "Key"
is from the writing of a key to the first byte that comes back; while a run trains, the board is redrawn next to the
keys, and what is waited for is the cursor. "The move" is what a key is answered with at once, "look" the lines below
the board that follow when the cursor rests. CPU is the process's own: the honest measure where others work too.
Last, each goal with its figure.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import shared

from distill_tui import actions
from distill_tui.gates.gate import default_gate
from distill_tui.rules.actor import Actor
from distill_tui.spec import Spec
from distill_tui.store import sqlite
from distill_tui.store.project import Project, now
from distill_tui.terms import PlayKind, Role, Stage, StudentKind
from support import data_runs
from support import screens as staged

PEERS = {"kanban-tui": ("kanban-tui",), "posting": ("posting", "tree-sitter<0.26")}
TASKS = 200
BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    BINDINGS = [("j", "turn", "turn"), ("k", "turn", "turn")]
    def compose(self):
        yield Static("ready", id="it")
    def action_turn(self):
        it = self.query_one("#it")
        it.toggle_class("on")
        it.update(f"ready {'on' if it.has_class('on') else 'off'}")
Bare().run()
"""
NUMBERS = {
    "calls_per_month": "900000",
    "teacher_cost_per_1k": "2.40",
    "threshold_per_month": "1000",
    "window_days": "60",
    "machine_price_per_hour": "0.08",
    "serving_cost_per_month": "60",
    "build_cost": "4000",
    "sample_share": "0.01",
}
ME, WAIT = f"account uid {os.getuid()}", 120.0
CURSOR, AT_ONCE = "▌".encode(), 0.03


# --- a program on a pty ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a key was answered with: seconds to the first byte and to the last, bytes at once and in all."""

    first: float
    last: float
    move: int
    size: int


class Terminal:
    """A program on a pty: when it shows what, how soon it answers a key, and how much it writes."""

    def __init__(self, command: Sequence[str], env: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("DISTILL_", "SSH_", "NO_COLOR", "TEXTUAL"))}
        clean.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
        terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        self.started = time.perf_counter()
        streams = {"stdin": slave, "stdout": slave, "stderr": slave}
        self.process = subprocess.Popen(command, env=clean | terminal | env, start_new_session=True, **streams)
        os.close(slave)

    def read(self, quiet: float, most: float = 6.0) -> bytes:
        """Read until nothing came for so long, or for `most` seconds: while a run trains, something always comes."""
        found, end = b"", time.perf_counter() + most
        while time.perf_counter() < end and select.select([self.master], [], [], quiet)[0]:
            try:
                found += os.read(self.master, 1 << 16)
            except OSError:
                break
        return found

    def until(self, text: bytes) -> float:
        """Read until a text has come; give the moment."""
        found, end = b"", time.perf_counter() + WAIT
        while text not in found:
            if time.perf_counter() > end or self.process.poll() is not None:
                raise SystemExit(f"{text!r} never came; the last that came: {found[-2000:]!r}")
            if select.select([self.master], [], [], 0.5)[0]:
                found += os.read(self.master, 1 << 16)
        return time.perf_counter()

    def key(self, keys: bytes, quiet: float = 0.15, answer: bytes = b"") -> Answer:
        """Press a key, and take what comes until it is quiet; the first byte counts once it brings the answer."""
        self.read(0.2, most=1.0)  # what a key before this one is still answered with does not count for this one
        pressed = time.perf_counter()
        os.write(self.master, keys)
        first = last = 0.0
        found, move, end = b"", 0, pressed + 10.0
        while time.perf_counter() < end and select.select([self.master], [], [], quiet if first else 5.0)[0]:
            found += os.read(self.master, 1 << 16)
            last = time.perf_counter() - pressed
            if not first and answer in found:
                first, end = last, pressed + max(1.0, 2 * last)
            if last < first + AT_ONCE:
                move = len(found)
        if not first:
            raise SystemExit(f"{answer or b'nothing'!r} came back for {keys!r}")
        return Answer(first, last, move, len(found))

    @property
    def cpu(self) -> float:
        """CPU seconds of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> float:
        """Resident memory in units of 1,000,000 bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6

    def end(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)


@dataclass
class Program:
    """One of those that are compared: how it is started, what its first frame holds, and what was measured."""

    name: str
    command: Sequence[str]
    shows: bytes
    env: dict[str, str] = field(default_factory=dict)
    moves: bytes = b"jk"
    frames: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    memory: float = 0.0
    spent: float = 0.0  # CPU milliseconds of a key, and of whatever else went on

    @property
    def frame(self) -> float:
        """Seconds to the first frame, of all starts the one in the middle."""
        return statistics.median(self.frames)

    @property
    def busy(self) -> float:
        """CPU seconds to the first frame, likewise."""
        return statistics.median(self.cpu)

    def key(self, share: float) -> float:
        """Milliseconds to the first byte that so large a share of the keys stay within."""
        first = sorted(1000 * each.first for each in self.answers)
        return first[int(share * (len(first) - 1))]

    def visit(self) -> None:
        """Be there once: bytecode is written, and the board is left as most people leave it."""
        terminal = Terminal(self.command, self.env)
        terminal.until(self.shows)
        terminal.read(1.0)
        os.write(terminal.master, b"q")
        terminal.read(2.0, most=4.0)
        terminal.end()

    def start(self) -> Terminal:
        """Start it and wait for its first frame."""
        terminal = Terminal(self.command, self.env)
        moment = terminal.until(self.shows)
        self.frames.append(moment - terminal.started)
        self.cpu.append(terminal.cpu)
        return terminal


# --- what they show --------------------------------------------------------------------------------------------------


def a_project(folder: Path, plays: int) -> Path:
    """Make a project file with so many plays, spread over the stages, with their people and numbers."""
    path = folder / f"bench-{plays}.distill"
    project = Project.create(path, "bench", "dana", "Dana", Actor(None, ME))
    for uid, person in enumerate(("dan", "vera", "olga"), 4_001):
        actions.enrol_person(project, Actor("dana", ME), person, person, uid=uid)
    project.close()
    stages, kinds = [stage for stage in Stage if stage is not Stage.KILLED], list(PlayKind)
    connection, at = sqlite.connect(path), now()
    connection.execute("BEGIN IMMEDIATE")
    rows = [
        (n, f"play-{n:05d}", kinds[n % 4].value, "classification", stages[(n - 1) % len(stages)].value, at, at)
        for n in range(1, plays + 1)
    ]
    columns = "id, name, kind, task, stage, opened_at, stage_since"
    connection.executemany(f"INSERT INTO play ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    holders = ((Role.SPONSOR, "dana"), (Role.DRIVER, "dan"), (Role.VALIDATOR, "vera"), (Role.OPERATOR, "olga"))
    connection.executemany(
        "INSERT INTO role_holder VALUES (?, ?, ?)", [(row[0], role.value, who) for row in rows for role, who in holders]
    )
    connection.executemany(
        "INSERT INTO worksheet_value (play_id, name, value, source) VALUES (?, ?, ?, 'bench')",
        [(row[0], *number) for row in rows if row[2] == "cost" for number in NUMBERS.items()],
    )
    connection.execute("COMMIT")
    connection.close()
    project = Project.open(path)
    project.renew_cards()
    project.close()
    return path


def train_in(path: Path, folder: Path) -> tuple[int, int]:
    """Take one more play to a real training run that outlasts the measurement; give the play's and the run's number."""
    play = play_to_train(path, folder, "trains")
    return play, training_of(path, play)


def play_to_train(path: Path, folder: Path, name: str) -> int:
    """Take one more play to its frozen data set; give its number."""
    project = Project.open(path)
    dana = Actor("dana", ME)
    if 4_002 not in {each.uid for each in project.project_dossier().accounts}:
        actions.add_account(project, dana, "vera", 4_002)
    play = actions.open_play(project, dana, name, PlayKind.COST)
    for role in Role:
        actions.assign_role(project, play, dana, role, "vera" if role is Role.VALIDATOR else "dana")
    actions.fill_worksheet(project, play, dana, NUMBERS, "bench")
    actions.qualify(project, play, dana)
    actions.edit_gate(project, play, dana, replace(default_gate(PlayKind.COST), held_out_rows=100))
    actions.lock_gate(project, play, dana)
    words = ("red", "green", "blue", "north", "south", "east", "west", "up", "down", "left", "right", "in", "out")
    rows = folder / "rows.jsonl"
    with rows.open("w") as file:
        for n in range(1200):
            text = " ".join(words[(n * k) % len(words)] for k in (3, 5, 7, 11, 13, 17)) + f" {n}"
            label = ("even", "odd")[n % 2]
            file.write(json.dumps({"input": text, "teacher_output": label, "gold": label}) + "\n")
    data_runs.import_traffic(project, play, dana, rows)
    actions.set_teacher(project, play, dana, None)
    data_runs.build_data(project, play, dana)
    data_runs.freeze_data(project, play, dana)
    project.close()
    return play


def training_of(path: Path, play: int) -> int:
    """Start a training run that outlasts the measurement, and wait for its first step; give its number."""
    project, dana = Project.open(path), Actor("dana", ME)
    spec = Spec(student=StudentKind.SCRATCH, epochs=100_000, patience=100_000, hidden=128, depth=2, alpha=0.0)
    run = actions.start_run(project, play, dana, spec)
    _wait(project, play, run, lambda found: found.step > 0)
    project.close()
    return run


def stop(path: Path, play: int, run: int) -> None:
    """End the training that was only there to be in the way."""
    project = Project.open(path)
    actions.stop_run(project, play, Actor("dana", ME), run)
    _wait(project, play, run, lambda found: not found.status.active)
    project.close()


def _wait(project: Project, play: int, run: int, reached: Callable[[Any], bool]) -> None:
    end = time.monotonic() + WAIT
    while not reached(project.dossier(play).run(run)):
        if time.monotonic() > end:
            raise SystemExit("the run did not do what was waited for")
        time.sleep(0.5)


# --- the others ------------------------------------------------------------------------------------------------------


def peers(folder: Path) -> list[Program]:
    """Install the others where they are not yet, and give each something to show."""
    found = []
    for name, packages in PEERS.items():
        try:
            home = shared.environment(name, packages)
        except subprocess.CalledProcessError:
            print(f"  {name} cannot be installed here; left out")
            continue
        found.append({"kanban-tui": kanban, "posting": posting}[name](home, folder))
    return found


def kanban(home: Path, folder: Path) -> Program:
    """A board of its own with 200 tasks in its three columns: the first by its own command, the rest copied."""
    env = {name: str(folder / f"kanban-{name}") for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")}
    program = str(home / "bin" / "ktui")
    for words in (["board", "create", "bench"], ["task", "create", "task-00001"]):
        subprocess.run([program, *words], env=os.environ | env, check=True, stdout=subprocess.DEVNULL)
    connection = sqlite.module.connect(str(next(Path(env["XDG_DATA_HOME"]).rglob("*.db"))))
    connection.executemany(
        "INSERT INTO tasks (title, column, description, creation_date, position) "
        "SELECT ?, ?, 'word', creation_date, ? FROM tasks LIMIT 1",
        [(f"task-{n:05d}", 1 + n % 3, n) for n in range(2, TASKS + 1)],
    )
    connection.commit()
    connection.close()
    return Program(f"kanban-tui, {TASKS} tasks", [program], b"task-00001", env)


def posting(home: Path, folder: Path) -> Program:
    """A collection with one request."""
    env = {name: str(folder / f"posting-{name}") for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    collection = folder / "collection"
    collection.mkdir()
    (collection / "bench-request.posting.yaml").write_text("name: bench-request\nurl: http://localhost/\n")
    command = [str(home / "bin" / "posting"), "--collection", str(collection)]
    return Program("posting", command, b"bench-request", env)


# --- what is measured ------------------------------------------------------------------------------------------------


@dataclass
class Goals:
    """What was aimed at, and what was measured."""

    lines: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def add(self, what: str, figure: float, most: float, unit: str = "", *, least: bool = False) -> None:
        """Hold a figure to its goal: at most so much, or with `least` at least."""
        met = figure >= most if least else figure <= most
        goal = f"{'at least' if least else 'at most'} {most:,.4g}{unit}"
        self.lines.append((what, f"{figure:,.3g}{unit}", goal, met))

    def show(self) -> None:
        """Print them all."""
        print("\ngoals")
        for what, figure, goal, met in self.lines:
            print(f"  {what:<60} {figure:>10}   {goal:<18} {'met' if met else 'NOT MET'}")
        print(f"  {sum(met for *_, met in self.lines)} of {len(self.lines)} met", flush=True)


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--plays", type=int, nargs="+", default=[10, 1000, 10_000])
    parser.add_argument("--runs", type=int, default=5, help="starts of each program")
    parser.add_argument("--keys", type=int, default=40, help="keys pressed in each program")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the data set to look through")
    parser.add_argument("--no-peers", action="store_true", help="leave the other programs out")
    parser.add_argument("--no-training", action="store_true", help="leave out what needs a run that trains")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, Python {sys.version.split()[0]}", flush=True)
    goals = Goals()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = {plays: a_project(folder, plays) for plays in options.plays}
        env = {"XDG_STATE_HOME": str(folder / "state")}
        bare = Program("bare Textual app", [sys.executable, "-c", BARE], b"ready", env)
        ours = {
            plays: Program(
                f"distill-tui, {plays:,} plays",
                [sys.executable, "-m", "distill_tui", "open", str(path)],
                b"play-00001",
                env,
            )
            for plays, path in paths.items()
        }
        others = [] if options.no_peers else peers(folder)
        frames(bare, ours, others, options.runs, goals)
        keys([bare, *ours.values(), *(each for each in others if each.name != "posting")], options.keys)
        hold_keys(ours, goals, 25.0, "idle")
        looks(ours, goals)
        judged(folder, goals)
        commands(paths, goals)
        if options.rows:
            row_browser(folder, options.rows, goals)
        if not options.no_training:
            training(ours, paths, folder, options.keys, goals)
    goals.show()


def frames(bare: Program, ours: dict[int, Program], others: Sequence[Program], runs: int, goals: Goals) -> None:
    """Start each in turn, and compare the first frames with that of the bare app."""
    programs = [bare, *ours.values(), *others]
    for program in ours.values():
        program.visit()
    for _ in range(runs):
        for program in programs:
            program.start().end()
    print(f"\nfirst frame, median of {runs} starts in turn")
    print(f"  {'':<26} {'seconds':>8} {'of bare':>8} {'CPU s':>7} {'of bare':>8}")
    for each in programs:
        told = f"{each.frame:8.2f} {each.frame / bare.frame:8.2f} {each.busy:7.2f} {each.busy / bare.busy:8.2f}"
        print(f"  {each.name:<26} {told}", flush=True)
    for plays, most in ((1000, 1.3), (10_000, 1.6)):
        if plays in ours:
            goals.add(f"first frame, {plays:,} plays, of a bare app's", ours[plays].frame / bare.frame, most)
            goals.add("    the same in CPU", ours[plays].busy / bare.busy, most)
    for other in others:
        if other.name.startswith("kanban") and 1000 in ours:
            goals.add(f"{other.name}: first frame, of ours with 1,000", other.frame / ours[1000].frame, 3.0, least=True)


def keys(programs: Sequence[Program], count: int, note: str = "nothing else runs", answer: bytes = b"") -> None:
    """Move the cursor down and up in each in turn; say how soon the first byte comes and how many come."""
    opened = [(program, program.start()) for program in programs]
    for program, terminal in opened:
        terminal.read(3.0)
        program.answers = []
    before = {program.name: terminal.cpu for program, terminal in opened}
    for number in range(count):
        for program, terminal in opened:
            key = program.moves[number % 2 : number % 2 + 1]  # down and up: a move in a column of two plays as well
            program.answers.append(terminal.key(key, answer=answer))
    print(f"\na cursor move, {count} keys in turn, {note}")
    print(f"  {'':<26} {'p50 ms':>8} {'p95 ms':>8} {'CPU ms':>8} {'the move':>9} {'with look':>9} {'MB':>7}")
    for program, terminal in opened:
        program.memory = terminal.memory
        move, size = (statistics.median(getattr(each, name) for each in program.answers) for name in ("move", "size"))
        program.spent = 1000 * (terminal.cpu - before[program.name]) / count
        print(f"  {program.name:<26} {program.key(0.5):8.1f} {program.key(0.95):8.1f} {program.spent:8.1f}", end="")
        print(f" {move:9.0f} {size:9.0f} {terminal.memory:7.0f}", flush=True)
        terminal.end()


def hold_keys(ours: dict[int, Program], goals: Goals, most: float, note: str) -> None:
    """Hold what was measured of the keys to its goals."""
    for plays, program in ours.items():
        goals.add(f"a key, {note}, {plays:,} plays, p95", program.key(0.95), most, " ms")
    if {10, 10_000} <= set(ours):
        goals.add(f"a key, {note}, 10,000 plays, of that at 10, p50", ours[10_000].key(0.5) / ours[10].key(0.5), 1.5)
        goals.add("    the same, p95", ours[10_000].key(0.95) / ours[10].key(0.95), 1.5)
        goals.add("    the same in CPU", ours[10_000].spent / ours[10].spent, 1.5)
    if note == "idle":
        for plays, program in ours.items():
            move = statistics.median(each.move for each in program.answers)
            goals.add(f"a cursor move, {plays:,} plays, on the line", move, 1000, " B")
        if 10_000 in ours:
            goals.add("memory of the screens, 10,000 plays", ours[10_000].memory, 110, " MB")


def looks(ours: dict[int, Program], goals: Goals, times: int = 8) -> None:
    """Type a filter, and open a play; each as long as it takes until the last byte has come."""
    print(f"\nto the last byte, median and worst of {times}, ms")
    print(f"  {'':<26} {'a letter in the filter':>24} {'a play opens':>20}")
    for plays, program in ours.items():
        terminal = program.start()
        terminal.read(3.0)
        letters, opens = [], []
        for number in range(times):
            terminal.key(b"/")
            letters.append(1000 * terminal.key(b"01"[number % 2 : number % 2 + 1], 0.06).last)
            terminal.key(b"\r")
            terminal.key(b"\x1b", 0.4)
        for _ in range(times):
            opens.append(1000 * terminal.key(b"\r", 0.25).last)
            terminal.key(b"q", 0.4)
        told = [f"{statistics.median(each):.0f} {max(each):8.0f}" for each in (letters, opens)]
        print(f"  {program.name:<26} {told[0]:>24} {told[1]:>20}", flush=True)
        terminal.end()
        if plays == max(ours):
            goals.add(f"a letter in the filter to its repaint, {plays:,} plays", statistics.median(letters), 120, " ms")
            goals.add(f"a play opens, {plays:,} plays", statistics.median(opens), 150, " ms")


JUDGED = 20_000  # held-out rows of the play that is opened with its evaluation


def judged(folder: Path, goals: Goals, times: int = 5) -> None:
    """Open a play with an evaluation of many rows: until its roles stand there, and until its evaluation does.

    Each opening is of an app of its own, which has read nothing of the play before.
    """
    (folder / "judged").mkdir()
    project = staged.a_project(folder / "judged")
    staged.deciding(project, "judged", rows=JUDGED)
    words = [sys.executable, "-m", "distill_tui", "open", str(project.path)]
    project.close()
    program = Program("judged", words, b"support-bot", {"XDG_STATE_HOME": str(folder / "judged" / "state")})
    content, whole = [], []
    for _ in range(times):
        terminal = program.start()
        terminal.read(1.5, most=10.0)
        terminal.key(b"\x1b", 0.4)
        pressed = time.perf_counter()
        os.write(terminal.master, b"\r")
        content.append(1000 * (terminal.until(b"sponsor") - pressed))
        whole.append(1000 * (terminal.until(b"held-out accuracy") - pressed))
        terminal.end()
    print(
        f"\na play with {JUDGED:,} judged rows opens: content after {statistics.median(content):.0f} ms "
        f"(worst {max(content):.0f}), its evaluation after {statistics.median(whole):.0f} ms",
        flush=True,
    )
    goals.add(f"a play with {JUDGED:,} judged rows to its content", statistics.median(content), 150, " ms")


def training(ours: dict[int, Program], paths: dict[int, Path], folder: Path, count: int, goals: Goals) -> None:
    """The same keys in the smallest project and in the largest, while a student trains in a worker, for real."""
    ends = {plays: paths[plays] for plays in sorted({min(paths), max(paths)})}
    for plays, path in ends.items():
        play, run = train_in(path, folder)
        try:
            keys([ours[plays]], count, f"while run {run} trains in the same project", CURSOR)
            rest(ours[plays], plays, goals)
        finally:
            stop(path, play, run)
    hold_keys({plays: ours[plays] for plays in ends}, goals, 60.0, "while a run trains")


def rest(program: Program, plays: int, goals: Goals, seconds: float = 30.0) -> None:
    """Leave the board alone while a run of another person reports twice a second; count its CPU."""
    terminal = program.start()
    terminal.read(10.0, most=10.0)  # the first seconds after a start, and after a key, are not rest
    before, began = terminal.cpu, time.perf_counter()
    terminal.read(seconds, most=seconds)
    share = (terminal.cpu - before) / (time.perf_counter() - began)
    terminal.end()
    print(f"  {program.name:<26} idle for {seconds:.0f} s while a run reports: {share:.2%} of a core", flush=True)
    goals.add(f"an idle board while a run reports, {plays:,} plays", 100 * share, 0.5, " % of a core")


def row_browser(folder: Path, count: int, goals: Goals) -> None:
    """Look through the rows of a data set as the screen of rows does: open it, show a page, filter, search."""
    import rows

    from distill_tui.dataset.browse import Filter, OpenRows

    path = folder / "rows.parquet"
    rows.write(path, count)
    started = time.perf_counter()
    found = OpenRows(path)
    told = {"opened": time.perf_counter() - started}
    for name, look in (
        ("a page from the middle", lambda: [found.at(len(found) // 2 + number) for number in range(40)]),
        ("one label", lambda: found.find(Filter(label="good"))),
        ("a word in all texts", lambda: found.find(Filter(search="abc"))),
    ):
        started = time.perf_counter()
        look()
        told[name] = time.perf_counter() - started
    print(f"\n{len(found):,} open rows of {count:,}, in the row browser")
    print("  " + "; ".join(f"{name} {1000 * seconds:,.0f} ms" for name, seconds in told.items()), flush=True)
    goals.add(f"rows: a page of {count:,}", 1000 * told["a page from the middle"], 120, " ms")


def commands(paths: dict[int, Path], goals: Goals, runs: int = 7) -> None:
    """The command line where it is asked most: the whole process, from start to end."""
    asked = {"--help": ["--help"]}
    asked |= {
        f"list --json, {plays:,} plays": ["--project", str(path), "list", "--json"] for plays, path in paths.items()
    }
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    print(f"\ncommands, median of {runs}")
    print(f"  {'':<26} {'seconds':>8} {'CPU s':>7}")
    for name, words in {"python -c pass": None, **asked}.items():
        command = [sys.executable, "-c", "pass"] if words is None else [sys.executable, "-m", "distill_tui", *words]
        walls, cpus = [], []
        for _ in range(runs):
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=env)
            walls.append(time.perf_counter() - started)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        print(f"  {name:<26} {statistics.median(walls):8.2f} {statistics.median(cpus):7.2f}", flush=True)
        if name == "--help" or name == "list --json, 1,000 plays":
            goals.add(name, statistics.median(walls), 0.25, " s")


if __name__ == "__main__":
    main()

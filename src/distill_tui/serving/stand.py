"""What a gateway goes by: the mode of a play as its project says now, or a bundle alone with its signer.

A thread looks several times a second: at the project file's version, and at the files of the bundle that answers. What
it finds wrong is in force before anything is verified again, so that no answer leaves under a doubt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from distill_tui import actions, tasks
from distill_tui.bundles import student as students_of
from distill_tui.bundles.student import BundledStudent
from distill_tui.bundles.verify import verify_bundle
from distill_tui.dataset.audit import privacy
from distill_tui.dataset.traces import call_mapping
from distill_tui.dataset.traces.call_mapping import CallMapping
from distill_tui.people import identity
from distill_tui.rules import gate as gate_rules
from distill_tui.rules import labels
from distill_tui.rules import serving as rules
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import AUDIT_SHARE
from distill_tui.rules.training import trained
from distill_tui.spec import Spec
from distill_tui.store import project_file, queries
from distill_tui.store.gateway import IMPORT, OBSERVE
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import KeptContent, ServingMode, TeacherFault
from distill_tui.training.folders import form, teacher_labels

LOOKS_EVERY = 0.2  # seconds


@dataclass(frozen=True)
class Stand:
    """How a play is to be served at one moment."""

    name: str
    mode: ServingMode
    percent: int = 0
    content: KeptContent = KeptContent.FULL
    audit_share: float = float(AUDIT_SHARE)
    on_fault: TeacherFault = TeacherFault.FAIL
    student: BundledStudent | None = None  # that answers, or is computed in a shadow
    signer: str = ""  # who signed off, and with which key
    since: str = ""  # when the mode was set
    seq: int = 0  # of the log entry that set it
    wrong: str = ""  # why the student does not answer although a person set a mode in which it does
    checking: bool = False  # whether it is verified right now, so that `wrong` may end
    cost_per_call: Decimal | None = None  # of the teacher, by the worksheet
    mapping: CallMapping = call_mapping.DEFAULT  # of calls to inputs and answers, as at import
    names: Mapping[str, str] = field(default_factory=dict)  # the teacher's words that stand for a label → the label
    words: Mapping[str, str] = field(default_factory=dict)  # a label → the teacher's own word for it
    uses: tuple[str, ...] = ()  # that take segments of the served log, and must have before one may go

    @property
    def answers(self) -> bool:
        """Whether the student's answers may leave the gateway."""
        return self.mode.by_student and self.student is not None and not self.wrong

    def kept(self, text: str | None) -> str | None:
        """Return what the policy keeps of a text, in the served log and in spans."""
        if text is None or self.content is KeptContent.FULL:
            return text
        return privacy.scrub(text)[0] if self.content is KeptContent.SCRUBBED else None


def print_of(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Return what changes when a file of a folder does: names, sizes, inodes and times; no file is read."""
    found = []
    for path in sorted(folder.rglob("*")):
        with suppress(OSError):
            state = path.lstat()
            found.append((path.name, state.st_size, state.st_ino, state.st_mtime_ns))
    return tuple(found)


class BundleSource:
    """A bundle alone, on any machine: served in the mode that was asked for while it verifies against its signer."""

    def __init__(self, folder: Path, signer: str, asked: Stand) -> None:
        self.folder, self.signer, self.asked = folder, signer, asked
        self.last = asked
        self._seen: object = None

    def stands(self) -> Iterator[Stand]:
        """Yield what holds from now on, where something changed."""
        found = print_of(self.folder)
        if found == self._seen:
            return
        if self._seen is not None:
            yield replace(
                self.asked, wrong=f"The files of {self.folder.name} changed; they are verified again.", checking=True
            )
        self._seen = found
        yield self._verified()

    def _verified(self) -> Stand:
        report = verify_bundle(self.folder, self.signer)
        if report.problems:
            return replace(self.asked, wrong=report.problems[0].sentence)
        try:
            student = students_of.read(self.folder)
        except ValueError as error:
            return replace(self.asked, wrong=str(error))
        signer = f"{report.facts.get('signed off by', '')} {report.facts.get('signed with', '')}".strip()
        mapping = CallMapping.read(student.calls) if student.calls else call_mapping.DEFAULT
        return replace(self.asked, student=student, signer=signer, mapping=mapping, wrong="")

    def close(self) -> None:
        """Nothing is held open."""


class ProjectSource:
    """A play of a project file: its mode, its live bundle, and all that can end a student's answers."""

    def __init__(self, path: Path, code: str) -> None:
        self.path, self.code = path, code
        self._project: Project | None = None
        self._play = 0
        self._version = -1
        self._day = ""
        self._print: object = None
        self._verified: dict[str, object] = {}  # by bundle: the print of its files when it was verified
        self._latched = 0  # the log entry of the mode that this gateway fell back from
        self._why = ""
        self.last: Stand | None = None

    def stands(self) -> Iterator[Stand]:
        """Yield what holds from now on, where something changed; what must end at once first."""
        try:
            yield from self._stands()
        except Exception as error:
            self._version = -1
            if self.last is None:
                raise
            wrong = f"The project file cannot be read: {error}"
            if self.last.wrong != wrong:
                self.last = replace(self.last, wrong=wrong)
                yield self.last

    def _stands(self) -> Iterator[Stand]:
        if self._project is None:
            self._project = Project.open(self.path)
            self._play = queries.find_play(self._project, self.code)
        project = self._project
        if not self.path.exists():
            raise ProjectError(f"{self.path.name} is gone.")
        version = project.version()
        live = self.last.student if self.last is not None else None
        now = print_of(live.folder.parent) if live is not None and self.last and self.last.mode.by_student else None
        day = project_file.now()[:10]  # an interim ends by the date
        if (version, day) == (self._version, self._day) and now == self._print:
            return
        self._version, self._day = version, day
        yield from self._changed(project)
        live = self.last.student if self.last is not None else None
        self._print = print_of(live.folder.parent) if live is not None and self.last.mode.by_student else None  # type: ignore[union-attr]

    def _changed(self, project: Project) -> Iterator[Stand]:
        dossier = project.followed(self._play)
        serving = dossier.serving
        if serving is None:
            raise ProjectError(f"{self.code} has no mode; set one with `distill-tui serve mode {self.code} capture`.")
        wrong = rules.trouble(dossier) or (self._why if self._latched == serving.seq else "")
        stand = Stand(
            dossier.play.name,
            serving.mode,
            serving.percent,
            serving.content,
            float(serving.audit_share),
            serving.on_fault,
            since=serving.at,
            seq=serving.seq,
            wrong=wrong or (serving.reason if serving.fell_back else ""),
            cost_per_call=_cost(dossier),
            uses=(OBSERVE,) if dossier.live is not None else (OBSERVE, IMPORT),
            mapping=call_mapping.of_traffic(each.mapping for each in dossier.traffic) or call_mapping.DEFAULT,
        )
        if serving.mode.by_student and not wrong and dossier.live is not None:
            folder = project.artifacts.path(dossier.live.digest)
            if self._verified.get(dossier.live.digest) != print_of(folder):
                yield replace(stand, wrong=f"Bundle {dossier.live.id} is being verified.", checking=True)
                wrong = self._verify(project, dossier)
        if wrong and serving.mode.by_student and self._latched != serving.seq:
            self._fall_back(project, serving.seq, wrong)
        stand = _in_words(stand, dossier)
        student, signer = (None, "") if wrong else _student(project, dossier)
        self.last = replace(stand, wrong=wrong or stand.wrong, student=student, signer=signer)
        yield self.last

    def _verify(self, project: Project, dossier: PlayDossier) -> str:
        assert dossier.live is not None
        before = print_of(project.artifacts.path(dossier.live.digest))
        wrong = actions.bundle_trouble(project, dossier)
        if not wrong:
            self._verified[dossier.live.digest] = before
        return wrong

    def _fall_back(self, project: Project, seq: int, why: str) -> None:
        """Record through the door that this gateway fell back; without a person of this account it is in force only."""
        self._latched, self._why = seq, why
        with suppress(Refused):  # another gateway was first, or this account is not enrolled: `/health` shows it
            actions.fall_back(project, self._play, identity.by_account(project.project_dossier()), seq, why)

    def close(self) -> None:
        if self._project is not None:
            self._project.close()


def _student(project: Project, dossier: PlayDossier) -> tuple[BundledStudent | None, str]:
    """Return the live bundle's student and signer; before a launch the best student in training, for a shadow."""
    mode = dossier.serving.mode if dossier.serving is not None else ServingMode.CAPTURE
    if mode in (ServingMode.CAPTURE, ServingMode.SUSPENDED):
        return None, ""
    live = dossier.live
    if live is not None:
        facts = next((each for each in dossier.sign_offs if each.row.id == live.sign_off_id), None)
        signer = f"{facts.row.person_id} {facts.key}".strip() if facts is not None else ""
        read = students_of.read(project.artifacts.path(live.digest))
        return replace(read, bundle=live.digest), signer
    best = next(iter(trained(dossier)), None)
    if best is None or best.artifact is None:
        return None, ""
    folder, spec = project.artifacts.path(best.artifact), Spec.from_json(best.spec)
    kind = form(folder)
    labels = () if kind in ("tagger", "causal") else teacher_labels(folder)
    return BundledStudent(
        folder, best.artifact, dossier.play.task, kind, labels, spec.threads, spec.max_tokens, 0.0
    ), ""


def _in_words(stand: Stand, dossier: PlayDossier) -> Stand:
    """Add how the teacher writes the labels: the application goes on reading the words that it knows."""
    if not tasks.of(dossier.play.task).has_labels:
        return stand
    reading = labels.reading(dossier)
    names = dict(reading.map.names)
    if tasks.of(dossier.play.task).several:
        return replace(stand, names=names)
    written: dict[str, str] = {}
    for each in sorted(reading.names, key=lambda name: name.answers):
        if each.answers and each.label is not None and not each.proposed:
            written[each.label] = each.name
    return replace(stand, names=names, words={label: word for label, word in written.items() if label != word})


def _cost(dossier: PlayDossier) -> Decimal | None:
    per_1k = gate_rules.worksheet_numbers(dossier).get("teacher_cost_per_1k")
    return per_1k / 1000 if per_1k is not None else None


class Watch:
    """The thread that follows a source and hands on what holds from now on."""

    def __init__(
        self, source: BundleSource | ProjectSource, take: Callable[[Stand], None], fail: Callable[[str], None]
    ) -> None:
        self._source, self._take, self._fail = source, take, fail
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="stand", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _follow(self) -> None:
        while not self._closing.is_set():
            try:
                for stand in self._source.stands():
                    self._take(stand)
            except Exception as error:  # a watch that dies would leave the last mode in force for good
                self._failed(error)
            self._closing.wait(LOOKS_EVERY)
        self._source.close()

    def _failed(self, error: Exception) -> None:
        last = self._source.last
        if last is None:
            self._fail(str(error))
            self._closing.set()
        else:
            why = f"{type(error).__name__}: {error}"
            self._take(replace(last, wrong=f"The gateway cannot see how the play stands: {why}"))

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

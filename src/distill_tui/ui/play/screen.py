"""One play on one screen: eight tabs, the one next step, and every key that the rules allow. It decides nothing.

It draws one value, the `View` that a thread loaded, and loads it again when the file changes. What its keys open is in
`forms`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

from rich.cells import cell_len
from textual import events, getters
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.content import Content
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Static

from distill_tui.rules import permission
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import trigger
from distill_tui.rules.next_step import next_step, waits_for
from distill_tui.rules.objection import Objection
from distill_tui.rules.training import trained
from distill_tui.store import glance
from distill_tui.terms import FIVE_STAGES, UNTIL_FREEZE, Action, Stage
from distill_tui.ui import act_as
from distill_tui.ui.board import preview
from distill_tui.ui.messages import ProjectChanged
from distill_tui.ui.play import data_tab, evidence, gate_tab, live_tab, log_tab, overview_tab
from distill_tui.ui.play.view import OF_THE_HOST, View, at_once, load
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.frame import Heading, KeyLine, MessageLine
from distill_tui.ui.widgets.output import Scrolled
from distill_tui.ui.widgets.page import Lines

if TYPE_CHECKING:
    from distill_tui.store.project import Project
    from distill_tui.ui.app import DistillApp

TABS: tuple[tuple[str, Callable[[View, int], Lines]], ...] = (
    ("Overview", overview_tab.overview),
    ("Gate", gate_tab.gate),
    ("Data", data_tab.data),
    ("Train", evidence.train),
    ("Eval", evidence.evaluation),
    ("Decide", evidence.decide),
    ("Live", live_tab.live),
    ("Log", log_tab.log),
)
KEPT = 8  # plays whose views are kept, because some of it takes long to compute
BY_NAME = {action.value: action for action in Action}

# The actions that the line of keys shows first in each stage.
MATTERS: dict[Stage, tuple[Action, ...]] = {
    Stage.QUALIFY: (Action.ASSIGN_ROLE, Action.FILL_WORKSHEET, Action.QUALIFY),
    Stage.GATE: (Action.EDIT_GATE, Action.LOCK_GATE, Action.ASSIGN_ROLE),
    Stage.DATA: (Action.IMPORT_TRAFFIC, Action.SET_TEACHER, Action.LABEL, Action.BUILD_DATA, Action.FREEZE_DATA),
    Stage.TRAIN: (Action.START_RUN, Action.STOP_RUN, Action.RESUME_RUN, Action.EVALUATE),
    Stage.DECIDE: (
        Action.SHIP,
        Action.SPOT_CHECK,
        Action.SIGN_OFF,
        Action.REFUSE,
        Action.ITERATE,
        Action.KILL,
        Action.REPRODUCE,
    ),
    Stage.LIVE: (Action.OBSERVE, Action.ACKNOWLEDGE, Action.SERVE_MODE, Action.REFRESH, Action.ROLL_BACK),
    Stage.KILLED: (),
}
ON_TABS = {"window": ("Live",), "unfold": ("Data", "Eval")}  # the tabs on which these keys do something


class Meaning(NamedTuple):
    """What a key can stand for: an action, or None for the variations; its tab, and the stages that have it."""

    action: Action | None
    tab: int
    stages: tuple[Stage, ...]


VARIATIONS_KEY = "V"
SHARING: dict[str, list[Meaning]] = {}
for _action in Action:
    if _action.key:
        SHARING.setdefault(_action.key, []).append(Meaning(_action, _action.tab, _action.stages))
SHARING[VARIATIONS_KEY].append(Meaning(None, Action.LABEL.tab, (*UNTIL_FREEZE, Stage.TRAIN, Stage.KILLED)))


def _take(action: Action) -> Binding:
    return Binding(action.key, f"take('{action.value}')", action.short or action.command, show=False)


class PlayScreen(Screen[None]):
    """One play."""

    if TYPE_CHECKING:
        app = getters.app(DistillApp)
    DEFAULT_CSS = """
    PlayScreen #stages, PlayScreen #tabs { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    PlayScreen #tabs { border-bottom: solid $tone-muted 50%; height: 2; }
    PlayScreen #body { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    PlayScreen #page { height: auto; text-wrap: nowrap; }
    PlayScreen #next { height: auto; min-height: 3; border-top: solid $tone-muted 50%; text-wrap: nowrap; }
    """
    AUTO_FOCUS = "#body"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "next_step", "next step"),
        *(_take(action) for action in Action if action.key),
        Binding("d", "rows", "Rows of the data set", show=False),
        Binding(VARIATIONS_KEY, "variations", "Variations written by the teacher", show=False),
        Binding("tab,l,right", "turn(1)", "Next tab", show=False),
        Binding("shift+tab,h,left", "turn(-1)", "Previous tab", show=False),
        Binding("1", "tab(1)", "tabs", key_display="1-8"),
        *(Binding(str(n), f"tab({n})", f"Tab {name}", show=False) for n, (name, _) in enumerate(TABS[1:], start=2)),
        Binding("right_square_bracket", "neighbour(1)", "Next play", key_display="]", show=False),
        Binding("left_square_bracket", "neighbour(-1)", "Previous play", key_display="[", show=False),
        Binding("f", "failures", "Page through what the student gets wrong", show=False),
        Binding("z", "unfold", "Every finding, value and class", show=False),
        Binding("down,j", "cursor(1)", "Next student", show=False),
        Binding("up,k", "cursor(-1)", "Previous student", show=False),
        Binding("w", "window", "Last 7, 30, 90 days, or all of its life", show=False),
        Binding("y", "copy_code", "Copy the play's code", show=False),
        Binding("Y", "copy_twin", "Copy the command of the next step", show=False),
        Binding("r", "reload", "Reload", show=False),
        Binding("colon", "app.command_line", "Command", key_display=":", show=False),
        Binding("question_mark", "app.keys", "help", key_display="?"),
        Binding("q", "back", "back"),
        Binding("escape", "back", "Back", show=False),
    ]
    view: reactive[View | None] = reactive(None, init=False, always_update=True)
    tab: reactive[int] = reactive(1, init=False)

    def __init__(self, play_id: int, tab: int = 1) -> None:
        super().__init__()
        self.play_id = play_id
        self.set_reactive(PlayScreen.tab, tab if 1 <= tab <= len(TABS) else 1)
        self._reasons: dict[Action, list[Objection]] = {}
        self._wanted = ""  # a key's action that was pressed before the play was loaded

    @property
    def dossier(self) -> PlayDossier | None:
        return self.view.dossier if self.view is not None else None

    def compose(self) -> ComposeResult:
        yield Heading()
        yield Static("", id="stages", markup=False)
        yield TabLine("", id="tabs", markup=False)
        with Scrolled(id="body"):
            yield Static(" loading", id="page", markup=False)
        yield Static("", id="next", markup=False)
        yield MessageLine()
        yield KeyLine()

    # --- loading

    def on_mount(self) -> None:
        self.on_project_changed()

    def on_project_changed(self, _: ProjectChanged | None = None) -> None:
        """Load again what is shown; what takes long to compute is kept from here or an earlier screen."""
        shown = self.view is not None and self.view.play_id == self.play_id
        before = self.view if shown else self.app.views.get(self.play_id)
        read = partial(load, play_id=self.play_id, actor=self.app.actor, before=before)
        if before is None and self.app.project is not None:  # draw what takes no time first
            first = partial(at_once, play_id=self.play_id, actor=self.app.actor)
            self.app.load(self, first, lambda view: self._first(view, read))
        else:
            self.app.load(self, read, self._loaded)

    def _first(self, view: View, read: Callable[[Project], View]) -> None:
        if view.play_id == self.play_id:
            self.view = view
            self.call_after_refresh(self.app.load, self, read, self._loaded)

    def _loaded(self, view: View) -> None:
        if view.play_id != self.play_id:
            return
        self.app.views = {**dict(list(self.app.views.items())[-KEPT:]), self.play_id: view}
        self.view = view

    def watch_view(self) -> None:
        self._reasons = {}
        self.draw()
        self.refresh_bindings()
        if self._wanted and self.ready:
            wanted, self._wanted = self._wanted, ""
            self.app.call_later(self.run_action, wanted)

    @property
    def ready(self) -> bool:
        """Whether all is read that the rules are asked with."""
        return self.view is not None and not self.view.partial

    # --- drawing

    def on_resize(self) -> None:
        self.draw()

    def watch_tab(self) -> None:
        self.draw()
        self.refresh_bindings()
        self.query_one("#body").scroll_home(animate=False)

    def draw(self) -> None:
        self.query_one(TabLine).draw(self.tab)
        view = self.view
        if view is None:
            return
        width = self.size.width
        head = self.query_one(Heading)
        head.title, head.short = _title(view), f"{view.play.code} {view.play.name}"
        head.draw()
        self.query_one("#stages", Static).update(stage_strip(view.dossier, width))
        lines = TABS[self.tab - 1][1](view, width - 2)
        self.query_one("#page", Static).update(page.page(page.fitted(lines, width - 1)))
        self.query_one("#next", Static).update(
            page.page(next_lines(view, width, act_as.hint(self.app.practice, self.app.actor, waits_for(view.dossier))))
        )

    # --- keys

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """Show the few actions that matter now in the line of keys; the help lists all."""
        found = dict(super().active_bindings)
        play = self.dossier.play if self.dossier is not None else None
        matter = MATTERS[play.stage] if play is not None else ()
        shown = {}
        for action in sorted(matter, key=lambda each: bool(self.objections(each))):
            active = found.get(action.key)
            if active is not None and active.binding.action == f"take('{action.value}')":
                del found[action.key]
                shown[action.key] = active._replace(binding=replace(active.binding, show=True))
        first = {key: found.pop(key) for key in ("a",) if key in found}
        return {**first, **shown, **found}

    def objections(self, action: Action) -> list[Objection]:
        if self.view is None or not self.ready:
            return []
        if action not in self._reasons:
            self._reasons[action] = permission.objections(action, self.view.dossier, self.app.actor)
        return self._reasons[action]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim a key exactly when the rules object to it; where several share a key, only one of them has it here."""
        wanted = BY_NAME[str(parameters[0])] if action == "take" else None
        if action == "cursor":
            return self.has_cursor
        if wanted in OF_THE_HOST and self.app.restricted:
            return False
        if self.view is None:
            return True
        if action in ON_TABS:
            return TABS[self.tab - 1][0] in ON_TABS[action]
        if action == "variations" or wanted is not None:
            if self.meant(wanted.key if wanted is not None else VARIATIONS_KEY) is not wanted:
                return False
        elif action == "next_step" and self.ready:
            wanted = next_step(self.view.dossier)
            if wanted is None:
                return None
        return None if wanted is not None and self.objections(wanted) else True

    def meant(self, key: str) -> Action | None:
        """Return what a key stands for here: of what this stage has, that of this tab, else that of fewest stages.

        None stands for the variations, which are shown and not an action.
        """
        stage = self.view.play.stage if self.view is not None else None
        sharing = SHARING[key]
        possible = [each for each in sharing if stage in each.stages]
        return min(possible or sharing[:1], key=lambda each: (each.tab != self.tab, len(each.stages))).action

    def blocked(self, action: str, parameters: tuple[object, ...]) -> str | None:
        if self.view is None or not self.ready:
            return "The play is still being loaded."
        step = next_step(self.view.dossier) if action == "next_step" else None
        if action == "next_step" and step is None:
            return nothing_due(self.view.dossier)
        wanted = step or (BY_NAME[str(parameters[0])] if action == "take" else None)
        reasons = self.objections(wanted) if wanted is not None else []
        more = ""
        if len(reasons) > 2 and wanted is not None and not self.app.restricted:
            more = f" +{len(reasons) - 2} more: `distill-tui why {self.view.play.code} {wanted.command}`"
        return " ".join(reason.sentence for reason in reasons[:2]) + more if reasons else None

    def action_take(self, name: str) -> None:
        from distill_tui.ui.forms import form

        if self.view is None or not self.ready:
            self._wanted = f"take('{name}')"
            return
        action = BY_NAME[name]
        self.tab = action.tab or self.tab
        form.take(self.app, action, self.view)

    def action_next_step(self) -> None:
        if self.view is None or not self.ready:
            self._wanted = "next_step"
            return
        step = next_step(self.view.dossier)
        if step is not None:
            self.action_take(step.value)

    def action_rows(self) -> None:
        from distill_tui.ui.play.rows import RowsScreen

        if self.dossier is None or self.dossier.data_set is None:
            self.app.say("There is no data set in this round. B builds one.", "warning")
        else:
            self.app.push_screen(RowsScreen(self.play_id, self.view.play.code if self.view else ""))

    def action_variations(self) -> None:
        from distill_tui.ui.forms import traffic

        if self.view is not None:
            traffic.variations(self.app, self.view).take(self.app, self.view.dossier)

    def action_tab(self, number: int) -> None:
        self.tab = number

    def action_turn(self, by: int) -> None:
        self.tab = (self.tab - 1 + by) % len(TABS) + 1

    def action_neighbour(self, by: int) -> None:
        other = glance.neighbour(self.app.path, self.play_id, by)
        if other is None:
            self.app.say("There is no other play.")
        else:
            self.play_id = other
            self.on_project_changed()

    def action_failures(self) -> None:
        from distill_tui.ui.forms import failure_sheet

        if self.view is not None:
            self.tab = 5
            failure_sheet.page_through(self.app, self.view)

    @property
    def has_cursor(self) -> bool:
        """Whether j and k choose a student, and do not scroll."""
        view = self.view
        return (
            view is not None
            and TABS[self.tab - 1][0] == "Eval"
            and view.dossier.evaluation is None
            and len(trained(view.dossier)) > 1
        )

    def action_cursor(self, by: int) -> None:
        chosen = evidence.chosen_student(self.view) if self.view is not None else None
        if self.view is None or chosen is None:
            return
        found = trained(self.view.dossier)
        at = max(0, min(len(found) - 1, found.index(chosen) + by))
        self.view = replace(self.view, student=found[at].id or 0)

    def begin(self, action: Action) -> None:
        """Take an action as its key does, from any tab."""
        self.tab = action.tab or self.tab
        self.app.call_later(self.run_action, f"take('{action.value}')")

    def action_unfold(self) -> None:
        if self.view is not None:
            self.view = replace(self.view, opened=not self.view.opened)

    def action_window(self) -> None:
        if self.view is None:
            return
        if self.view.life is None:
            self.app.say("Nothing has shipped. H ships.", "warning")
            return
        self.view = replace(self.view, window=live_tab.next_window(self.view.window))

    def action_copy_code(self) -> None:
        if self.view is not None:
            self.app.copy_to_clipboard(self.view.play.code)
            self.app.say(f"{self.view.play.code} is on the clipboard.")

    def action_copy_twin(self) -> None:
        if self.view is not None:
            twin = preview.shell_twin(self.view.dossier, self.view.actor)
            self.app.copy_to_clipboard(twin)
            self.app.say(f"On the clipboard: {twin}")

    def action_reload(self) -> None:
        self.app.changed()

    def action_back(self) -> None:
        self.dismiss()


class TabLine(Static):
    """The names of the tabs; a click shows one."""

    def draw(self, tab: int) -> None:
        bar = (f" {show.glyph('bar')} ", "$tone-muted")
        parts: list[str | tuple[str, str]] = [" "]
        for number, (name, _) in enumerate(TABS, start=1):
            here = number == tab
            parts += [bar] if number > 1 else []
            parts.append((f"[{number} {name}]" if here else f"{number} {name}", "bold $accent" if here else ""))
        self.update(Content.assemble(*parts))

    def on_click(self, event: events.Click) -> None:
        screen = cast(PlayScreen, self.screen)
        end = 1
        for number, (name, _) in enumerate(TABS, start=1):
            end += len(name) + 2 + 3 + 2 * (number == screen.tab)
            if event.x < end:
                screen.tab = number
                return


# --- the lines around the page -----------------------------------------------------------------------------------


def _title(view: View) -> str:
    held = [role.value for role, person in view.dossier.roles.items() if person == view.actor.person]
    you = ", ".join(sorted(held)) if held and view.actor.person else "no role here"
    return f"{view.play.code} {view.play.name}  ({view.play.kind.value}; you: {you})"


def stage_strip(dossier: PlayDossier, width: int) -> Content:
    """Show the stages: done, current and to come. They have no numbers: those are the tabs' keys."""
    play = dossier.play
    here, now, to_come = ("*", "@", "o") if show.ascii_only() else (show.mark("done"), "●", "○")
    order = (*FIVE_STAGES, Stage.LIVE)
    at = order.index(play.stage) if play.stage in order else reached(dossier)
    rule = show.glyph("rule") * (2 if width >= 100 else 1)
    parts: list[str | tuple[str, str]] = [" "]
    for number, stage in enumerate(order):
        sign = here if number < at or play.stage is Stage.LIVE else now if number == at else to_come
        if number == at and play.stage is Stage.KILLED:
            sign = show.mark("killed")
        style = "bold $accent" if number == at else "" if number < at else "$tone-muted"
        parts += [(f" {rule} ", "$tone-muted")] if number else []
        parts.append((f"{stage.value.capitalize()} {sign}", style))
    end = "  killed" if play.stage is Stage.KILLED else f"  round {play.round}"
    return Content.assemble(*parts, (end, "$tone-muted")).truncate(width)


def reached(dossier: PlayDossier) -> int:
    if dossier.evaluation is not None:
        return 4
    if dossier.data_set is not None and dossier.data_set.frozen_at:
        return 3
    return 2 if dossier.locked else 1 if dossier.roles and not any(trigger(dossier)) else 0


def nothing_due(dossier: PlayDossier) -> str:
    if dossier.play.stage is Stage.KILLED:
        return "Nothing is due: this play is killed."
    return "Nothing is due: this play is live, and its operator runs the maintenance loop."


def next_lines(view: View, width: int, practice: str = "") -> Lines:
    """Show the one next step, its command, why it is blocked, and in a practice project how to go on."""
    step = next_step(view.dossier)
    if step is None:
        return [Content(f" {nothing_due(view.dossier)}"), Content("")]
    twin = f"CLI  {preview.shell_twin(view.dossier, view.actor)} "
    says = Content.assemble(" ", ("NEXT", "bold"), "  ", ("a", "bold $accent"), f"  {step.sentence}")
    room = width - len(twin) - 2
    if says.cell_length <= room:
        lines = [Content.assemble(says.truncate(room, pad=True), "  ", (twin, "$tone-muted"))]
    else:
        lines = [says.truncate(width, ellipsis=True), Content.assemble((f"       {twin}", "$tone-muted"))]
    reasons = permission.objections(step, view.dossier, view.actor) if not view.partial else []
    if reasons:
        room = width - 8 - cell_len(show.mark("look"))
        text, more = f"blocked: {reasons[0].sentence}", f" (+{len(reasons) - 1} more)" * (len(reasons) > 1)
        if more or cell_len(text) > room:
            more += "  a: all of it"
            text = show.clip(text, room - len(more)) + more
        lines.append(Content.assemble("       ", (f"{show.mark('look')} ", "$tone-warn"), text))
        return [*lines, *([Content.assemble("       ", (practice, "bold $accent"))] if practice else [])]
    if len(lines) == 1:
        yours = "waits for you" if waits_for(view.dossier) == view.actor.person else ""
        lines.append(Content.assemble((f"       {yours}", "$tone-muted")))
    return lines

"""The docs keep up with the code: each failure names the page, the section and the line to write."""

import ast
import re
import shlex
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from tokenize import COMMENT, STRING

import click
import pytest

from distill_tui import terms
from distill_tui.cli.app import COMMANDS
from distill_tui.cli.options import shared
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.rules.state_machine import NEXT_STAGE
from distill_tui.store import migrations
from distill_tui.terms import Action, Role, Stage, Verdict
from support.command_line import parse

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "distill_tui"
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "sample_projects").rglob("*.md")])
WRITTEN = [page for page in PAGES if page != DOCS / "cli.md"]  # cli.md is generated; test_cli holds it to the table


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def section(page: Path, heading: str) -> list[str]:
    """The lines under a heading of the second level."""
    parts = re.split(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert heading in found, f"{name(page)} has no section “## {heading}”; write one."
    return found[heading].splitlines()


def first_cells(lines: list[str]) -> list[str]:
    """The words in code marks that the rows of a table begin with."""
    return [match[1] for line in lines if (match := re.match(r"\| `([^`]+)` \|", line))]


# --- plain English ---------------------------------------------------------------------------------------------------

SAID = (  # a word that a reader has to translate, and what stands for it
    (r"(?:is|are|was|be) told|told (?:by|of|in)\b", "show, report, name"),
    (r"tells? of\b", "report"),
    (r"\banew\b", "again"),
    (r"\bwhoever\b|\bwhomever\b", "name the role"),
    (r"\b(?:nobody|somebody|anybody|everybody)\b", "name the role, or no one"),
    (r"\bbeside\b(?!-)", "next to, compared with"),
    (r"\bdeeds?\b", "action"),
    (r"\bawake\b|\bput aside\b|\bof no account\b|\blies at\b|\bas it were\b|\bcannot but\b", "say it plainly"),
    (r"\bknows? not\b", "does not know"),
    (
        r"(?<!there )\b(?:is|are) no (?!longer|more|less|fewer|later|earlier|older|larger|smaller|better|worse|slower)",
        "is not",
    ),
    (r'"""(?:Give|Say|Tell)\b', "Return, Show, Report"),
    (r"\d %(?=[\s,.;:)|]|$)", "no space before %"),
)
NOT_OURS = ("practice.py", "cli.md", "test_docs.py")  # what customers write; what the commands write


@cache
def prose() -> list[tuple[str, int, str]]:
    """The lines that a person reads: pages whole, and of the source its texts, docstrings and comments."""
    found = [
        (name(page), n, line)
        for page in WRITTEN
        for n, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    ]
    folders = [SOURCE, *(ROOT / folder for folder in ("benchmarks", "proofs", "sample_projects", "tests"))]
    for path in (path for folder in folders for path in sorted(folder.rglob("*.py")) if path.name not in NOT_OURS):
        with path.open("rb") as file:
            texts = [each for each in tokenize.tokenize(file.readline) if each.type in (STRING, COMMENT)]
        if "tests" in path.parts:  # their texts are data; docstrings and comments are prose
            texts = [each for each in texts if each.type == COMMENT or each.string.startswith('"""')]
        for text in texts:
            found += [(name(path), text.start[0] + at, line) for at, line in enumerate(text.string.splitlines())]
    return found


@pytest.mark.parametrize(("word", "instead"), SAID, ids=[word for word, _ in SAID])
def test_prose_is_plain(word: str, instead: str) -> None:
    found = [
        f"{where}:{number}: {line.strip()[:100]}"
        for where, number, line in prose()
        if re.search(word, line, re.IGNORECASE if '"""' not in word else 0)
    ]
    assert not found, f"{instead}:\n" + "\n".join(found)


# --- the words -------------------------------------------------------------------------------------------------------

WORDS = [value for value in vars(terms).values() if isinstance(value, type) and issubclass(value, StrEnum)]
WORDS = [words for words in WORDS if words is not StrEnum and words is not Action]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words.__name__)
def test_every_word_is_in_the_glossary(words: type[StrEnum]) -> None:
    where, told = f"docs/glossary.md, section “## {words.__name__}”", section(DOCS / "glossary.md", words.__name__)
    missing = [f"| `{word.value}` | what it means |" for word in words if word and word.value not in first_cells(told)]
    assert not missing, f"{where}: add the lines\n" + "\n".join(missing)
    gone = set(first_cells(told)) - {word.value for word in words}
    assert not gone, f"{where}: {gone} is no such word; take its line out."


def action_line(action: Action) -> str:
    """The line of an action in the glossary: what is stored, its key, its command, where it works, what it does."""
    moves = {stage: NEXT_STAGE[stage, action] for stage in Stage if (stage, action) in NEXT_STAGE}
    where = ", ".join(moves) or "–"
    after = {after.value for stage, after in moves.items() if after is not stage}
    key, command = (f"`{word}`" if word else "–" for word in (action.key, action.command))
    return f"| `{action.value}` | {key} | {command} | {' → '.join([where, *after])} | {action.sentence} |"


def test_every_action_is_in_the_glossary_once_and_as_the_code_has_it() -> None:
    there = [line for line in section(DOCS / "glossary.md", "Action") if line.startswith("| `")]
    wanted = [action_line(action) for action in Action]
    missing = [line for line in wanted if line not in there]
    assert not missing, "docs/glossary.md, section “## Action”: write these lines so:\n" + "\n".join(missing)
    more = list(Counter(there) - Counter(wanted))
    assert not more, "docs/glossary.md, section “## Action”: take these lines out:\n" + "\n".join(more)


# --- the rules -------------------------------------------------------------------------------------------------------

MADE = {"role": [role.value for role in Role], "gate": [v.value for v in Verdict if v is not Verdict.HOLDS]}


def rule_ids() -> Iterator[str]:
    """Every rule id that an objection in the source can have."""
    nodes = [node for path in SOURCE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    for call in calls:
        if not (_called(call) == "Objection" and call.args):
            continue
        rule = call.args[0]
        if isinstance(rule, ast.Constant):
            yield rule.value
        elif isinstance(rule, ast.JoinedStr):  # f"role.{…}", f"gate.{…}"
            area = str(getattr(rule.values[0], "value", "")).rstrip(".")
            assert area in MADE, f"line {call.lineno}: write the rule id as a plain string."
            yield from (f"{area}.{word}" for word in MADE[area])
        else:  # an argument of the function around it: the ids are with those who call it
            around = next(f for f in functions if call in ast.walk(f) and _place(f, rule) is not None)
            place = _place(around, rule)
            yield from (_id(c.args[place]) for c in calls if _called(c) == around.name and place is not None)


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _place(function: ast.FunctionDef, rule: ast.expr) -> int | None:
    names = [argument.arg for argument in function.args.args]
    return names.index(rule.id) if isinstance(rule, ast.Name) and rule.id in names else None


def _id(rule: ast.expr) -> str:
    assert isinstance(rule, ast.Constant), f"line {rule.lineno}: write the rule id as a plain string."
    return str(rule.value)


RULE_IDS = sorted(set(rule_ids()))


def test_the_rule_ids_are_found_in_the_source() -> None:
    assert {"sign_off.builder", "role.sponsor", "gate.unproven", "role.validator_built"} <= set(RULE_IDS)


def test_every_rule_has_one_line_in_the_table_of_rules() -> None:
    where, told = "docs/operation.md, section “## Rules”", first_cells(section(DOCS / "operation.md", "Rules"))
    missing = [f"| `{rule}` | what it says | what to do |" for rule in RULE_IDS if rule not in told]
    assert not missing, f"{where}: add, by the alphabet, the lines\n" + "\n".join(missing)
    gone = set(told) - set(RULE_IDS)
    assert not gone, f"{where}: nothing in the source objects with {gone}; take the lines out."
    assert told == sorted(set(told)), f"{where}: one line for each id, by the alphabet."


# --- the gate and the project file -----------------------------------------------------------------------------------


def marked(lines: list[str]) -> set[str]:
    """The words in code marks."""
    return set(re.findall(r"`([^`]+)`", "\n".join(lines)))


def test_every_field_of_a_gate_is_told() -> None:
    told = marked(section(DOCS / "operation.md", "Gate"))
    names = [field.name for kind in (Gate, Criterion) for field in fields(kind)]
    missing = [each for each in names if not any(each in re.split(r"\W+", word) for word in told)]
    assert not missing, f"docs/operation.md, section “## Gate”: say what {missing} means."


def test_every_table_and_every_trigger_is_told() -> None:
    schema = migrations.expected_schema()
    page = DOCS / "project-file.md"
    told = marked(section(page, "Tables"))
    missing = [each for each, sql in schema.items() if sql.startswith("CREATE TABLE") and each not in told]
    assert not missing, f"docs/project-file.md, section “## Tables”: add a line each for {missing}."
    patterns = [word.replace("…", "*") for word in marked(section(page, "Triggers"))]
    triggers = [each for each, sql in schema.items() if sql.startswith("CREATE TRIGGER")]
    missing = [each for each in triggers if not any(fnmatch(each, pattern) for pattern in patterns)]
    assert not missing, f"docs/project-file.md, section “## Triggers”: say what {missing} stands against."


def test_every_variable_of_the_environment_is_told() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    told = first_cells(section(DOCS / "operation.md", "Screens"))
    missing = [
        f"| `{each}` | what it does |"
        for each in sorted(set(re.findall(r"(?<!_)DISTILL_[A-Z_]+", sources)) - set(told))
    ]
    assert not missing, "docs/operation.md, section “## Screens”: add the lines\n" + "\n".join(missing)


# --- the files -------------------------------------------------------------------------------------------------------

ROOMS = sorted(
    f"{path.name}/" if path.is_dir() else path.name for path in SOURCE.iterdir() if not path.name.startswith("__")
)


def test_every_room_of_the_package_has_one_line() -> None:
    listed = re.findall(r"^- `([^`]+)`: \S", (DOCS / "codebase.md").read_text(encoding="utf-8"), re.MULTILINE)
    missing = [f"- `{room}`: what is in it." for room in ROOMS if listed.count(room) != 1]
    assert not missing, "docs/codebase.md: write one line each:\n" + "\n".join(missing)
    assert not set(listed) - set(ROOMS), f"docs/codebase.md: {set(listed) - set(ROOMS)} is not a room; remove its line."


# --- the commands ----------------------------------------------------------------------------------------------------


def code(page: Path) -> Iterator[str]:
    """Every line of code: of the blocks, continued lines joined, and in code marks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        yield from block.replace("\\\n", " ").splitlines()
    for marked in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        yield " ".join(marked.split())


def command_lines(page: Path) -> Iterator[str]:
    for line in code(page):
        yield from re.findall(r"(?:^|(?<=[ (/]))distill-tui(?: .*)?$", line.strip())


def words_of(line: str) -> list[str]:
    """The words of one command, without what a shell does with it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("();<>|&"):
            break
        words.append(word)
    return words[1:]


def test_every_command_in_the_docs_parses() -> None:
    wrong = []
    for page in WRITTEN:
        for line in command_lines(page):
            try:
                parse(words_of(line))
            except click.exceptions.Exit:  # after --help
                pass
            except click.UsageError as error:
                wrong.append(f"{name(page)}: `{line}`: {error.format_message()}")
    assert not wrong, "These are no commands of `distill-tui`:\n" + "\n".join(wrong)


def test_every_option_in_the_docs_is_one() -> None:
    params = [*shared(), *(param for command in COMMANDS.by_words.values() for param in command.params)]
    options = {option for param in params for option in param.opts}
    for page in WRITTEN:
        told = {line.split()[0].split("=")[0] for line in code(page) if line.startswith("--")}
        assert not told - options, f"{name(page)}: no command has {told - options}."


def test_the_readme_has_commands() -> None:
    assert len(list(command_lines(ROOT / "README.md"))) >= 10


MAKE = re.compile(r"(?:^|(?<=[ (]))make((?: +(?!\[)[A-Za-z_=.\-]+)+)")


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_make_target_in_the_docs_is_one(page: Path) -> None:
    targets = set(re.findall(r"^([a-z_-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in code(page):
        called = MAKE.match(line.strip())
        for word in called[1].split() if called else ():
            assert "=" in word or word in targets, f"{name(page)}: “make {word}” is no target; there are {targets}."


# --- the links -------------------------------------------------------------------------------------------------------


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@cache
def every_test() -> list[str]:
    """The names of all tests."""
    files = sorted((ROOT / "tests").glob("test_*.py"))
    return [
        found for file in files for found in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    ]


def named_tests(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each test, file of tests and proof that a text names in code marks, and whether it is there."""
    proofs = "".join(path.read_text() for path in (ROOT / "proofs").glob("*.py"))
    for word in re.findall(r"`([^`]+)`", text):
        if re.fullmatch(r"tests/\w+\.py", word):
            yield word, (ROOT / word).is_file()
        elif re.fullmatch(r"test_\w+…?", word):
            yield word, any(each.startswith(word.removesuffix("…")) for each in every_test())
        elif only := re.search(r"make prove ARGS='--only (\w+)'", word):
            yield word, only[1] in proofs


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    assert not [word for word, there in named_tests(page.read_text(encoding="utf-8")) if not there]


def test_every_promise_of_security_names_its_test() -> None:
    promises = "\n".join(section(ROOT / "SECURITY.md", "What is promised")).strip().split("\n\n")
    assert not [each.splitlines()[0] for each in promises if not any(named_tests(each))]


def test_every_line_of_who_can_write_what_names_its_test_or_says_that_it_is_not_noticed() -> None:
    rows = [line for line in section(DOCS / "threat-model.md", "Who can write what") if line.startswith("| ")][2:]
    assert len(rows) > 12 and not [row for row in rows if "not noticed" not in row and not any(named_tests(row))]


def test_every_attempt_of_the_threat_model_has_a_test_of_its_number() -> None:
    rows = [line for line in section(DOCS / "threat-model.md", "Attempts") if re.match(r"\| \d", line)]
    numbers = [int(each) for row in rows for each in re.findall(r"\d+", row.split("|")[1])]
    assert numbers == list(range(1, len(numbers) + 1))
    tried = {int(each) for test in every_test() for each in re.findall(r"_(\d\d)[a-z]?(?=_)", test[:14])}
    assert set(numbers) <= tried


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)}: the link {link} leads to nothing."
        assert not anchor or anchor in anchors(target), f"{name(page)}: {link}: {target.name} has no such heading."


def test_every_page_is_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        reached.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        todo += [target for target in targets if target.suffix == ".md" and target not in reached]
    lost = sorted(name(page) for page in PAGES if page not in reached)
    assert not lost, f"No page links to {lost}; README.md, section “## Documentation”, lists the pages."


# --- what must not be there ------------------------------------------------------------------------------------------

MACHINE_PATH = re.compile(r"(?<![\w.~*])/(?:home|root|Users|work|mnt|opt|srv|workspace)/[\w.-]+")
REGISTRY = re.compile(r"py[p]i\.org|python[h]osted|npm[j]s\.|[i]ndex-url|arti[f]actory|/[n]exus", re.IGNORECASE)


def test_no_tracked_text_names_a_path_of_a_machine_or_the_host_of_a_registry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout, so nothing says what is tracked")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for file in filter(None, listed.split("\0")):
        content = (ROOT / file).read_bytes() if (ROOT / file).is_file() else b""
        for number, line in enumerate(content.decode(errors="replace").splitlines() if b"\0" not in content else (), 1):
            hit = MACHINE_PATH.search(line) or REGISTRY.search(line)
            if hit or str(ROOT) in line:
                found.append(f"{file}:{number}: {hit[0] if hit else ROOT}")
    assert not found, "Say it without a path of this machine and without a registry's host:\n" + "\n".join(found)


def test_what_must_not_be_there_would_be_found() -> None:
    assert MACHINE_PATH.search(f"see /{'home'}/ana/notes") and REGISTRY.search(f"from files.python{'hosted'}.org")

"""The house rules of the five rooms, read from the source: no import runs back, no module grows without end."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import telbench
from telbench.harness.cli.main import COMMANDS
from telbench.registry import GROUPS

ROOT = Path(__file__).resolve().parents[1]
# A room may import from itself and from the rooms named here; kd and leaderboard stand side by side.
BELOW = {
    "judges": set[str](),
    "metrics": {"judges"},
    "harness": {"judges", "metrics"},
    "kd": {"judges", "metrics", "harness"},
    "leaderboard": {"judges", "metrics", "harness"},
}
# What is imported as `telbench` itself. Its modules named in BASE belong to no room: every room may import them.
DOOR = Path("harness") / "package"
BASE = {"telbench.errors", "telbench.config", "telbench.flags", "telbench.reasoning", "telbench.registry"}
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# What CONTRIBUTING.md and docs/ci.md tell a reader to make.
EXAMPLES = {
    ".github/workflows/gate.yml",
    ".github/workflows/quality.yml",
    "metrics/ngram/numbers.py",
    "harness/engines/first_words.py",
    "harness/datasets/sets/ports.py",
    "leaderboard/site/pages/kinds.py",
    "leaderboard/statistics/trimmed.py",
}
LONGEST = 400
FULL = 13


def modules() -> list[Path]:
    return [
        path for room in BELOW for path in sorted((ROOT / room).rglob("*.py")) if DOOR not in relative(path).parents
    ]


def relative(path: Path) -> Path:
    return path.relative_to(ROOT)


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted path from the root) of each import, with ``telbench.`` kept where it is written."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.ImportFrom):
            base: tuple[str, ...] = package[: len(package) - node.level + 1]
            base += tuple(node.module.split(".")) if node.module else ()
            # A name may be a module of the package, or something that a module holds.
            inner = [alias.name for alias in node.names if ROOT.joinpath(*base, f"{alias.name}.py").is_file()]
            outer = len(inner) < len(node.names) or not inner
            ends: list[tuple[str, ...]] = [(*base, name) for name in inner] if node.module or inner else []
            if not node.module:
                ends += [(*base, alias.name) for alias in node.names if alias.name not in inner]
            elif outer:
                ends.append(base)
            yield from ((node.lineno, ".".join(end)) for end in ends)


def arrows() -> dict[str, set[str]]:
    """Module to the modules of the house that it imports, at its head, in a function or for type checkers alike."""
    names = {".".join(relative(path).with_suffix("").parts).removesuffix(".__init__"): path for path in modules()}
    return {name: {target for _, target in imported(path) if target in names} - {name} for name, path in names.items()}


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """A way that ends where it began, or nothing."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def relative_to(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules(), ids=relative_to)
def test_a_module_imports_from_its_own_floor_or_below(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    allowed = BELOW[room] | {room}
    for line, target in imported(path):
        first = target.partition(".")[0]
        assert first not in BELOW or first in allowed, f"{relative_to(path)}:{line} imports {target}"


@pytest.mark.parametrize("path", modules(), ids=relative_to)
def test_own_code_is_imported_relatively(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    absolute = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    absolute += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
    assert [
        name for name in absolute if name.partition(".")[0] in {"telbench", "tests", *BELOW} and name not in BASE
    ] == []


def test_the_architecture_page_names_every_room_and_sub_room() -> None:
    page = ARCHITECTURE.read_text("utf-8")
    folders = {f"{relative(path.parent).as_posix()}/" for path in (*modules(), ROOT / DOOR / "__init__.py")}
    assert {folder for folder in folders if f"| `{folder}` |" not in page} == set()
    rows = re.findall(r"^\| `([\w/]+/)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(folders)


@pytest.mark.parametrize("page", PAGES, ids=relative_to)
def test_every_path_and_name_on_a_page_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    folders = "|".join((*BELOW, "tests", "benchmarks", "docs", ".ci", ".github"))
    named = re.findall(rf"(?<![\w/.-])(?:{folders})/[\w/.-]*\w/?", text)
    assert [name for name in named if not (ROOT / name).exists() and name not in EXAMPLES] == []
    # One or more folders short of the root: below a room that the same line or sentence names.
    short = set(re.findall(r"(?<![\w/.-])\w+(?:/\w+)*\.py\b", text)) - set(named)
    known = [path.as_posix() for folder in (*BELOW, "tests") for path in map(relative, (ROOT / folder).rglob("*.py"))]
    own = set(re.findall(r"^# (\w+\.py)$|Save it as `(\w+\.py)`", text, re.MULTILINE))
    short -= {name for names in own for name in names}
    assert [name for name in sorted(short) if not any(path.endswith(f"/{name}") for path in known)] == []
    dotted = re.findall(r"(?<![\w.\"])telbench((?:\.\w+)+)", text)
    assert [name for name in dotted if not is_named(name[1:].split("."))] == []


def is_named(parts: Sequence[str]) -> bool:
    """A room, a folder, a module or something that it holds; a public name; an entry-point group; telbench.json."""
    if parts[0] in telbench.__all__:
        return len(parts) == 1 or hasattr(getattr(telbench, parts[0]), parts[1])
    if len(parts) == 1 and (f"telbench.{parts[0]}" in {*GROUPS, *BASE} or parts[0] == "json"):
        return True
    if f"telbench.{parts[0]}" in BASE:
        return parts[1] in defined(ROOT / DOOR / f"{parts[0]}.py")
    *outer, last = parts
    return ROOT.joinpath(*parts).is_dir() or any(
        path.is_file() and (len(rest) < 1 or rest[0] in defined(path))
        for path, rest in (
            (ROOT.joinpath(*parts).with_suffix(".py"), []),
            (ROOT.joinpath(*outer).with_suffix(".py"), [last]),
        )
    )


@pytest.mark.parametrize("page", PAGES, ids=relative_to)
def test_every_link_on_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8").replace("\n", " "))
    for link in (each for each in links if not each.startswith("https:")):
        name, _, heading = link.partition("#")
        target = page.parent.joinpath(name).resolve() if name else page
        assert target.exists(), link
        assert not heading or heading in headings(target), link


def headings(page: Path) -> set[str]:
    """As GitHub names them in addresses."""
    lines = [line.lstrip("#").strip().lower() for line in page.read_text("utf-8").splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", line).replace(" ", "-") for line in lines}


def test_a_name_that_is_not_there_is_seen() -> None:
    assert is_named(["metrics", "contract", "metric"])
    assert not is_named(["metrics", "base", "metric"])
    assert not is_named(["metrics", "contract", "nothing"])
    assert is_named(["Run", "read"])
    assert not is_named(["Run", "rows"])
    assert is_named(["errors", "InputError"])
    assert not is_named(["errors", "OutputError"])


def test_no_module_imports_another_in_a_circle() -> None:
    assert circle(arrows()) == []


def test_no_sub_room_imports_another_in_a_circle() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for name, targets in arrows().items():
        graph[place(name)] |= {place(target) for target in targets} - {place(name)}
    assert circle(graph) == []


def place(module: str) -> str:
    """The sub-room of a module; a module that lies in a room itself, or in `leaderboard.site`, stands for itself."""
    folder = ROOT.joinpath(*module.split("."))
    parts = relative(folder if folder.is_dir() else folder.parent).parts
    return module if len(parts) == 1 or parts == ("leaderboard", "site") else ".".join(parts)


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert not circle({"a": {"b", "c"}, "b": {"c"}, "c": set()})


def test_no_folder_is_full() -> None:
    count = Counter(relative_to(path.parent) for path in modules() if path.name != "__init__.py")
    assert {folder: modules for folder, modules in count.items() if modules > FULL} == {}


def test_every_folder_says_in_its_first_lines_what_lives_there() -> None:
    for path in modules():
        if path.name == "__init__.py":
            assert len((ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split()) > 5, relative_to(path)


def test_the_walk_sees_an_arrow_that_runs_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "metrics" / "ngram" / "back.py"
    module.parent.mkdir(parents=True)
    module.write_text("from ...harness.items import Item\nfrom ... import kd\nfrom .bleu import x\nimport os.path\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert [target for _, target in imported(module)] == ["harness.items", "kd", "metrics.ngram.bleu", "os.path"]


def test_every_module_can_be_read_in_one_go() -> None:
    lines = {relative_to(path): len(path.read_text("utf-8").splitlines()) for path in modules()}
    assert {name: count for name, count in lines.items() if count >= LONGEST} == {}


@pytest.mark.parametrize("room", BELOW)
def test_a_room_is_typed(room: str) -> None:
    assert (ROOT / room / "py.typed").is_file()


def test_every_package_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = {".".join(("telbench", *path.relative_to(ROOT).parent.parts)) for path in modules()}
    assert packages | {"telbench"} == set(project["tool"]["setuptools"]["packages"])


def test_every_entry_point_names_something_that_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    targets = {**project["scripts"]}
    for group, points in project["entry-points"].items():
        targets |= {f"{group} {name}": target for name, target in points.items()}
    for label, target in targets.items():
        module, _, name = target.partition(":")
        path = ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py")
        assert path.is_file(), label
        assert name in defined(path), f"{label}: {path.name} has no {name}"


def defined(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def test_every_command_has_its_module() -> None:
    for name, (module, _) in COMMANDS.items():
        assert ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py").is_file(), name

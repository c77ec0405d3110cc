"""The documentation names what exists, and what it names exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from longgame.cli import app
from longgame.serving.describe import ROUTES
from longgame.settings import reference
from longgame.settings.load import keys
from longgame.wiring.fields import page

ROOT = Path(__file__).parent.parent
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    found = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [f"{name} {sub}" for sub in inner] if inner else [name]
    return found


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_reference(command):
    assert f"longgame {command}" in DOCS["commands.md"]


@pytest.mark.parametrize("key", list(keys()))
def test_every_setting_is_in_the_reference(key):
    section, _, name = key.partition(".")
    assert re.search(rf"## \[{section}\].*?`{name}`", DOCS["configuration.md"], re.S)


def test_the_settings_page_is_the_settings_own():
    assert DOCS["configuration.md"] == reference()


def test_the_page_of_model_settings_is_the_configs_own():
    told = page()
    assert DOCS["model-settings.md"] == told
    assert "| `penalty` | `200.0` | 10 to 5000, by its logarithm | lambda, above 0:" in told
    assert " |  |\n" not in told  # a field without a meaning


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_every_route_is_in_the_reference(route):
    assert f"{route.method} {route.path}" in DOCS["serving.md"]


def test_every_link_leads_somewhere():
    for folder, name, text in [(ROOT, "README.md", README), *((ROOT / "docs", n, t) for n, t in DOCS.items())]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text):
            assert (folder / target).exists(), f"{name} links to {target}"


def test_the_file_map_of_the_readme_is_complete():
    package = ROOT / "src" / "longgame"
    there = {p.name for p in package.iterdir() if (p.is_dir() and (p / "__init__.py").exists()) or p.suffix == ".py"}
    named = set(re.findall(r"[\w]+(?:\.py)?", README.split("| path |")[1].split("## Limits")[0]))
    missing = {name for name in there - {"__init__.py"} if name not in named}
    assert not missing, f"README's file map lacks {sorted(missing)}"


def test_the_readme_names_only_the_two_setup_commands():
    fenced = "\n".join(re.findall(r"```\n(.*?)```", README, re.S))
    assert set(re.findall(r"^make (\w+)", fenced, re.M)) == {"demo", "test"}
    assert "pip install" not in README


def test_every_page_is_in_the_readme():
    assert [name for name in DOCS if f"docs/{name}" not in README] == []


@pytest.mark.parametrize("benchmark", [p.name for p in (ROOT / "benchmarks").glob("*.py")])
def test_every_benchmark_says_how_to_run_it(benchmark):
    page = DOCS["benchmarks.md"]
    assert f"benchmarks/{benchmark}" in page


def test_the_changelog_has_the_change_and_the_licence_is_apache():
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0" and "Apache License" in (ROOT / "LICENSE").read_text()


def test_every_dependency_is_pinned_for_the_test_run():
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[\[<>=;! ]", d)[0].lower().replace("_", "-") for d in wanted}
    assert sorted(names - pinned - {"longgame"}) == []


def test_claims_are_the_benchmarks_and_the_page() -> None:
    from longgame.wiring.claims import CLAIMS, table

    assert {claim.name for claim in CLAIMS} == {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert table() in DOCS["benchmarks.md"], "longgame bench list --markdown writes it"

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from longgame.errors import ConfigError
from longgame.settings import Settings, as_toml, load_settings, reference
from longgame.settings.load import keys, sections
from longgame.types import Objective


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "longgame.toml"


def test_flags_win_over_environment_over_file_over_defaults(file: Path):
    file.write_text('[serve]\nport = 1\nhost = "a"\nmax_k = 7\n')
    environ = {"LONGGAME_SERVE__PORT": "2", "LONGGAME_SERVE__HOST": "b", "PATH": "x"}
    loaded = load_settings(file, environ, {"serve.port": 3, "serve.host": None})
    serve = loaded.settings.serve
    assert (serve.port, serve.host, serve.max_k, serve.history) == (3, "b", 7, 200)
    wanted = {"port": "flag --port", "host": "environment", "max_k": str(file), "history": "default"}
    assert {key: loaded.origin[f"serve.{key}"] for key in wanted} == wanted
    assert set(loaded.origin) == set(keys())


def test_the_file_in_the_working_folder_is_found_and_none_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings().settings == Settings() and load_settings().file is None
    Path("longgame.toml").write_text("[policy]\nsteps = 9\n")
    assert load_settings().settings.policy.steps == 9


def test_an_objective_is_what_the_file_says(file: Path):
    file.write_text(
        '[objective]\nrewards = { click = 1, buy = 0.5 }\nby_value = ["buy"]\nwindow = "1h30m"\n'
        "discount = 0.5\nfloor = { buy = 2 }\n"
    )
    objective = load_settings(file).settings.objective.build()
    assert objective == Objective({"click": 1.0, "buy": 0.5}, frozenset({"buy"}), timedelta(minutes=90), 0.5, {"buy": 2.0})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[serv]\nport = 1", ["[serv]", "did you mean serve?"]),
        ("[serve]\nprot = 1", ["serve.prot", "did you mean serve.port?"]),
        ("port = 1", ["port", "section"]),
        ("serve = 1", ["write [serve]"]),
        ('[serve]\nport = "abc"', ["serve.port", "integer", "'abc'", "port = 8000"]),
        ("[serve]\nport = true", ["serve.port", "bool True"]),
        ("[serve]\nport = 99999999", ["serve.port", "65535"]),
        ('[store]\nurl = 7', ["store.url", "string", "int 7"]),
        ('[objective]\nwindow = "3 weeks"', ["objective.window", "30m", "3 weeks"]),
        ("[objective]\nwindow = 0", ["objective.window", "longer than nothing"]),
        ("[objective]\nwindow = 1e300", ["objective.window"]),
        ('[objective]\nrewards = { click = "a" }', ["objective.rewards.click", "number"]),
        ("[objective]\nrewards = {}", ["objective.rewards"]),
        ("[retrieval]\nshares = { nix = 1 }", ["retrieval.shares", "'nix'", "item-knn"]),
        ("[retrieval]\nshares = { ease = 0 }", ["above 0"]),
        ('[policy]\nalgorithm = "reinfroce"', ["policy.algorithm", "'reinforce', 'linear-thompson'"]),
        ("[guards]\nat_most = { brand = 0 }", ["guards.at_most.brand"]),
        ("[store]\nurl = log.db", ["is not TOML", "quotation marks", "line 2"]),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_file_is_said_with_file_key_and_mend(file: Path, text: str, words: list[str]):
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_settings(file)
    for word in [str(file), *words]:
        assert word in str(error.value)


def test_every_wrong_value_has_a_line(file: Path):
    file.write_text('[serve]\nport = "x"\nmax_k = 0\n')
    with pytest.raises(ConfigError) as error:
        load_settings(file)
    assert len(str(error.value).splitlines()) == 2


def test_files_that_cannot_be_read(file: Path):
    with pytest.raises(ConfigError, match="--config"):
        load_settings(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_settings(file)


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("SERVE__PORT", "9000", "serve.port", 9000),
        ("STORE__URL", "7", "store.url", "7"),
        ("GUARDS__ALREADY_SEEN", "false", "guards.already_seen", False),
        ("OBJECTIVE__WINDOW", "12h", "objective.window", timedelta(hours=12)),
        ("OBJECTIVE__WINDOW", "90", "objective.window", timedelta(seconds=90)),
        ("OBJECTIVE__REWARDS", '{"buy": 2}', "objective.rewards", {"buy": 2.0}),
        ("OBJECTIVE__REWARDS", "{buy = 2}", "objective.rewards", {"buy": 2.0}),
        ("CONTEXT__NAMES", '["a", "b"]', "context.names", ("a", "b")),
        ("POLICY__ALGORITHM", "linear-thompson", "policy.algorithm", "linear-thompson"),
    ],
)
def test_the_environment_speaks_toml_or_json_or_plain_text(name: str, text: str, key: str, value: object):
    assert load_settings(None, {f"LONGGAME_{name}": text}).value(key) == value


@pytest.mark.parametrize("name", ["LONGGAME_SERVE__PROT", "LONGGAME_SERVE_PORT", "LONGGAME_SERV__PORT"])
def test_a_slip_in_a_variable_is_an_error(name: str):
    with pytest.raises(ConfigError, match="did you mean LONGGAME_SERVE__PORT"):
        load_settings(None, {name: "1"})


def test_variables_of_others_are_left_alone():
    load_settings(None, {"LONGGAME_TEST_POSTGRES": "x", "LONGGAMES": "y"})


def test_a_wrong_variable_and_a_wrong_flag_are_named():
    with pytest.raises(ConfigError, match=r"environment: LONGGAME_SERVE__PORT.*'x'"):
        load_settings(None, {"LONGGAME_SERVE__PORT": "x"})
    with pytest.raises(ConfigError, match=r"flag --model.*'minlm'"):
        load_settings(None, {}, {"language.model": "minlm"})


def test_settings_cannot_be_changed_and_survive_their_own_file(file: Path):
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.serve.port = 1  # type: ignore[misc]
    file.write_text(as_toml(settings))
    loaded = load_settings(file)
    assert loaded.settings == settings and set(loaded.origin.values()) == {str(file)}


def test_every_key_has_a_meaning_and_the_page_has_every_key():
    page = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text()
    assert page == reference(), "longgame config reference > docs/configuration.md"
    for name, section in sections():
        assert f"## [{name}]" in page
        for key, field in section.model_fields.items():
            assert field.description and f"| `{key}` |" in page, f"{name}.{key}"


@pytest.mark.parametrize(
    "command", ["import longgame", "import longgame.cli as cli; cli.app(['--help'], standalone_mode=False)"]
)
def test_the_start_is_light(command: str):
    heavy = "{'torch', 'fastapi', 'sqlalchemy', 'transformers', 'numpy', 'pydantic', 'rich'}"
    code = f"{command}\nimport sys\nassert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_public_names_are_there():
    import longgame

    assert set(longgame.__all__) == set(longgame._HOMES)
    for name in longgame.__all__:
        assert getattr(longgame, name) is not None and name in dir(longgame)
    with pytest.raises(AttributeError, match="nix"):
        longgame.nix  # noqa: B018

"""Configuration: what wins, and what is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from aios.config import Config, FilesConfig, LocalModelConfig, RemoteModelConfig, load, runs_directory, trust_store
from aios.regular import read_regular
from aios.trust import TrustRecord
from aios_syscalls import BadRequest, Budget, NotFound


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    for name in ("AIOS_SCHEDULER", "AIOS_SLICE", "AIOS_MODEL", "AIOS_ROOT"):
        monkeypatch.delenv(name, raising=False)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def trust() -> None:
    """As `aios trust --yes` here."""
    found = read_regular(Path("aios.toml"))
    trust_store().trust(TrustRecord(str(found.path), found.sha256, {}))


def test_nothing_configured_is_the_default() -> None:
    assert load() == Config()
    assert runs_directory() == Path("home").absolute() / "state" / "runs"


def test_flags_win_over_environment_over_project_over_user(monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path("home/config/config.toml"), "seed = 1\n[scheduler]\npolicy = 'fifo'\nslice = 1\n[limits]\ncalls = 9\n")
    write(Path("aios.toml"), "[scheduler]\nslice = 2\n")
    assert load().scheduler.slice == 1
    trust()
    assert load().scheduler.slice == 2
    monkeypatch.setenv("AIOS_SLICE", "3")
    assert load().scheduler.slice == 3
    config = load({"scheduler": {"slice": 4}})
    assert (config.scheduler.slice, config.scheduler.policy, config.limits.calls, config.seed) == (4, "fifo", 9, 1)


def test_models_are_told_apart_by_their_kind() -> None:
    write(
        Path("home/config/config.toml"),
        "[models.a]\npath = 'a.gguf'\n[models.b]\nkind = 'openai'\nbase_url = 'http://h/v1'\nmodel = 'm'\n",
    )
    models = load().models
    assert isinstance(models["a"], LocalModelConfig)
    assert isinstance(models["b"], RemoteModelConfig)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[scheduler]\nslice = 0\n", "scheduler.slice"),
        ("[scheduler]\nslices = 3\n", "no setting scheduler.slices; did you mean slice"),
        ("[scheduler\n", "cannot be read as TOML"),
        ("[models.a]\nkind = 'magic'\n", "models.a: kind is 'local', .* or 'openai'"),
        ("[budget]\ntoken = 3\n", "no setting budget.token; did you mean tokens"),
        ("[budgets.writer]\nusd = -1\n", r"budgets.writer.usd"),
        ("[models.a]\nslots = 3\n", "models.a.local.path: Field required"),
        ("colour = 'red'\n", "no setting colour; take it out"),
    ],
)
def test_a_malformed_file_is_refused_with_its_name_and_field(text: str, says: str) -> None:
    for path, given in ((Path("home/config/config.toml"), None), (Path("mine.toml"), Path("mine.toml"))):
        write(path, text)
        with pytest.raises(BadRequest, match=says) as caught:
            load(path=given)
        assert path.name in caught.value.message
        path.unlink()


def test_a_named_file_must_be_there_and_is_the_only_one() -> None:
    write(Path("aios.toml"), "seed = 1\n")
    write(Path("other.toml"), "[limits]\ncalls = 5\n")
    assert (load(path=Path("other.toml")).seed, load(path=Path("other.toml")).limits.calls) == (None, 5)
    with pytest.raises(NotFound, match=r"absent\.toml; check"):
        load(path=Path("absent.toml"))


def test_a_fault_in_the_environment_or_a_flag_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadRequest, match=r"the command line: scheduler\.slice"):
        load({"scheduler": {"slice": 0}})
    monkeypatch.setenv("AIOS_SLICE", "many")
    with pytest.raises(BadRequest, match=r"AIOS_SLICE: scheduler\.slice.*tokens, 1 or more, or auto"):
        load()


def test_what_is_printed_can_be_read_again() -> None:
    config = Config(models={"m": LocalModelConfig(path=Path("m.gguf"))})
    assert Config.model_validate(config.model_dump()) == Config.model_validate(config) == config


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../b", "", ".", "./"])
def test_a_private_directory_lies_below_the_root(path: str) -> None:
    with pytest.raises(BadRequest, match="below the root"):
        FilesConfig(private={"diary": path})
    with pytest.raises(BadRequest, match="below the root"):
        FilesConfig(homes=path)
    assert FilesConfig(private={"diary": "./a//b/"}).private == {"diary": "a/b"}


def test_budgets_are_of_the_run_and_of_programs() -> None:
    write(Path("aios.toml"), "[budget]\ntokens = 1000\nusd = 0.5\n[budgets.writer]\nseconds = 2\n")
    config = load({"budget": {"usd": 0.25}})
    assert config.budget == Budget(tokens=1000, usd=0.25)
    assert config.budgets == {"writer": Budget(seconds=2)}


def test_names_that_get_executed_are_allowed_by_the_user_or_a_trusted_file_alone() -> None:
    assert load().files.allow_executed is False
    write(Path("aios.toml"), "[files]\nallow_executed = ['Makefile']\n")
    assert load().files.allow_executed is False
    trust()
    assert load().files.allow_executed == ("Makefile",)
    Path("aios.toml").unlink()
    write(Path("home/config/config.toml"), "[files]\nallow_executed = true\n")
    assert load().files.allow_executed is True


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("'Makefile'", "allows no names; give a list"),
        ("'true'", "allows no names; give a list"),
        ("1", "allows no names; give a list"),
        ("{Makefile = true}", "allows no names; give a list"),
        ("['Makefile', 1]", "allows no names; give a list"),
        ("['Makefil']", "did you mean Makefile"),
        ("['*']", "allow_executed = true"),
        ("['.bashrc']", "is protected"),
        ("['/Makefile']", "below the root"),
        ("['notes.md']", "leave it out"),
    ],
)
def test_what_allows_nothing_or_too_much_is_refused_with_what_to_write(value: str, why: str) -> None:
    write(Path("home/config/config.toml"), f"[files]\nallow_executed = {value}\n")
    with pytest.raises(BadRequest, match=r"config\.toml: .*files\.allow_executed") as caught:
        load()
    assert why in caught.value.message

"""From words on the command line to jobs and a configuration."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from aios.cli.machine.inventory import toml
from aios.cli.machine.settings import chosen, settings, with_model
from aios.cli.run.jobs import ProgramJob, check, cycle, parse
from aios.config import Config, LocalModelConfig, RemoteModelConfig, WallConfig
from aios_syscalls import BadRequest, Budget, NotFound


def test_a_program_may_carry_its_task() -> None:
    assert parse(["echo=a=b", "./x.py", "plan="], "all") == [
        ProgramJob("echo", "a=b"),
        ProgramJob("./x.py", "all"),
        ProgramJob("plan", ""),
    ]


def test_a_file_whose_name_has_a_sign_in_it_is_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("eq=x.py", "a=b=c.py"):
        (tmp_path / name).touch()
    assert parse(["eq=x.py", "eq=x.py=a=b", "./a=b=c.py", "eq=y.py"], None) == [
        ProgramJob("eq=x.py", ""),
        ProgramJob("eq=x.py", "a=b"),
        ProgramJob("./a=b=c.py", ""),
        ProgramJob("eq", "y.py"),
    ]


def test_a_task_may_come_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("from afar\n"))
    assert parse(["echo"], "-") == [ProgramJob("echo", "from afar")]


def test_a_task_without_a_program_is_refused() -> None:
    with pytest.raises(BadRequest, match="names no program"):
        parse(["=task"], None)


def test_programs_take_turns() -> None:
    jobs = [ProgramJob("a", ""), ProgramJob("b", "")]
    assert [job.program for job in cycle(jobs, 5)] == ["a", "b", "a", "b", "a"]
    assert cycle(jobs, None) == jobs
    assert cycle(jobs, 1) == jobs[:1]


def test_an_unknown_program_is_told_before_anything_starts(programs: Path) -> None:
    check([ProgramJob("echo", ""), ProgramJob("elsewhere.py", "")], Config(agents=(programs,)))
    with pytest.raises(NotFound, match="did you mean echo"):
        check([ProgramJob("ecko", "")], Config(agents=(programs,)))


def test_flags_win_over_the_environment_and_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my.toml"
    file.write_text('root = "/srv"\n[scheduler]\npolicy = "fifo"\nslice = 5\n')
    monkeypatch.setenv("AIOS_SLICE", "6")
    chosen = settings(file, scheduler="round_robin", seed=7)
    assert (chosen.scheduler.policy, chosen.scheduler.slice) == ("round_robin", 6)
    assert (chosen.root, chosen.seed, chosen.isolate) == (Path("/srv"), 7, True)


def test_a_policy_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"no scheduling policy 'lifo'; there are atlas, .*round_robin"):
        settings(scheduler="lifo")


def test_a_slice_may_be_measured() -> None:
    assert settings(slice="auto").scheduler.slice == "auto"


def test_a_slice_of_nothing_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"scheduler\.slice"):
        settings(slice="0")


def test_a_file_becomes_the_only_model(tmp_path: Path) -> None:
    chosen = with_model(Config(), str(tmp_path / "tiny.Q8.gguf"))
    assert chosen.model == "tiny.Q8"
    assert chosen.models == {"tiny.Q8": LocalModelConfig(path=tmp_path / "tiny.Q8.gguf")}


def test_an_endpoint_becomes_the_only_model(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = with_model(Config(), "http://localhost:8000/v1#llama")
    remote = chosen.models["llama"]
    assert isinstance(remote, RemoteModelConfig)
    assert (str(remote.base_url), remote.model, remote.api_key_env) == ("http://localhost:8000/v1", "llama", None)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    keyed = with_model(Config(), "http://localhost:8000/v1#llama").models["llama"]
    assert isinstance(keyed, RemoteModelConfig)
    assert keyed.api_key_env == "OPENAI_API_KEY"


@pytest.mark.parametrize("word", ["http://localhost:8000/v1", "ftp://localhost#llama"])
def test_an_endpoint_needs_a_model_and_http(word: str) -> None:
    with pytest.raises(BadRequest):
        with_model(Config(), word)


def test_a_model_that_is_not_configured_is_not_found() -> None:
    with pytest.raises(NotFound, match="no model 'gpt'; there are smollm2-135m"):
        settings(model="gpt")


def test_the_configuration_is_printed_as_toml_that_reads_back() -> None:
    import tomllib

    chosen = Config(models={"a b": LocalModelConfig(path=Path("/x.gguf"))}, model="a b")
    again = tomllib.loads("\n".join(toml(chosen.model_dump(mode="json"))))
    assert Config.model_validate(again) == chosen


def test_a_budget_of_flags_tightens_that_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[budget]\ntokens = 100\ncalls = 5\n")
    assert settings(file).budget == Budget(tokens=100, calls=5)
    assert settings(file, budget=Budget(tokens=10, usd=0)).budget == Budget(tokens=10, usd=0, calls=5)


def test_the_wall_is_the_users_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my.toml"
    file.write_text('[wall]\nlevel = "exec"\nprograms = { builder = "off" }\n')
    assert (settings(file).wall.level, settings(file).wall.programs) == ("exec", {"builder": "off"})
    assert (settings(file, wall="auto").wall.level, settings(file, wall="auto").wall.programs) == ("auto", {})
    assert settings().wall.level is None


@pytest.mark.parametrize("said", ['[wall]\nlevel = "off"\n', '[wall]\nprograms = { echo = "exec" }\n'])
def test_a_directory_that_is_not_trusted_takes_no_wall_down(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aios.toml").write_text(said)
    assert settings().wall == Config().wall
    assert settings(tmp_path / "aios.toml").wall != Config().wall  # the same, named by the user


MINE = WallConfig(level="exec", programs={"builder": "off", "echo": "auto"})


@pytest.mark.parametrize(
    ("said", "mine", "level", "programs", "left_out"),
    [
        ({"level": "auto"}, MINE, "auto", {}, {}),
        ({"level": "exec"}, MINE, "exec", {}, {}),
        ({"level": "off"}, MINE, "exec", {}, {"level": "off"}),
        ({"programs": {"builder": "exec"}}, MINE, "exec", {"builder": "exec"}, {}),
        ({"programs": {"builder": "auto", "other": "auto"}}, MINE, "exec", {"builder": "auto", "other": "auto"}, {}),
        (
            {"programs": {"echo": "exec", "other": "off"}},
            MINE,
            "exec",
            {},
            {"programs": {"echo": "exec", "other": "off"}},
        ),
        ({"level": "auto", "programs": {"echo": "off"}}, MINE, "auto", {}, {"programs": {"echo": "off"}}),
        ({"level": "auto", "programs": {"x": "auto"}}, WallConfig(), None, {}, {}),  # else strangers' programs started
        (
            {"level": "exec", "programs": {"x": "off"}},
            WallConfig(),
            None,
            {},
            {"level": "exec", "programs": {"x": "off"}},
        ),
        ({"programs": {"x": "exec"}}, WallConfig(level="off"), "off", {"x": "exec"}, {}),
    ],
)
def test_a_directory_that_is_not_trusted_may_make_the_wall_stricter(
    said: dict[str, Any],
    mine: WallConfig,
    level: str | None,
    programs: dict[str, str],
    left_out: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home" / "config").mkdir(parents=True)
    for path, wall in ((tmp_path / "aios.toml", said), (tmp_path / "home/config/config.toml", mine.model_dump())):
        path.write_text("\n".join(toml({"wall": {key: value for key, value in wall.items() if value}})))
    found = chosen()
    assert found.config.wall == WallConfig(level=level, programs={**mine.programs, **programs})
    assert found.project.left_out.get("wall", {}) == left_out
    assert chosen(wall="off").config.wall == WallConfig(level="off")  # a flag is the user's, now

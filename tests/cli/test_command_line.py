"""The command as a user types it: flags, exit codes, what goes to stdout and what to stderr."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from aios import __version__, bench
from aios.cli.app import app
from aios.cli.commands import work
from aios.cli.machine import doctor
from aios.cli.machine.doctor import Check
from aios.cli.run.jobs import ProgramJob
from aios.config import Config
from aios.models.scripted import ScriptedModel
from aios.sdk import Agent
from aios.terminal.output import me
from aios_syscalls import Budget

COMMANDS = {"run", "demo", "bench", "ps", "trace", "runs", "agents", "models", "config", "doctor"}
COMMANDS |= {
    "trust",
    "estimate",
    "usage",
    "route",
    "index",
    "search",
    "history",
    "show",
    "diff",
    "restore",
    "undo",
    "shell",
    "files",
    *("up", "down", "restart", "reload", "status", "logs", "kill"),
}
IDENT = "20260102-030405-abcd"


def aios(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def own_configuration(tmp_path: Path) -> Path:
    """The user's file, in a directory that is there."""
    (tmp_path / "home" / "config").mkdir(parents=True)
    return tmp_path / "home" / "config" / "config.toml"


def error(result: Result) -> str:
    assert result.stdout == ""
    assert result.stderr.startswith("aios: ")
    return result.stderr


def test_help_names_every_command_and_every_exit_code() -> None:
    told = aios("--help").stdout
    for command in COMMANDS:
        assert f"  {command} " in told
    for code in ("0 ok", "1 error", "2 usage", "3 not found", "4 kernel not running", "5 budget", "6 denied"):
        assert code in told
    assert "8 model unavailable" in told
    assert "130 interrupted" in told


@pytest.mark.parametrize("command", sorted(COMMANDS - {"files", "route", "shell"}))
def test_every_command_has_help_and_json(command: str) -> None:
    told = aios(command, "-h")
    assert told.exit_code == 0
    assert "--json" in told.stdout


@pytest.mark.whole
def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, aios.cli.app\n"
        "heavy = {'pydantic', 'anyio', 'rich', 'numpy', 'httpx2', 'chromadb', 'llama_cpp', 'asyncio', 'sqlite3'}\n"
        "heavy |= {'aios_storage', 'aios.cli.shell', 'prompt_toolkit'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert ran.stdout == "[]\n"


def test_the_version_is_told() -> None:
    assert aios("--version").stdout == f"aios {__version__}\n"


@pytest.mark.whole
def test_it_is_a_module_too() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "aios", "--version"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert ran.stdout == f"aios {__version__}\n"


def test_an_unknown_command_is_usage() -> None:
    assert aios("trase").exit_code == 2


@pytest.mark.usefixtures("programs")
def test_an_unknown_program_is_not_found_and_a_near_one_suggested() -> None:
    result = aios("run", "ecko")
    assert result.exit_code == 3
    assert "no agent program 'ecko'; did you mean echo" in error(result)


@pytest.mark.usefixtures("programs")
def test_with_json_an_error_is_an_object_too() -> None:
    result = aios("run", "ecko", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"]["code"] == "not_found"
    assert result.stderr.startswith("aios: no agent program")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scheduler = [", "cannot be read as TOML"),
        ("[scheduler]\nslise = 3\n", "scheduler.slise"),
        ("[models.x]\nkind = 'local'\n", "path"),
    ],
)
@pytest.mark.parametrize("command", [["run", "echo"], ["agents"], ["models"], ["config"]])
def test_a_malformed_configuration_is_usage(tmp_path: Path, text: str, words: str, command: list[str]) -> None:
    own = tmp_path / "home" / "config" / "config.toml"
    own.parent.mkdir(parents=True)
    for file, given in ((own, []), (tmp_path / "mine.toml", ["--config", "mine.toml"])):
        file.write_text(text)
        result = aios(*command, *given)
        assert result.exit_code == 2
        assert file.name in error(result)
        assert words in result.stderr
        file.unlink()


def test_a_configuration_that_is_not_there_is_not_found() -> None:
    result = aios("config", "--config", "nowhere.toml")
    assert result.exit_code == 3
    assert "nowhere.toml" in error(result)


def test_an_unknown_policy_is_usage() -> None:
    result = aios("run", "echo", "--scheduler", "lifo")
    assert result.exit_code == 2
    assert "there are atlas, fair_gittins, fifo, gittins" in error(result)


@pytest.mark.usefixtures("programs")
def test_without_its_model_a_run_is_not_started() -> None:
    result = aios("run", "echo", "--no-isolate")
    assert result.exit_code == 8
    assert "python -m aios.artifacts" in result.stderr


@pytest.mark.parametrize("command", ["ps", "trace"])
def test_an_unknown_run_is_not_found(busy: Any, command: str) -> None:
    assert aios(command, "last").exit_code == 3
    busy.write()
    result = aios(command, "1999")
    assert result.exit_code == 3
    assert "no run and no process '1999'" in error(result)


def test_ps_prints_the_table_of_the_last_run(busy: Any) -> None:
    busy.write()
    result = aios("ps", "last")
    assert result.exit_code == 0
    assert "3 processes: 2 done, 1 failed" in result.stdout
    run = json.loads(aios("ps", IDENT[:8], "--json").stdout)
    assert [process["result"] for process in run["processes"]] == ["A festival took place.", "monday: shopping", None]


def test_runs_are_listed(busy: Any) -> None:
    assert aios("runs").exit_code == 0
    busy.write()
    assert IDENT in aios("runs").stdout
    assert json.loads(aios("runs", "--json").stdout)[0]["processes"] == 3


def test_trace_prints_calls_as_rows_and_as_lines(busy: Any) -> None:
    busy.write()
    assert "llm.chat" in aios("trace").stdout
    lines = [json.loads(line) for line in aios("trace", "--json").stdout.splitlines()]
    assert [line["call"] for line in lines] == ["1.1", "2.2", "3.3", "3.4"]
    assert lines[0]["slices"] == [[0.0, 1.0], [2.0, 3.0]]
    assert lines[0]["request"]["messages"][0]["content"] == "hi"
    assert lines[0]["outcome"] == {"text": "hello\nthere"}


def test_trace_prints_one_call(busy: Any) -> None:
    busy.write()
    assert "hello" in aios("trace", "--call", "2.2").stdout
    assert json.loads(aios("trace", "2.2", "--json").stdout)["tokens"] == 24
    result = aios("trace", "--call", "2.99")
    assert result.exit_code == 3
    assert "no call 2.99" in error(result)


def test_trace_draws_a_chart_in_ascii_off_a_terminal(busy: Any) -> None:
    busy.write()
    told = aios("trace", "--gantt").stdout
    assert "1 summarise" in told
    assert told.isascii()


def test_trace_writes_a_file_for_perfetto(busy: Any, tmp_path: Path) -> None:
    busy.write()
    result = aios("trace", "--chrome", "trace.json")
    assert (result.exit_code, result.stdout) == (0, "")
    written = json.loads((tmp_path / "trace.json").read_text("utf-8"))
    assert json.loads(aios("trace", "--chrome", "-").stdout) == written
    failed = aios("trace", "--chrome", "no/such/folder.json")
    assert failed.exit_code == 1
    assert "give another FILE" in error(failed)


@pytest.mark.usefixtures("programs")
def test_agents_are_listed() -> None:
    assert "Says its task again." in aios("agents").stdout
    found = {agent["name"]: agent for agent in json.loads(aios("agents", "--json").stdout)}
    assert found["echo"]["summary"] == "Says its task again."
    assert found["echo"]["path"].endswith("agents/echo.py")


def test_models_are_listed_without_loading_one(tmp_path: Path) -> None:
    assert "missing" in aios("models").stdout
    (tmp_path / "tiny.gguf").write_bytes(b"x" * 10)
    own_configuration(tmp_path).write_text(
        f'model = "there"\n[models.tiny]\npath = "{tmp_path}/tiny.gguf"\nkind = "local"\n'
        '[models.there]\nkind = "openai"\nbase_url = "http://localhost:8000/v1"\nmodel = "llama"\n'
    )
    tiny, there = json.loads(aios("models", "--json").stdout)
    assert (tiny["present"], tiny["bytes"], tiny["default"]) == (True, 10, False)
    assert (there["where"], there["default"]) == ("http://localhost:8000/v1#llama", True)
    listed = aios("models")
    assert "10 B" in listed.stdout
    assert f"tiny: {tmp_path}/tiny.gguf is not a GGUF file" in " ".join(listed.stderr.split())
    assert listed.exit_code == 0


def gguf_header(**values: int | str) -> bytes:
    """A GGUF file that is a header and nothing else."""
    parts = [b"GGUF", struct.pack("<IQQ", 3, 0, len(values))]
    for key, value in values.items():
        kind, data = (4, struct.pack("<I", value)) if isinstance(value, int) else (8, packed(value.encode()))
        parts += [packed(key.encode()), struct.pack("<I", kind), data]
    return b"".join(parts)


def packed(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def test_a_local_model_is_described_without_loading_it(tmp_path: Path) -> None:
    facts: dict[str, int] = {"block_count": 4, "context_length": 512, "embedding_length": 64, "attention.head_count": 2}
    values: dict[str, int | str] = {"general.architecture": "llama"}
    values |= {f"llama.{key}": value for key, value in facts.items()}
    (tmp_path / "tiny.gguf").write_bytes(gguf_header(**values))
    own_configuration(tmp_path).write_text(
        f"[models.tiny]\npath = '{tmp_path}/tiny.gguf'\nkind = 'local'\ncontext = 512\nn_gpu_layers = 3\n"
    )
    (tiny,) = json.loads(aios("models", "--json").stdout)
    assert (tiny["architecture"], tiny["layers"], tiny["trained_context"], tiny["context"]) == ("llama", 4, 512, 512)
    assert (tiny["gpu_layers"], tiny["exact"], tiny["resident_bytes"], tiny["problem"]) == (3, None, 0, None)
    assert tiny["needs_bytes"] > 8 * 512 * 4 * 2 * 64 * 2
    assert "3 of 4" in aios("models").stdout


@pytest.mark.whole
def test_a_model_that_does_not_load_is_an_error_only_if_it_was_to_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(gguf_header(**{"general.architecture": "nonsense"}))
    own_configuration(tmp_path).write_text(f"[models.tiny]\npath = '{tmp_path}/tiny.gguf'\nkind = 'local'\n")
    assert aios("models").exit_code == 0
    loaded = aios("models", "--load", "--json")
    assert loaded.exit_code == 8
    assert "unknown model architecture: 'nonsense'" in json.loads(loaded.stdout)[0]["problem"]


def test_the_configuration_in_force_is_printed() -> None:
    assert 'scheduler.policy = "gittins"' in aios("config").stdout
    assert json.loads(aios("config", "--json").stdout)["scheduler"]["slice"] == 32


FINE = Check("python", True, "3.11")
ABSENT = Check("bubblewrap", False, "not found", "apt install bubblewrap", optional=True)
BROKEN = Check("engine", False, "does not load", "scripts/setup")


@pytest.mark.parametrize(
    ("built", "gpus", "says", "ok"),
    [
        (["CUDA"], ["NVIDIA H100 (CUDA0)"], "offloads layers to NVIDIA H100 (CUDA0)", True),
        (["CUDA"], [], "built for CUDA but finds no such GPU", False),
    ],
)
def test_the_doctor_says_where_layers_can_go(built: list[str], gpus: list[str], says: str, ok: bool) -> None:
    check = doctor._offload(built, gpus)
    assert says in check.detail
    assert (check.ok, bool(check.fix), check.optional) == (ok, not ok, True)


@pytest.mark.whole
def test_the_doctor_asks_the_real_engine() -> None:
    engine, gpu = doctor._engine()
    assert engine.ok
    assert gpu.name == "gpu"
    assert gpu.detail


@pytest.mark.parametrize(("checks", "code"), [([FINE, ABSENT], 0), ([FINE, BROKEN], 1)])
def test_the_doctor_fails_when_something_needed_is_missing(
    monkeypatch: pytest.MonkeyPatch, checks: list[Check], code: int
) -> None:
    monkeypatch.setattr(doctor, "checks", lambda: checks)
    result = aios("doctor")
    assert result.exit_code == code
    assert f"fix: {checks[1].fix}" in result.stdout
    assert [check["name"] for check in json.loads(aios("doctor", "--json").stdout)] == [each.name for each in checks]


def report(value: float) -> bench.Report:
    return bench.Report.of("overhead", {"latency_ms": value, "other": 1.0}, [bench.at_most("latency_ms", 0.15)])


@pytest.mark.parametrize(("value", "code", "word"), [(0.1, 0, "yes"), (0.2, 1, "no")])
def test_a_bench_that_misses_its_target_fails(
    monkeypatch: pytest.MonkeyPatch, value: float, code: int, word: str
) -> None:
    monkeypatch.setattr(bench, "run", lambda *_, **__: report(value))
    result = aios("bench", "overhead")
    assert result.exit_code == code
    assert word in result.stdout
    told = json.loads(aios("bench", "overhead", "--json").stdout)
    assert set(told) == {"bench", "machine", "figures", "targets"}
    assert told["targets"] == [{"name": "latency_ms", "value": value, "bound": "<= 0.15", "met": code == 0}]


def test_a_bench_draws_its_figures_and_refuses_a_file_first_that_it_cannot_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs: list[str] = []

    def run(name: str, *_: object, **__: object) -> bench.Report:
        runs.append(name)
        return report(0.1)

    monkeypatch.setattr(bench, "run", run)
    assert aios("bench", "overhead", "--plot", str(tmp_path / "x.svg")).exit_code == 0
    assert "latency_ms &lt;= 0.15" in (tmp_path / "x.svg").read_text()
    result = aios("bench", "overhead", "--plot", str(tmp_path / "none" / "x.svg"))
    assert result.exit_code == 1
    assert "give another FILE" in error(result)
    assert len(runs) == 1


def test_benches_are_listed_and_an_unknown_one_is_not_found() -> None:
    assert "overhead" in json.loads(aios("bench", "--json").stdout)
    result = aios("bench", "overhed")
    assert result.exit_code == 3
    assert "did you mean overhead" in error(result)


def test_a_run_prints_exactly_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    async def say(agent: Agent, task: str) -> str:
        return await agent.ask(task)

    model = ScriptedModel("a b c d e f", slots=1)
    config = Config.model_validate({"scheduler": {"slice": 2}})
    code = work._execute([ProgramJob("say", "x")] * 2, config, True, models=[model], mains={"say": say})
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [process["result"] for process in told["processes"]] == ["a b c d e f"] * 2
    assert told["syscalls"]["ended_once"] is True
    assert Path(told["trace"]).is_file()


@pytest.mark.parametrize("command", [work.run, work.demo])
def test_budgets_of_a_run_are_flags(command: Any, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[Config] = []
    monkeypatch.setattr(work, "_execute", lambda jobs, config, *rest, **options: chosen.append(config))
    monkeypatch.setattr("aios.cli.run.jobs.check", lambda *_: None)
    monkeypatch.setattr("aios.cli.run.demo.prepare", lambda: (programs, programs))
    words = ["run", "echo"] if command is work.run else ["demo"]
    limits = ["--budget-tokens", "9", "--budget-usd", "0.5", "--budget-seconds", "1.5", "--budget-calls", "3"]
    assert aios(*[*words, *limits]).exit_code == 0
    assert aios(*words).exit_code == 0
    assert [config.budget for config in chosen] == [Budget(tokens=9, usd=0.5, seconds=1.5, calls=3), Budget()]
    assert aios(*[*words, "--budget-calls", "-1"]).exit_code == 2


def test_a_run_prints_its_results_and_where_to_read_on(capsys: pytest.CaptureFixture[str]) -> None:
    async def say(agent: Agent, task: str) -> str:
        return await agent.ask(task)

    work._execute(
        [ProgramJob("say", "the task")], Config(), False, models=[ScriptedModel("the answer")], mains={"say": say}
    )
    told = capsys.readouterr()
    assert told.out == "the answer"
    assert f"{me()} trace 2" in told.err
    assert "process 1 say done" in told.err


def test_a_root_that_is_no_directory_is_told_before_a_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    missing, wrong = (aios("run", "planner", "--root", name) for name in ("nowhere", "file"))
    assert (missing.exit_code, wrong.exit_code) == (3, 2)
    assert "mkdir -p nowhere" in error(missing)
    assert "file is no directory" in error(wrong)

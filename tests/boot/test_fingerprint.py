"""What a run depends on beside its task is on record, and differs where that does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aios.boot import boot
from aios.boot.fingerprint import ENDS, fingerprint
from aios.config import Config, LocalModelConfig
from aios.models.scripted import ScriptedModel
from aios.record import runs


@pytest.mark.anyio
async def test_a_run_has_its_fingerprint_in_a_column_of_its_own(tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "mine.py").write_text("async def main(agent, task): return task")
    config = Config(root=tmp_path, isolate=False, agents=(agents,))
    async with boot(config, models=[ScriptedModel([])], directory=tmp_path / "run") as run:
        pass
    (found,) = runs(run.journal)
    assert found.fingerprint
    assert found.fingerprint["programs"]["mine"]
    assert all(found.fingerprint[name] for name in ("python", "packages", "engine", "cpu", "settings", "hash_seed"))
    (first, *_) = found.events()
    assert first.data["run"] == "run"
    assert "fingerprint" not in first.data


@pytest.mark.anyio
async def test_a_program_that_is_started_by_its_path_is_in_the_fingerprint(tmp_path: Path) -> None:
    program = tmp_path / "mine.py"
    seen = []
    for text in ("one", "two"):
        program.write_text(f"async def main(agent, task): return {text!r}")
        config, directory = Config(root=tmp_path, isolate=False), tmp_path / text
        async with boot(config, models=[ScriptedModel([])], starting=[str(program)], directory=directory) as run:
            pass
        (found,) = runs(run.journal)
        assert found.fingerprint
        seen.append(found.fingerprint["programs"][str(program)])
    assert seen[0] != seen[1]
    assert None not in seen


def test_what_differs_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, model = tmp_path / "p.py", tmp_path / "m.gguf"
    program.write_text("one")
    model.write_bytes(os.urandom(3 * ENDS))
    config, programs = Config(models={"m": LocalModelConfig(path=model)}), {"p": program}

    def changed() -> set[str]:
        now = fingerprint(config, programs)
        return {name for name in now if now[name] != before[name]}

    before = fingerprint(config, programs)
    assert changed() == set()
    program.write_text("two")
    assert changed() == {"programs"}
    with model.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    assert changed() == {"programs", "models"}
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert changed() == {"programs", "models", "hash_seed"}
    config = config.model_copy(update={"seed": 3})
    assert changed() == {"programs", "models", "hash_seed", "seed", "settings"}


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    config = Config(models={"m": LocalModelConfig(path=tmp_path / "none")})
    found = fingerprint(config, {"p": tmp_path / "none.py"})
    assert (found["models"], found["programs"]) == ({"m": None}, {"p": None})

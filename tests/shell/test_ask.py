"""Questions, answered through a real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from aios.cli.shell.answer import CitedPassage, grammar
from aios.cli.shell.ask import Asker, too_small
from aios.config import Config, LocalModelConfig
from aios.models.scripted import ScriptedModel
from aios_syscalls import Chat, ModelFailed
from tests.shell.conftest import Batch

PASSAGES = (
    CitedPassage("mayor.txt", 1, "Maria Keller was elected mayor of Ashford in 2019."),
    CitedPassage("kettle.txt", 1, "The kettle boils a litre of water in 3.5 minutes."),
)
LARGE = {"large": {"kind": "openai", "base_url": "http://localhost:1/v1", "model": "large"}}


def asker(tmp_path: Path, model: ScriptedModel) -> Asker:
    config = Config.model_validate({"root": tmp_path, "models": LARGE, "isolate": False})
    return Asker(lambda: config, models=[model], directory=tmp_path / "run")


def test_an_answer_that_its_sources_bear_out_is_trusted(tmp_path: Path) -> None:
    model = ScriptedModel("Maria Keller was elected mayor in 2019. [1]")
    with asker(tmp_path, model) as ask:
        answer = ask.ask("Who is the mayor?", PASSAGES)
    assert (answer.text, answer.doubts) == ("Maria Keller was elected mayor in 2019. [1]", ())
    assert [claim.cites for claim in answer.claims] == [(1,)]
    (call,) = model.calls
    assert isinstance(call, Chat)
    assert call.grammar == grammar(2)
    assert "[2] kettle.txt\nThe kettle" in call.messages[1].content
    assert call.messages[1].content.endswith("Question: Who is the mayor?")


def test_one_kernel_answers_all_questions_and_inventions_are_told(tmp_path: Path) -> None:
    model = ScriptedModel(["Peter Novak leads the council. [1]", "The kettle needs 4 minutes. [2]"])
    with asker(tmp_path, model) as ask:
        assert "[1] does not say so" in ask.ask("Who?", PASSAGES).doubts[0]
        assert "[2] does not say so" in ask.ask("How long?", PASSAGES).doubts[0]
    assert len(list((tmp_path / "run").glob("journal.db"))) == 1


def test_without_a_model_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "empty"))
    with Asker(lambda: Config(root=tmp_path)) as ask:
        for _ in range(2):  # and it may be tried again
            with pytest.raises(ModelFailed, match=r"python -m aios\.artifacts"):
                ask.ask("Who?", PASSAGES)


def test_a_small_model_is_never_to_be_trusted(tmp_path: Path) -> None:
    assert "SmolLM2" in too_small(Config())
    small, large = tmp_path / "small.gguf", tmp_path / "large.gguf"
    small.write_bytes(b"x" * 1000)
    with large.open("wb") as file:
        file.truncate(2_000_000_000)
    models = {"small": LocalModelConfig(path=small), "large": LocalModelConfig(path=large)}
    assert "small, a file of 0 MB, is too small" in too_small(Config(models=models))
    assert too_small(Config(models=models, model="large")) == ""
    assert too_small(Config.model_validate({"models": LARGE})) == ""


@pytest.mark.whole
def test_the_real_model_answers_in_the_shell_with_its_sources(batch: Batch) -> None:
    ran = batch("? who was elected mayor of Ashford", "hist 1")
    assert ran.returncode == 0
    answer, rest = ran.stdout.split("\n", 1)
    assert "[1]" in answer or answer == "The files do not say."
    assert "! the model that comes with aios, SmolLM2-135M, is too small to be believed" in rest
    assert "1  docs/mayor.txt:1" in rest
    assert "writer (" in rest.splitlines()[-2]

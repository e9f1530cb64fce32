"""Router: the model that was asked for, or else the first healthy one that can serve the call."""

from __future__ import annotations

from pathlib import Path

import pytest

from aios.models.local.supervisor.client import LocalModel
from aios.models.remote.model import RemoteModel
from aios.models.scripted import ScriptedModel
from aios.routing.router import Router
from aios_syscalls import BadRequest, Chat, Message, ModelFailed, NotFound, Rank, ToolSpec


def chat(model: str | None = None, text: str = "hi") -> Chat:
    return Chat(messages=(Message(role="user", content=text),), model=model)


@pytest.fixture
def models() -> dict[str, ScriptedModel]:
    return {"small": ScriptedModel("s", name="small"), "large": ScriptedModel("l", name="large")}


def test_a_named_model_is_chosen(models: dict[str, ScriptedModel]) -> None:
    assert Router(models).decide(chat("large")).order[0] == "large"
    rank = Rank(messages=chat().messages, options=("a", "b"), model="large")
    assert Router(models).decide(rank).order[0] == "large"


def test_an_unknown_name_lists_the_models(models: dict[str, ScriptedModel]) -> None:
    with pytest.raises(NotFound, match="no model 'huge'; there are small, large"):
        Router(models).decide(chat("huge"))


def test_a_named_model_that_is_unhealthy_is_not_replaced(models: dict[str, ScriptedModel]) -> None:
    models["large"].healthy = False
    with pytest.raises(ModelFailed, match="'large' is unhealthy"):
        Router(models).decide(chat("large"))


def test_the_first_healthy_model_is_chosen(models: dict[str, ScriptedModel]) -> None:
    router = Router(models)
    assert router.decide(chat()).order[0] == "small"
    models["small"].healthy = False
    assert router.decide(chat()).order[0] == "large"
    models["small"].healthy = True
    assert router.decide(chat()).order[0] == "small"


def test_no_healthy_model_says_why_for_each(models: dict[str, ScriptedModel]) -> None:
    for model in models.values():
        model.healthy = False
    with pytest.raises(ModelFailed, match=r"'small' is unhealthy .*; 'large' is unhealthy"):
        Router(models).decide(chat())


def test_no_model_at_all() -> None:
    with pytest.raises(ModelFailed, match="add one"):
        Router({}).decide(chat())
    with pytest.raises(NotFound, match="there are none"):
        Router({}).decide(chat("x"))


def test_the_first_healthy_model_that_can_serve_the_call_is_chosen(models: dict[str, ScriptedModel]) -> None:
    models["small"].refuses = "calls no tools"
    assert Router(models).decide(chat()).order[0] == "large"
    models["large"].healthy = False
    with pytest.raises(ModelFailed, match=r"'small' calls no tools; 'large' is unhealthy .* try again"):
        Router(models).decide(chat())
    models["large"].refuses = "holds 64 tokens"
    with pytest.raises(BadRequest, match=r"llm.chat: 'small' calls no tools; 'large' holds 64 tokens; change the call"):
        Router(models).decide(chat())


def test_a_named_model_that_cannot_says_which_can(models: dict[str, ScriptedModel]) -> None:
    models["small"].refuses = "calls no tools"
    with pytest.raises(BadRequest, match=r"'small' cannot .*: it calls no tools; name 'large'") as caught:
        Router(models).decide(chat("small"))
    assert caught.value.field == "model"
    models["large"].refuses = "does not either"
    with pytest.raises(BadRequest, match="no other model"):
        Router(models).decide(chat("small"))


def test_what_a_remote_model_can_do_is_what_is_configured() -> None:
    tool, schema = ToolSpec(name="add"), {"type": "object"}
    plain = RemoteModel("http://localhost/v1", "m", context=64, tools=False, schemas=False)
    assert plain.refusal(chat()) == ""
    assert "tools" in plain.refusal(chat().model_copy(update={"tools": (tool,)}))
    assert "schema" in plain.refusal(chat().model_copy(update={"response_schema": schema}))
    assert plain.refusal(chat(text="a " * 63)) == ""
    assert plain.refusal(chat(text="a " * 64)) == "holds 64 tokens, and the messages have 64 or more"
    able = RemoteModel("http://localhost/v1", "m")
    assert able.refusal(chat(text="a " * 9999).model_copy(update={"tools": (tool,), "response_schema": schema})) == ""


def test_a_local_model_refuses_what_no_slot_holds() -> None:
    model = LocalModel(Path("m.gguf"), context=64)
    assert model.refusal(chat(text="a " * 63)) == ""
    assert "holds 64 tokens" in model.refusal(chat(text="a " * 64))


def test_only_remote_models_means_no_ranking_and_says_so() -> None:
    far = RemoteModel("http://localhost/v1", "far")
    rank = Rank(messages=chat().messages, options=("a", "b"))
    for call in (rank, rank.model_copy(update={"model": "far"})):
        with pytest.raises(BadRequest, match="tells no likelihood of a given text") as caught:
            Router({"far": far}).decide(call)
        assert caught.value.field == "model"  # what lets `solve` go another way
    assert Router({"far": far, "near": ScriptedModel("n")}).decide(rank).order[0] == "near"

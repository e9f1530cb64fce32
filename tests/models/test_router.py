"""Router: the model that was asked for, or else the first healthy one."""

from __future__ import annotations

import pytest

from aios.models.router import Router
from aios.models.scripted import ScriptedModel
from aios_syscalls import Chat, Message, ModelFailed, NotFound, Rank


def chat(model: str | None = None) -> Chat:
    return Chat(messages=(Message(role="user", content="hi"),), model=model)


@pytest.fixture
def models() -> dict[str, ScriptedModel]:
    return {"small": ScriptedModel("s", name="small"), "large": ScriptedModel("l", name="large")}


def test_a_named_model_is_chosen(models: dict[str, ScriptedModel]) -> None:
    assert Router(models).choose(chat("large")) == "large"
    rank = Rank(messages=chat().messages, options=("a", "b"), model="large")
    assert Router(models).choose(rank) == "large"


def test_an_unknown_name_lists_the_models(models: dict[str, ScriptedModel]) -> None:
    with pytest.raises(NotFound, match="no model 'huge'; there are small, large"):
        Router(models).choose(chat("huge"))


def test_a_named_model_that_is_unhealthy_is_not_replaced(models: dict[str, ScriptedModel]) -> None:
    models["large"].healthy = False
    with pytest.raises(ModelFailed, match="'large' is unhealthy"):
        Router(models).choose(chat("large"))


def test_the_first_healthy_model_is_chosen(models: dict[str, ScriptedModel]) -> None:
    router = Router(models)
    assert router.choose(chat()) == "small"
    models["small"].healthy = False
    assert router.choose(chat()) == "large"
    models["small"].healthy = True
    assert router.choose(chat()) == "small"


def test_no_healthy_model_says_why_for_each(models: dict[str, ScriptedModel]) -> None:
    for model in models.values():
        model.healthy = False
    with pytest.raises(ModelFailed, match=r"'small' is unhealthy .*; 'large' is unhealthy"):
        Router(models).choose(chat())


def test_no_model_at_all() -> None:
    with pytest.raises(ModelFailed, match="add one"):
        Router({}).choose(chat())
    with pytest.raises(NotFound, match="there are none"):
        Router({}).choose(chat("x"))

"""Embedding models: SmolLM2 as one, and a BERT of random weights, which can do nothing else."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from aios.boot import boot
from aios.config import Config, LocalModelConfig
from aios.models.base import Backend
from aios.models.local.engine.embedding import CHUNK
from aios.models.local.supervisor.client import LocalModel
from aios.models.local.supervisor.embedder import LocalEmbedder
from aios.models.scripted import ScriptedModel
from aios.sdk import Agent, gather
from aios_syscalls import BadRequest, Chat, Embed, Message, ModelFailed
from tests.models.local.bert import CONTEXT, WIDTH, Bert

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"]), pytest.mark.whole]

TEXTS = (
    "The cat sat on the mat.",
    "A kitten rests on the rug.",
    "Quarterly revenue rose by nine percent.",
    "sea " * (CHUNK + 1),  # read in two pieces
    "<|im_start|>user",
    "\U0001f30a",
)

Open = Callable[..., Any]


@pytest.fixture
def opened(gguf: Path) -> Open:
    @asynccontextmanager
    async def make(path: Path = gguf, **options: Any) -> AsyncIterator[LocalEmbedder]:
        async with LocalEmbedder(path, **({"context": 512, "requantize": False} | options)) as embedder:
            yield embedder

    return make


async def vectors(embedder: LocalEmbedder, texts: Sequence[str], **options: Any) -> list[tuple[float, ...]]:
    return list((await embedder.embed(Embed(texts=tuple(texts), **options))).vectors)


async def test_near_texts_have_near_vectors_of_length_1(opened: Open) -> None:
    async with opened() as embedder:
        reply = await embedder.embed(Embed(texts=TEXTS))
    found = np.array(reply.vectors)
    assert found.shape == (len(TEXTS), reply.dimension) == (len(TEXTS), 576)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-6)
    assert found[0] @ found[1] > found[0] @ found[2] + 0.1
    assert reply.model == embedder.name
    assert reply.usage.prompt_tokens > CHUNK


async def test_vectors_are_the_same_to_the_last_bit_whatever_else_runs_and_in_whatever_order(
    opened: Open, gguf: Path
) -> None:
    chat = Chat(messages=(Message(role="user", content="Write about the sea."),), max_tokens=200)
    async with opened() as embedder:
        alone = {text: (await vectors(embedder, [text]))[0] for text in TEXTS}
    async with opened() as embedder, LocalModel(gguf, slots=1, context=256, requantize=False) as model:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(model.generate, chat, None, None, lambda _text: None)
            orders = [random.Random(seed).sample(TEXTS, len(TEXTS)) for seed in range(2)]
            for order, found in zip(orders, await gather(*(vectors(embedder, order) for order in orders)), strict=True):
                assert dict(zip(order, found, strict=True)) == alone
            tasks.cancel_scope.cancel()


async def test_a_text_that_is_too_long_is_refused_or_cut_as_asked(opened: Open) -> None:
    async with opened(context=64) as embedder:
        with pytest.raises(BadRequest, match=r"texts\.1: a text has 1\d\d tokens and the model reads 64") as caught:
            await vectors(embedder, ["sea", "sea " * 100])
        assert caught.value.field == "texts.1"
        cut, same = await vectors(embedder, ["sea " * 100, "sea " * 200], truncate=True)
        assert cut == same


async def test_calls_take_turns_text_by_text(opened: Open) -> None:
    ends: list[str] = []
    async with opened() as embedder, anyio.create_task_group() as tasks:

        async def embed(name: str, texts: Sequence[str]) -> None:
            await vectors(embedder, texts)
            ends.append(name)

        tasks.start_soon(embed, "long", ["sea " * 20] * 30)
        tasks.start_soon(embed, "short", ["sea"])
    assert ends == ["short", "long"]


async def test_a_call_outlives_its_worker_once_and_leaves_nothing_when_cancelled(opened: Open) -> None:
    async with opened() as embedder:
        (before,) = await vectors(embedder, [TEXTS[0]])
        async with anyio.create_task_group() as tasks:
            results: list[list[tuple[float, ...]]] = []

            async def embed() -> None:
                results.append(await vectors(embedder, [TEXTS[0]] * 20))

            tasks.start_soon(embed)
            with anyio.fail_after(60):
                while (await embedder.stats())["texts"] < 3:
                    await anyio.sleep(0.01)
                os.kill(embedder.pid, signal.SIGKILL)
        assert results == [[before] * 20]
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(embed)
                tasks.start_soon(embed)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        assert (await embedder.stats())["waiting"] == 0
    with pytest.raises(ModelFailed, match="is stopped"):
        await vectors(embedder, ["sea"])


@pytest.mark.parametrize(("pooling", "row"), [(1, None), (2, 0), (3, -1), (0, None)])
async def test_a_bert_gives_what_its_definition_says(
    opened: Open, tmp_path: Path, pooling: int, row: int | None
) -> None:
    bert = Bert()
    text = "the cat sat on strange mat"
    async with opened(bert.write(tmp_path / "bert.gguf", pooling_type=pooling)) as embedder:
        assert embedder.info["context"] == CONTEXT
        reply = await embedder.embed(Embed(texts=(text, "The SEA", "sea " * 99), truncate=True))
        assert reply.usage.prompt_tokens == 8 + 4 + CONTEXT
    for found, each in zip(reply.vectors, (text, "the sea", "sea " * (CONTEXT - 2)), strict=True):
        rows = bert.vectors(each)
        expected = rows.mean(0) if row is None else rows[row]
        assert len(found) == WIDTH
        assert found == pytest.approx(expected / np.linalg.norm(expected), abs=2e-3)


async def test_a_model_that_only_embeds_does_not_load_as_one_that_chats(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"bert\.gguf is a model that only embeds texts; .*embed = true"):
        async with LocalModel(Bert().write(tmp_path / "bert.gguf"), requantize=False):
            pass


async def test_a_model_that_ranks_does_not_embed(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="ranks pairs"):
        async with opened(Bert().write(tmp_path / "bert.gguf", pooling_type=4)):
            pass


async def test_a_broken_model_says_so_for_its_texts(opened: Open, tmp_path: Path) -> None:
    bert = Bert()
    bert.tensors["token_embd.weight"][:] = np.nan
    async with opened(bert.write(tmp_path / "bert.gguf")) as embedder:
        with pytest.raises(ModelFailed, match="no direction"):
            await vectors(embedder, ["sea"])


async def test_the_kernel_sends_each_call_to_who_can_serve_it(tmp_path: Path) -> None:
    config = Config(root=tmp_path, isolate=False)
    path = Bert().write(tmp_path / "bert.gguf")
    models: list[Backend] = [ScriptedModel("hello", name="talker"), LocalEmbedder(path, name="bert", requantize=False)]
    async with boot(config, models=models, mains={}, directory=tmp_path / "run") as run:
        agent = Agent(run.run.port(0), 0)
        one, other = await agent.embed(["the sea", "the ship"])
        assert len(one) == len(other) == WIDTH
        assert (await agent.embed(["the sea"], model="bert")) == (one,)
        assert await agent.ask("hi") == "hello"
        with pytest.raises(BadRequest, match=r"'bert' cannot serve this llm.chat: it only embeds texts.*'talker'"):
            await agent.ask("hi", model="bert")
        with pytest.raises(BadRequest, match=r"'talker' cannot serve this llm.embed: .*embed = true.*'bert'"):
            await agent.embed(["hi"], model="talker")


async def test_a_configured_model_embeds_when_told_so(gguf: Path, tmp_path: Path) -> None:
    models = {"vectors": LocalModelConfig(path=gguf, embed=True, requantize=False, context=64)}
    async with boot(Config(models=models, root=tmp_path, isolate=False), directory=tmp_path / "run") as run:
        agent = Agent(run.run.port(0), 0)
        ((*vector,),) = await agent.embed(["the sea"])
        assert len(vector) == 576
        with pytest.raises(BadRequest, match=r"no model can serve this llm.chat: 'vectors' only embeds"):
            await agent.ask("hi")

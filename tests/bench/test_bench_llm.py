"""What the llm bench asks and counts, its peers' seams, and our side and the bare loop on the real model."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aios.artifacts import model_path
from aios.bench import llm
from aios.bench.llm import chat, crowd, peers, switching
from aios.bench.llm.endpoint import BenchEndpoint
from aios.bench.llm.ours import converse, kernel_over, loaded
from aios.bench.llm.workload import (
    ConversationTurn,
    chats,
    gaps,
    loners,
    prose,
    quantile,
    question,
    recomputed_share,
    sharing,
)
from aios.models.local.engine.quantize import faster
from aios_syscalls import ChatReply, ModelFailed, Usage

STATS = {"read_tokens": 1000, "again_tokens": 10}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def gguf() -> Path:
    return faster(model_path())[0]


def test_every_figure_of_the_issue_has_a_target() -> None:
    assert {goal.name: (goal.relation, goal.limit) for goal in llm.GOALS} == {
        "turns_vs_recompute_q4": (">=", 8),
        "turns_q8_vs_recompute_q4": (">=", 10),
        "turns_vs_recompute_q8": (">=", 6),
        "vs_example_server_8": (">=", 1.1),
        "vs_example_server_16": (">=", 1.1),
        "vs_xllamacpp_16": (">=", 1.3),
        "vs_one_at_a_time_16": (">=", 4),
        "bare_loop_share_32": (">=", 0.95),
        "agents64_slots8_ratio": ("<=", 1.3),
        "recomputed_share": ("<=", 0.02),
        "switch_2k_ms": ("<=", 50),
        "round_robin_cost": ("<=", 0.03),
        "long_prompt_gap_ratio": ("<=", 2),
        "memory_beside_model_mb": ("<=", 200),
        "memory_growth_mb": ("<=", 8),
    }


def test_no_question_is_asked_twice_and_the_same_numbers_ask_the_same() -> None:
    asked = [question(number) for number in range(400)]
    assert len(set(asked)) == 400
    assert chats(3, 2, 8) == chats(3, 2, 8)
    assert {each.messages[0].content for each in chats(0, 16, 8)} == {chats(0, 1, 8)[0].messages[0].content}


def test_texts_of_different_seeds_differ_from_their_first_sentence_on() -> None:
    assert len({prose(seed, 5).split(". ")[0] for seed in range(100)}) == 100
    assert prose(1, 30).startswith(prose(1, 10))


def test_agents_share_a_long_beginning_or_a_short_one_and_what_they_say_is_their_own() -> None:
    together, alone = sharing(4, 3, 8, 0), loners(4, 3, 8, 0)
    assert len({script.opening for script in together}) == len({script.opening for script in alone}) == 1
    assert len(together[0].opening[0].content) > 5 * len(alone[0].opening[0].content)
    assert len({said for script in (*together, *alone) for said in script.says}) == 24
    assert sharing(1, 1, 8, 0)[0].opening != sharing(1, 1, 8, 1)[0].opening


def test_a_conversation_grows_by_what_was_answered() -> None:
    script = sharing(1, 3, 8, 0)[0]
    first, second = script.chat([]), script.chat(["Once."])
    assert second.messages[: len(first.messages)] == first.messages
    assert [each.role for each in second.messages] == ["system", "user", "assistant", "user"]
    assert second.messages[2].content == "Once."
    assert second.max_tokens == 8


@pytest.mark.parametrize(
    ("read", "again", "share"),
    [
        (50 + 2 * 50 + 2 * 20, 0, 0.0),  # each beginning once, then only what was new
        (100 + 2 * 50 + 2 * 20, 0, 50 / 480),  # the beginning that both share was read twice
        (50 + 2 * 50 + 2 * 140, 0, 240 / 480),  # second turns read whole
        (50 + 2 * 50 + 2 * 20, 20, 20 / 480),  # answers computed again
        (0, 0, 0.0),
    ],
)
def test_recomputed_is_what_earlier_turns_had_computed(read: int, again: int, share: float) -> None:
    agents = [[ConversationTurn(100, 20), ConversationTurn(140, 20)]] * 2
    after = {"read_tokens": STATS["read_tokens"] + read, "again_tokens": STATS["again_tokens"] + again}
    assert recomputed_share(agents, 50, STATS, after) == pytest.approx(share)


@pytest.mark.parametrize(("finish", "answer"), [("length", 7), ("stop", 8)])
def test_the_last_token_of_an_answer_is_not_computed_unless_an_end_follows(finish: Any, answer: int) -> None:
    reply = ChatReply(text="", finish=finish, usage=Usage(prompt_tokens=30, completion_tokens=8))
    assert ConversationTurn.of(reply) == ConversationTurn(30, answer)


def test_gaps_are_those_that_touch_the_time() -> None:
    assert gaps([[0, 1, 3, 6, 10], [4, 5]], 2, 5.5) == [1, 2, 3]
    assert quantile([1, 2, 3, 4], 0.99) == 4
    assert quantile([1, 2, 3, 4], 0.5) == 3


def test_a_peer_that_cannot_be_had_leaves_null_figures_and_its_reason() -> None:
    rates = {(name, clients): [10.0] for name in chat.CHART.series for clients in chat.CLIENTS}
    figures, missing = chat._figures(rates, {chat.XLLAMACPP: "no wheel"})
    assert figures["vs_example_server_16"] == 1.0
    assert figures["vs_xllamacpp_16"] is None
    assert missing["vs_xllamacpp_16"] == missing["chat16_xllamacpp_tokens_per_s"] == "no wheel"


def test_what_the_example_server_needs_is_read_from_its_script() -> None:
    script = (
        '#!/x\n# /// script\n# requires-python = ">=3.8"\n# dependencies = [\n#   "fastapi",\n# ]\n# ///\nimport x\n'
    )
    assert peers.dependencies(script) == ["fastapi"]
    assert peers.dependencies("import x\n") == []


def test_an_environment_that_cannot_be_made_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setenv("AIOS_HOME", str(tmp_path))
    with pytest.raises(ModelFailed, match="set AIOS_HOME"):
        peers.Environment("nobody").make()


@pytest.mark.whole
@pytest.mark.anyio
async def test_a_peer_that_dies_says_why(tmp_path: Path) -> None:
    settings = {"model": str(tmp_path / "none.gguf"), "slots": 1, "context": 64, "threads": 1}
    with pytest.raises(ModelFailed, match=r"bare died.*none\.gguf"):
        async with peers.PeerProcess.started("bare", settings):
            pytest.fail("it did not die")


@pytest.mark.whole
@pytest.mark.anyio
async def test_a_server_that_is_gone_fails_its_clients_with_one_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with peers.running("nobody", ["true"]) as (process, _):
        await process.wait()
        server = peers.PeerServer("nobody", process, port, still=True)
        with pytest.raises(ModelFailed, match="nobody did not answer"):
            await chat._over_http(server)([chats(0, 1, 4), chats(1, 1, 4)])


@pytest.mark.whole
@pytest.mark.anyio
async def test_the_bare_loop_steps_and_the_class_answers(gguf: Path) -> None:
    settings = {"model": str(gguf), "slots": 3, "context": 128, "threads": 1}
    asked = [each.model_dump(mode="json") for each in chats(0, 2, 4, "Hi.")]
    async with (
        peers.PeerProcess.started("bare", settings) as bare,
        peers.PeerProcess.started("llama", settings) as llama,
    ):
        answer = await bare.ask({"chats": asked, "steps": 3})
        assert len(answer["steps"]) == 3
        assert 10 < answer["depth"] < 60
        answer = await bare.ask({"chats": asked, "long": chats(9, 1, 4)[0].model_dump(mode="json"), "chunk": 64})
        assert len(answer["steps"]) == 2
        tokens, seconds = await chat._llama(llama)([chats(0, 1, 4, "Hi."), chats(1, 1, 4, "Hi.")])
    assert tokens == 8
    assert seconds > 0


@pytest.mark.whole
@pytest.mark.anyio
async def test_our_side_converses_and_recomputes_little(gguf: Path) -> None:
    scripts = loners(2, 2, 4, 0, sentences=2)
    async with loaded(gguf, 2, 256) as model, kernel_over(model) as kernel:
        before = await model.stats()
        replies, seconds = await converse(kernel, scripts)
        turns = [[ConversationTurn.of(reply) for reply in each] for each in replies]
        share = recomputed_share(turns, crowd.shared(gguf, scripts), before, await model.stats())
        assert [len(each) for each in turns] == [2, 2]
        assert all(second.prompt > first.prompt for first, second in turns)
        assert 0 <= share < 0.5
        assert seconds > 0

        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(BenchEndpoint(kernel)), base_url="http://bench")
        response = await http.post("/v1/chat/completions", json=chat.request(chats(0, 1, 3, "Hi.")[0]))
        assert response.json()["usage"]["completion_tokens"] == 3
        refused = await http.post("/v1/chat/completions", json=chat.request(chats(0, 1, 3, prose(0, 60))[0]))
        assert (refused.status_code, refused.json()["error"]["code"]) == (500, "bad_request")
        await http.aclose()


@pytest.mark.whole
@pytest.mark.anyio
async def test_a_switch_is_measured_between_states_in_memory(gguf: Path) -> None:
    figures = await switching.switch(gguf, 4, sentences=3)
    assert figures["slice_without_switch_ms"] > 0  # type: ignore[operator]
    assert set(figures) == {"switch_2k_ms", "slice_without_switch_ms"}


@pytest.mark.whole
def test_the_peers_program_imports_nothing_of_ours() -> None:
    code = f"import json, runpy, sys; runpy.run_path({str(peers.CONTENDER)!r}); print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not [name for name in json.loads(done.stdout) if name.partition(".")[0] in ("aios", "llama_cpp", "numpy")]

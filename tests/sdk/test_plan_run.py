"""Plans carried out on a real root: what asks, asks; a no changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aios.boot import boot
from aios.config import Config
from aios.fs import OPERATIONS, Operation, OperationOutcome, OperationPlan, RequestRefused, Why, plan, run
from aios.models.scripted import ScriptedModel
from aios.sdk import Agent
from aios_syscalls import Rank

NOW = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
FILES = {"notes.txt": "first\n", "report.md": "# Report", "drafts/a.md": "the garden\n"}

pytestmark = [pytest.mark.anyio, pytest.mark.whole]


class Asked:
    """Answers each question alike, and remembers what was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.steps: list[str] = []
        self.touched: list[str] = []

    async def __call__(self, step: Operation, touched: Sequence[str]) -> bool:
        self.steps.append(step.op)
        self.touched += touched
        return self.answer  # type: ignore[no-any-return]


@asynccontextmanager
async def kernel(tmp_path: Path, model: ScriptedModel | None = None) -> AsyncIterator[tuple[Agent, Path]]:
    root = tmp_path / "root"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    async with boot(Config(root=root), models=[model] if model else [], directory=tmp_path / "run") as started:
        yield Agent(started.run.port(0), 0), root


async def carried_out(agent: Agent, chosen: OperationPlan, confirm: Asked) -> list[OperationOutcome]:
    return [outcome async for outcome in run(agent, chosen, confirm)]


def state(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and ".aios" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


async def test_a_no_leaves_everything_and_skips_the_rest(tmp_path: Path) -> None:
    async with kernel(tmp_path) as (agent, root):
        before, asked = state(root), Asked(False)
        chosen = await plan(agent, "delete notes.txt and add 'more' to report.md", NOW)
        outcomes = await carried_out(agent, chosen, asked)
        assert [outcome.state for outcome in outcomes] == ["declined", "skipped"]
        assert asked.steps == ["delete"]
        assert asked.touched[0].startswith("notes.txt, 6 bytes")
        assert state(root) == before


@pytest.mark.parametrize("answer", ["yes", 1, None, object()])
async def test_only_true_is_a_yes(tmp_path: Path, answer: Any) -> None:
    async with kernel(tmp_path) as (agent, root):
        before = state(root)
        chosen = await plan(agent, 'overwrite notes.txt with "x"', NOW)
        assert [each.state for each in await carried_out(agent, chosen, Asked(answer))] == ["declined"]
        assert state(root) == before


async def test_a_yes_does_it(tmp_path: Path) -> None:
    async with kernel(tmp_path) as (agent, root):
        asked = Asked(True)
        chosen = await plan(agent, "copy notes.txt to old.txt, then delete notes.txt", NOW)
        assert [each.state for each in await carried_out(agent, chosen, asked)] == ["done", "done"]
        assert asked.steps == ["delete"]
        assert state(root) == {"old.txt": b"first\n", "report.md": b"# Report", "drafts/a.md": b"the garden\n"}


async def test_lines_are_added_as_lines_and_nothing_is_asked(tmp_path: Path) -> None:
    async with kernel(tmp_path) as (agent, root):
        asked = Asked(False)
        chosen = await plan(agent, "add 'one' to report.md and append 'two' to it", NOW)
        assert [each.state for each in await carried_out(agent, chosen, asked)] == ["done", "done"]
        assert (root / "report.md").read_text() == "# Report\none\ntwo\n"
        assert asked.steps == []


async def test_a_step_that_fails_is_told_and_ends_the_plan(tmp_path: Path) -> None:
    async with kernel(tmp_path) as (agent, root):
        chosen = await plan(agent, "open notes.txt and open report.md", NOW)
        (root / "notes.txt").unlink()
        outcomes = await carried_out(agent, chosen, Asked(True))
        assert [each.state for each in outcomes] == ["failed", "skipped"]
        assert outcomes[0].error is not None
        assert outcomes[0].error.code == "not_found"


async def test_what_changed_since_the_plan_was_made_does_not_get_past_the_question(tmp_path: Path) -> None:
    async with kernel(tmp_path) as (agent, root):
        chosen = await plan(agent, "write 'x' to new.txt", NOW)
        (root / "new.txt").write_text("somebody else's")
        asked = Asked(False)
        await carried_out(agent, chosen, asked)
        assert asked.steps == ["write"]
        assert (root / "new.txt").read_text() == "somebody else's"


def insists(operation: str, arguments: str) -> ScriptedModel:
    """A model that wants one operation whatever is asked, by writing and by ranking."""

    def ranked(call: Rank) -> str:
        return next(option for option in call.options if option.startswith(OPERATIONS[operation].about))

    return ScriptedModel(
        lambda chat: f'"{operation}"' if "enum" in (chat.response_schema or {}) else arguments, choose=ranked
    )


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("delete", '{"path": "notes.txt"}'),
        ("delete", '{"path": "report.md"}'),
        ("delete", '{"path": "../../etc/passwd"}'),
        ("write", '{"path": "notes.txt", "text": ""}'),
        ("share", '{"path": "notes.txt"}'),
        ("delete_matching", '{"query": "the"}'),
        ("move", '{"path": "notes.txt", "target": "report.md"}'),
        ("rollback", '{"path": "notes.txt", "at": "1"}'),
    ],
)
async def test_a_model_bent_on_harm_gets_nowhere_without_a_yes(tmp_path: Path, operation: str, arguments: str) -> None:
    async with kernel(tmp_path, insists(operation, arguments)) as (agent, root):
        before = state(root)
        for text in ("zap notes.txt", "kindly tidy notes.txt up a little", "make notes.txt nicer, version 1, 'x'"):
            try:
                chosen = await plan(agent, text, NOW)
            except RequestRefused:
                continue
            assert not chosen.sure
            outcomes = await carried_out(agent, chosen, Asked(False))
            assert all(each.state == "declined" for each in outcomes if each.step.risk != "reads")
        assert state(root) == before


async def test_a_models_change_is_asked_about_even_where_a_rules_is_not(tmp_path: Path) -> None:
    async with kernel(tmp_path, insists("lock", "{}")) as (agent, _):
        chosen = await plan(agent, "zap notes.txt", NOW)
        asked = Asked(False)
        assert [step.op for step in chosen.steps] == ["lock"]
        assert [each.state for each in await carried_out(agent, chosen, asked)] == ["declined"]
        assert asked.steps == ["lock"]


async def test_a_reading_that_the_model_wavers_about_is_refused_with_examples(tmp_path: Path) -> None:
    model = ScriptedModel(
        '"lock"', choose=lambda call: next(o for o in call.options if o.startswith(OPERATIONS["read"].about))
    )
    async with kernel(tmp_path, model) as (agent, _):
        with pytest.raises(RequestRefused, match=r"wavers between lock and read.*lock report\.md") as caught:
            await plan(agent, "zap notes.txt", NOW)
        assert caught.value.why is Why.UNTRUSTED


async def test_what_is_not_about_files_asks_no_model(tmp_path: Path) -> None:
    model = ScriptedModel([])
    async with kernel(tmp_path, model) as (agent, _):
        with pytest.raises(RequestRefused) as caught:
            await plan(agent, "What will the weather be tomorrow?", NOW)
        assert caught.value.why is Why.NOT_FILES
        assert not model.calls


async def test_a_file_that_is_not_named_in_full_is_hinted_at(tmp_path: Path) -> None:
    async with kernel(tmp_path) as (agent, _):
        with pytest.raises(RequestRefused, match=r"Did you mean report\.md\?"):
            await plan(agent, "open the report file", NOW, use_model=False)


async def test_without_a_model_a_request_that_no_rule_reads_says_so(tmp_path: Path) -> None:
    async with kernel(tmp_path) as (agent, _):
        with pytest.raises(RequestRefused, match=r"no rule reads 'zap notes\.txt'"):
            await plan(agent, "zap notes.txt", NOW)

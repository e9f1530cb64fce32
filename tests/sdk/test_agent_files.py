"""An agent's files through the real kernel: what the methods of Agent do, on the disk and to each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx2
import pytest

from aios.boot import boot
from aios.config import Config, FilesConfig
from aios.models.scripted import ScriptedModel
from aios.sdk import Agent, compare, summarise
from aios_syscalls import Conflict, Denied, DropFile, FileQuery, FileVersion, NotFound, PutFile, RenameFile, WatchFiles

pytestmark = pytest.mark.anyio


def config(root: Path, **files: object) -> Config:
    root.mkdir(exist_ok=True)
    return Config(root=root, isolate=False, files=FilesConfig.model_validate({"embedder": "none", **files}))


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with boot(
        config(tmp_path / "files"), models=[ScriptedModel(["Penguins swim."] * 9)], directory=tmp_path / "run"
    ) as run:
        yield Agent(run.run.port(0), 0)


async def test_a_file_goes_back_to_any_point_of_its_past(agent: Agent) -> None:
    assert await agent.write("a", "one\n") == 1
    between = datetime.now(UTC)
    assert await agent.append("a", "two\n") == 2
    assert await agent.tag("good", "a") == 1
    await agent.move("a", "b")
    assert await agent.write("b", "three\n") == 4
    assert [(each.number, each.op) for each in await agent.history("b")] == [
        (4, "write"),
        (3, "move"),
        (2, "append"),
        (1, "write"),
    ]
    assert [await agent.read_at("b", at) for at in (1, -1, between, "good")] == [
        b"one\n",
        b"one\ntwo\n",
        b"one\n",
        b"one\ntwo\n",
    ]
    assert "-one\n-two\n+three\n" in await agent.diff("b", "good")
    assert await agent.rollback("b", 1) == 5
    assert await agent.read("b") == "one\n"
    await agent.delete("b", if_version=5)
    assert [each.op for each in await agent.history("b", limit=1)] == ["delete"]
    assert await agent.rollback("b", 5) == 7
    assert await agent.tags() == {"good": 1}
    assert await agent.untag("good") == 1
    with pytest.raises(NotFound):
        await agent.read_at("b", "good")


async def test_a_write_of_a_version_that_is_over_is_a_conflict(agent: Agent) -> None:
    await agent.write("a", "one", if_version=0)
    version = await agent.version("a")
    await agent.append("a", "!")
    with pytest.raises(Conflict) as caught:
        await agent.write("a", "two", if_version=version)
    assert caught.value.data["version"] == 2
    assert await agent.read("a") == "one!"


async def test_a_transaction_is_all_or_none(agent: Agent) -> None:
    await agent.write("a", "a")
    await agent.write("b", "b")
    with pytest.raises(Conflict):
        await agent.change(
            PutFile(path="new", data=b""), RenameFile(path="a", target="c"), DropFile(path="b", if_version=7)
        )
    assert [entry.path for entry in await agent.list()] == ["a", "b"]
    made = await agent.change(PutFile(path="new", data=b""), RenameFile(path="a", target="c"), DropFile(path="b"))
    assert [entry.path for entry in await agent.list()] == ["c", "new"]
    assert {version.pid for version in made} == {0}


async def test_what_a_program_did_is_undone_by_its_name(tmp_path: Path) -> None:
    async def clumsy(agent: Agent, task: str) -> str:
        await agent.write("mine", task)
        await agent.write("theirs", task)
        await agent.write("touched", task)
        return ""

    where = config(tmp_path / "files")
    async with boot(where, models=[ScriptedModel([])], mains={"clumsy": clumsy}, directory=tmp_path / "run-9") as run:
        user = Agent(run.run.port(0), 0)
        await user.write("theirs", "before")
        await user.run("clumsy", "oops")
        await user.append("touched", " and after")
        assert {(each.author, each.run, each.pid) for each in await user.history("mine")} == {("clumsy", "run-9", 1)}
        planned = await user.undo(agent="clumsy", dry_run=True)
        assert await user.read("theirs") == "oops"
        assert await user.undo(agent="clumsy") == planned
        assert {each.path: bool(each.kept) for each in planned} == {"mine": False, "theirs": False, "touched": True}
        assert {entry.path: await user.read(entry.path) for entry in await user.list()} == {
            "theirs": "before",
            "touched": "oops and after",
        }


async def test_a_lock_keeps_other_processes_out(tmp_path: Path) -> None:
    order: list[str] = []
    taken, tried = anyio.Event(), anyio.Event()

    async def first(agent: Agent, _: str) -> str:
        async with agent.lock("d/a") as lease:
            assert lease.path == "d/a"
            taken.set()
            await tried.wait()
            await agent.write("d/a", "first")
        return ""

    async def second(agent: Agent, _: str) -> str:
        await taken.wait()
        for path in ("d/a", "d"):
            with pytest.raises(Denied, match=r"first \(process 1"):
                async with agent.lock(path):
                    order.append("in")
        with pytest.raises(Denied):
            await agent.write("d/a", "second")
        await agent.write("d/b", "second")
        tried.set()
        return ""

    mains = {"first": first, "second": second}
    async with boot(
        config(tmp_path / "files"), models=[ScriptedModel([])], mains=mains, directory=tmp_path / "run"
    ) as run:
        user = Agent(run.run.port(0), 0)
        await user.mkdir("d")
        pids = [await user.spawn("first"), await user.spawn("second")]
        assert [await user.wait(pid) for pid in pids] == ["", ""]
        assert order == []
        assert await user.read("d/a") == "first"
        await user.write("d/a", "free again")


async def test_a_watch_tells_every_change_once_and_in_order(agent: Agent) -> None:
    await agent.mkdir("notes")
    start = (await agent.port.submit(WatchFiles(timeout_s=0))).seq
    seen: list[FileVersion] = []

    async def follow() -> None:
        async for version in agent.watch("notes/*", since=start):
            seen.append(version)
            if len(seen) == 5:
                return

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        for count in range(5):
            await agent.write(f"notes/{count}", "x")
            await agent.write("elsewhere", str(count))
    assert [version.path for version in seen] == [f"notes/{count}" for count in range(5)]


async def test_files_are_found_grouped_joined_and_linked(agent: Agent) -> None:
    await agent.write("a.md", "---\nauthor: Ann\n---\npenguins swim\n")
    await agent.write("b.md", "---\nauthor: Bob\n---\npenguins walk\n")
    await agent.write("c.txt", "budget\n")
    assert {hit.path for hit in await agent.search("penguins")} == {"a.md", "b.md"}
    (hit,) = await agent.search("+swim", context=1, types=("md",), limit=3)
    assert "penguins swim" in hit.snippet
    assert await agent.group("field:author") == {"Ann": ("a.md",), "Bob": ("b.md",)}
    both = FileQuery(text="penguins"), FileQuery(fields=(("author", "Ann"),))
    assert await agent.join(*both) == ("a.md",)
    assert await agent.join(*both, how="minus") == ("b.md",)
    await agent.link("birds", "penguins")
    await agent.write("d.txt", "more penguins")
    assert {hit.path for hit in await agent.follow("birds")} == {"a.md", "b.md", "d.txt"}
    assert [link.link for link in await agent.links()] == ["birds"]
    await agent.unlink("birds")
    assert await agent.links() == ()
    status = await agent.files_status()
    assert (status.files, status.pending_files, status.model) == (4, 4, None)


async def test_a_change_of_all_that_matches_takes_two_steps(agent: Agent) -> None:
    for name in ("a", "b", "c"):
        await agent.write(name, f"a draft of {name}")
    query = FileQuery(text="draft", mode="keyword", limit=1_000)
    listed = await agent.delete_matching(query)
    assert set(listed.paths) == {"a", "b", "c"}
    await agent.append("b", " that is dear")
    with pytest.raises(Conflict):
        await agent.delete_matching(query, listed.token)
    assert len(await agent.list()) == 3
    update = await agent.update_matching(query, "dear", "cheap")
    assert update.paths == ("b",)
    await agent.update_matching(query, "dear", "cheap", update.token)
    assert await agent.read("b") == "a draft of b that is cheap"
    await agent.delete_matching(query, (await agent.delete_matching(query)).token)
    assert await agent.list() == ()
    assert len(await agent.undo(agent="user", dry_run=True)) == 0


async def test_a_share_serves_one_version_and_ends(agent: Agent) -> None:
    await agent.write("a", "old")
    await agent.write("a", "new")
    share = await agent.share("a", at=1)
    async with httpx2.AsyncClient() as client:
        assert (await client.get(share.url)).text == "old"
        await agent.unshare(share.token)
        assert (await client.get(share.url)).status_code == 404


async def test_a_model_tells_what_files_say_and_how_they_changed(agent: Agent) -> None:
    await agent.write("a", "Penguins swim in cold water all their lives.")
    assert await summarise(agent, "a") == "Penguins swim."
    await agent.write("a", "Penguins swim in cold water. They eat fish.")
    assert "1 lines added, 1 removed" in await compare(agent, "a", 1)


async def test_a_process_has_a_home_that_no_other_sees(tmp_path: Path) -> None:
    async def keeper(agent: Agent, _: str) -> str:
        (mine,) = [entry.path for entry in await agent.list("homes")]
        await agent.write(f"{mine}/diary", "penguins")
        return f"{mine} {[hit.path for hit in await agent.search('penguins')]}"

    async def snoop(agent: Agent, task: str) -> str:
        with pytest.raises(Denied, match="private"):
            await agent.read(f"{task}/diary")
        with pytest.raises(Denied):
            await agent.move("homes", "mine")
        with pytest.raises(Denied):
            await agent.write("homes/keeper-9", "squatting")
        listed = [entry.path for entry in await agent.list(recursive=True)]
        return f"{listed} {[hit.path for hit in await agent.search('penguins')]}"

    mains = {"keeper": keeper, "snoop": snoop}
    where = config(tmp_path / "files", homes="homes")
    async with boot(where, models=[ScriptedModel([])], mains=mains, directory=tmp_path / "run") as run:
        user = Agent(run.run.port(0), 0)
        assert await user.run("keeper") == "homes/keeper-1 ['homes/keeper-1/diary']"
        assert await user.run("snoop", "homes/keeper-1") == "['homes', 'homes/snoop-2'] []"


async def test_what_a_root_is_kept_in_is_for_nobody(agent: Agent) -> None:
    await agent.write("a", "x")
    for path in (".aios", ".aios/truth.db", "./.aios//index.db"):
        with pytest.raises(Denied):
            await agent.read_bytes(path)
    with pytest.raises(Denied):
        await agent.copy(".aios/truth.db", "mine")
    assert [entry.path for entry in await agent.list(recursive=True)] == ["a"]

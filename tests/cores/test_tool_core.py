"""ToolCore: both calls of the family."""

from __future__ import annotations

from typing import TypeVar

import pytest

from aios.cores.tool import ToolCore
from aios.kernel.core import Turn
from aios.tools import ToolBox
from aios.tools.builtin import BUILTIN
from aios_syscalls import BadRequest, CallTool, CallToolReply, ListTools, NotFound, Reply, Syscall

R = TypeVar("R", bound=Reply)


async def ask(core: ToolCore, call: Syscall[R]) -> R:
    reply = await core.run(Turn(call=call, pid=1, budget=None, snapshot=None, emit=lambda _: None))
    assert isinstance(reply, call.reply_type())
    return reply


@pytest.mark.anyio
async def test_a_tool_is_called() -> None:
    core = ToolCore(ToolBox(BUILTIN))
    assert await ask(core, CallTool(tool="calculator", arguments={"expression": "1 + 1"})) == CallToolReply(value=2)
    with pytest.raises(BadRequest) as caught:
        await ask(core, CallTool(tool="calculator"))
    assert caught.value.field == "arguments.expression"
    with pytest.raises(NotFound, match="did you mean calculator"):
        await ask(core, CallTool(tool="calculater"))


@pytest.mark.anyio
async def test_tools_are_listed() -> None:
    core = ToolCore(ToolBox(BUILTIN))
    assert len((await ask(core, ListTools())).tools) == len(BUILTIN)
    assert [spec.name for spec in (await ask(core, ListTools(names=("clock",)))).tools] == ["clock"]
    with pytest.raises(NotFound):
        await ask(core, ListTools(names=("clocks",)))

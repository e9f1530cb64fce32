"""Unmodified clients against a real daemon with a scripted model behind it: `scripts/compat DIRECTORY [NAME ...]`.

DIRECTORY has `steps.json`, which says what the model answers, and a script NAME.sh for each client, which is called
with the daemon's URL, a token and a model's name and ends with 0 if its client did its work.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aios.models import ONLY_VECTORS
from aios.models.scripted import ScriptedModel
from aios_syscalls import Chat, ChatReply, Embed, EmbedReply, LlmCall, ToolUse, Usage

PATH = re.compile(r"(/\S*hello\.txt)")


class FixedVectors(ScriptedModel):
    """Embeds every text alike, and does nothing else."""

    def refusal(self, call: LlmCall) -> str:
        return "" if isinstance(call, Embed) else ONLY_VECTORS

    async def embed(self, call: Embed) -> EmbedReply:
        """As `Embedder.embed`."""
        vectors = ((1.0, 0.0),) * len(call.texts)
        return EmbedReply(vectors=vectors, dimension=2, model=self.name, usage=Usage(prompt_tokens=len(call.texts)))


def answer(steps: Sequence[Mapping[str, Any]], chat: Chat) -> ChatReply:
    """What the first step that matches says."""
    for step in steps:
        if _matches(step["match"], step["reply"], chat):
            return _reply(step["reply"], chat)
    return ChatReply(text="no step matches")


def _matches(match: Mapping[str, Any], reply: Mapping[str, Any], chat: Chat) -> bool:
    last = [message.role for message in chat.messages if message.role != "system"][-1:]
    names = [tool.name for tool in chat.tools]
    text = "\n".join(message.content for message in chat.messages)
    return (
        match.get("tools", bool(names)) == bool(names)
        and match.get("last", *last or ("",)) in last
        and match.get("contains", "") in text
        and ("offers" not in match or match["offers"] in names)
        and match.get("json_schema", chat.response_schema is not None) == (chat.response_schema is not None)
        and _fits(reply, chat.response_schema)
    )


def _fits(reply: Mapping[str, Any], schema: Mapping[str, Any] | None) -> bool:
    """Whether a JSON answer has the fields that are asked for."""
    return "json" not in reply or schema is None or reply["json"].keys() == schema.get("properties", {}).keys()


def _reply(reply: Mapping[str, Any], chat: Chat) -> ChatReply:
    if "tool" not in reply:
        return ChatReply(text=reply.get("text") or json.dumps(reply["json"]))
    offered = {tool.name: tool for tool in chat.tools}
    listed = reply["tool"] if isinstance(reply["tool"], list) else [reply["tool"]]
    name = next((each for each in listed if each in offered), listed[0])
    path = PATH.findall("\n".join(message.content for message in chat.messages))[-1:] or [""]
    wanted = reply.get("arguments_by_tool", {}).get(name) or reply.get("arguments", {})
    known = offered[name].parameters.get("properties", {}) if name in offered else {}
    arguments = {_known(key, known): _filled(value, path[0]) for key, value in wanted.items()}
    use = ToolUse(id="use", name=name, arguments=arguments)
    usage = Usage(prompt_tokens=1_000, completion_tokens=8)
    return ChatReply(text="", tool_uses=(use,), finish="tool_use", usage=usage)


def _known(key: str, known: Mapping[str, Any]) -> str:
    """Of the names `a|b`, the one that the tool has."""
    names = key.split("|")
    return next((name for name in names if name in known), names[0])


def _filled(value: Any, path: str) -> Any:
    return value.replace("$PATH", path) if isinstance(value, str) else value


def serve(steps_file: str) -> int:
    """The daemon, in this process."""
    from aios.server.daemon import main

    said = json.loads(Path(steps_file).read_text())
    clients = said["clients"]
    own = [step for name in clients for step in clients[name]["steps"] if _is_of_one_client(step["match"])]
    steps = [*own, *said["generic"], *clients["sdk_tests.py"]["steps"]]
    return main([ScriptedModel(lambda chat: answer(steps, chat), record=0), FixedVectors("", "vectors")])


def _is_of_one_client(match: Mapping[str, Any]) -> bool:
    return bool({"contains", "offers", "json_schema"} & match.keys()) or match == {"last": "tool"}


def run(directory: Path, names: Sequence[str]) -> int:
    """Each client alone and under `aios exec`; how many failed."""
    failed = 0
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIOS_HOME": home}
        command = [sys.executable, __file__, "--serve", str(directory / "steps.json")]
        with subprocess.Popen(command, env=environment) as daemon:
            try:
                url, token = _ready(environment)
                for name in names:
                    script = str(directory / f"{name}.sh")
                    given = {**environment, "WIRE": os.environ.get("WIRE", "chat")}
                    for before in ([], [_aios(), "exec", "--agent", name, "--"]):
                        words = [*before, "bash", "-c", f'{script} "$0" "$1" scripted', url, token]
                        began = time.monotonic()
                        code = subprocess.run(words, env=given, check=False).returncode
                        how, took = "under aios exec" if before else "alone", time.monotonic() - began
                        print(f"{name} {how}: {f'failed with {code}' if code else 'passed'}, {took:.1f} s", flush=True)
                        failed += bool(code)
            finally:
                daemon.terminate()
    return failed


def _aios() -> str:
    return shutil.which("aios", path=str(Path(sys.executable).parent)) or "aios"


def _ready(environment: Mapping[str, str]) -> tuple[str, str]:
    """The daemon's URL and token."""
    for _ in range(100):
        said = subprocess.run(
            [_aios(), "token", "--json"], env=environment, capture_output=True, text=True, check=False
        )
        if said.returncode == 0:
            found = json.loads(said.stdout)
            return found["url"], found["token"]
        time.sleep(0.1)
    raise SystemExit(f"the daemon did not come up: {said.stderr}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        sys.exit(serve(sys.argv[2]))
    sys.exit(run(Path(sys.argv[1]).absolute(), sys.argv[2:] or ["claude-code", "opencode", "sdk", "comply"]))

"""The ABI travels through JSON unchanged, and bad JSON is refused with the field's name."""

from __future__ import annotations

import json
import pickle
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import aios_syscalls
from aios_syscalls import (
    AiosError,
    AppendFile,
    BadRequest,
    CallTool,
    CallToolReply,
    ChangeFiles,
    ChangeFilesReply,
    Chat,
    ChatReply,
    CopyFile,
    CreateFile,
    DeleteFile,
    DeleteMatching,
    DiffFile,
    DiffFileReply,
    DropFile,
    Effect,
    FileCall,
    FileGroup,
    FileHit,
    FileInfo,
    FileQuery,
    FileVersion,
    Fill,
    FollowLink,
    GetFilesStatus,
    GetFilesStatusReply,
    GroupFiles,
    GroupFilesReply,
    JoinFiles,
    JoinFilesReply,
    KernelBug,
    LinkFiles,
    ListFiles,
    ListFilesReply,
    ListLinks,
    ListLinksReply,
    ListTags,
    ListTagsReply,
    ListVersions,
    ListVersionsReply,
    LockFile,
    LockFileReply,
    Message,
    ModelFailed,
    MoveFile,
    Node,
    Outcome,
    Output,
    Overloaded,
    Point,
    PutFile,
    Rank,
    Ranked,
    RankReply,
    ReadFile,
    ReadFileReply,
    RenameFile,
    Reply,
    RollbackFile,
    RunGraph,
    RunGraphReply,
    Sampling,
    SavedQuery,
    SearchFiles,
    SearchFilesReply,
    ShareFile,
    ShareFileReply,
    StatFile,
    StatFileReply,
    Syscall,
    TagFiles,
    UndoFiles,
    UndoFilesReply,
    UndoneFile,
    UnlinkFiles,
    UnlockFile,
    UnshareFile,
    UntagFiles,
    UpdateMatching,
    UpdateMatchingReply,
    WatchFiles,
    WatchFilesReply,
    WriteFile,
    WriteFileReply,
)
from aios_syscalls.base import MAX_CALL_BYTES
from aios_syscalls.errors import BY_CODE, from_wire
from aios_syscalls.table import TABLE
from aios_syscalls.wire import (
    call_from_json,
    call_from_object,
    call_to_json,
    call_to_object,
    outcome_to_json,
    reply_from_object,
)

CHAT = Chat(messages=(Message(role="user", content="hällo \U0001f600"),), stop=("\n",), sampling=Sampling(seed=7))
TOOL = CallTool(tool="t", arguments={"x": ["", {"output": "a"}]})
GRAPH = RunGraph(
    nodes=(
        Node(id="a", run=CHAT),
        Node(id="b", run=TOOL, fill=(Fill(at=("arguments", "x", 0), parts=("é", Output(output="a"))),), after=("a",)),
    )
)
RANK = Rank(messages=CHAT.messages, prefix='"', options=('é"', 'b"'), neutral=("N/A",))


def test_every_syscall_is_in_the_table_and_names_its_reply() -> None:
    public = {value for value in vars(aios_syscalls).values() if isinstance(value, type) and value is not Syscall}
    calls = {cls for cls in public if issubclass(cls, Syscall) and "[" not in cls.__name__}
    assert set(TABLE.values()) == calls
    assert all(issubclass(cls.reply_type(), Reply) for cls in calls)
    assert {name.partition(".")[0] for name in TABLE} == {"llm", "tool", "file", "process"}
    assert not any("call" in cls.model_fields for cls in TABLE.values())  # the wire's own name for the syscall's


def test_a_call_survives_the_wire() -> None:
    for call in (CHAT, CHAT.model_copy(update={"grammar": 'root ::= "é"'}), RANK, GRAPH):
        assert call_from_json(call_to_json(call)) == call
        assert call_from_object(call_to_object(call)) == call


def test_the_reply_of_a_graph_survives_the_wire() -> None:
    error = ModelFailed("it is ill").to_wire()
    outcomes = {
        "a": Outcome(ok=ChatReply(text="é")),
        "b": Outcome(ok=CallToolReply(value=None)),
        "c": Outcome(error=error),
    }
    reply = RunGraphReply(outcomes=outcomes)
    assert reply_from_object(GRAPH, json.loads(outcome_to_json(reply))) == reply


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=4))
def test_likelihoods_survive_the_wire_to_the_last_bit(values: list[float]) -> None:
    ranked = tuple(Ranked(option=str(n), log_likelihood=value, score=-value) for n, value in enumerate(values))
    reply = RankReply(options=ranked, best=1)
    assert reply_from_object(RANK, json.loads(outcome_to_json(reply))) == reply
    assert reply.choice == "1"


@given(st.binary(max_size=200), st.text(min_size=1, max_size=20))
def test_bytes_survive_the_wire(data: bytes, path: str) -> None:
    call = WriteFile(path=path, data=data)
    assert call_from_json(call_to_json(call)) == call
    reply = ReadFileReply(path=path, data=data)
    assert reply_from_object(ReadFile(path=path), json.loads(outcome_to_json(reply))) == reply


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"{", ""),
        (b"[]", ""),
        (b'{"call": "llm.shout"}', "call"),
        (b'{"call": 3}', "call"),
        (b"{}", "call"),
        (b'{"call": "llm.chat"}', "messages"),
        (b'{"call": "llm.chat", "messages": []}', "messages"),
        (b'{"call": "llm.chat", "messages": [{"role": "boss"}]}', "messages.0.role"),
        (b'{"call": "llm.chat", "messages": [{"role": "user"}], "max_tokens": 0}', "max_tokens"),
        (b'{"call": "llm.chat", "messages": [{"role": "user"}], "colour": "red"}', "colour"),
        (b'{"call": "llm.chat", "messages": [{"role": "user"}], "grammar": ""}', "grammar"),
        (b'{"call": "llm.chat", "messages": [{"role": "user"}], "grammar": "x", "response_schema": {}}', "grammar"),
        (b'{"call": "llm.rank", "messages": [{"role": "user"}], "options": ["a"]}', "options"),
        (b'{"call": "llm.rank", "messages": [{"role": "user"}], "options": ["a", "a"]}', "options"),
        (b'{"call": "llm.rank", "messages": [{"role": "user"}], "options": ["a", ""]}', "options.1"),
        (b'{"call": "llm.rank", "messages": [{"role": "system"}], "options": ["a", "b"], "neutral": ["x"]}', "neutral"),
        (b'{"call": "llm.embed", "texts": []}', "texts"),
        (b'{"call": "llm.embed", "texts": ["a", ""]}', "texts.1"),
        (b'{"call": "llm.embed", "texts": [' + b",".join([b'"a"'] * 257) + b"]}", "texts"),
        (b'{"call": "process.graph", "nodes": [{"id": "", "run": {"call": "tool.call", "tool": "t"}}]}', "nodes.0.id"),
        (
            b'{"call": "process.graph", "nodes": [{"id": "a", "run": {"call": "file.read", "path": "p"}}]}',
            "nodes.0.run",
        ),
        (b'{"call": "process.graph", "nodes": [{"id": "a", "run": {"call": "tool.call"}}]}', "nodes.0.run.tool"),
        (
            b'{"call": "process.graph", "nodes": [{"id": "a", "run": {"call": "tool.call", "tool": "t"}, '
            b'"fill": [{"at": ["tool"], "parts": []}]}]}',
            "nodes.0",
        ),
        (b'{"call": "file.read", "path": "a", "deadline_s": -1}', "deadline_s"),
        (b'{"call": "file.read", "path": "a", "at": {}}', "at"),
        (b'{"call": "file.read", "path": "a", "at": {"number": 1, "tag": "x"}}', "at"),
        (b'{"call": "file.write", "path": "a", "data": "", "if_version": -1}', "if_version"),
        (b'{"call": "file.search"}', "query"),
        (b'{"call": "file.search", "query": {"text": "a", "mode": "psychic"}}', "query.mode"),
        (b'{"call": "file.search", "query": {"text": "a", "limit": 0}}', "query.limit"),
        (b'{"call": "file.search", "query": {"text": "a", "path": "b"}}', "query.path"),
        (b'{"call": "file.join", "queries": []}', "queries"),
        (b'{"call": "file.join", "queries": [{}], "how": "xor"}', "how"),
        (b'{"call": "file.transaction", "changes": []}', "changes"),
        (b'{"call": "file.transaction", "changes": [{"do": "burn", "path": "a"}]}', "changes.0"),
        (b'{"call": "file.update_matching", "query": {}, "find": "", "replace": "x"}', "find"),
        (b'{"call": "file.lock", "path": "a", "ttl_s": 0}', "ttl_s"),
        (b'{"call": "file.watch", "timeout_s": -1}', "timeout_s"),
        (b'{"call": "file.share", "path": "a", "ttl_s": 1e9}', "ttl_s"),
    ],
)
def test_a_malformed_call_names_the_field(data: bytes, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        call_from_json(data)
    assert caught.value.field == field
    assert caught.value.to_wire().get("field", "") == field


POINT = Point(time=1.5)
INFO = FileInfo(path="a", kind="file", size=3, modified=0.125)
ODD = b"\0\xff\r\n"
QUERY = FileQuery(text="é", mode="keyword", paths=("*",), since=0.5, tags=("t",), fields=(("year", ">=2005"),))
HIT = FileHit(
    **{"path": "a", "line": 1, "last_line": 2, "start": 0, "end": 9, "score": 0.1, "why": "both", "snippet": "a b"},
    **{"at": 1, "best": 1, "marks": ((0, 1),), "version": 3, "size": 9, "modified": 1e9 + 0.25, "author": "user"},
)
VERSION = FileVersion(path="a", number=2, seq=9, op="move", size=3, time=0.125, author="x", run="r", pid=1, source="b")
CHANGES = (PutFile(path="a", data=ODD, if_version=0), DropFile(path="b"), RenameFile(path="c", target="d"))
FILES: list[tuple[Syscall[Any], Reply]] = [
    (CreateFile(path="a", data=ODD), WriteFileReply(path="a", version=1)),
    (ReadFile(path="a", offset=1, length=2, at=POINT), ReadFileReply(path="a", data=ODD, version=2)),
    (WriteFile(path="a", data=ODD, if_version=0), WriteFileReply(path="a", version=1)),
    (AppendFile(path="a", data=ODD), WriteFileReply(path="a", version=2)),
    (ListFiles(path="a", recursive=True), ListFilesReply(entries=(INFO,))),
    (StatFile(path="a"), StatFileReply(info=INFO, version=None)),
    (MoveFile(path="a", target="b"), WriteFileReply(path="b")),
    (CopyFile(path="a", target="b"), WriteFileReply(path="b", version=1)),
    (DeleteFile(path="a", if_version=3), WriteFileReply(path="a", version=4)),
    (ListVersions(path="a", limit=1), ListVersionsReply(versions=(VERSION,))),
    (DiffFile(path="a", a=Point(number=-1), b=Point(tag="t")), DiffFileReply(text="-a\n+b\n")),
    (RollbackFile(path="a", to=POINT), WriteFileReply(path="a", version=5)),
    (UndoFiles(run="r", dry_run=True), UndoFilesReply(files=(UndoneFile(path="a", kept="why"),))),
    (TagFiles(tag="t", paths=("a",)), ListTagsReply(tags={"t": 1})),
    (UntagFiles(tag="t"), ListTagsReply(tags={"t": 1})),
    (ListTags(), ListTagsReply(tags={})),
    (ChangeFiles(changes=CHANGES), ChangeFilesReply(versions=(VERSION,))),
    (LockFile(path="a", token="t"), LockFileReply(path="a", token="t", until=1.5)),
    (UnlockFile(token="t"), WriteFileReply(path="a")),
    (WatchFiles(paths=("*",), since=3), WatchFilesReply(versions=(VERSION,), seq=9)),
    (SearchFiles(query=QUERY, context=2), SearchFilesReply(hits=(HIT,), pending_files=1, notes=("n",))),
    (GroupFiles(query=QUERY, by="year"), GroupFilesReply(groups=(FileGroup(name="g", paths=("a",)),))),
    (JoinFiles(queries=(QUERY, FileQuery()), how="minus"), JoinFilesReply(paths=("a",))),
    (LinkFiles(link="l", query=QUERY), ListLinksReply(links=(SavedQuery(link="l", query=QUERY, author="x"),))),
    (UnlinkFiles(link="l"), ListLinksReply(links=())),
    (ListLinks(), ListLinksReply(links=())),
    (FollowLink(link="l"), SearchFilesReply(hits=())),
    (DeleteMatching(query=QUERY, token="t"), UpdateMatchingReply(paths=("a",), versions=(VERSION,))),
    (UpdateMatching(query=QUERY, find="a", replace=""), UpdateMatchingReply(paths=("a",), token="t")),
    (ShareFile(path="a", at=POINT, ttl_s=9), ShareFileReply(url="u", token="t", until=1.5)),
    (UnshareFile(token="t"), WriteFileReply(path="")),
    (GetFilesStatus(), GetFilesStatusReply(files=1, pending_files=2, pending_chunks=3, model=None)),
]


def test_every_file_call_and_its_reply_survive_the_wire() -> None:
    assert {type(call) for call, _ in FILES} == set(get_args(FileCall))
    for call, reply in FILES:
        assert call_from_json(call_to_json(call)) == call
        assert reply_from_object(call, json.loads(outcome_to_json(reply))) == reply


def test_what_only_looks_at_files_runs_again_and_what_changes_them_does_not() -> None:
    """A search that is run again finds what is there then; a change that is run again would undo what came since."""
    effects = {effect: {kind.name for kind in get_args(FileCall) if kind.effect is effect} for effect in Effect}
    assert effects[Effect.IDEMPOTENT] == {"file.write", "file.link", "file.tag", "file.unlock", "file.unshare"}
    assert effects[Effect.AT_MOST_ONCE] == {
        f"file.{name}"
        for name in (
            *("append", "copy", "create", "delete", "delete_matching", "lock", "move", "rollback", "share"),
            *("transaction", "undo", "unlink", "untag", "update_matching"),
        )
    }


def test_a_call_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(BadRequest, match="over the limit"):
        call_from_json(b" " * (MAX_CALL_BYTES + 1))


def test_calls_are_frozen() -> None:
    with pytest.raises(ValidationError):
        CHAT.max_tokens = 3  # type: ignore[misc]


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_errors_survive_the_wire_and_pickle(code: str) -> None:
    error = BY_CODE[code]("what, why, what next")
    for copy in (from_wire(json.loads(json.dumps(error.to_wire()))), pickle.loads(pickle.dumps(error))):
        assert type(copy) is type(error)
        assert copy.to_wire() == error.to_wire()


def test_an_error_is_raised_where_the_reply_was_awaited() -> None:
    outcome: dict[str, Any] = json.loads(outcome_to_json(Overloaded("full", retry_after_s=2.5)))
    with pytest.raises(Overloaded) as caught:
        reply_from_object(CHAT, outcome)
    assert caught.value.retry_after_s == 2.5
    assert reply_from_object(CHAT, json.loads(outcome_to_json(ChatReply(text="x")))) == ChatReply(text="x")


def test_an_unknown_error_code_is_our_fault() -> None:
    error = from_wire({"code": "odd", "message": "m"})
    assert isinstance(error, KernelBug)
    assert isinstance(error, AiosError)

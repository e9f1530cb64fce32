"""Closed forms: what whole clauses of a request mean, word for word.

A rule holds for a clause only where it accounts for each of its words, and a request has a reading only where each of
its clauses has one. So what is read by rule was said; all else is not read at all. Of two that hold the first counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aios.fs import operations as ops
from aios.fs.grammar import form
from aios.fs.operations import Operation


@dataclass(frozen=True, slots=True)
class FormRule:
    """A form of words and the operation that it is; `given` are the fields that the form itself says."""

    operation: type[Operation]
    pattern: re.Pattern[str]
    given: Mapping[str, Any] = field(default_factory=dict)
    start: Sequence[str] = ()
    """Fields in which a day means its beginning, not its end."""


def _rules(operation: type[Operation], *forms: str, start: Sequence[str] = (), **given: Any) -> Iterator[FormRule]:
    for each in forms:
        yield FormRule(operation, form(each, operation), given, start)


def _reading() -> Iterator[FormRule]:
    yield from _rules(
        ops.Read,
        "(open | cat | read | print | display | view | show | see | look at) [me | us] [what is in | what's in] {path}",
        "(open | read | print | display | view | show | give | get) [me | us] <a> (contents | text) of {path}",
        "(show | give | get | tell) [me | us] (what is | what's) in {path}",
        "(what is | what's | whats) (in | inside | written in) {path}",
        "what (does | do) {path} (say | contain | hold)",
    )
    yield from _rules(
        ops.List,
        "(ls | dir | list | browse | show) [me] [all] [the] [files | content | contents | everything] [<in>] {path}",
        "(list | show) [me] (what is | what's) <in> {path}",
        "(what | which) files are [there] <in> {path}",
        "(ls | dir | list [all] [the] [files | folders] [here] | (what | which) files are (there | here))",
    )
    yield from _rules(
        ops.List,
        "list [all] [the] [files] <in> {path} [,] (recursively | and below | with all below)",
        "(ls -R | list recursively) {path}",
        "recursively list [all] [the] [files] [<in>] {path}",
        recursive=True,
    )
    yield from _rules(
        ops.Stat,
        "(stat | [what is | what's | tell me | show me] [the] size of) {path}",
        "how (big | large | long) is {path}",
        "when (was | did) {path} [last | most recently] (modified | changed | change | edited | written) [last]",
        "when was <a> change (of | to | in) {path}",
    )
    yield from _rules(
        ops.Summarise,
        "(summarise | summarize | sum up | recap | outline) [what is in | what's in | <a> contents of] {path}",
        "(give | write | make | show) [me | us] <a> [short | brief | quick] (summary | overview | gist) of {path}",
        "(what is | what's) {path} about",
        "(what is | what's) the (gist | summary) of {path}",
    )
    yield from _rules(
        ops.WatchPaths,
        "(watch | monitor | follow | keep an eye on) {path} [for changes]",
        "((tell | notify | alert | inform | warn) me | let me know) (when | whenever | if | every time | as soon as)"
        " [anything in | something in] {path} (changes | is changed | is modified | gets changed | is edited)",
    )


def _changing() -> Iterator[FormRule]:
    """Changes of files."""
    yield from _one_file()
    yield from _matching_files()
    yield from _sharing()


def _one_file() -> Iterator[FormRule]:
    made = "(create | make | start | touch) [me] <a> [empty]"
    yield from _rules(ops.Create, f"(mkdir | {made} (folder | directory) [called | named]) {{path}}", kind="directory")
    yield from _rules(
        ops.Create,
        f"{made} {{path}} (with [the] [text | content | line] | [,] (containing | that says) | :) {{text}}",
        f"{made} {{path}}",
    )
    yield from _rules(
        ops.Write,
        "(write | overwrite) {text} (to | into) {path}",
        "overwrite {path} (with | by) [the text] {text}",
        "replace (<a> (content | contents | text) of | everything in | all of) {path} (with | by) [the text] {text}",
        "(set | change) <a> (content | contents) of {path} to {text}",
        "(save | store | put) {text} (as | in | into) {path}",
    )
    yield from _rules(
        ops.Append,
        "(append | add) [<a> (line | text | entry | item | words)] {text} (to | at) [<a> (end | bottom) of] {path}",
        "(append | add) to {path} [:] {text}",
        "(put | write | insert) [<a> line] {text} at <a> (end | bottom) of {path}",
    )
    yield from _rules(
        ops.Move,
        "(rename | mv | move | shift) {path} (to | into | as | in) {target}",
        "(rename | mv) {path} {target}",
        "change <a> name of {path} to {target}",
    )
    yield from _rules(
        ops.Copy,
        "(copy | cp | duplicate | back up | backup | clone) {path} (to | into | as | in) {target}",
        "cp {path} {target}",
        "(make | create | save | put | store | keep) [me] <a> (copy | duplicate | backup) of {path}"
        " (to | into | as | in | called | named | under) {target}",
    )
    yield from _rules(ops.Delete, "(<remove> | bin) {path}", "throw {path} (away | out)")


def _matching_files() -> Iterator[FormRule]:
    swap = "(replace | change | exchange) [the (word | words | text)] {find} (with | by | to | for) {by}"
    yield from _rules(
        ops.Replace,
        f"{swap} <in> <all> [<thing>] <about> {{query}}",
        f"{swap} <in> <all> {{within}} <about> {{query}}",
        f"{swap} <in> <all> [<thing> <in>] {{within}}",
        f"{swap} (everywhere | in all [the | my] files | in every file)",
    )
    some = "<all> [<thing> | ones]"
    yield from _rules(
        ops.DeleteWhatMatches,
        "<remove> <all> <thing> <in> {within} <about> {query}",
        f"<remove> {some} <about> {{query}} (in | from | below | under | inside) {{within}}",
        "<remove> <all> {within} <about> {query}",
        f"[in | from | go through | look through] {{within}} [,] [and] <remove> {some} <about> {{query}}",
        f"<remove> {some} <about> {{query}}",
    )


def _sharing() -> Iterator[FormRule]:
    yield from _rules(
        ops.Lock,
        "(lock | protect | freeze) {path} [for {seconds}]",
        "(stop | keep | prevent) [all] (others | [the] other agents | (anyone | anybody | everyone) else)"
        " from (changing | writing [to] | editing | touching | modifying) {path}",
        "let (nobody | no one | no-one) else (change | write to | write | edit | touch) {path}",
    )
    yield from _rules(
        ops.Unlock,
        "(unlock | unfreeze) {path}",
        "(release | remove | lift | drop | give up) <a> lock (on | of | from) {path}",
        "let (others | everyone) (change | write to | write | edit) {path} [again]",
        "unlock {path} (with | by) [the] [token] {token}",
    )
    link = "(make | create | give me | get me) <a> [share | sharing | expiring] link (to | for | of) {path}"
    others = "[with [the] (others | everyone | them)]"
    yield from _rules(
        ops.ShareLinkTo,
        f"share {{path}} {others} for {{seconds}}",
        f"{link} [that lasts | valid | good] for {{seconds}}",
        f"share {{path}} {others}",
        link,
    )


CHANGES = "<a> (change | changes | difference | differences | diff) (in | of | to | for)"
SPAN = "(between | from) [version | versions] {a} (and | to) [version] {b}"


def _versions() -> Iterator[FormRule]:
    """The past of files."""
    yield from _looking_back()
    yield from _differences()
    yield from _told_differences()
    yield from _going_back()


def _looking_back() -> Iterator[FormRule]:
    yield from _rules(
        ops.ShowHistory,
        "[<told>] <a> [version] (history | versions | changes | log) (of | for | to) {path}",
        "(history | log | hist) {path}",
        "(who | what) [has] (changed | edited | wrote | modified | touched | worked on) {path} [[,] [and] when]",
        "(what | which) versions [are there] of {path} [are there]",
        "(what | which) versions does {path} have",
    )
    shown = "(open | cat | read | print | display | view | show | give) [me | us]"
    yield from _rules(
        ops.Show,
        f"{shown} {{path}} (as of | as it was | as it looked | at | in | from | of | on) {{at}}",
        f"{shown} {{at}} of {{path}}",
        f"{shown} (how | what) {{path}} (was | looked | said | contained) [like] {{at}}",
        "(how | what) did {path} (look | say | contain) [like] {at}",
    )


def _differences() -> Iterator[FormRule]:
    against = "[version | versions] {a} (and | with | to | against) [version] {b}"
    yield from _rules(
        ops.Diff,
        f"[<told>] {CHANGES} {{path}} {SPAN}",
        f"diff {{path}} {SPAN}",
        f"[<told>] what <changed> in {{path}} {SPAN}",
        f"(diff | compare) {against} of {{path}}",
        "(diff | compare) {path} [between] (version | versions) {a} (and | with | to | against) [version] {b}",
        "(diff | compare) {path} (against | with | to | and) {a}",
    )
    yield from _rules(
        ops.Diff,
        "[<told>] (what | what's) <changed> in {path} since {a}",
        f"[<told> | diff] [{CHANGES}] {{path}} since {{a}}",
        "[<told>] how {path} <changed> since {a}",
        "how (did | has) {path} <changed> since {a}",
        start=("a",),
    )
    yield from _rules(
        ops.Diff,
        "[<told>] (what | what's) <changed> (in | about | with) {path}",
        f"<told> {CHANGES} {{path}}",
        "diff {path}",
        "[<told>] how {path} <changed>",
        a=-1,
    )


def _told_differences() -> Iterator[FormRule]:
    words = "(describe | explain | say | summarise | summarize | tell me in words) [in words | in plain words]"
    yield from _rules(ops.Compare, f"{words} how {{path}} <changed> {SPAN}", f"{words} {CHANGES} {{path}} {SPAN}")
    yield from _rules(
        ops.Compare,
        f"{words} how {{path}} <changed> since {{a}}",
        f"{words} what <changed> in {{path}} since {{a}}",
        f"{words} {CHANGES} {{path}} since {{a}}",
        start=("a",),
    )
    yield from _rules(
        ops.Compare,
        f"{words} {CHANGES} {{path}}",
        f"{words} (how | what) {{path}} <changed>",
        f"{words} what <changed> in {{path}}",
        a=-1,
    )


def _going_back() -> Iterator[FormRule]:
    yield from _rules(
        ops.Rollback,
        "<back> {path} back [to] {at}",
        "<back> back {path} [to | as | from] {at}",
        "(revert | restore | reset | return | rewind | rollback | recover | get) {path} (to | as | from | at) {at}",
        "(restore | recover | bring back | get back | go back to | return to | revert to | use) {at} (of | for) {path}",
    )
    yield from _rules(ops.Rollback, "(restore | undelete | recover | bring back | get back) {path}", at=-1)
    yield from _rules(
        ops.Rollback, "(undo | revert | take back) <a> (change | edit | write) [made] (to | of | in) {path}", at=-1
    )


def _many() -> Iterator[FormRule]:
    undo = "(undo | revert | take back | reverse)"
    work = "(everything | all | all changes | the changes | whatever | what) [that | which | of | [made | done] by]"
    did = "[did | has done | has changed | changed | made | wrote | has written]"
    yield from _rules(
        ops.Undo,
        f"{undo} [{work}] [the] agent {{agent}} {did}",
        f"undo {work} {{agent}} (did | has done | changed | wrote)",
    )
    yield from _rules(ops.Undo, f"{undo} [{work}] [in | from] [the] run {{run}} {did}")
    yield from _rules(
        ops.Tag,
        "(tag | label | mark | name) {paths} (as | with) [the tag] {tag}",
        "give {paths} [the | a] (tag | label) {tag}",
        "(put | set | add) [the | a] (tag | label) {tag} (on | to) {paths}",
        "(tag | label | mark | name) (everything | all [files] | [all of] the (present | current | whole)"
        " (state | root | versions) | this state | the state) (as | with) [the tag] {tag}",
        "(set | make | add | create) [the | a] tag [called | named] {tag}",
    )
    yield from _rules(
        ops.GroupWhatMatches,
        "(group | sort | arrange | cluster) <all> [<thing>] <about> {query} by {by}",
        "(group | cluster) <all> <thing> by {by}",
    )
    look = "(find | show | list | search [for]) [me]"
    both = f"([{look}] <all> <thing> | {look} everything)"
    yield from _rules(ops.Join, f"{both} <about> both {{left}} and {{right}}")
    yield from _rules(ops.Join, f"{both} <about> either {{left}} or {{right}}", how="or")
    yield from _rules(ops.Join, f"{both} <about> {{left}} [,] but not [about] {{right}}", how="not")
    yield from _rules(
        ops.Link,
        "(make | create | add | keep) [a | the] <virtual> folder [called | named] {folder} (of | for | with | from)"
        " <all> [<thing>] [<about>] {query}",
        "(save | keep | store | link) [a | the | this] (search | searches | query) [for] {query} (as | to | under)"
        " [a | the] [virtual] folder [called | named] {folder}",
    )
    yield from _rules(
        ops.Follow,
        "(open | show | list | follow) [me] [what is in | what's in] [the] <virtual> folder [called | named] {folder}",
        "(what is | what's) in [the] <virtual> folder [called | named] {folder}",
    )
    yield from _rules(
        ops.Unlink, "(<remove> | unlink) [the] <virtual> folder [called | named] {folder}", "unlink {folder}"
    )


RULES: Sequence[FormRule] = (*_reading(), *_changing(), *_versions(), *_many())

"""Closed forms: what whole clauses of a request mean, word for word.

A rule holds for a clause only where it accounts for each of its words, and a request has a reading only where each of
its clauses has one. So what is read by rule was said; all else is not read at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aios.sdk.files import operations as ops
from aios.sdk.files.operations import Kind, Operation
from aios.sdk.files.readers import PRONOUNS

FILE = r"(?:the |my |our |this |that )?(?:(?:text |Markdown )?(?:file|folder|directory|document|dir) )?(?:called |named )?"
AFTER = r"(?: file| folder| directory| document| script)?"
MANY = r"⟦\d+⟧(?:(?:,| and|, and) (?:the )?⟦\d+⟧)+"
SLOTS: Mapping[Kind, str] = {
    Kind.PATH: rf"{FILE}(?P<{{}}>⟦\d+⟧|{MANY}|{PRONOUNS}){AFTER}",
    Kind.PAST: rf"{FILE}(?P<{{}}>⟦\d+⟧|{PRONOUNS}){AFTER}",
    Kind.FOLDER: rf"{FILE}(?P<{{}}>⟦\d+⟧){AFTER}",
    Kind.NEW: rf"{FILE}(?P<{{}}>⟦\d+⟧|(?!(?:it|this|that|the|a|an|me|file|folder|new)\b)[\w-]+){AFTER}",
    Kind.AT: r"(?P<{}>.+?)",
    Kind.TIME: r"(?P<{}>.+?)",
    Kind.SECONDS: r"(?P<{}>[\w ]+?)",
    Kind.QUERY: r"(?P<{}>.+?)",
    Kind.TEXT: r"(?P<{}>⟦\d+⟧)",
    Kind.NAME: r"(?P<{}>⟦\d+⟧|[\w][\w.-]*)",
}
THING = r"(?:files?|notes?|documents?|docs|papers?|texts?|things?|pages?)"
ALL = r"(?:all |every |each |any |everything |all of )?(?:of )?(?:the |my |our |those |these )?"
ABOUT = r"(?:about|on|concerning|regarding|mentioning|that mentions?|which mentions?|that (?:is|are|talks?|deals?)(?: about| with)|with|dealing with|to do with)"
VERBS = (
    "open|show|read|cat|print|display|view|list|ls|create|make|mkdir|touch|write|overwrite|replace|append|add|put|move|mv|rename|"
    "copy|cp|duplicate|delete|remove|erase|rm|find|search|look|history|diff|compare|describe|explain|roll|restore|revert|"
    "undo|tag|label|mark|group|sort|link|save|unlink|lock|unlock|release|share|watch|tell|summari[sz]e|give|bring|take|"
    "throw|drop|keep|set|reset|turn|go"
)
"""First words of a further instruction."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A form of words and the operation that it is; `given` are the fields that the form itself says."""

    operation: type[Operation]
    pattern: re.Pattern[str]
    given: Mapping[str, Any] = field(default_factory=dict)
    start: Sequence[str] = ()
    """Fields in which a day means its beginning, not its end."""


def _rules(operation: type[Operation], *forms: str, start: Sequence[str] = (), **given: Any) -> Iterator[Rule]:
    kinds = operation.kinds()
    for form in forms:
        pattern = re.sub(r"\{([a-z]+)\}", lambda found: SLOTS[kinds[found[1]]].format(found[1]), form)
        yield Rule(operation, re.compile(pattern.replace("~", "(?:the |my |a |an |its |all )?"), re.I), given, start)


def _all() -> Iterator[Rule]:
    yield from _rules(
        ops.Read,
        r"(?:open|cat|read|print|display|view|show|see|type out) (?:me |us )?(?:what is in |what's in |~contents? of |~text of )?{path}",
        r"(?:what is|what's|whats) (?:in|inside|written in) {path}",
        r"what (?:does|do) {path} (?:say|contain|hold|have in it)",
        r"(?:show|give|get|tell) me (?:what is in |what's in |~contents? of |~text of ){path}",
    )
    yield from _rules(
        ops.List,
        r"(?:ls|dir|list|browse|show)(?: me)? (?:all )?(?:the )?(?:files |contents? |everything )?(?:in |of |below |under |inside )?{path}",
        r"(?:list|show)(?: me)? (?:what is|what's) (?:in|inside|below|under) {path}",
        r"(?:what|which) files are (?:there )?(?:in|inside|below|under) {path}",
    )
    yield from _rules(ops.List, r"ls|dir|list(?: all)?(?: ~files)?(?: here)?|(?:what|which) files are (?:there|here)")
    yield from _rules(
        ops.List,
        r"list (?:all )?(?:the )?files (?:in|below|under|inside) {path},? (?:recursively|and below|and all below)",
        r"(?:ls -R|list recursively) {path}",
        r"recursively list (?:all )?(?:the )?(?:files )?(?:in|below|under|inside)? ?{path}",
        recursive=True,
    )
    yield from _rules(
        ops.Stat,
        r"(?:stat|size of|(?:what is|what's|tell me|show me) the size of) {path}",
        r"how (?:big|large|long) is {path}",
        r"when (?:was|did) {path} (?:last |most recently )?(?:modified|changed|change|edited|written|updated)(?: last)?",
        r"(?:when|what) (?:was|is) the (?:last change|modification time) (?:of|to) {path}",
    )
    yield from _rules(
        ops.Create,
        r"(?:create|make|start|touch) (?:me )?(?:a |an )?(?:new |empty )*{path}(?: with the (?:text|content|line)s?|,? containing|,? that (?:says|contains)| with|:) {text}",
        r"(?:create|make|start|touch) (?:me )?(?:a |an )?(?:new |empty )*(?:file )?(?:called |named )?{path}",
    )
    yield from _rules(
        ops.Create,
        r"(?:mkdir|(?:create|make|start|add) (?:me )?(?:a |the )?(?:new |empty )*(?:folder|directory|dir)(?: called| named)?) {path}",
        kind="directory",
    )
    yield from _rules(
        ops.Write,
        r"(?:over)?write {text} (?:in)?to {path}",
        r"overwrite {path} (?:with|by) (?:the text )?{text}",
        r"replace (?:~(?:contents?|text) of |everything in |all of ){path} (?:with|by) (?:the text )?{text}",
        r"(?:set|change) ~contents? of {path} to {text}",
        r"(?:save|store|put) {text} (?:as|in|into) {path}",
    )
    yield from _rules(
        ops.Append,
        r"(?:append|add|write) (?:~(?:new )?(?:line|text|entry|item|words?)s? )?{text} (?:to|at) (?:~(?:end|bottom) of )?{path}",
        r"(?:append|add) to {path}:? {text}",
        r"(?:put|write|insert) {text} at ~(?:end|bottom) of {path}",
    )
    yield from _rules(
        ops.Move, r"(?:rename|mv|move|shift) {path} (?:to|into|as|in)? ?{target}", r"change ~name of {path} to {target}"
    )
    yield from _rules(
        ops.Copy,
        r"(?:copy|cp|duplicate|back ?up|clone) {path} (?:to|into|as|in)? ?{target}",
        r"(?:make|create|save|put|store|keep) (?:me )?(?:a )?(?:copy|duplicate|backup) of {path} (?:to|into|as|in|called|named|under) {target}",
    )
    yield from _rules(
        ops.Delete,
        r"(?:delete|remove|erase|rm|trash|bin|drop|discard|get rid of|throw (?:away|out)) {path}",
        r"throw {path} (?:away|out)",
    )
    matching = r"(?:delete|remove|erase|rm|trash|discard|get rid of|throw (?:away|out))"
    one = r"(?:ones |those )"
    yield from _rules(
        ops.DeleteMatching,
        rf"{matching} {ALL}{THING} (?:in|from|of|below|under|inside) {{within}} {ABOUT} {{query}}",
        rf"{matching} {ALL}(?:{THING} )?{ABOUT} {{query}} (?:in|from|below|under|inside) {{within}}",
        rf"{matching} {ALL}{{within}} {ABOUT} {{query}}",
        rf"(?:in|from) {{within}},? {matching} {ALL}(?:{THING} |{one})?{ABOUT} {{query}}",
        rf"(?:go|look) through {{within}} and {matching} {ALL}(?:{THING} |{one})?{ABOUT} {{query}}",
        rf"{matching} {ALL}(?:{THING} )?{ABOUT} {{query}}",
    )
    yield from _rules(
        ops.History,
        r"(?:show |list |give |tell )?(?:me |us )?(?:~(?:full |whole |version )?history|~(?:old |older |earlier |past |previous )?versions|~changes|log)(?: of| for| to) {path}",
        r"(?:history|log|hist) {path}",
        r"(?:show|list|give)(?: me)? {path}'s (?:history|versions|changes)",
        r"(?:who|what) (?:has )?(?:changed|edited|wrote|modified|written|touched|worked on) {path}(?:,? and when|,? when)?",
        r"(?:what|which) versions (?:are there )?of {path}(?: are there)?",
        r"(?:what|which) versions does {path} have",
    )
    yield from _rules(
        ops.Show,
        r"(?:open|cat|read|print|display|view|show|give)(?: me| us)? {path} (?:as of|as it was|as it looked|at|in|from|of|on) {at}",
        r"(?:open|read|print|display|view|show|give)(?: me| us)? {at} of {path}",
        r"(?:open|read|print|display|view|show)(?: me| us)? (?:how|what) {path} (?:was|looked|said|contained)(?: like)? {at}",
        r"(?:how|what) did {path} (?:look|say|contain)(?: like)? {at}",
    )
    changed = r"(?:has |have |is |was |are )?(?:been )?(?:changed?|different|new|differs?|modified)"
    yield from _rules(
        ops.Diff,
        r"(?:show|list|tell|give) (?:me |us )?(?:~(?:changes|differences?|diff) (?:in|of|to|for) ){path} between (?:versions? )?{a} and {b}",
        r"(?:diff|~(?:diff|differences?|changes) (?:in|of|to|for)) {path} (?:between|from) (?:versions? )?{a} (?:and|to) {b}",
        rf"what {changed} in {{path}} (?:between|from) (?:versions? )?{{a}} (?:and|to) {{b}}",
        rf"how (?:did|do|does|has|have) (?:versions? {{a}} and {{b}} of {{path}} differ)",
        r"(?:diff|compare) versions? {a} (?:and|with|to|against) (?:version )?{b} of {path}",
        r"(?:diff|compare) {path} (?:between )?versions? {a} (?:and|with|to|against) (?:version )?{b}",
        r"(?:diff|compare) {path} (?:against|with|to|and) {a}",
        r"(?:diff|compare) {a} (?:of|and) {path}",
    )
    yield from _rules(
        ops.Diff,
        rf"(?:show|tell)? ?(?:me |us )?what(?:'s)? {changed} in {{path}} since {{a}}",
        r"(?:show|list|give|diff)? ?(?:me |us )?(?:~(?:changes|differences?|diff) (?:in|of|to|for) )?{path} since {a}",
        rf"how (?:did|has) {{path}} {changed} since {{a}}",
        start=("a",),
    )
    told = r"(?:show|tell|list|give) (?:me |us )?"
    yield from _rules(
        ops.Diff,
        rf"(?:{told})?what(?:'s)? {changed}(?: in| about| with)? {{path}}",
        rf"{told}~(?:changes|differences?|diff)(?: in| of| to| for)? {{path}}",
        r"diff {path}",
        rf"(?:{told})?how {{path}} {changed}",
        a=-1,
    )
    words = r"(?:(?:describe|explain|tell me|say)(?: in(?: plain| your own)? words)?|summari[sz]e)"
    yield from _rules(
        ops.Compare,
        rf"{words} how {{path}} {changed} (?:between|from) (?:versions? )?{{a}} (?:and|to) {{b}}",
        rf"{words} ~(?:changes|differences?) (?:in|of|to) {{path}} (?:between|from) (?:versions? )?{{a}} (?:and|to) {{b}}",
    )
    yield from _rules(
        ops.Compare,
        rf"{words} (?:how|what) {{path}} {changed} since {{a}}",
        rf"{words} what {changed} in {{path}} since {{a}}",
        rf"{words} ~(?:changes|differences?) (?:in|of|to) {{path}} since {{a}}",
        start=("a",),
    )
    yield from _rules(
        ops.Compare,
        r"(?:describe|explain|summari[sz]e) (?:in words )?~(?:last |latest |most recent )?(?:changes?|differences?) (?:in|of|to) {path}",
        rf"(?:describe|explain)(?: in words)? (?:how|what) {{path}} {changed}",
        rf"(?:describe|explain)(?: in words)? what {changed} in {{path}}",
        a=-1,
    )
    back = r"(?:roll|take|bring|set|put|turn|get|go|return|revert|restore|reset|change|switch|rewind)"
    yield from _rules(
        ops.Rollback,
        rf"{back} {{path}} back (?:to )?{{at}}",
        rf"{back} back {{path}} (?:to |as |from )?{{at}}",
        rf"(?:revert|restore|reset|return|rewind|rollback|roll back|bring back|recover|get) {{path}} (?:to|as|from|at) {{at}}",
        rf"(?:restore|recover|bring back|get back|go back to|return to|revert to|use|take) {{at}} (?:of|for) {{path}}",
    )
    yield from _rules(
        ops.Rollback,
        r"(?:undo|revert|take back) ~(?:last |latest |most recent )(?:change|edit|write)(?: made)? (?:to|of|in) {path}",
        at=-1,
    )
    yield from _rules(
        ops.Undo,
        r"(?:undo|revert|take back|reverse) (?:everything|all|all changes|whatever|what|anything|the changes|the work)(?: that| which| of| by| made by| done by)? (?:the )?agent {agent}(?: did| has done| changed| wrote| made)?",
        r"undo (?:the )?agent {agent}",
        r"undo (?:everything|all|all changes|what|whatever)(?: that)? {agent} (?:did|has done|changed|made|wrote)",
    )
    yield from _rules(
        ops.Undo,
        r"(?:undo|revert|take back|reverse) (?:everything |all |all changes |what |whatever )?(?:of |in |from |made by |done by |by )?(?:the )?run {run}(?: did| changed)?",
    )
    yield from _rules(
        ops.Tag,
        r"(?:tag|label|mark|name) {paths} (?:as|with) (?:the tag )?{tag}",
        r"(?:put|set|add) (?:the |a )?(?:tag|label) {tag} (?:on|to) {paths}",
    )
    yield from _rules(
        ops.Tag,
        r"(?:tag|label|mark|name) (?:everything|all|all files|the (?:present|current) (?:state|versions?)|the whole (?:root|tree)|this state|the state) (?:as|with) (?:the tag )?{tag}",
        r"(?:set|make|add|create) (?:the |a )?tag(?: called| named)? {tag}",
    )
    by = r"(?P<by>topic|subject|author|time|date|month)"
    yield from _rules(
        ops.Group,
        rf"(?:group|sort|arrange|cluster) {ALL}(?:{THING} )?{ABOUT} {{query}} by {by}",
        rf"(?:group|cluster) {ALL}{THING} by {by}",
    )
    yield from _rules(
        ops.Join,
        rf"(?:(?:find|show|list|search)(?: for)? )?{ALL}{THING} {ABOUT} both {{left}} and {{right}}",
        rf"(?:find|show|list|search)(?: for)? {ALL}(?:{THING} )?{ABOUT} both {{left}} and {{right}}",
    )
    yield from _rules(
        ops.Join,
        rf"(?:find|show|list|search)(?: for)? {ALL}(?:{THING} )?{ABOUT} either {{left}} or {{right}}",
        how="or",
    )
    yield from _rules(
        ops.Join,
        rf"(?:find|show|list|search)(?: for)? {ALL}(?:{THING} )?{ABOUT} {{left}},? but not (?:about )?{{right}}",
        how="not",
    )
    virtual = r"(?:virtual |search |smart |live )"
    yield from _rules(
        ops.Link,
        rf"(?:make|create|add|keep) (?:a |the )?{virtual}folder (?:called |named )?{{folder}} (?:of|for|with|from|out of) {ALL}(?:{THING} )?(?:{ABOUT} )?{{query}}",
        r"(?:save|keep|store|link) (?:a |the |this )?(?:search|searches|query)(?: for)? {query} (?:as|to|under) (?:a |the )?(?:virtual )?folder (?:called |named )?{folder}",
        r"link {query} (?:as|to) (?:a |the )?virtual folder (?:called |named )?{folder}",
    )
    yield from _rules(
        ops.Unlink,
        rf"(?:remove|delete|drop|unlink|get rid of) (?:the )?{virtual}folder (?:called |named )?{{folder}}",
        r"unlink {folder}",
    )
    yield from _rules(
        ops.Lock,
        r"(?:lock|protect|freeze) {path}",
        r"(?:stop|keep|prevent) (?:others|anyone else|anybody else|everyone else|other agents|the others) from (?:changing|writing(?: to)?|editing|touching|modifying) {path}",
        r"let (?:nobody|no one|no-one) else (?:change|write to|write|edit|touch) {path}",
    )
    yield from _rules(
        ops.Unlock,
        r"(?:unlock|unfreeze) {path}",
        r"(?:release|remove|lift|drop|give up) ~lock (?:on|of|from) {path}",
        r"let (?:others|everyone) (?:change|write to|write|edit) {path}(?: again)?",
    )
    yield from _rules(
        ops.Share,
        r"share {path}(?: with (?:others|the others|everyone|them))? for {seconds}",
        r"(?:make|create|give me|get me) (?:a |an )?(?:share |sharing |expiring )?link (?:to|for|of) {path}(?: (?:that lasts|valid|good))? for {seconds}",
        r"share {path}(?: with (?:others|everyone))?",
        r"(?:make|create|give me|get me) (?:a |an )?(?:share |sharing |expiring )link (?:to|for|of) {path}",
    )
    yield from _rules(
        ops.Watch,
        r"(?:watch|monitor|follow|keep an eye on) {path}(?: for changes)?",
        r"(?:tell|notify|alert|inform|warn) me (?:when|whenever|if|every time|as soon as) (?:anything in |something in )?{path} (?:changes|is changed|is modified|gets changed|is written|is edited)",
        r"let me know (?:when|whenever|if) (?:anything in |something in )?{path} (?:changes|is changed|is modified|gets changed)",
    )
    yield from _rules(
        ops.Summarise,
        r"(?:summari[sz]e|sum up|recap|outline) (?:what is in |what's in |~contents? of )?{path}",
        r"(?:give|write|make|show)(?: me| us)? (?:a |the )?(?:short |brief |quick )?(?:summary|overview|gist|digest) of {path}",
        r"what(?: is|'s) {path} about",
        r"what(?: is|'s) the (?:gist|summary) of {path}",
    )


RULES: Sequence[Rule] = tuple(_all())

"""Sets of questions with known answers: `docs.jsonl`, `queries.jsonl` and `qrels.jsonl` in a directory."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aios_syscalls.errors import BadRequest

DEFAULT = Path("../shared/data/retrieval")
FILES = ("docs.jsonl", "queries.jsonl", "qrels.jsonl")
TOP = 10
_PLAIN = re.compile(r"\w[\w.-]{0,99}")


@dataclass(frozen=True, slots=True)
class Set:
    """Documents by the path that they get, questions by id, and which documents answer each, and how well."""

    name: str
    place: Path
    documents: Mapping[str, str]
    questions: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, float]]
    whole: bool


def places(data: Path) -> list[Path]:
    """The sets in a directory, or the one that it is. Raises BadRequest where there is none."""
    found = [place for place in (data, *sorted(data.iterdir())) if _is_set(place)] if data.is_dir() else []
    if not found:
        raise BadRequest(f"{data} holds no set, which has {', '.join(FILES)}; name a directory of such", "data")
    return found


def read(place: Path, most: tuple[int, int] | None = None) -> Set:
    """A set; `most` are how many questions are taken of it, and characters of documents, their answers first."""
    questions = {str(row["id"]): str(row["text"]) for row in rows(place / "queries.jsonl")}
    relevant: dict[str, dict[str, float]] = {}
    for row in rows(place / "qrels.jsonl"):
        if str(row["qid"]) in questions and float(row["rel"]) > 0:
            relevant.setdefault(str(row["qid"]), {})[path_of(str(row["did"]))] = float(row["rel"])
    documents = {path_of(str(row["id"])): _text(row) for row in rows(place / "docs.jsonl")}
    count = len(documents), len(questions)
    # A question without an answer in the set says nothing of a ranking.
    questions = {id: text for id, text in questions.items() if id in relevant}
    if most is not None:
        questions = dict(list(questions.items())[: most[0]])
        answers = {path: documents[path] for id in questions for path in relevant[id] if path in documents}
        documents = dict(_within({**answers, **documents}, most[1]))
        questions = {id: text for id, text in questions.items() if any(path in documents for path in relevant[id])}
    whole = most is None or (len(documents), len(questions)) == count
    return Set(place.name, place, documents, questions, relevant, whole)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines. Raises BadRequest for one that is not such."""
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    yield json.loads(line)
    except (OSError, ValueError) as error:
        raise BadRequest(f"{path} is no file of JSON lines: {error}", "data") from error


def path_of(id: str) -> str:
    """The file that a document becomes: its id, where that can be a name."""
    name = id if _PLAIN.fullmatch(id) else hashlib.sha256(id.encode()).hexdigest()[:32]
    return name if Path(name).suffix else f"{name}.txt"


def _within(documents: Mapping[str, str], characters: int) -> Iterator[tuple[str, str]]:
    """As many documents as have no more characters than that, but one."""
    for path, text in documents.items():
        yield path, text
        characters -= len(text)
        if characters <= 0:
            break


def ndcg(ranked: Sequence[str], relevant: Mapping[str, float]) -> float:
    """Normalized discounted cumulative gain of the first ten, from 0 to 1, with linear gains as in BEIR."""
    gained = _gain([relevant.get(path, 0.0) for path in ranked[:TOP]])
    return gained / _gain(sorted(relevant.values(), reverse=True)[:TOP])


def _gain(values: Sequence[float]) -> float:
    return sum(value / math.log2(rank + 2) for rank, value in enumerate(values))


def _text(row: Mapping[str, Any]) -> str:
    """A document as a file: its title is a line of its own, unless the text has it already."""
    title, text = str(row.get("title") or ""), str(row["text"])
    return f"{title}\n\n{text}" if title and title not in text[:1000] else text


def _is_set(place: Path) -> bool:
    return all((place / name).is_file() for name in FILES)

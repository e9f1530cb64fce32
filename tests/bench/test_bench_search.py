"""The bench of the file system, on small sets, small files and few of everything."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aios import bench
from aios.artifacts import EMBEDDER
from aios.bench.search import latency, minilm, quality, sets, speed, versions
from aios.bench.search.kept import KeptVectors
from aios_storage.embedders import Floats
from aios_storage.embedders.granite import Granite
from aios_syscalls import BadRequest

DOCUMENTS = {
    "rates": ("Interest rates", "The central bank raised its rate as inflation grew."),
    "dogs.md": ("", "A puppy barks at the postman every morning."),
    "../odd id": ("Ships", "Harbours of the Hanse traded salt, herring and cloth."),
    "stars": ("", "A telescope in orbit photographs galaxies in infrared light."),
}
QUESTIONS = {"1": "monetary policy", "2": "barking dogs", "3": "trade by sea in the middle ages", "4": "no answer here"}
ANSWERS = [("1", "rates", 1), ("2", "dogs.md", 2), ("3", "../odd id", 1), ("3", "stars", 0)]


def nothing(_: str) -> None: ...


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def granite() -> Granite:
    if not EMBEDDER.path.is_file():
        pytest.fail(f"no embedding model at {EMBEDDER.path}; run: python -m aios.artifacts")
    return Granite(EMBEDDER.path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    place = tmp_path / "data" / "small"
    place.mkdir(parents=True)
    write(place / "docs.jsonl", [{"id": id, "title": it, "text": text} for id, (it, text) in DOCUMENTS.items()])
    write(place / "queries.jsonl", [{"id": id, "text": text} for id, text in QUESTIONS.items()])
    write(place / "qrels.jsonl", [{"qid": qid, "did": did, "rel": rel} for qid, did, rel in ANSWERS])
    return place


def test_gains_are_those_of_the_definition() -> None:
    assert sets.ndcg(["a", "b"], {"a": 1}) == 1
    assert sets.ndcg(["b", "a"], {"a": 1}) == pytest.approx(0.6309, abs=1e-4)
    assert sets.ndcg(["x", "a", "b"], {"a": 1, "b": 2}) == pytest.approx((0.6309 + 2 * 0.5) / (2 + 0.6309), abs=1e-4)
    assert sets.ndcg([*"cdefghijkl", "a"], {"a": 1}) == 0


def test_a_set_is_found_in_a_directory_or_is_it(data: Path) -> None:
    assert sets.places(data) == sets.places(data.parent) == [data]
    with pytest.raises(BadRequest, match="holds no set"):
        sets.places(data / "none")
    each = sets.read(data)
    assert list(each.questions) == ["1", "2", "3"]
    assert each.relevant["3"] == {sets.path_of("../odd id"): 1}
    assert each.documents["rates.txt"].startswith("Interest rates\n\nThe central bank")
    assert "/" not in sets.path_of("../odd id")
    assert each.whole


def test_a_part_of_a_set_has_the_answers_of_its_questions(data: Path) -> None:
    part = sets.read(data, (1, 60))
    assert list(part.questions) == ["1"]
    assert list(part.documents) == ["rates.txt"]
    assert not part.whole


@pytest.mark.parametrize("wrong", ["not json\n", '{"id": 1}\n[', "\ud800"])
def test_a_damaged_set_is_a_bad_request(data: Path, wrong: str) -> None:
    (data / "docs.jsonl").write_bytes(wrong.encode("utf-8", "surrogatepass"))
    with pytest.raises((BadRequest, KeyError)):
        sets.read(data)


def test_rankings_of_a_set(data: Path, granite: Granite, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    figures = quality.measure(sets.read(data), granite, root, nothing)
    assert figures["small.dense.ndcg10"] == figures["small.hybrid.ndcg10"] == figures["small.hybrid.hit3"] == 1
    assert figures["small.keyword.ndcg10"] < 1
    assert quality.at_least_its_parts(figures) == 1
    assert quality.at_least_its_parts({**figures, "small.hybrid.ndcg10": 0.994}) == 0
    assert quality.at_least_its_parts({**figures, "small.hybrid.ndcg10": 0.996}) == 1


def test_tasks_of_a_set_are_asked_without_their_instruction(data: Path, granite: Granite, tmp_path: Path) -> None:
    task: dict[str, Any] = {
        "kind": "semantic-top3",
        "prompt": "Locate 1: a dog makes noise",
        "gold": ["dogs.md"],
        "k": 1,
    }
    tasks: list[dict[str, Any]] = [task, {**task, "gold": ["stars"]}, {**task, "kind": "group"}]
    write(data / "tasks.jsonl", tasks)
    root = tmp_path / "root"
    root.mkdir()
    assert quality.measure(sets.read(data), granite, root, nothing)["small.top3.hit3"] == 0.5


def test_reciprocal_ranks() -> None:
    assert quality.reciprocal(["a", "b"], ["b", "c"]) == ["b", "a", "c"]
    assert quality.plain('"a phrase" -minus +plus AND star*') == "a phrase minus plus and star"


class Counting:
    """Counts what it embeds."""

    id, dimension, context = "counting", 2, 10

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> Floats:
        self.texts += texts
        return np.array([[1.0, len(text)] for text in texts], np.float32)

    def embed_query(self, text: str) -> Floats:
        row: Floats = self.embed([text])[0]
        return row


def test_what_was_embedded_once_is_not_again(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    for embedder, texts in ((first, ["a", "bb", "a"]), (second, ["bb", "ccc"])):
        kept = KeptVectors(embedder, tmp_path / "cache" / "vectors.db")
        assert [row[1] for row in kept.embed(texts)] == [len(text) for text in texts]
        kept.close()
    assert (first.texts, second.texts) == (["a", "bb"], ["ccc"])


def test_the_way_back_is_counted_and_timed(data: Path, tmp_path: Path) -> None:
    texts = ["one\n", "one\ntwo\n", "three\n"]
    days = ["2020-01-01T23:30:00+02:00", "2020-01-02T00:30:00+02:00", "2021-05-05T00:00:00+00:00"]
    with gzip.open(data / "versions.jsonl.gz", "wt") as out:
        for text, date in zip(texts, days, strict=True):
            out.write(json.dumps({"id": "a.rst", "date": date, "text": text}) + "\n")
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    tasks: list[dict[str, Any]] = [
        {"kind": "rollback-n", "gold": ["a.rst"], "n": 2, "expect_sha256": hashes[0]},
        {"kind": "rollback-date", "gold": ["a.rst"], "date": "2020-01-01", "expect_sha256": hashes[0]},
        {"kind": "rollback-date", "gold": ["a.rst"], "date": "2021-01-01", "expect_sha256": hashes[1]},
        {"kind": "rollback-n", "gold": ["a.rst"], "n": 1, "expect_sha256": hashes[0]},
    ]
    write(data / "tasks.jsonl", tasks)
    root = tmp_path / "root"
    root.mkdir()
    figures = versions.measure(data, root, None)
    assert (figures["rollback_exact"], figures["rollback_tasks"]) == (3, 4)
    assert 0 < figures["rollback_p50_ms"] <= figures["rollback_max_ms"]


def test_speeds_of_a_few_files(granite: Granite, tmp_path: Path) -> None:
    roots = [tmp_path / str(number) for number in range(5)]
    for root in roots:
        root.mkdir()
    figures = speed.indexing({"a.txt": "some words\n", "b.txt": "others\n"}, granite, roots[0])
    assert figures["files_per_s"] > 0
    assert 0 < figures["embedding_share"] < 1
    assert speed.writes(roots[1], 60)["writes_per_s"] > 0
    text = "".join(f"Paragraph {number} is about the number {number * number}.\n\n" for number in range(100))
    edited = speed.edit(text, granite, roots[2], 12_000)
    assert 1 <= edited["edit_embeds"] <= 2
    assert speed.moves(granite, roots[3]) == {"rename_copy_rollback_embeds": 0}
    assert speed.rescan(roots[4], 150)["rescan_10000_s"] > 0


def test_latency_among_made_up_pieces(granite: Granite, tmp_path: Path) -> None:
    figures = latency.measure(granite, tmp_path, 400, 8, nothing)
    assert figures["searched_chunks"] >= 300
    for name in ("keyword", "query", "filtered"):
        assert 0 < figures[f"{name}_p50_ms"] <= figures[f"{name}_p95_ms"]


def test_weights_that_are_not_at_hand_are_said_to_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(minilm.VARIABLE, str(tmp_path))
    assert minilm.place() is None
    (tmp_path / "model.onnx").touch()
    (tmp_path / "tokenizer.json").touch()
    assert minilm.place() == tmp_path


def test_data_is_refused_where_a_bench_takes_none(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="takes no data"):
        bench.run("overhead", True, data=tmp_path)
    with pytest.raises(BadRequest, match="holds no set"):
        bench.run("search", True, data=tmp_path)

"""The router's strategies, what they predict with, and what is remembered."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from trio.testing import MockClock

from aios.models.remote.model import RemoteModel
from aios.models.scripted import ScriptedModel
from aios.routing.features import BUCKETS, MAX_CHARS, QuestionText, WordCounts
from aios.routing.forecast import Forecast, QueueLoad
from aios.routing.outcomes import KEPT, Outcomes
from aios.routing.prices import Price
from aios.routing.ridge import Ridge
from aios.routing.router import Profile, Router
from aios.routing.speed import FAILURES_FADE_S, Speed
from aios.routing.strategies import STRATEGIES, Candidate, Weights
from aios_syscalls import BadRequest, Budget, CallId, Chat, ChatReply, Embed, Message, NotFound, Rank, Usage

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])

CALM = Weights(explore=0.0)
"""Nothing is tried for the sake of it."""


def chat(text: str = "hi", **fields: Any) -> Chat:
    return Chat(messages=(Message(role="user", content=text),), **fields)


class Graded:
    """A router over scripted models, with a queue and a history that a test makes."""

    def __init__(self, strategy: str, names: str = "ab", weights: Weights = CALM, **more: Any) -> None:
        self.loads: dict[str, QueueLoad] = {}
        models = {name: ScriptedModel(name, name=name) for name in names}
        self.router = Router(
            models, strategy, weights=weights, load=lambda name: self.loads.get(name, QueueLoad()), **more
        )
        self._calls = 0

    def grade(self, text: str, model: str, score: float, answer: str = "so it is") -> None:
        self._calls += 1
        self.router.served(CallId(0, self._calls), 0, "user", chat(text), ChatReply(text=answer, model=model))
        self.router.feedback(CallId(0, self._calls), 0, score)

    def first(self, text: str = "hi", **fields: Any) -> str:
        return self.router.decide(chat(text, **fields)).order[0]


# -- strategies by name


def test_an_unknown_strategy_lists_the_known_ones() -> None:
    with pytest.raises(BadRequest, match="no routing strategy 'best'; there are explicit, round_robin,") as caught:
        Graded("best")
    assert caught.value.field == "router.strategy"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_orders_all_that_can_and_tells_why(strategy: str) -> None:
    graded = Graded(strategy, "abc")
    decision = graded.router.decide(chat())
    assert sorted(decision.order) == ["a", "b", "c"]
    assert decision.judged is (strategy == "cascade")
    facts = decision.facts
    assert facts is not None
    assert facts["strategy"] == strategy
    assert facts["chosen"] == decision.order[0]
    assert facts["reason"]
    assert [each["name"] for each in facts["candidates"]] == [*decision.order]
    named = graded.router.decide(chat(model="b"))
    assert (named.order, named.judged) == (("b",), False)
    assert named.facts is not None
    assert named.facts["strategy"] == "explicit"
    assert [each["why"] for each in named.facts["candidates"]] == ["", *2 * ["is not named by the call"]]


def test_with_one_model_there_is_nothing_to_tell() -> None:
    assert Graded("learned", "a").router.decide(chat()).facts is None


def test_explicit_is_the_order_of_the_configuration() -> None:
    assert Graded("explicit", "bca").router.decide(chat()).order == ("b", "c", "a")


def test_round_robin_takes_turns_and_the_next_in_turn_takes_over() -> None:
    router = Graded("round_robin", "abc").router
    assert [router.decide(chat()).order for _ in range(4)] == [
        ("a", "b", "c"),
        ("b", "c", "a"),
        ("c", "a", "b"),
        ("a", "b", "c"),
    ]


def test_least_wait_goes_by_the_queues() -> None:
    graded = Graded("least_wait", "abc")
    graded.loads = {"a": QueueLoad(1, 5, 1), "b": QueueLoad(1, 0, 1), "c": QueueLoad(1, 1, 1)}
    assert graded.router.decide(chat()).order == ("b", "c", "a")
    graded.loads["a"] = QueueLoad(1, 5, 100)  # of a hundred slots one is taken
    assert graded.first() == "a"


def test_cheapest_puts_unknown_prices_last() -> None:
    profiles = {"a": Profile(None), "b": Profile(Price(2, 2)), "c": Profile(Price(1, 1)), "d": Profile(Price(0, 0))}
    assert Graded("cheapest", "abcd", profiles=profiles).router.decide(chat()).order == ("d", "c", "b", "a")


def test_an_unknown_price_is_left_out_where_money_is_counted() -> None:
    profiles = {"a": Profile(None, quality=1.0), "b": Profile(Price(1, 1)), "c": Profile(Price(9, 9))}
    router = Graded("learned", "abc", profiles=profiles).router
    assert "a" in router.decide(chat()).order
    least = 300 / 1_000_000
    decision = router.decide(chat(), left=Budget(usd=least))
    assert decision.order == ("b",)
    assert decision.facts is not None
    assert {each["name"]: each["why"] for each in decision.facts["candidates"]} == {
        "b": "",
        "a": "may cost more than is left",
        "c": "may cost more than is left",
    }


def test_a_remote_model_of_which_nothing_is_said_has_no_known_price() -> None:
    router = Router({"far": RemoteModel("http://localhost/v1", "m"), "near": ScriptedModel("n", name="near")})
    usage = Usage(prompt_tokens=1, completion_tokens=1)
    assert (router.forecast.usd("far", usage), router.forecast.usd("near", usage)) == (None, 0.0)


# -- what is learnt


def test_learned_prefers_the_model_whose_answers_were_better() -> None:
    graded = Graded("learned")
    assert graded.first() == "a"
    for number in range(20):
        graded.grade(f"tell me about thing {number}", "a", 0.2)
        graded.grade(f"tell me about thing {number}", "b", 0.9)
    assert graded.first("tell me about thing 7") == "b"
    assert graded.first("something entirely else") == "b"


def test_learned_goes_by_the_words() -> None:
    graded = Graded("learned")
    dice = random.Random(3)
    for _ in range(60):
        number = dice.randrange(100)
        graded.grade(f"translate sentence {number} into french please", "a", 1.0)
        graded.grade(f"translate sentence {number} into french please", "b", 0.0)
        graded.grade(f"solve the equation {number} for its unknown", "a", 0.0)
        graded.grade(f"solve the equation {number} for its unknown", "b", 1.0)
    assert graded.first("please translate this into french") == "a"
    assert graded.first("solve this equation") == "b"


@pytest.mark.parametrize("strategy", ["learned", "length", "knn", "least_wait"])
def test_of_equals_the_shorter_queue(strategy: str) -> None:
    graded = Graded(strategy)
    graded.loads = {"a": QueueLoad(2, 30, 2), "b": QueueLoad(2, 1, 2)}
    assert graded.first() == "b"
    graded.loads = {"a": QueueLoad(2, 1, 2), "b": QueueLoad(2, 30, 2)}
    assert graded.first() == "a"


def test_a_rate_limit_is_a_queue_too() -> None:
    graded = Graded("learned")
    graded.router._models["a"].wait_s = 30.0  # type: ignore[misc]
    assert graded.first() == "b"


def test_quality_is_worth_a_wait_and_a_price() -> None:
    graded = Graded("learned", profiles={"a": Profile(quality=0.2), "b": Profile(Price(1, 1), quality=0.9)})
    assert graded.first() == "b"
    graded.loads = {"b": QueueLoad(1, 100, 1)}
    assert graded.first() == "a"
    graded = Graded("learned", profiles={"a": Profile(quality=0.2), "b": Profile(Price(2000, 2000), quality=0.9)})
    assert graded.first() == "a"


def test_length_goes_by_length_alone() -> None:
    graded = Graded("length")
    for number in range(60):
        graded.grade("words " * (1 + number % 3), "a", 1.0)
        graded.grade("words " * (1 + number % 3), "b", 0.6)
        graded.grade("words " * (500 + number), "a", 0.0)
        graded.grade("words " * (500 + number), "b", 0.6)
    assert graded.first("other") == "a"
    assert graded.first("different things " * 200) == "b"
    same = [Graded("length").router.forecast.of("a", chat(text), 0, "user") for text in ("abc", "xyz")]
    assert same[0] == same[1]


def test_a_long_text_is_harder_for_the_weaker_model_before_anything_is_learnt() -> None:
    profiles = {"a": Profile(quality=0.5), "b": Profile(quality=0.9)}
    router = Graded("learned", profiles=profiles).router

    def gap(text: str) -> float:
        facts = router.decide(chat(text)).facts
        assert facts is not None
        by_name = {each["name"]: each["quality"] for each in facts["candidates"]}
        return float(by_name["b"] - by_name["a"])

    assert gap("word " * 1000) > gap("word") > 0


def test_knn_asks_the_nearest_questions_of_the_past() -> None:
    graded = Graded("knn")
    for number in range(40):
        for topic, good in (("boil the pasta and fry onions", "a"), ("integrate the polynomial twice", "b")):
            for name in "ab":
                graded.grade(f"{topic} step {number}", name, float(name == good))
    for number in range(80):
        graded.grade(f"weather of day {number}", "a", 0.5)
    assert graded.first("how do I boil pasta with onions") == "a"
    assert graded.first("please integrate this polynomial") == "b"


def test_cascade_begins_with_the_cheapest_and_of_equal_prices_with_the_plainest() -> None:
    profiles = {
        "a": Profile(Price(9, 9), quality=0.9),
        "b": Profile(Price(0, 0), quality=0.6),
        "c": Profile(Price(0, 0), quality=0.3),
        "d": Profile(None, quality=0.1),
    }
    decision = Graded("cascade", "abcd", profiles=profiles).router.decide(chat())
    assert decision.order == ("c", "b", "a", "d")
    assert decision.judged


def test_cascade_judges_by_what_was_graded() -> None:
    graded = Graded("cascade")
    for number in range(30):
        graded.grade(f"question {number}", "a", 0.0, answer="perhaps, I am unsure")
        graded.grade(f"question {number}", "a", 1.0, answer=f"Therefore the answer is {number}.")
    judge = graded.router.judge
    bad = judge(chat("question 7"), ChatReply(text="perhaps, I am unsure", model="a"))
    good = judge(chat("question 7"), ChatReply(text="Therefore the answer is 7.", model="a"))
    assert bad.good < 0.5 < good.good


def test_what_is_little_known_is_tried() -> None:
    explores, rests = Graded("learned", weights=Weights(explore=0.05)), Graded("learned")
    for number in range(30):
        for graded in (explores, rests):
            graded.grade(f"question {number}", "a", 0.78)  # usual for so short a text is 0.73
    assert rests.first("question 3") == "a"
    assert explores.first("question 3") == "b"
    for number in range(30):
        explores.grade(f"question {number}", "b", 0.3)
    assert explores.first("question 3") == "a"


def test_who_answers_off_its_schema_is_asked_less() -> None:
    graded = Graded("learned")
    call = chat("give me a record", response_schema={"type": "object", "required": ["x"]})
    for _ in range(5):
        graded.router.check(call, ChatReply(text="no JSON", model="a"))
        graded.router.check(call, ChatReply(text='{"x": 1}', model="b"))
    assert graded.router.decide(call).order[0] == "b"


@VIRTUAL
async def test_failures_count_and_fade() -> None:
    graded = Graded("learned", profiles={"a": Profile(quality=0.6), "b": Profile(quality=0.5)})
    assert graded.first() == "a"
    speed = graded.router.forecast.speeds["a"]
    for _ in range(5):
        speed.failed()
    failing = speed.reliability
    assert failing < 0.5
    assert graded.first() == "b"
    await anyio.sleep(FAILURES_FADE_S)
    assert 1 - speed.reliability == pytest.approx((1 - failing) / np.e)
    await anyio.sleep(5 * FAILURES_FADE_S)
    assert graded.first() == "a"


@VIRTUAL
async def test_calls_that_are_served_make_up_for_failures() -> None:
    speed = Speed()
    for _ in range(5):
        speed.failed()
    before = speed.reliability
    for _ in range(10):
        speed.served(1.0)
    assert speed.reliability > 0.9 > before


async def test_speed_learns_what_reading_and_writing_take() -> None:
    speed, dice = Speed(), random.Random(1)
    for _ in range(200):
        read, written = dice.randrange(1, 2000), dice.randrange(1, 300)
        speed.observe(read, written, 0.5 + 0.002 * read + 0.05 * written)
    assert speed.service_s(1000, 100) == pytest.approx(0.5 + 2 + 5, rel=0.05)
    assert speed.service_s(0, 0) >= 0
    assert speed.typical_s is None  # slices, of no whole call


async def test_one_in_twenty_is_slow() -> None:
    speed, dice = Speed(), random.Random(1)
    taken = [dice.gauss(10, 1) for _ in range(2000)]
    for seconds in taken[:4]:
        speed.served(seconds)
    assert speed.slow_s is None
    for seconds in taken[4:]:
        speed.served(seconds)
    slow = speed.slow_s
    assert slow is not None
    assert 0.01 < sum(seconds > slow for seconds in taken) / len(taken) < 0.15


# -- conversations


LONG = "a long story about many things " * 2000


def goes_on(graded: Graded) -> Chat:
    """The second turn of a conversation that b began."""
    opening = chat(LONG)
    graded.router.served(CallId(7, 1), 7, "user", opening, ChatReply(text="I see.", model="b"))
    return chat().model_copy(
        update={
            "messages": (
                *opening.messages,
                Message(role="assistant", content="I see."),
                Message(role="user", content="and then?"),
            )
        }
    )


def test_a_conversation_stays_where_it_has_been_read() -> None:
    graded = Graded("learned")
    call = goes_on(graded)
    assert graded.router.decide(call, 7).order[0] == "b"
    assert graded.router.decide(call, 8).order[0] == "a"  # another process's is not
    assert graded.router.decide(chat(LONG + "!"), 7).order[0] == "a"  # nor a new one


def test_a_conversation_moves_where_the_gain_pays() -> None:
    for better, first in ((0.51, "b"), (0.9, "a")):
        graded = Graded("learned", profiles={"a": Profile(quality=better), "b": Profile(quality=0.5)})
        assert graded.router.decide(goes_on(graded), 7).order[0] == first


def test_a_cached_price_keeps_a_conversation() -> None:
    price = Price(10, 10, 0.1)
    graded = Graded("cheapest", profiles={"a": Profile(price), "b": Profile(price)})
    call = goes_on(graded)
    assert graded.router.decide(call, 7).order[0] == "b"
    a, b = graded.router.forecast.of("ab", call, 7, "user")
    assert a.usd is not None
    assert b.usd is not None
    assert b.usd < a.usd / 5
    assert b.service_s < a.service_s


def test_programs_are_known_by_how_much_they_write() -> None:
    forecast = Forecast({"a": ScriptedModel("a", name="a")}, {}, lambda _: QueueLoad())
    (before,) = forecast.of("a", chat(max_tokens=1000), 0, "brief")
    for _ in range(3):
        reply = ChatReply(text="x", model="a", usage=Usage(completion_tokens=10))
        forecast.served(9, "brief", chat(), reply)
    (after,) = forecast.of("a", chat(max_tokens=1000), 0, "brief")
    (other,) = forecast.of("a", chat(max_tokens=1000), 0, "long-winded")
    assert after.service_s < before.service_s == other.service_s


# -- feedback and memory


def test_an_answer_that_is_none_cannot_be_graded() -> None:
    graded = Graded("learned")
    graded.grade("q", "a", 1.0)
    with pytest.raises(NotFound, match=r"process 3 has no answer to call 0\.1"):
        graded.router.feedback(CallId(0, 1), 3, 1.0)
    with pytest.raises(NotFound):
        graded.router.feedback(CallId(0, 99), 0, 1.0)


def test_an_embedding_is_of_one_model_and_no_strategy_s() -> None:
    graded = Graded("learned")
    rank = Rank(messages=chat().messages, options=("a", "b"))
    assert graded.router.decide(rank).order == ("a", "b")
    with pytest.raises(BadRequest):
        graded.router.decide(Embed(texts=("a",)))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "router.db"


@pytest.mark.parametrize("strategy", ["learned", "length", "knn", "cascade"])
def test_what_was_learnt_is_there_after_a_restart(strategy: str, place: Path) -> None:
    first = Outcomes(place)
    graded = Graded(strategy, outcomes=first)
    for number in range(20):
        graded.grade(f"question {number}", "a", 0.1)
        graded.grade(f"question {number}", "b", 0.9)
    wanted = graded.router.decide(chat("question 3")).facts
    first.close()
    second = Outcomes(place)
    again = Graded(strategy, outcomes=second).router.decide(chat("question 3")).facts
    second.close()
    assert first.trouble == second.trouble == ""
    assert wanted is not None
    assert again is not None
    quality = {each["name"]: each["quality"] for each in again["candidates"]}
    assert quality["b"] > quality["a"]
    assert again["chosen"] == wanted["chosen"]


def test_the_file_is_the_users_alone(place: Path) -> None:
    before = os.umask(0)
    try:
        outcomes = Outcomes(place)
        outcomes.add("a", "q", 1, "x", 0.5)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.parent.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3  # with what SQLite keeps beside it
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    outcomes.close()


def test_the_newest_of_each_model_are_kept(place: Path) -> None:
    outcomes = Outcomes(place)
    for number in range(KEPT + 250):
        outcomes.add("a", f"q{number}", 1, "x", 0.5)
    outcomes.add("b", "q", 1, "x", 1.0)
    known = outcomes.read(["a", "b", "c"])
    assert Counter(each.model for each in known) == {"a": KEPT, "b": 1}
    assert known[-2].question == f"q{KEPT + 249}"
    outcomes.close()
    with sqlite3.connect(place) as database:
        assert database.execute("SELECT COUNT(*) FROM outcomes").fetchone()[0] <= KEPT + 101
    database.close()


def test_several_share_a_file(place: Path) -> None:
    one, two = Outcomes(place), Outcomes(place)
    for number in range(50):
        (one, two)[number % 2].add("a", f"q{number}", 1, "x", 0.5)
    assert one.trouble == two.trouble == ""
    assert len(one.read(["a"])) == len(two.read(["a"])) == 50
    one.close()
    two.close()


def test_a_file_that_another_holds_for_a_moment_is_used_again_after(place: Path) -> None:
    outcomes = Outcomes(place)
    outcomes.add("a", "q", 1, "x", 0.5)
    other = sqlite3.connect(place, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outcomes.add("a", "lost", 1, "x", 0.5)
    other.execute("ROLLBACK")
    other.close()
    outcomes.add("a", "kept", 1, "x", 0.5)
    assert outcomes.trouble == ""
    assert [each.question for each in outcomes.read(["a"])] == ["q", "kept"]
    outcomes.close()


def broken(how: str, place: Path) -> None:
    place.parent.mkdir()
    if how == "garbage":
        place.write_bytes(b"not a database" * 1000)
    elif how == "directory":
        place.mkdir()
    elif how == "another table":
        with sqlite3.connect(place) as database:
            database.execute("CREATE TABLE outcomes (x)")
        database.close()
    elif how == "no directory":
        place.parent.rmdir()
        place.parent.write_text("a file")


@pytest.mark.parametrize("how", ["garbage", "directory", "another table", "no directory"])
def test_a_broken_file_is_told_and_does_not_hurt(how: str, place: Path) -> None:
    broken(how, place)
    outcomes = Outcomes(place)
    graded = Graded("learned", outcomes=outcomes)
    for number in range(20):
        graded.grade(f"question {number}", "b", 1.0)
    assert graded.first("question 3") == "b"
    assert outcomes.trouble.startswith(f"what the router learns is not kept: {place}: ")
    assert outcomes.read(["a", "b"]) == []
    outcomes.close()


def test_rows_that_make_no_sense_are_passed_over(place: Path) -> None:
    outcomes = Outcomes(place)
    outcomes.add("a", "sound", 5, "x", 1.0)
    rows: list[tuple[Any, ...]] = [
        ("a", "q", 1, "x", None),
        ("a", "q", 1, "x", "good"),
        ("a", "q", 1, "x", 7.0),
        ("a", None, 1, "x", 0.5),
        ("a", b"\xff", 1, "x", 0.5),
        ("a", "q", -9, "x", 0.5),
        ("a", "q", "long", "x", 0.5),
    ]
    with sqlite3.connect(place) as database:
        database.executemany("INSERT INTO outcomes VALUES (0, ?, ?, ?, ?, ?)", rows)
    database.close()
    for strategy in ("learned", "knn", "cascade"):
        assert Graded(strategy, outcomes=outcomes).first("sound")
    assert [each.question for each in outcomes.read(["a"])] == ["sound"]
    outcomes.close()


# -- ridge regression


def exact(rows: list[tuple[Any, Any, Any, float]], scale: float, strength: float) -> Any:
    """The weights of the dense features, of the constant and of the buckets, by the normal equations."""
    used = sorted({int(index) for _, indices, _, _ in rows for index in indices})
    matrix = np.zeros((len(rows), 3 + len(used)))
    for place, (dense, indices, weights, _) in enumerate(rows):
        matrix[place, :2] = np.asarray(dense) * scale
        matrix[place, 2] = 1
        for index, weight in zip(indices, weights, strict=True):
            matrix[place, 3 + used.index(int(index))] += weight
    target = np.array([row[3] for row in rows])
    solved = np.linalg.solve(matrix.T @ matrix + strength * np.eye(matrix.shape[1]), matrix.T @ target)
    return matrix @ solved


@pytest.mark.parametrize("strength", [0.5, 8.0])
@pytest.mark.parametrize("capacity", [100, 25])
def test_ridge_comes_to_the_exact_solution(strength: float, capacity: int) -> None:
    dice = np.random.default_rng(5)
    ridge = Ridge(2, strength, 0.5, capacity)
    rows: list[tuple[Any, Any, Any, float]] = []
    for _ in range(60):
        index = dice.choice([3, 17, 400, BUCKETS - 1], size=2, replace=False)
        row = (dice.normal(size=2), index, dice.normal(size=2), float(dice.normal()))
        rows.append(row)
        ridge.add(*row)
    assert len(ridge) == min(capacity, 60)
    ridge.settle(rounds=300)
    kept = rows[-capacity:]
    predicted = [sum(ridge.predict(dense, index, weights)) for dense, index, weights, _ in kept]
    assert predicted == pytest.approx(exact(kept, 0.5, strength), abs=1e-6)


def test_ridge_is_near_it_even_as_it_learns() -> None:
    dice = np.random.default_rng(6)
    ridge = Ridge(2, 8.0, 0.5, 1000)
    rows = [(dice.normal(size=2), np.array([int(dice.integers(5))]), np.ones(1), 0.0) for _ in range(300)]
    rows = [(dense, index, weights, float(dense[0] + index[0] / 5)) for dense, index, weights, _ in rows]
    for row in rows:
        ridge.add(*row)
    predicted = np.array([sum(ridge.predict(dense, index, weights)) for dense, index, weights, _ in rows])
    assert np.abs(predicted - exact(rows, 0.5, 8.0)).mean() < 0.05


# -- large prompts

MEBIBYTE = 1 << 20


def test_of_a_large_text_the_ends_are_looked_at() -> None:
    text = QuestionText.of("begin " + "middle " * (MEBIBYTE // 7) + "end")
    assert len(text.content) <= MAX_CHARS + 1
    assert text.content.startswith("begin")
    assert text.content.endswith("end")
    assert text.length > MEBIBYTE - 10
    vocabulary = WordCounts()
    vocabulary.add(text)
    assert len(vocabulary.weigh(text)[0]) == len(text.terms)


async def test_the_answer_that_is_remembered_is_short_too(place: Path) -> None:
    outcomes = Outcomes(place)
    graded = Graded("learned", outcomes=outcomes)
    graded.grade("q" * MEBIBYTE, "a", 1.0, answer="x" * MEBIBYTE)
    outcomes.close()
    assert place.stat().st_size < 100_000


def test_candidates_in_the_record_are_plain_and_short() -> None:
    facts = Graded("learned").router.decide(chat()).facts
    assert facts is not None
    assert {*facts["candidates"][0]} == {*Candidate.__slots__}

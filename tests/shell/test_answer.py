"""Answers are held against the passages that they cite."""

from __future__ import annotations

import pytest

from aios.cli.shell.answer import (
    SILENT,
    CitedPassage,
    Claim,
    borne_out,
    claims,
    doubts,
    evidence,
    fitting,
    grammar,
    prompt,
)

PASSAGES = (
    CitedPassage("town.txt", 3, "Maria Keller was elected mayor of Ashford in 2019, with 61 percent of the votes."),
    CitedPassage("kettle.txt", 1, "The kettle boils a litre of water in 3.5 minutes and costs 1,200 crowns."),
)


def test_an_answer_in_the_words_of_its_source_is_borne_out() -> None:
    found = claims("Maria Keller was elected mayor in 2019 [1]. The kettle boils water in 3.5 minutes [2].", PASSAGES)
    assert found == [
        Claim("Maria Keller was elected mayor in 2019", (1,), True),
        Claim("The kettle boils water in 3.5 minutes", (2,), True),
    ]
    assert doubts(found) == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("Maria Keller was elected mayor in 2018 [1].", "does not say so"),
        ("Peter Novak leads the council since his victory [1].", "does not say so"),
        ("Maria Keller was elected mayor in 2019 [2].", "[2] does not say so (but [1] does)"),
        ("Maria Keller was elected mayor in 2019.", "no source is given"),
        ("Maria Keller was elected mayor in 2019 [7].", "no source is given"),
        ("", "wrote nothing"),
    ],
)
def test_what_no_source_bears_out_is_doubted(answer: str, why: str) -> None:
    (doubt,) = doubts(claims(answer, PASSAGES))
    assert why in doubt


def test_figures_are_the_same_however_thousands_are_written() -> None:
    assert claims("The kettle costs 1200 crowns [2]", PASSAGES)[0].borne_out


def test_several_sources_may_bear_out_one_claim() -> None:
    (claim,) = claims("Maria Keller boils water in her kettle [1][2]", PASSAGES)
    assert (claim.cites, claim.borne_out) == ((1, 2), True)
    assert claims("Maria Keller boils water in her kettle [1, 2]", PASSAGES)[0].cites == (1, 2)


def test_the_evidence_is_the_line_that_says_most_of_it() -> None:
    passage = CitedPassage("a.txt", 7, "Ashford is a town.\nMaria Keller was elected in 2019.\nIt rained in 2019.")
    assert evidence(passage, "Maria Keller was elected mayor in 2019") == (8, "Maria Keller was elected in 2019.")
    assert evidence(passage, "nothing of it") == (7, "Ashford is a town.")
    assert evidence(CitedPassage("a.txt", 1, ""), "x") == (1, "")


def test_saying_that_the_files_do_not_say_is_no_claim() -> None:
    assert doubts(claims(SILENT, PASSAGES)) == []


def test_passages_fill_the_room_there_is() -> None:
    assert fitting(PASSAGES, 10_000) == list(PASSAGES)
    assert fitting(PASSAGES, 100) == [PASSAGES[0]]
    assert fitting(PASSAGES, 10) == [CitedPassage("town.txt", 3, "Maria Kell")]
    assert prompt("Who?", PASSAGES).startswith("[1] town.txt\nMaria")


def test_the_grammar_has_every_number_and_no_other() -> None:
    assert '("1" | "2" | "3")' in grammar(3)


def test_a_claim_in_a_script_without_blanks_is_held_against_its_passage_too() -> None:
    source = "東京の天気は晴れです。気温は二十度です。"
    assert borne_out("東京の天気は晴れ", source)
    assert not borne_out("大阪では雪が降っている", source)
    passage = CitedPassage("a.txt", 1, "見出し\n東京の天気は晴れです。\n気温は二十度です。")
    assert evidence(passage, "気温は二十度")[0] == 3

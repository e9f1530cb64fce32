"""Routing between a weak and a strong model: questions that both were asked, how they are split, what is measured."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aios_syscalls import BadRequest, NotFound

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SEEDS = range(5)
HELD_OUT = 0.25
"""Share of the subjects that a router is asked about without having seen them."""
_TRUTHS = {"1": 1.0, "1.0": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class Questions:
    """Prompts and how good both answers were, 0 to 1; subjects and the weak model's answers where there are any."""

    prompts: Sequence[str]
    weak: Floats
    strong: Floats
    subjects: Sequence[str] = ()
    answers: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.prompts)


@dataclass(frozen=True, slots=True)
class Split:
    """Which questions a router learns from, and which it is measured on."""

    fit: Ints
    test: Ints


def mmlu(data: Path) -> Questions:
    """RouteLLM's MMLU with its subjects. Raises NotFound for a file and BadRequest for a column that is not there."""
    return _read(data, "mmlu", subject="domain")


def gsm8k(data: Path) -> Questions:
    """RouteLLM's GSM8K with the weak model's answers. Raises NotFound and BadRequest as `mmlu` does."""
    return _read(data, "gsm8k", answer="weak_response")


def seen(count: int, seed: int) -> Split:
    """A random half to learn from, the other to be measured on."""
    order = np.random.default_rng(seed).permutation(count)
    return Split(order[: count // 2], order[count // 2 :])


def unseen(subjects: Sequence[str], seed: int) -> Split:
    """Whole subjects to be measured on, all others to learn from."""
    names = sorted(set(subjects))
    held = set(np.random.default_rng(seed).permutation(names)[: round(HELD_OUT * len(names))].tolist())
    out = np.array([subject in held for subject in subjects], bool)
    return Split(np.flatnonzero(~out), np.flatnonzero(out))


def apgr(score: Floats, weak: Floats, strong: Floats) -> float:
    """Average performance gap recovered (Ong et al. 2024, RouteLLM), when the highest scores go to the strong model.

    The area under the share of strong calls -> the share of the gap between both models that is recovered: .5 for
    chance, and above 1 for an oracle, as it never asks the strong model where only the weak one is right.
    """
    return float(np.trapezoid(_recovered(score, weak, strong), dx=1 / len(score)))


def recovered(score: Floats, weak: Floats, strong: Floats, share: float) -> float:
    """The share of the gap that is recovered by a `share` of strong calls, 0 to 1."""
    return float(_recovered(score, weak, strong)[round(share * len(score))])


def cpt(score: Floats, weak: Floats, strong: Floats, share: float) -> float:
    """Call-performance threshold (Ong et al. 2024): the least share of strong calls to recover `share` of the gap."""
    enough = _recovered(score, weak, strong) >= share - 1e-9
    return float(np.argmax(enough)) / len(score)


def regret(score: Floats, weak: Floats, strong: Floats, share: float | None = None) -> float:
    """How much worse an answer is, on average, than that of an oracle which makes as many strong calls.

    The oracle knows both answers to every question, and asks the strong model where that gains most. As it makes no
    more and no fewer calls, a router is blamed for its choice alone, not for how much it may spend. At a `share` of
    strong calls, or else the mean over all shares.
    """
    gain = strong - weak
    lost = (_gained(gain, gain) - _gained(score, gain)) / len(score)
    return float(lost.mean() if share is None else lost[round(share * len(score))])


def auroc(score: Floats, right: Sequence[bool] | NDArray[np.bool_]) -> float:
    """How often a right one has a higher score than a wrong one, ties counting half (Mann and Whitney 1947).

    Raises BadRequest where there are not both.
    """
    truth = np.asarray(right, bool)
    count = int(truth.sum())
    if count in (0, len(truth)):
        raise BadRequest("an AUROC compares right with wrong answers; give some of both")
    _, place, sizes = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[place]
    return float((ranks[truth].sum() - count * (count + 1) / 2) / (count * (len(truth) - count)))


def oracle(weak: Floats, strong: Floats) -> Floats:
    """The score of one who knows both answers: what the strong model gains."""
    return strong - weak


def chance(count: int, seed: int) -> Floats:
    """The score of one who throws dice."""
    return np.random.default_rng(seed).random(count)


def _recovered(score: Floats, weak: Floats, strong: Floats) -> Floats:
    """The share of the gap that is recovered by 0, 1, ... strong calls. Raises BadRequest where there is no gap."""
    gap = float((strong - weak).sum())
    if gap <= 0:
        raise BadRequest(
            "the strong model is no better than the weak one on these questions; there is no gap to recover"
        )
    return _gained(score, strong - weak) / gap


def _gained(score: Floats, gain: Floats) -> Floats:
    """What 0, 1, ... strong calls gain, for the highest scores first.

    Those with the same score gain what they gain on average, so that the order of the file decides nothing.
    """
    _, place, sizes = np.unique(-score, return_inverse=True, return_counts=True)
    means = np.bincount(place, gain) / sizes
    return np.append(0.0, np.cumsum(np.repeat(means, sizes)))


def _read(data: Path, name: str, subject: str = "", answer: str = "") -> Questions:
    path = data / f"routellm_{name}_gpt4_vs_mixtral.csv"
    # Questions that are nearly the same as one that RouteLLM's own routers were trained on.
    out = set(_contaminated(data / f"routellm_contaminated_{name}.jsonl"))
    needed = [column for column in ("prompt", "weak_correct", "strong_correct", subject, answer) if column]
    rows = [row for row in _rows(path, needed) if row["prompt"] not in out]
    if not rows:
        raise BadRequest(f"{path} has no question; fetch it again from lm-sys/RouteLLM", "data")
    weak, strong = (_truths(path, rows, f"{model}_correct") for model in ("weak", "strong"))
    subjects, answers = ([row[column] for row in rows] if column else [] for column in (subject, answer))
    return Questions([row["prompt"] for row in rows], weak, strong, subjects, answers)


def _rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restval="")
            if missing := [column for column in needed if column not in (reader.fieldnames or ())]:
                raise BadRequest(
                    f"{path} has no column {', '.join(missing)}; fetch it again from lm-sys/RouteLLM", "data"
                )
            return list(reader)
    except OSError as error:
        raise _absent(path) from error
    except (ValueError, csv.Error) as error:
        raise BadRequest(f"{path} is no table of comma-separated values: {error}", "data") from error


def _contaminated(path: Path) -> Iterator[str]:
    try:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if line.strip():
                try:
                    yield str(json.loads(line)["eval_prompt"])
                except (ValueError, TypeError, KeyError) as error:
                    raise BadRequest(f"{path}:{number} is no JSON object with an eval_prompt", "data") from error
    except OSError as error:
        raise _absent(path) from error


def _absent(path: Path) -> NotFound:
    return NotFound(f"there is no {path}; name the directory of the routing data with --data")


def _truths(path: Path, rows: Sequence[dict[str, str]], column: str) -> Floats:
    if strange := {row[column] for row in rows if row[column].strip().lower() not in _TRUTHS}:
        raise BadRequest(f"{path} has {min(strange)[:40]!r} in {column}, which is neither 0 nor 1", "data")
    return np.array([_TRUTHS[row[column].strip().lower()] for row in rows])

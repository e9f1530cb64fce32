"""The router: who tells which questions need the strong model, what a decision takes, and what a queue costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from aios.bench import Report, at_least, at_most, route_data
from aios.bench.chart import Chart
from aios.bench.progress import progress
from aios.bench.route import choosing, deciding, judging, queues
from aios.bench.route_data import Questions

DEFAULT = Path("../shared/data/routing")

GOALS = (
    at_least("mmlu_seen_apgr", 0.67),
    at_least("mmlu_unseen_apgr", 0.60),
    at_least("mmlu_unseen_minus_length", -0.01),
    at_least("gsm8k_apgr", 0.61),
    at_least("cascade_auroc", 0.70),
    at_most("decision_p99_ms", 2),
    *(at_least(f"{how}_learned_vs_{rival}", 1) for how in ("sim", "live") for rival in queues.RIVALS),
)
ON_DATA = tuple(goal.name for goal in GOALS[:5])
"""What is measured on the data."""
WORST = "mmlu_unseen_minus_length_worst"
SPREAD = (*ON_DATA, "length.mmlu_unseen_apgr")


@dataclass(frozen=True, slots=True)
class RouteSize:
    """How much of everything."""

    seeds: Sequence[int]
    most: int | None
    """Questions to learn from, and to be measured on, of each split."""
    learnt: int
    """Outcomes that are known before decisions are timed."""
    asked: int
    """Decisions that are timed."""
    simulated: int
    live: int
    """Calls with two endpoints to choose from."""
    pace: float = 0.2
    """Of live calls: the times of simulated ones are multiplied by it."""


FULL = RouteSize(route_data.SEEDS, None, 2000, 2000, 400, 60)
QUICK = RouteSize(range(1), 400, 200, 200, 100, 15, 0.1)


def main(quick: bool, data: Path | None = None) -> Report:
    """Everything, in some eight minutes on two busy cores."""
    return report(QUICK if quick else FULL, data or (DEFAULT if DEFAULT.is_dir() else None))


def report(size: RouteSize, data: Path | None) -> Report:
    """Everything; without data, what needs none. Raises NotFound and BadRequest for data that is not there or wrong."""
    with progress() as tell:
        sets = {"mmlu": route_data.mmlu(data), "gsm8k": route_data.gsm8k(data)} if data else {}
        found = _on_data(size, sets, tell)
        tell("decisions are timed")
        prompts = sets["mmlu"].prompts if sets else ()
        figures: dict[str, float | None] = {name: fmean(values) for name, values in found.items()}
        figures |= deciding.measure(prompts, size.learnt, size.asked)
        tell("two endpoints in virtual time")
        figures |= queues.simulated(size.simulated, size.seeds)
        tell("two endpoints in real time")
        figures |= queues.live(size.live, size.seeds[0], size.pace)
    why = f"there is no {DEFAULT}; name the directory of the routing data with --data"
    missing = {} if sets else dict.fromkeys([*ON_DATA, WORST], why)
    if sets:
        figures[WORST] = min(found["mmlu_unseen_minus_length"])
    ordered = {name: figures.get(name) for name in (*(goal.name for goal in GOALS), WORST)}
    notes, charts = _notes(size, found), _charts() if sets else []
    return Report.of("route", ordered | figures, GOALS, missing=missing, notes=notes, charts=charts)


def _on_data(size: RouteSize, sets: Mapping[str, Questions], tell: Callable[[str], None]) -> dict[str, list[float]]:
    if not sets:
        return {}
    cases = list(choosing.cases(sets, size.seeds, size.most))
    return choosing.measure(cases, tell) | judging.measure(sets["gsm8k"], size.seeds, size.most, tell)


def _notes(size: RouteSize, found: Mapping[str, Sequence[float]]) -> list[str]:
    """How the figures came about, and how far those of single splits are apart."""
    notes = []
    if found:
        part = "" if size.most is None else f", {size.most} questions to learn from and as many to be asked"
        spread = "; ".join(f"{name} {min(found[name]):.3f} to {max(found[name]):.3f}" for name in SPREAD)
        worst = min(zip(found["mmlu_unseen_minus_length"], size.seeds, strict=True))
        notes += [
            "No prefix: the strategy learned. length: the same without words; prompt_length: characters, nothing "
            "learnt; tfidf: the same without the length; knn: Chroma; oracle knows both answers. seen: half of the "
            "questions to learn from; unseen: other subjects. apgr: .5 is chance; cpt50, cpt80: share of strong calls "
            "for so much of the gap; regret: how much worse than the oracle with as many strong calls.",
            f"Means over {len(size.seeds)} random splits{part} (knn: {choosing.NEAREST_SEEDS} splits, at most "
            f"{choosing.NEAREST_TEST} questions of each). Of single splits: {spread}.",
            f"Worst unseen split beside length: number {worst[1]}, {worst[0]:+.3f}.",
            "cascade_auroc: the judge on the weak model's answers to GSM8K, half of them learnt from; length: a short "
            "answer is a right one.",
        ]
    return [
        *notes,
        f"Decisions: three models, {size.learnt} outcomes known, {size.asked} new prompts, one in {deciding.EVERY} of "
        f"{deciding.LONG // 1000} kB{'' if found else ', made up as there is no data'}; cpu: without what other "
        "processes took of the processor meanwhile.",
        f"Two endpoints, the same answers: {queues.QUEUED} calls wait at one, and it gets "
        f"{queues.BACKGROUND_RATE / queues.SLOTS * queues.TOKENS * queues.TOKEN_S:.0%} of what it can serve; static is "
        f"the first in the configuration, which is that one. Mean latency of the calls that name neither: "
        f"{size.simulated} in virtual time for each of {len(size.seeds)} seeds, {size.live} live at {size.pace:g} of "
        "the times; the real kernel in both.",
    ]


def _charts() -> list[Chart]:
    """Strong calls against the gap recovered, for subjects unseen and seen."""
    return [
        Chart(
            f"gap recovered by a share of strong calls, {set.replace('_', ' ')} subjects",
            "share of the gap",
            {
                strategy: {
                    f"{share:.0%}": f"{choosing.prefix(strategy)}{set}_at_{100 * share:.0f}"
                    for share in choosing.SHARES
                }
                for strategy in choosing.DRAWN
            },
            "line",
        )
        for set in choosing.CHARTS
    ]

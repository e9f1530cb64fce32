"""How well the judge of a cascade tells right from wrong answers of the weak model, beside what knows nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from aios.bench.route_data import Questions, auroc, chance, seen
from aios.routing.judge import Judge


def measure(
    questions: Questions, seeds: Sequence[int], most: int | None, tell: Callable[[str], None]
) -> dict[str, list[float]]:
    """On the half that the judge has not learnt from; a short answer is thought right by `length`."""
    found: dict[str, list[float]] = {"cascade_auroc": [], "length.cascade_auroc": [], "random.cascade_auroc": []}
    for seed in seeds:
        tell(f"gsm8k, split {seed}: the judge learns from one half of the weak model's answers")
        split, judge = seen(len(questions), seed), Judge()
        for at in split.fit[:most]:
            judge.learn(questions.prompts[at], questions.answers[at], float(questions.weak[at]))
        test = split.test[:most]
        right = questions.weak[test] > 0.5
        good = [judge.judge(questions.prompts[at], questions.answers[at]).good for at in test]
        found["cascade_auroc"].append(auroc(np.array(good), right))
        short = np.array([-float(len(questions.answers[at])) for at in test])
        found["length.cascade_auroc"].append(auroc(short, right))
        found["random.cascade_auroc"].append(auroc(chance(len(test), seed), right))
    return found

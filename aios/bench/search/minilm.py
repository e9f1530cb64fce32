"""What AIOS's own file system searches with: all-MiniLM-L6-v2 on the first 256 tokens of each file, and nothing else.

Its weights are no part of this project; where `AIOS_MINILM` names a directory with `model.onnx` (any precision) and
`tokenizer.json`, they are measured beside the default.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from aios.bench.search.sets import Set, ndcg
from aios_storage.embedders import Floats
from aios_storage.embedders.onnx import load_onnxruntime

VARIABLE = "AIOS_MINILM"
TOKENS = 256


def place() -> Path | None:
    """Where the weights are."""
    named = os.environ.get(VARIABLE)
    found = Path(named) if named else None
    return found if found and (found / "model.onnx").is_file() and (found / "tokenizer.json").is_file() else None


def measure(each: Set, weights: Path) -> float:
    """nDCG@10 of the nearest files."""
    model = _MiniLm(weights)
    paths = list(each.documents)
    matrix = np.stack([model.embed(each.documents[path]) for path in paths])
    total = 0.0
    for id, question in each.questions.items():
        order = np.argsort(-(matrix @ model.embed(question)), kind="stable")[:10]
        total += ndcg([paths[at] for at in order], each.relevant[id])
    return total / len(each.questions)


class _MiniLm:
    def __init__(self, weights: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(TOKENS)
        self._session: Any = load_onnxruntime().InferenceSession(str(weights / "model.onnx"))
        self._inputs = {each.name for each in self._session.get_inputs()}

    def embed(self, text: str) -> Floats:
        ids = np.array([self._tokenizer.encode(text).ids], np.int64)
        every = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        states: Floats = self._session.run(None, {name: every[name] for name in self._inputs})[0][0]
        mean: Floats = states.mean(0) if states.ndim == 2 else states
        return mean / np.linalg.norm(mean)

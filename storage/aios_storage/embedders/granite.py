"""The default embedder: granite-embedding-30m-english, a RoBERTa of 6 layers x 384, on onnxruntime.

Its matrices of attention and of the first half of each feed-forward are multiplied as int8, which is half again as
fast as float32. What goes into them is quantized with one scale for a text, so the few channels that are far larger
than the rest would leave the others no precision; as in SmoothQuant (Xiao et al., 2023) part of their size is moved
into the weights. How large a channel gets is told by the layer norm before it, without any data. The second half
of the feed-forward stays float32: its outliers cannot be foreseen. Cosine to float32 throughout: 0.998 to 0.999.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from aios_storage.embedders import Floats
from aios_storage.embedders.onnx import MICROSOFT, OnnxGraph, load_onnxruntime
from aios_storage.embedders.pack import Pack, read
from aios_syscalls.errors import ModelFailed

DEVIATIONS = 3
"""How far from its mean, in standard deviations, a channel behind a layer norm is expected to go."""
CHARACTERS_A_TOKEN = 16
"""More than any text has on average: what is beyond `context` tokens of these is not even tokenized."""


class Granite:
    """The pack at `path`; texts are computed one by one, on `threads` threads side by side.

    Loads at first use (0.3 s; 130 MB). Raises NotFound or ModelFailed for a pack that is missing or damaged.
    """

    id = "granite-embedding-30m-english/int8"
    dimension = 384

    def __init__(self, path: str | Path, context: int = 512, threads: int = 1) -> None:
        self.context = context
        self.threads = threads
        self._path = Path(path).absolute()  # it is read later

    @cached_property
    def _loaded(self) -> tuple[Pack, Any, Any]:
        from tokenizers import Tokenizer

        pack = read(self._path)
        if pack.arch["hidden"] != self.dimension or self.context > pack.meta["max_length"]:
            raise ModelFailed(
                f"{self._path} is another model than {self.id}; python -m aios.artifacts fetches that one"
            )
        tokenizer = Tokenizer.from_str(pack.tokenizer)
        tokenizer.enable_truncation(self.context)
        return pack, tokenizer, _session(_graph(pack))

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit rows; a text of which nothing is left after tokenizing has the vector of the empty text."""
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        self._loaded  # noqa: B018 - once, before there are threads
        if self.threads == 1 or len(texts) == 1:
            return np.stack([self._row(text) for text in texts])
        with ThreadPoolExecutor(min(self.threads, len(texts))) as pool:
            return np.stack(list(pool.map(self._row, texts)))

    def embed_query(self, text: str) -> Floats:
        """The model makes no difference between questions and documents."""
        return self._row(text)

    def _row(self, text: str) -> Floats:
        pack, tokenizer, session = self._loaded
        text = text[: CHARACTERS_A_TOKEN * self.context].encode("utf-8", "replace").decode()
        tokens = tokenizer.encode(text).ids
        words = pack.quantized["word_emb"].rows(tokens) + pack.plain["type_emb"][0]
        start = pack.arch["position_offset"]
        words += pack.plain["pos_emb"][start : start + len(tokens)]
        vector: Floats = session.run(None, {"words": words[None]})[0][0, 0]
        return vector / np.linalg.norm(vector)


def _session(model: bytes) -> Any:
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    # One thread a text: texts side by side use cores better than one text on several, and a search's is short.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Processors without VNNI would add products of bytes in sixteen bits, which overflow: vectors unlike others'.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _graph(pack: Pack) -> bytes:
    graph, arch = OnnxGraph(), pack.arch
    width, epsilon = arch["hidden"], float(arch["layer_norm_eps"])

    def norm(name: str) -> tuple[str, str]:
        return graph.constant(pack.plain[name + ".w"]), graph.constant(pack.plain[name + ".b"])

    def add_norm(x: str, y: str, name: str) -> str:
        return graph.node("SkipLayerNormalization", x, y, *norm(name), domain=MICROSOFT, epsilon=epsilon)

    def quick(x: str, name: str, behind: str = "") -> str:
        """x times a matrix in int8; `behind` is the layer norm that x comes out of."""
        weights = np.ascontiguousarray(pack.matrix(name + ".w").T)
        if behind:
            reach = DEVIATIONS * np.abs(pack.plain[behind + ".w"]) + np.abs(pack.plain[behind + ".b"])
            move = np.sqrt(reach / np.abs(weights).max(1))
            weights *= move[:, None]
            x = graph.node("Mul", x, graph.constant((1 / move).astype(np.float32)))
        scales = np.abs(weights).max(0) / 127
        small = np.rint(weights / scales).astype(np.int8)
        rest = (small, scales.astype(np.float32), np.zeros(len(scales), np.int8), pack.plain[name + ".b"])
        return graph.node("DynamicQuantizeMatMul", x, *map(graph.constant, rest), domain=MICROSOFT)

    behind = "emb_ln"
    x = graph.node("LayerNormalization", "words", *norm(behind), axis=-1, epsilon=epsilon)
    for layer in range(arch["layers"]):
        name = f"l{layer}."
        three = graph.node("Split", quick(x, name + "qkv", behind), outputs=3, axis=-1, num_outputs=3)
        heads = {"num_heads": int(arch["heads"])}
        seen = graph.node("MultiHeadAttention", three, f"{three}.1", f"{three}.2", domain=MICROSOFT, **heads)
        x = add_norm(quick(seen, name + "ao"), x, name + "aln")
        wide = graph.node("Gelu", quick(x, name + "f1", name + "aln"), domain=MICROSOFT)
        weights = graph.constant(np.ascontiguousarray(pack.matrix(name + "f2.w").T))
        back = graph.node("Add", graph.node("MatMul", wide, weights), graph.constant(pack.plain[name + "f2.b"]))
        behind = name + "fln"
        x = add_norm(back, x, behind)
    # The first token's vector stands for the text (CLS pooling).
    first = graph.node("Gather", x, graph.constant(np.array([0])), axis=1)
    return graph.model(("words", (1, "tokens", width)), (first, (1, 1, width)))

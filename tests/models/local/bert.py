"""A BERT of one layer with random weights: written as a GGUF file, and computed by hand.

The file format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The model: Devlin et al., "BERT", 2018.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

WORDS = ("the", "sea", "is", "blue", "cat", "sat", "on", "a", "mat", "ship")
TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"\u2581{word}" for word in WORDS))
UNKNOWN, CLS, SEP = 1, 2, 3
NORMAL, CONTROL = 1, 3
WIDTH, HEADS, INNER, CONTEXT = 32, 2, 64, 16
EPSILON = 1e-12
ALIGNMENT = 32


class Bert:
    """The weights, by their names in the file; what they make of a text."""

    def __init__(self, seed: int = 1) -> None:
        random = np.random.default_rng(seed)

        def some(*shape: int) -> Array:
            return (random.standard_normal(shape) * 0.3).astype(np.float32)

        layer = {
            **{f"attn_{each}.weight": some(WIDTH, WIDTH) for each in ("q", "k", "v", "output")},
            **{f"attn_{each}.bias": some(WIDTH) for each in ("q", "k", "v", "output")},
            **{f"{each}_norm.{part}": some(WIDTH) for each in ("attn_output", "layer_output") for part in PARTS},
            "ffn_up.weight": some(INNER, WIDTH),
            "ffn_up.bias": some(INNER),
            "ffn_down.weight": some(WIDTH, INNER),
            "ffn_down.bias": some(WIDTH),
        }
        self.tensors: Mapping[str, Array] = {
            "token_embd.weight": some(len(TOKENS), WIDTH),
            "token_types.weight": some(2, WIDTH),
            "position_embd.weight": some(CONTEXT, WIDTH),
            "token_embd_norm.weight": some(WIDTH),
            "token_embd_norm.bias": some(WIDTH),
            **{f"blk.0.{name}": tensor for name, tensor in layer.items()},
        }

    def write(self, path: Path, **metadata: Any) -> Path:
        """The model as a GGUF file, with other values of `bert.*` where they are named."""
        values: dict[str, Any] = {
            "general.architecture": "bert",
            "bert.block_count": 1,
            "bert.context_length": CONTEXT,
            "bert.embedding_length": WIDTH,
            "bert.feed_forward_length": INNER,
            "bert.attention.head_count": HEADS,
            "bert.attention.layer_norm_epsilon": EPSILON,
            "bert.attention.causal": False,
            "bert.pooling_type": 1,
            "tokenizer.ggml.model": "bert",
            "tokenizer.ggml.token_type_count": 2,
            "tokenizer.ggml.tokens": TOKENS,
            "tokenizer.ggml.token_type": [CONTROL if token.startswith("[") else NORMAL for token in TOKENS],
            "tokenizer.ggml.bos_token_id": CLS,
            "tokenizer.ggml.seperator_token_id": SEP,
            "tokenizer.ggml.unknown_token_id": UNKNOWN,
            "tokenizer.ggml.padding_token_id": 0,
            **{f"bert.{key}": value for key, value in metadata.items()},
        }
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(values))
        head += b"".join(_string(key) + _typed(value) for key, value in values.items())
        body = b""
        for name, tensor in self.tensors.items():
            sizes = tensor.shape[::-1]
            head += _string(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, 0, len(body))
            body += _padded(tensor.tobytes())
        path.write_bytes(_padded(head) + body)
        return path

    def vectors(self, text: str) -> Array:
        """The last layer's vectors of [CLS], the words and [SEP]."""
        ids = [CLS, *(WORDS.index(word) + 5 if word in WORDS else UNKNOWN for word in text.split()), SEP]
        places = self.tensors["position_embd.weight"][: len(ids)]
        state = self.tensors["token_embd.weight"][ids] + self.tensors["token_types.weight"][0] + places
        state = self._norm(state, "token_embd_norm")
        q, k, v = (self._linear(state, f"blk.0.attn_{each}").reshape(len(ids), HEADS, -1) for each in "qkv")
        scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(WIDTH / HEADS)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        seen = np.einsum("hij,jhd->ihd", shares, v).reshape(len(ids), WIDTH)
        state = self._norm(state + self._linear(seen, "blk.0.attn_output"), "blk.0.attn_output_norm")
        inner = self._linear(state, "blk.0.ffn_up")
        inner = 0.5 * inner * (1 + np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3)))
        return self._norm(state + self._linear(inner, "blk.0.ffn_down"), "blk.0.layer_output_norm")

    def _linear(self, state: Array, name: str) -> Array:
        return state @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]

    def _norm(self, state: Array, name: str) -> Array:
        state = state - state.mean(-1, keepdims=True)
        state = state / np.sqrt((state**2).mean(-1, keepdims=True) + EPSILON)
        return state * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]


PARTS = ("weight", "bias")


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _typed(value: Any) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _string(value)
        case [str(), *_]:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_string, value))
        case Sequence():
            return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
    raise TypeError(type(value))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)

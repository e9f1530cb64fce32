"""What the header of a GGUF file says, read without loading it (its layout: ggml/include/gguf.h)."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aios_syscalls import ModelFailed

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Struct formats by the number of the type."""
STRING, ARRAY = 8, 9
CACHE_BYTES = 2
"""Of a number in the KV cache, which is F16."""
SCORE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Header:
    """A model's metadata, its arrays of strings left out. Raises ModelFailed for what is no GGUF, or not whole."""

    path: Path
    bytes: int
    values: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Header:
        try:
            with path.open("rb") as file:
                magic = file.read(4)
                if magic != b"GGUF":
                    hint = "convert the model, or fetch its GGUF"
                    raise ModelFailed(f"{path} is not a GGUF file: it begins with {magic!r}; {hint}")
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    return cls(path, len(data), _metadata(data))
        except OSError as error:
            raise ModelFailed(f"no model at {path}: {error.strerror}; name a GGUF file") from None
        except (struct.error, KeyError, UnicodeDecodeError):
            raise ModelFailed(f"{path} is damaged or cut off: its header cannot be read; fetch it again") from None

    @property
    def architecture(self) -> str:
        """The family that llama.cpp must know, such as llama or qwen2."""
        return str(self.values.get("general.architecture", "unknown"))

    @property
    def layers(self) -> int:
        """How many blocks it has."""
        return self._number("block_count")

    @property
    def trained_context(self) -> int:
        """The longest sequence that it was made for, in tokens; 0 if the file does not say."""
        return self._number("context_length")

    @property
    def token_bytes(self) -> int:
        """What one token takes of the KV cache, as most architectures have it: a key and a value a head and layer."""
        heads = self._number("attention.head_count")
        width = self._number("embedding_length") // heads if heads else 0
        key, value = self._number("attention.key_length", width), self._number("attention.value_length", width)
        shared = self.values.get(f"{self.architecture}.attention.head_count_kv", heads)
        everywhere = sum(shared) if isinstance(shared, list) else self.layers * int(shared)
        return CACHE_BYTES * everywhere * (key + value)

    def scores_bytes(self, context: int, chunk: int) -> int:
        """What the attention of `chunk` tokens to a full context takes while it is computed."""
        return SCORE_BYTES * self._number("attention.head_count") * context * chunk

    def _number(self, key: str, default: int = 0) -> int:
        value = self.values.get(f"{self.architecture}.{key}", default)
        return max(value, default=0) if isinstance(value, list) else int(value)


def _metadata(data: mmap.mmap) -> dict[str, Any]:
    version, _tensors, count = struct.unpack_from("<IQQ", data, 4)
    if version < 2:
        raise KeyError(version)  # version 1 had other widths and has died out
    place, values = 24, dict[str, Any]()
    for _ in range(count):
        key, place = _string(data, place)
        kind, place = _scalar(data, place, "I")
        value, place = _value(data, place, kind)
        values[key.decode()] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return values


def _value(data: mmap.mmap, place: int, kind: int) -> tuple[Any, int]:
    if kind == STRING:
        return _string(data, place)
    if kind != ARRAY:
        return _scalar(data, place, SCALARS[kind])
    inner, count = struct.unpack_from("<IQ", data, place)
    place += 12
    if inner in SCALARS:
        form = f"<{count}{SCALARS[inner]}" if count <= len(data) else "<"
        return list(struct.unpack_from(form, data, place)), place + struct.calcsize(form)
    for _ in range(count):
        _, place = _value(data, place, inner)
    return None, place


def _scalar(data: mmap.mmap, place: int, form: str) -> tuple[Any, int]:
    return struct.unpack_from(f"<{form}", data, place)[0], place + struct.calcsize(f"<{form}")


def _string(data: mmap.mmap, place: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<Q", data, place)
    if place + 8 + length > len(data):
        raise KeyError(length)
    return data[place + 8 : place + 8 + length], place + 8 + length

"""The file that holds an embedding model: a header in JSON, its tokenizer, its tensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aios_storage.embedders import Floats
from aios_syscalls.errors import ModelFailed, NotFound

MAGIC = b"HMSEMB01"


@dataclass(frozen=True, slots=True)
class Quantized:
    """A matrix as int8 in groups of equal scale, so that it takes a quarter of the memory."""

    values: NDArray[np.int8]  # rows, groups, group
    scales: Floats  # rows, groups

    def rows(self, at: Any) -> Floats:
        """Some of its rows as float32."""
        values = self.values[at] * self.scales[at][..., None]
        return np.ascontiguousarray(values.reshape(*values.shape[:-2], -1), np.float32)


@dataclass(frozen=True, slots=True)
class Pack:
    """An embedding model's file, read whole."""

    meta: dict[str, Any]
    arch: dict[str, Any]
    tokenizer: str
    plain: dict[str, Floats]
    quantized: dict[str, Quantized]

    def matrix(self, name: str) -> Floats:
        """A tensor as float32, whichever way it is kept."""
        return self.plain[name] if name in self.plain else self.quantized[name].rows(slice(None))


def read(path: str | Path) -> Pack:
    """The pack in a file. Raises NotFound where there is none, ModelFailed for one that is not whole."""
    try:
        return _parse(Path(path).read_bytes())
    except OSError as error:
        why = error.strerror or str(error)
        raise NotFound(
            f"the embedding model {path} cannot be read: {why}; python -m aios.artifacts fetches it"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFailed(
            f"{path} is no whole embedding model ({error}); delete it, and python -m aios.artifacts fetches it again"
        ) from error


def _parse(data: bytes) -> Pack:
    if not data.startswith(MAGIC):
        raise ValueError(f"it does not begin with {MAGIC.decode()}")
    at = 16 + int.from_bytes(data[8:16], "little")
    header = json.loads(data[16:at])
    tokenizer = data[at : at + header["tokenizer_len"]].decode()
    at += header["tokenizer_len"]
    plain: dict[str, Floats] = {}
    quantized: dict[str, Quantized] = {}
    for tensor in header["tensors"]:
        shape = tuple(tensor["shape"])
        count = int(np.prod(shape))
        if tensor["dtype"] == "f32":
            plain[tensor["name"]] = np.frombuffer(data, "<f4", count, at).reshape(shape)
        elif tensor["dtype"] == "i8":
            group = tensor["group"]
            scales = np.frombuffer(data, "<f4", count // group, at + count).reshape(shape[0], -1)
            quantized[tensor["name"]] = Quantized(
                np.frombuffer(data, np.int8, count, at).reshape(shape[0], -1, group), scales
            )
        else:
            raise ValueError(f"tensor {tensor['name']} has the unknown kind {tensor['dtype']}")
        at += tensor["len"]
    if at != len(data):
        raise ValueError(f"its header describes {at} bytes and it has {len(data)}")
    return Pack(header["meta"], header["arch"], tokenizer, plain, quantized)

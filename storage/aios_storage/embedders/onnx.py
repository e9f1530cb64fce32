"""Just enough of the ONNX file format to describe a transformer to onnxruntime, without the package that writes it.

Field numbers are those of onnx.proto, version IR 9; tensors carry their bytes raw.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = {"float32": 1, "uint8": 2, "int8": 3, "int64": 7}
IR_VERSION = 9
OPSET = 18
MICROSOFT = "com.microsoft"


def load_onnxruntime() -> Any:
    """The module, told not to send to its makers what it does, as it does unless told before it is loaded."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, value: int | float | str | bytes) -> bytes:
    if isinstance(value, float):
        return _varint(number << 3 | 5) + np.float32(value).tobytes()
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    shape = b"".join(_field(1, size) for size in array.shape)
    return shape + _field(2, KINDS[array.dtype.name]) + _field(8, name) + _field(9, array.tobytes())


def _attribute(name: str, value: int | float) -> bytes:
    number, kind = (2, 1) if isinstance(value, float) else (3, 2)
    return _field(1, name) + _field(number, value) + _field(20, kind)


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(_field(1, _field(2 if isinstance(size, str) else 1, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, KINDS["float32"]) + _field(2, sizes)))


class OnnxGraph:
    """A graph in the making: each method adds a part and returns the name that later parts know it by."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def constant(self, array: NDArray[Any]) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(_tensor(name, array))
        return name

    def node(self, operator: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: int | float) -> str:
        """One operation; of several outputs the name is that of the first, and `.1`, `.2` follow it."""
        name = f"n{len(self._nodes)}"
        body = b"".join(_field(1, each) for each in inputs)
        body += b"".join(_field(2, f"{name}.{at}" if at else name) for at in range(outputs))
        body += _field(4, operator) + b"".join(_field(5, _attribute(*each)) for each in attributes.items())
        self._nodes.append(body + (_field(7, domain) if domain else b""))
        return name

    def model(self, source: tuple[str, Sequence[int | str]], result: tuple[str, Sequence[int | str]]) -> bytes:
        """The file: what goes in and what comes out, by name and shape, are float32."""
        body = b"".join(_field(1, each) for each in self._nodes) + _field(2, "graph")
        body += b"".join(_field(5, each) for each in self._constants)
        body += _field(11, _value(*source)) + _field(12, _value(*result))
        versions = ("", OPSET), (MICROSOFT, 1)
        imports = b"".join(_field(8, _field(1, domain) + _field(2, version)) for domain, version in versions)
        return _field(1, IR_VERSION) + _field(7, body) + imports

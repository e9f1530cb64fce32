"""Where llama.cpp can compute beside the CPU: `python -m aios.models.local.engine.devices` prints it as JSON."""

from __future__ import annotations

import ctypes
import json

from llama_cpp import llama_cpp as C
from llama_cpp._ggml import libggml

GPU_TYPES = (1, 2)
"""Devices with memory of their own and without, as ggml-backend.h numbers them."""


def gpus() -> list[str]:
    """The GPUs that this build uses, by ggml's registry: "NVIDIA H100 (CUDA0)"."""
    C.llama_backend_init()
    libggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    libggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    devices = [
        ctypes.c_void_p(libggml.ggml_backend_dev_get(ctypes.c_size_t(number)))
        for number in range(libggml.ggml_backend_dev_count())
    ]
    return [_name(device) for device in devices if libggml.ggml_backend_dev_type(device) in GPU_TYPES]


def _name(device: ctypes.c_void_p) -> str:
    for function in (libggml.ggml_backend_dev_description, libggml.ggml_backend_dev_name):
        function.restype = ctypes.c_char_p
    what, name = libggml.ggml_backend_dev_description(device), libggml.ggml_backend_dev_name(device)
    return f"{what.decode()} ({name.decode()})"


if __name__ == "__main__":
    print(json.dumps({"offloads": bool(C.llama_supports_gpu_offload()), "gpus": gpus()}))

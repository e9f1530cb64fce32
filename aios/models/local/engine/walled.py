"""What the process that holds a local model may reach: the model's files, the cache, the GPU.

A model's file may be anybody's, and llama.cpp reads it in C++. The process has no network, starts nothing, and reads no
other file of the user's. There is no bound of its memory here: a model takes what it takes (`memory.py`).
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from aios.models.local.engine.quantize import cache_directory
from aios.wall import ServiceWall, put_up_service

SPLIT = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
"""The end of the name of one file of a model that is split into several, as llama.cpp names them."""
GPUS = ("/dev/nvidia*", "/dev/nvidia-caps", "/dev/dri", "/dev/kfd", "/dev/dxg")
LIBRARIES = ("/opt/cuda*", "/opt/rocm*", "/opt/intel", "/etc/vulkan", "/etc/OpenCL")
OF_GPUS = (
    *("/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/sys/module"),
    *("/sys/class/drm", "/sys/class/kfd", "/sys/class/misc"),
)
"""What the drivers' libraries read of the machine."""
MODELS, CONTEXT, GPU = "models", "context", "gpu"
"""Directories in the cache: faster copies of models, the states of sequences on disk, what a GPU's driver compiles."""


def close_in(model: Path) -> None:
    """Put the wall for this model around this process. Raises OSError where that is refused."""
    cache, devices = cache_directory(), _found(GPUS)
    places = [cache / name for name in (MODELS, CONTEXT, *((GPU,) if devices else ()))]
    os.environ.setdefault("CUDA_CACHE_PATH", str(cache / GPU))
    for place in places:
        with suppress(OSError):  # whoever needs it says why there is none
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
    of_gpus = (*OF_GPUS, *_found(LIBRARIES), *_library_path()) if devices else ()
    put_up_service(
        ServiceWall(
            read=(*files_of(model), *of_gpus),
            write=tuple(map(str, places)),
            devices=devices,
            closed=(str(cache), str(Path.home())),
        )
    )


def files_of(model: Path) -> Iterator[str]:
    """The model's file, and the others of one that is split."""
    yield str(model)
    if split := SPLIT.search(model.name):
        whole = str(model)[: -len(split.group())]
        yield from (f"{whole}-{number:05}-of-{split[1]}.gguf" for number in range(1, int(split[1]) + 1))


def _found(patterns: Iterable[str]) -> tuple[str, ...]:
    return tuple(path for pattern in patterns for path in glob.glob(pattern))


def _library_path() -> Iterator[str]:
    """Where the user has the linker look beside the system's directories."""
    return filter(os.path.isabs, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))

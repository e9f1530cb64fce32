"""The fingerprint of a run: what its outcome depends on beside its task, so that two runs can be told to be alike."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import sysconfig
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aios.artifacts import model_path
from aios.config import Config, LocalModelConfig

ENDS = 1024 * 1024
"""Bytes at the beginning and the end of a model's file that are hashed, with its size: all would take seconds."""

LARGEST = 64 * 1024 * 1024
"""Bytes of a program or library; what is larger is not hashed."""


def fingerprint(config: Config, programs: Mapping[str, Path]) -> dict[str, Any]:
    """Hashes of the programs, the packages, the models and the engine; Python, the processor, settings and seeds.

    Blocks for some 20 ms. What is not there is None.
    """
    return {
        "programs": {name: sha256(path) for name, path in sorted(programs.items())},
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": _packages(),
        "models": {name: _ends(path) for name, path in _model_files(config)},
        "engine": _engine(),
        "cpu": _cpu(),
        "settings": _text(config.model_dump_json()),
        "seed": config.seed,
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
    }


def _model_files(config: Config) -> Iterable[tuple[str, Path]]:
    local = {name: each.path for name, each in config.models.items() if isinstance(each, LocalModelConfig)}
    return local.items() if config.models else [("default", model_path())]


def _packages() -> str:
    """Of the names of installed packages, which have their versions in them."""
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    names = (name for place in places if os.path.isdir(place) for name in os.listdir(place))
    return _text("\n".join(sorted(name for name in names if name.endswith((".dist-info", ".egg-info")))))


def _engine() -> str | None:
    """Of the libraries that the inference engine was built to."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        return None
    found = hashlib.sha256()
    for path in sorted((Path(spec.origin).parent / "lib").glob("*")):
        with suppress(OSError):
            found.update(f"{path.name} {sha256(path)}\n".encode())
    return found.hexdigest()


def _cpu() -> str:
    """The machine, and a hash of what its processor can do, as far as the system tells."""
    with suppress(OSError):
        found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
        if found:
            return f"{platform.machine()} {_text(' '.join(sorted(found[1].split())))}"
    return f"{platform.machine()} {platform.processor()}"


def sha256(path: Path) -> str | None:
    """Of a file; None where it cannot be read or is larger than `LARGEST`. Blocks."""
    with suppress(OSError), path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            return None
        return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def _ends(path: Path) -> dict[str, Any] | None:
    with suppress(OSError), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        found = hashlib.sha256(file.read(ENDS))
        file.seek(max(0, size - ENDS))
        found.update(file.read(ENDS))
        return {"bytes": size, "sha256_of_ends": found.hexdigest()}
    return None


def _text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()

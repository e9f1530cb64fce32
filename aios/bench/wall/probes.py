"""Probes of the wall around an agent: each tries to get out of it, and returns if it could.

`attempts.py` makes what there is to be reached, and runs them. The tests and `aios bench wall` read the same table.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aios.wall import seccomp, wall_calls

COLUMN = {"x86_64": 0, "aarch64": 1}.get(platform.machine(), 0)
SECRET = b"the-users-secret"
NO_FILTERS = seccomp.Condition(0, (seccomp.PR_SET_SECCOMP,), allows=False)
REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)
LIBC = ctypes.CDLL(None, use_errno=True)
BAD = ctypes.c_void_p(1)
"""No address: a call that is let through fails by it, and does nothing."""
NO_FD = ctypes.c_int(-1)
NUMBERS = {
    rule.name: rule.numbers[COLUMN] for rule in (*wall_calls.rules(1, exec=False), *seccomp.REACHING_INTO_PROCESSES)
}


class Stopped(Exception):
    """The call went through and nothing came of it."""


@dataclass(frozen=True)
class ProbeTarget:
    """What there is to be reached: all of it this user's."""

    place: Path
    secret: Path
    victim: int
    address: int
    tcp: int
    udp: int
    unix: str
    abstract: str
    shared: int
    queue: int
    semaphores: int
    datagrams: socket.socket
    """Bound beside `unix`; reading it waits for nothing."""


Probe = Callable[[ProbeTarget], object]


def call(number: int | None, *arguments: object) -> int:
    """A system call by number. Raises OSError."""
    if number is None:
        raise OSError(errno.ENOSYS, "there is no such call here")
    answer = int(LIBC.syscall(ctypes.c_long(number), *arguments))
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def reaches(name: str, *arguments: object) -> Probe:
    """Whether the call gets to where it looks at its arguments, which are none that it could do anything with."""

    def probe(_target: ProbeTarget) -> None:
        try:
            call(NUMBERS[name], *arguments)
        except OSError as error:
            if error.errno in REFUSED:
                raise

    return probe


def read(path: str | Path) -> None:
    data = Path(path).read_bytes()
    if SECRET not in data:
        raise Stopped(path)


def write(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def changed(path: Path, change: Callable[[], object]) -> None:
    """What says that it was done has to have been done."""
    before = path.lstat()
    change()
    if (before.st_mode, before.st_mtime_ns, before.st_uid) == (
        (now := path.lstat()).st_mode,
        now.st_mtime_ns,
        now.st_uid,
    ):
        raise Stopped(path)


def in_thread(target: ProbeTarget, probe: Probe) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            probe(target)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def c_open(target: ProbeTarget) -> None:
    """The name as Python sees it ends in .py; as C sees it, it ends at the zero."""
    name = ctypes.create_string_buffer(os.fsencode(target.secret) + b"\0.py")
    fd = LIBC.open(name, os.O_RDONLY)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "open")
    assert os.read(fd, 100) == SECRET


def by_link(target: ProbeTarget) -> None:
    os.symlink(target.secret, "link")
    read("link")


def by_hard_link(target: ProbeTarget) -> None:
    os.link(target.secret, target.secret.with_name("hard"))


def by_descriptor_of_path(target: ProbeTarget) -> None:
    place = os.open(target.secret, os.O_PATH)
    read(f"/proc/self/fd/{place}")


def by_directory_descriptor(target: ProbeTarget) -> None:
    directory = os.open(target.secret.parent, os.O_PATH | os.O_DIRECTORY)
    assert os.read(os.open(target.secret.name, os.O_RDONLY, dir_fd=directory), 100) == SECRET


def by_change_of_directory(target: ProbeTarget) -> None:
    os.chdir(target.secret.parent)
    read(target.secret.name)


def by_map(target: ProbeTarget) -> None:
    with open(target.secret, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        assert data[:] == SECRET


def openat2(target: ProbeTarget) -> None:
    how = struct.pack("QQQ", os.O_RDONLY, 0, 0)
    path = ctypes.c_char_p(os.fsencode(target.secret))
    call(437, ctypes.c_int(-100), path, how, ctypes.c_size_t(len(how)))


def fork(_target: ProbeTarget) -> None:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


def double_fork(_target: ProbeTarget) -> None:
    if (child := os.fork()) == 0:
        os.setsid()
        os.fork()
        os._exit(0)
    os.waitpid(child, 0)


def raw_clone(flags: int) -> Probe:
    def probe(_target: ProbeTarget) -> None:
        child = call(NUMBERS["clone"], ctypes.c_ulong(flags), None, None, None, None)
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    return probe


def clone3(_target: ProbeTarget) -> None:
    arguments = struct.pack("8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    child = call(435, arguments, ctypes.c_size_t(len(arguments)))
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def run_program(*command: str) -> Probe:
    return lambda _target: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def other_abi(_target: ProbeTarget) -> None:
    """getpid by the numbers of 32 bits, as `int 0x80` has them."""
    if platform.machine() != "x86_64":
        raise OSError(errno.ENOSYS, "no such ABI")
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    if (answer := function()) <= 0:
        raise OSError(-answer, "int 0x80")


def connect(family: int, kind: int, where: Callable[[ProbeTarget], Any]) -> Probe:
    def probe(target: ProbeTarget) -> None:
        with socket.socket(family, kind) as sock:
            sock.settimeout(2)
            sock.connect(where(target))

    return probe


def datagram(target: ProbeTarget) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", target.udp))


def listen(where: Any, family: int = socket.AF_INET) -> Probe:
    def probe(_target: ProbeTarget) -> None:
        with socket.socket(family) as sock:
            sock.bind(where)
            sock.listen()

    return probe


def give_descriptor(target: ProbeTarget) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(target.unix)
        socket.send_fds(sock, [b"x"], [0])


def pair_connects(target: ProbeTarget) -> None:
    """A socket that it has already, connected to another one."""
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.connect(target.unix + ".datagrams")
    one.send(b"x")


def pair_sends(target: ProbeTarget) -> None:
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    call(NUMBERS["connect"], one.fileno(), struct.pack("H", 0), 2)
    one.sendto(b"x", target.unix + ".datagrams")


def pair_reaches(kind: int) -> Probe:
    """A datagram of a pair goes to whoever is named with it, and may carry a descriptor."""

    def probe(target: ProbeTarget) -> None:
        one, _ = socket.socketpair(socket.AF_UNIX, kind)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 0))
        one.sendmsg([b"x"], [rights], 0, target.unix + ".datagrams")

    return probe


def word(target: ProbeTarget, path: str) -> None:
    with open(f"/proc/{target.victim}/{path}", "rb", 0) as file:
        file.seek(target.address)
        assert file.read(len(SECRET)) == SECRET


def victims(name: str) -> Probe:
    return lambda target: Path(f"/proc/{target.victim}/{name}").read_bytes()


def by_call(target: ProbeTarget) -> None:
    data = ctypes.create_string_buffer(len(SECRET))
    ours = struct.pack("QQ", ctypes.addressof(data), len(SECRET))
    theirs = struct.pack("QQ", target.address, len(SECRET))
    call(
        NUMBERS["process_vm_readv"],
        target.victim,
        ours,
        ctypes.c_ulong(1),
        theirs,
        ctypes.c_ulong(1),
        ctypes.c_ulong(0),
    )


def signals(target: ProbeTarget) -> None:
    os.kill(target.victim, signal.SIGWINCH)


def signals_by_owner(target: ProbeTarget) -> None:
    one, _ = socket.socketpair()
    call(NUMBERS["fcntl"], one.fileno(), 8, ctypes.c_long(target.victim))


def attach(target: ProbeTarget) -> None:
    LIBC.shmat.restype = ctypes.c_void_p
    at = LIBC.shmat(target.shared, None, 0)
    if at in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "shmat")
    assert ctypes.string_at(at, len(SECRET)) == SECRET


def message(target: ProbeTarget) -> None:
    buffer = ctypes.create_string_buffer(struct.pack("l", 1) + b"x")
    call(NUMBERS["msgsnd"], target.queue, buffer, ctypes.c_size_t(1), 0o4000)


def raise_limit(which: int, to: int) -> Probe:
    def probe(_target: ProbeTarget) -> None:
        resource.setrlimit(which, (to, to))

    return probe


def then_read(attempt: Callable[[], object]) -> Probe:
    """Take the wall down, then see whether it is."""

    def probe(target: ProbeTarget) -> None:
        attempt()
        read(target.secret)

    return probe


def another_domain() -> None:
    """A Landlock domain that allows everything, within this one."""
    rights = struct.pack("=Q", 0x1FFF)
    ruleset = call(444, rights, ctypes.c_size_t(8), ctypes.c_uint32(0))
    place = os.open("/", os.O_PATH)
    call(445, ruleset, 1, struct.pack("=Qi", 0x1FFF, place), ctypes.c_uint32(0))
    LIBC.prctl(38, 1, 0, 0, 0)
    call(446, ruleset, ctypes.c_uint32(0))


def an_allowing_filter() -> None:
    LIBC.prctl(38, 1, 0, 0, 0)
    seccomp.install([])
    socket.socket().close()


def import_what_is_written(target: ProbeTarget) -> None:
    """A module that others import, changed."""
    write(target.place / "programs" / "neighbour.py")


def fill_memory(_target: ProbeTarget) -> None:
    mmap.mmap(-1, 6 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000).close()


def large_file(_target: ProbeTarget) -> None:
    fd = os.open("large", os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, 1 << 30)
    os.unlink("large")


def many_descriptors(_target: ProbeTarget) -> None:
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(300)]
    for fd in held:
        os.close(fd)


def hidden_file(_target: ProbeTarget) -> None:
    """A file in memory, which no limit of memory counts."""
    os.close(os.memfd_create("x"))


def write_shared(_target: ProbeTarget) -> None:
    name = Path("/dev/shm", f"aios-{os.getpid()}")
    name.write_bytes(b"x")
    name.unlink()


def device(path: str) -> Probe:
    """Opening it as a C library does, for reading or writing."""

    def probe(_target: ProbeTarget) -> None:
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
            if (fd := LIBC.open(path.encode(), flags | os.O_NONBLOCK | os.O_NOCTTY)) >= 0:
                os.close(fd)
                return
        raise OSError(ctypes.get_errno(), "open")

    return probe


def make_device(_target: ProbeTarget) -> None:
    os.mknod("memory", stat.S_IFCHR | 0o600, os.makedev(1, 1))
    os.unlink("memory")


def close_program(target: ProbeTarget) -> None:
    """By a descriptor, which it may have."""
    program = target.place / "programs" / "agent.py"
    changed(program, lambda: os.fchmod(os.open(program, os.O_RDONLY), 0o400))


def temporary(target: ProbeTarget) -> None:
    with tempfile.TemporaryFile(dir=target.place):
        pass


FILES: dict[str, Probe] = {
    "read a secret": lambda t: read(t.secret),
    "read it by another root": lambda t: read(f"/proc/self/root{t.secret}"),
    "read it by another root of another root": lambda t: read(f"/proc/self/root/proc/self/root{t.secret}"),
    "read it by the directory of the process": lambda t: read(f"/proc/self/cwd/{os.path.relpath(t.secret)}"),
    "read it by a link": by_link,
    "read it past a zero": c_open,
    "read it by the descriptor of its path": by_descriptor_of_path,
    "read it from the descriptor of its directory": by_directory_descriptor,
    "read it from within its directory": by_change_of_directory,
    "read it up from here": lambda t: read(os.path.relpath(t.secret)),
    "read it by openat2": openat2,
    "read it as mapped": by_map,
    "read it in a thread": lambda t: in_thread(t, lambda t: read(t.secret)),
    "list its directory": lambda t: os.listdir(t.secret.parent),
    "read the record": lambda t: read(t.place / "state" / "journal.db"),
    "read a sibling's scratch": lambda t: read(t.place / "sibling" / "notes"),
    "read a sibling's log": lambda t: read(t.place / "state" / "2.log"),
    "change the record": lambda t: write(t.place / "state" / "journal.db"),
    "change its own program": lambda t: write(t.place / "programs" / "agent.py"),
    "change a neighbour's program": import_what_is_written,
    "change a secret": lambda t: write(t.secret),
    "make a file": lambda t: write(t.place / "new"),
    "make a directory": lambda t: os.mkdir(t.place / "new.d"),
    "make a nameless file": temporary,
    "make a link": lambda t: os.symlink("x", t.place / "new.l"),
    "make a hard link": by_hard_link,
    "make a FIFO": lambda t: os.mkfifo(t.place / "new.f"),
    "remove a file": lambda t: os.unlink(t.place / "spare"),
    "remove a directory": lambda t: os.rmdir(t.place / "spare.d"),
    "rename a file": lambda t: os.rename(t.place / "spare2", t.place / "spare3"),
    "take a file away": lambda t: os.rename(t.place / "spare4", "taken"),
    "truncate a file": lambda t: os.truncate(t.place / "spare5", 0),
    "list the root": lambda _t: os.listdir("/"),
    "list temporary files": lambda _t: os.listdir("/tmp"),
    "read the users": lambda _t: Path("/etc/passwd").read_bytes(),
    "read the hosts": lambda _t: Path("/etc/hosts").read_bytes(),
    "write shared memory": write_shared,
}
METADATA: dict[str, Probe] = {
    "open a secret to all": lambda t: changed(t.secret, lambda: os.chmod(t.secret, 0o604)),
    "close a file to its user": lambda t: changed(t.place / "spare5", lambda: os.chmod(t.place / "spare5", 0)),
    "close its own program": close_program,
    "set a file's time": lambda t: changed(t.secret, lambda: os.utime(t.secret, (1, 1))),
    "give a file away": lambda t: os.chown(t.secret, os.getuid(), os.getgid()),
    "mark a file": lambda t: os.setxattr(t.secret, "user.aios", b"x"),
    "watch a file": reaches("inotify_init1", 0),
    "open by a handle": reaches("open_by_handle_at", NO_FD, BAD, 0),
    "the handle of a file": reaches("name_to_handle_at", NO_FD, BAD, BAD, BAD, 0),
}
PROC: dict[str, Probe] = {
    "list processes": lambda _t: os.listdir("/proc"),
    "the command of another": victims("cmdline"),
    "the environment of another": victims("environ"),
    "the map of another": victims("maps"),
    "the state of another": victims("status"),
    "the descriptors of another": lambda t: os.listdir(f"/proc/{t.victim}/fd"),
    "the root of another": lambda t: os.listdir(f"/proc/{t.victim}/root"),
    "the memory of another": lambda t: word(t, "mem"),
    "the sockets of the machine": lambda _t: Path("/proc/self/net/unix").read_bytes(),
    "the mounts of the machine": lambda _t: Path("/proc/self/mountinfo").read_bytes(),
    "adjust who is killed first": lambda _t: Path("/proc/self/oom_score_adj").write_text("500"),
    "the name of a process, changed": lambda _t: Path("/proc/self/comm").write_text("kernel"),
}
PROCESSES: dict[str, Probe] = {
    "signal another": signals,
    "ask whether another lives": lambda t: os.kill(t.victim, 0),
    "signal all": reaches("kill", -1, 0),
    "signal a thread of another": lambda t: call(NUMBERS["tgkill"], t.victim, t.victim, signal.SIGWINCH),
    "signal a thread of anybody": lambda t: call(NUMBERS["tkill"], t.victim, signal.SIGWINCH),
    "have another signalled": signals_by_owner,
    "queue a signal": reaches("rt_sigqueueinfo", 1, signal.SIGWINCH, BAD),
    "open another": lambda t: os.close(os.pidfd_open(t.victim)),
    "trace another": lambda t: call(NUMBERS["ptrace"], ctypes.c_long(0x4206), ctypes.c_long(t.victim), None, None),
    "read another by a call": by_call,
    "the priority of another": lambda t: os.setpriority(os.PRIO_PROCESS, t.victim, 19),
    "the order of another": lambda t: os.sched_setscheduler(t.victim, os.SCHED_BATCH, os.sched_param(0)),
    "the cores of another": lambda t: os.sched_setaffinity(t.victim, os.sched_getaffinity(0)),
    "the disk's order of another": lambda t: call(NUMBERS["ioprio_set"], 1, t.victim, (2 << 13) | 7),
    "the limits of another": lambda t: resource.prlimit(t.victim, resource.RLIMIT_CORE, (0, 0)),
    "shared memory": attach,
    "new shared memory": reaches("shmget", 0, ctypes.c_size_t(0), 0),
    "a queue of messages": message,
    "semaphores": lambda t: call(NUMBERS["semctl"], t.semaphores, 0, 12, 0),
    "a named queue": reaches("mq_open", BAD, 0),
    "keys": reaches("keyctl", 0, -3, 0),
    "the parent's end, unheard": lambda _t: call(NUMBERS["prctl"], 1, ctypes.c_ulong(0), 0, 0, 0),
}
STARTING: dict[str, Probe] = {
    "fork": fork,
    "fork twice": double_fork,
    "clone": raw_clone(signal.SIGCHLD),
    "clone as vfork": raw_clone(signal.SIGCHLD | 0x4000),
    "a program": run_program("/bin/true"),
    "a shell": run_program("/bin/sh", "-c", "true"),
    "another Python": run_program(sys.executable, "-S", "-c", "pass"),
    "become a program": lambda _t: os.execv("/bin/true", ["true"]),
    "become one by a descriptor": lambda _t: os.execve(os.open("/bin/true", os.O_RDONLY), ["true"], {}),
    "spawn": lambda _t: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
}
ALWAYS_STARTING: dict[str, Probe] = {
    "clone3": clone3,
    "the calls of 32 bits": other_abi,
    "the calls of x32": lambda _t: call(0x40000000 | 39),
}
NETWORK: dict[str, Probe] = {
    "TCP": connect(socket.AF_INET, socket.SOCK_STREAM, lambda t: ("127.0.0.1", t.tcp)),
    "TCP of version 6": lambda _t: socket.socket(socket.AF_INET6).close(),
    "TCP in a thread": lambda t: in_thread(
        t, connect(socket.AF_INET, socket.SOCK_STREAM, lambda t: ("127.0.0.1", t.tcp))
    ),
    "UDP": datagram,
    "UDP, connected": connect(socket.AF_INET, socket.SOCK_DGRAM, lambda t: ("127.0.0.1", t.udp)),
    "a Unix socket": connect(socket.AF_UNIX, socket.SOCK_STREAM, lambda t: t.unix),
    "an abstract socket": connect(socket.AF_UNIX, socket.SOCK_STREAM, lambda t: t.abstract),
    "datagrams to a Unix socket": connect(socket.AF_UNIX, socket.SOCK_DGRAM, lambda t: t.unix + ".datagrams"),
    "a pair's end, connected": pair_connects,
    "a pair's end, connected anew": pair_sends,
    "a datagram of a pair": pair_reaches(socket.SOCK_DGRAM),
    "a datagram of a pair that is made raw": pair_reaches(socket.SOCK_RAW),
    "a descriptor given away": give_descriptor,
    "listen": listen(("127.0.0.1", 0)),
    "listen at a path": listen("listening", socket.AF_UNIX),
    "listen at an abstract name": listen("\0aios-probe", socket.AF_UNIX),
    "raw packets": lambda _t: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close(),
    "packets of the link": lambda _t: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "the kernel's own sockets": lambda _t: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "ciphers of the kernel": lambda _t: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close(),
    "machines of this machine": lambda _t: socket.socket(40, socket.SOCK_STREAM).close(),
    "ping": lambda _t: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1).close(),
}
KERNEL: dict[str, Probe] = {
    "a namespace of users": lambda _t: call(NUMBERS["unshare"], 0x10000000),
    "a namespace of mounts": reaches("unshare", 0x20000),
    "a network of its own": reaches("unshare", 0x40000000),
    "clone into namespaces": raw_clone(0x10000000 | signal.SIGCHLD),
    "another's namespace": reaches("setns", NO_FD, 0),
    "mount": reaches("mount", BAD, BAD, BAD, ctypes.c_ulong(0), BAD),
    "unmount": reaches("umount2", BAD, 0),
    "another root": reaches("chroot", BAD),
    "a root in exchange": reaches("pivot_root", BAD, BAD),
    "a tree of mounts": reaches("open_tree", NO_FD, BAD, 0),
    "a new file system": reaches("fsopen", BAD, 0),
    "swap": reaches("swapoff", BAD),
    "the clock": reaches("clock_settime", 99, BAD),
    "the machine's name": reaches("sethostname", BAD, ctypes.c_size_t(65)),
    "modules": reaches("finit_module", NO_FD, BAD, 0),
    "restart": reaches("reboot", 0, 0, 0, BAD),
    "the kernel's log": reaches("syslog", 10, BAD, 0),
    "ports of the machine": reaches("ioperm", ctypes.c_ulong(0), ctypes.c_ulong(0), 0),
    "quotas": reaches("quotactl", -1, BAD, 0, BAD),
    "rings": reaches("io_uring_setup", 0, BAD),
    "programs in the kernel": reaches("bpf", 999, BAD, 0),
    "counters": reaches("perf_event_open", BAD, 0, -1, -1, ctypes.c_ulong(0)),
    "page faults": reaches("userfaultfd", 0),
    "another personality": lambda _t: call(NUMBERS["personality"], ctypes.c_ulong(0x0040000)),
    "segments": reaches("modify_ldt", 0, BAD, ctypes.c_ulong(0)),
    "type into the terminal": reaches("ioctl", NO_FD, ctypes.c_ulong(0x5412), BAD),
    "another user": lambda _t: os.setresuid(65534, 65534, 65534),
    "other groups": reaches("setgroups", 0, BAD),
}
USERS = {"another user", "other groups"}
BOUNDS: dict[str, Probe] = {
    "memory": fill_memory,
    "a large file": large_file,
    "descriptors": many_descriptors,
    "files in memory": hidden_file,
    "secret memory": reaches("memfd_secret", 99999),
    "more descriptors again": raise_limit(resource.RLIMIT_NOFILE, 1024),
    "more memory again": raise_limit(resource.RLIMIT_AS, 8 << 30),
    "larger files again": raise_limit(resource.RLIMIT_FSIZE, 1 << 30),
}
TAKING_DOWN: dict[str, Probe] = {
    "without no_new_privs": then_read(lambda: LIBC.prctl(38, 0, 0, 0, 0)),
    "without seccomp": then_read(lambda: LIBC.prctl(22, 0, 0, 0, 0)),
    "in a wider domain": then_read(another_domain),
    "in a session of its own": then_read(os.setsid),
    "open again": lambda _t: call(NUMBERS["prctl"], 4, ctypes.c_ulong(1), 0, 0, 0),
    "with an allowing filter": lambda _t: an_allowing_filter(),
}
DEVICES: dict[str, Probe] = {
    **{
        path: device(path)
        for path in (
            *("/dev/mem", "/dev/port", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/input/event0"),
            *("/dev/uinput", "/dev/loop-control", "/dev/loop0", "/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/mapper"),
            *("/dev/ptmx", "/dev/tty0", "/dev/console", "/dev/hwrng", "/dev/rtc0", "/dev/full", "/dev/dri/card0"),
            *("/dev/snd/timer", "/dev/video0", "/dev/vhost-net", "/dev/vsock", "/dev/userfaultfd", "/dev/autofs"),
            *("/dev/btrfs-control", "/dev/cpu_dma_latency", "/dev/udmabuf", "/dev/vfio/vfio", "/dev/bus/usb"),
        )
    },
    "a device of its own": make_device,
}
"""Where a machine has one and its user may open it, it counts."""
PASSING: dict[str, Probe] = {
    "that a file is there, and how large": lambda t: t.secret.stat(),
    "where a link leads": lambda t: os.readlink(t.place / "spare.l"),
}
"""What no wall of ours stops: Landlock does not know of it, and nothing runs without stat and readlink."""
GROUPS = {
    "files": FILES,
    "metadata": METADATA,
    "proc": PROC,
    "processes": PROCESSES,
    "starting": {**STARTING, **ALWAYS_STARTING},
    "network": NETWORK,
    "kernel": KERNEL,
    "bounds": BOUNDS,
    "devices": DEVICES,
    "taking down": TAKING_DOWN,
    "passing": PASSING,
}
PROBES: dict[str, Probe] = {f"{group}: {name}": probe for group, them in GROUPS.items() for name, probe in them.items()}

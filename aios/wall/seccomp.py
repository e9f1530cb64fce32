"""A seccomp filter: system calls that an agent's process, and whatever it starts, may not make.

The filter is a classic BPF program (seccomp(2)), assembled here from a table of rules. It answers what a rule denies
with the rule's error, and calls by another ABI of the same machine (32 bits, x32), whose numbers mean other calls, with
ENOSYS.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from aios.dumpable import libc

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
GET_ACTION_AVAIL = 2
"""An operation of seccomp(2) that changes nothing."""
LOAD, AND, JUMP, JUMP_EQUAL, JUMP_GREATER_EQUAL, RETURN = 0x20, 0x54, 0x05, 0x15, 0x35, 0x06
"""Opcodes: BPF_LD|BPF_W|BPF_ABS,
BPF_ALU|BPF_AND|BPF_K, BPF_JMP|BPF_JA, ..|BPF_JEQ|BPF_K, ..|BPF_JGE|BPF_K, BPF_RET|BPF_K."""
ALLOW, ERROR = 0x7FFF0000, 0x00050000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Offsets in struct seccomp_data; each argument has 8 bytes, the lower half first."""
X32_BIT = 0x40000000


@dataclass(frozen=True)
class Machine:
    """An architecture as the filter sees it."""

    audit_arch: int
    column: int
    """Of the numbers in a rule."""
    seccomp: int
    """The number of seccomp(2)."""
    x32: bool = False


MACHINES = {
    "x86_64": Machine(0xC000003E, 0, 317, x32=True),
    "aarch64": Machine(0xC00000B7, 1, 277),
}


@dataclass(frozen=True)
class Condition:
    """A test of one argument's lower half, which is all that the kernel reads of the arguments tested here."""

    argument: int
    values: tuple[int, ...]
    allows: bool = True
    """Whether these values are allowed and all others denied, or the other way round."""
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True)
class SeccompRule:
    """A system call that is denied, with its number on each machine; None where there is no such call."""

    name: str
    numbers: tuple[int | None, int | None]
    unless_zero: int | None = None
    """The argument that must be 0 for the call to pass: a pid that then means the caller."""
    condition: Condition | None = None
    """Which calls are denied, where it is not all of them."""
    also: Condition | None = None
    """Another test, of those that the first one allows."""
    error: int = errno.EPERM
    """What a denied call answers; 0 says that it was done, though nothing is."""


REACHING_INTO_PROCESSES = (
    SeccompRule("ptrace", (101, 117)),
    SeccompRule("process_vm_readv", (310, 270)),
    SeccompRule("process_vm_writev", (311, 271)),
    SeccompRule("pidfd_getfd", (438, 438)),
    SeccompRule("kcmp", (312, 272)),
    SeccompRule("process_madvise", (440, 440)),
    SeccompRule("process_mrelease", (448, 448)),
    SeccompRule("migrate_pages", (256, 238), unless_zero=0),
    SeccompRule("move_pages", (279, 239), unless_zero=0),
    SeccompRule("get_robust_list", (274, 100), unless_zero=0),
    SeccompRule("prlimit64", (302, 261), unless_zero=0),
    SeccompRule("perf_event_open", (298, 241)),
    SeccompRule("userfaultfd", (323, 282)),
    SeccompRule("bpf", (321, 280)),
)
"""What reads, writes or changes another process, or gives the means to do so by way of the system's kernel."""


def assemble(rules: Sequence[SeccompRule], machine: Machine) -> bytes:
    """The filter's program."""
    code = [_step(LOAD, ARCHITECTURE), _step(JUMP_EQUAL, machine.audit_arch, 1, 0), _refuse(errno.ENOSYS)]
    code.append(_step(LOAD, NUMBER))
    if machine.x32:
        code += [_step(JUMP_GREATER_EQUAL, X32_BIT, 0, 1), _refuse(errno.ENOSYS)]
    for rule in rules:
        number = rule.numbers[machine.column]
        if number is not None:
            code += _deny(number, rule)
    code.append(_step(RETURN, ALLOW))
    return b"".join(code)


def available() -> bool:
    """Whether a filter can be installed here."""
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return False
    action = ctypes.c_uint32(ERROR)
    return bool(libc().syscall(machine.seccomp, GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0)


def install(rules: Sequence[SeccompRule]) -> bool:
    """Put the filter on this thread and all that it starts from now on, for good; whether it could be.

    It cannot where the machine is none of MACHINES or the system has no seccomp. Needs no_new_privs.
    """
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return False
    code = assemble(rules, machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    return bool(libc().prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == 0)


def _deny(number: int, rule: SeccompRule) -> list[bytes]:
    condition = rule.condition
    if rule.unless_zero is not None:
        condition = Condition(rule.unless_zero, (0,))
    denied = [_refuse(rule.error)]
    if condition is not None:
        # Ends the program either way, for the call's number is gone once an argument is loaded.
        tests = [_test(each, rule.error) for each in (condition, rule.also) if each is not None]
        denied = [*(step for test in tests for step in test), _step(RETURN, ALLOW)]
    return [_step(JUMP_EQUAL, number, 0, len(denied)), *denied]


def _test(condition: Condition, error: int) -> list[bytes]:
    """Goes on behind itself where the condition allows the call."""
    values = condition.values
    return [
        _step(LOAD, ARGUMENTS + 8 * condition.argument),
        _step(AND, condition.mask),
        *(_step(JUMP_EQUAL, value, len(values) - at, 0) for at, value in enumerate(values)),
        *(() if condition.allows else (_step(JUMP, 1),)),
        _refuse(error),
    ]


def _refuse(number: int) -> bytes:
    return _step(RETURN, ERROR | number)


def _step(opcode: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction, struct sock_filter; jumps are relative to the next one."""
    return struct.pack("=HBBI", opcode, if_true, if_false, operand)

"""What a simulation runs: programs that make calls, each after others."""

from __future__ import annotations

from typing import NamedTuple

from aios_syscalls import BadRequest


class Call(NamedTuple):
    """One generation; lengths in tokens, times in microseconds."""

    prompt: int
    """To read, after what its program's context holds already."""
    output: int
    """To write; at least 1."""
    prefix: int = 0
    """Of the context that its program has read and written before."""
    wait_us: int = 0
    """From the end of the last call that it comes after: a tool's time, or a person's."""
    align_us: int = 0
    """If there is one, it is made at the next multiple of this: everybody's tool answers at once."""
    after: tuple[int, ...] = ()
    """Which calls of its program it comes after; none, and it is made when the program begins."""


class SimulatedProgram(NamedTuple):
    """A run of an agent, from when it arrives."""

    arrival_us: int
    calls: tuple[Call, ...]
    name: str = "agent"
    tenant: str = "user"
    priority: int = 0
    graph: bool = False
    """Whether all calls are submitted at once, so that the policy knows what comes after each."""


def chain(calls: list[Call]) -> tuple[Call, ...]:
    """Calls that come each after the one before."""
    return tuple(call._replace(after=(number - 1,) if number else ()) for number, call in enumerate(calls))


def check(program: SimulatedProgram, where: str = "the program") -> SimulatedProgram:
    """The program, if it can run. Raises BadRequest for negative lengths, unknown calls and cycles."""
    if not program.calls or program.arrival_us < 0:
        raise BadRequest(f"{where} has no call, or arrives before time 0; leave it out")
    for number, call in enumerate(program.calls):
        if call.prompt < 0 or call.prefix < 0 or call.output < 1 or call.wait_us < 0:
            raise BadRequest(
                f"call {number} of {where} has a negative length or wait, or writes nothing: {call.prompt} prompt, "
                f"{call.prefix} prefix and {call.output} output tokens, {call.wait_us} us; correct the row"
            )
        if any(not 0 <= each < len(program.calls) for each in call.after):
            raise BadRequest(f"call {number} of {where} comes after {call.after}, of 0..{len(program.calls) - 1}")
    order(program, where)
    return program


def order(program: SimulatedProgram, where: str = "the program") -> list[int]:
    """Its calls, each behind those that it comes after. Raises BadRequest for a cycle."""
    missing = [len(call.after) for call in program.calls]
    followers = following(program)
    ready = [number for number, count in enumerate(missing) if not count]
    for number in ready:
        for each in followers[number]:
            missing[each] -= 1
            if not missing[each]:
                ready.append(each)
    if len(ready) < len(program.calls):
        stuck = [number for number, count in enumerate(missing) if count]
        raise BadRequest(f"calls {stuck[:8]} of {where} wait for each other in a cycle; a call may only follow others")
    return ready


def depths(program: SimulatedProgram) -> list[int]:
    """For each call the calls on the longest way from it to an end, itself included."""
    found = [1] * len(program.calls)
    for number in reversed(order(program)):
        for each in program.calls[number].after:
            found[each] = max(found[each], found[number] + 1)
    return found


def following(program: SimulatedProgram) -> list[list[int]]:
    """For each call those that come after it."""
    followers: list[list[int]] = [[] for _ in program.calls]
    for number, call in enumerate(program.calls):
        for each in call.after:
            followers[each].append(number)
    return followers

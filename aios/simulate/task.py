"""What is on its way in a simulation: programs, and their calls as a policy sees them."""

from __future__ import annotations

from aios.simulate.program import Call, SimulatedProgram, depths, following


class SimulatedRun:
    """One program on its way."""

    __slots__ = ("depths", "followers", "left", "missing", "pid", "program", "waits")

    def __init__(self, pid: int, program: SimulatedProgram) -> None:
        self.pid = pid
        self.program = program
        self.left = len(program.calls)
        self.missing = [len(call.after) for call in program.calls]
        self.followers = following(program)
        self.depths = depths(program) if program.graph else []
        self.waits = [0] * self.left
        """For tools, on the way to each call."""


class Task:
    """One call on its way; a Job to the policy."""

    __slots__ = (
        "call", "cold", "context", "critical_path_depth", "end", "graph_id", "id", "index", "left", "paused", "pid",
        "planned", "priority", "program", "prompt", "ready", "run", "since", "tenant", "unread",
    )  # fmt: skip

    def __init__(self, id: int, run: SimulatedRun, index: int, call: Call, ready: int) -> None:
        program = run.program
        self.id = id
        self.pid = run.pid
        self.priority = program.priority
        self.program = program.name
        self.tenant = program.tenant
        self.prompt = call.prompt
        self.graph_id = run.pid if program.graph else 0
        self.critical_path_depth = run.depths[index] if program.graph else 0
        self.run = run
        self.index = index
        self.call = call
        self.ready = ready
        """When it was made."""
        self.left = call.output
        self.unread = call.prompt
        """Of its prompt, until the policy has been told that it was read."""
        self.cold = call.prompt
        """Tokens to read at its next start."""
        self.context = call.prefix + call.prompt
        self.planned = 0
        """Tokens of its slice."""
        self.end = 0
        """The step with which that is over."""
        self.since = 0
        """When it began."""
        self.paused = -1
        """The step at which it last gave up its slot."""

"""Which runs of programs keep their contexts in memory, what these take, and which are evicted first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from aios.scheduler.base import Job
from aios.scheduler.output_lengths import OutputLengths
from aios.scheduler.think_times import ThinkTimes


@dataclass(slots=True, eq=False)
class Resident:
    """A run of a program, and what its contexts take."""

    id: int
    name: str
    priority: int = 0
    """Of its last call."""
    calls: int = 0
    """In the lane: they wait, run or are held back."""
    running: int = 0
    begun: dict[int, int] = field(default_factory=dict)
    """Of its calls that have a context: what those take, or if that is more, what they are likely to need."""
    rest: int = 0
    """What its last call left, while none has begun."""
    since: int = -1
    """When the last of its calls was done, while it has none."""
    until: int = 0
    """For how long what it left was to be kept."""
    soon: int = 0
    """For how long nobody else comes in for it where no call runs at all."""
    over: bool = False

    @property
    def size(self) -> int:
        """Of all its contexts that are in memory."""
        return sum(self.begun.values()) if self.begun else self.rest


class ResidentSet:
    """Runs that are resident, whose contexts are kept, and those that are not.

    | state of a run   | event                                      | next state                             |
    |------------------|--------------------------------------------|----------------------------------------|
    | not resident     | a call of it enters                        | resident, running                      |
    | resident         | its last call is done                      | idle, kept until a return does not pay |
    | idle             | a call of it enters                        | resident, running                      |
    | idle             | its time is over, and another needs the place | not resident                        |
    | resident or idle | the capacity is exceeded, no call of it runs | not resident                         |
    | any              | it ends                                    | forgotten                              |

    A context of c tokens takes `takes(c)` of `capacity`, which is c where tokens are all that it is counted in. It is
    what the run's last call had read and written, or its first is to read, and what its calls usually write.

    Between its calls a run stays while that pays. To read c tokens again is c * read_us in which all of the memory
    does nothing; to keep them for t is their share of it for t; so they are even at t = c * read_us * capacity /
    takes(c) (InferCept, Abhyankar et al., ICML 2024). How long to bet on a return, `ThinkTimes` learns (Continuum, Li
    et al., 2025). After that it goes when another needs the place, and not before. Where no call runs, to wait for the
    next has all of the memory do nothing, and pays for c * read_us.

    `on_left` hears of each process that is resident no more: what is kept of it may go first.
    """

    def __init__(
        self,
        capacity: int,
        read_us: Callable[[], float],
        takes: Callable[[int], int],
        on_left: Callable[[int], None] = lambda _pid: None,
    ) -> None:
        self.capacity = capacity
        self.pauses = ThinkTimes()
        self.used = 0
        """Of the capacity, by all resident contexts."""
        self.running: set[int] = set()
        """The calls that have slots."""
        self._read_us, self._takes, self._on_left = read_us, takes, on_left
        self._all: dict[int, Resident] = {}
        self._resident: dict[int, Resident] = {}
        self._written: dict[int, int] = {}
        """Tokens that each call in the lane has written."""
        self._answers = OutputLengths()

    def __len__(self) -> int:
        """How many runs are resident, or have called and not ended."""
        return len(self._all)

    def resident(self, pid: int) -> bool:
        """Whether a run's context has its place."""
        return pid in self._resident

    def of(self, job: Job) -> Resident:
        """The run that a call belongs to."""
        number = job.pid or -job.id
        place = self._all.get(number)
        if place is None:
            place = self._all[number] = Resident(number, job.program)
        return place

    def came(self, job: Job, now: int) -> None:
        """A run has a call more."""
        place = self.of(job)
        if place.since >= 0:
            self.pauses.add(place.name, now - place.since)
            place.since = -1
        place.priority = job.priority
        place.calls += 1
        self._written[job.id] = 0

    def fits(self, job: Job, now: int, *, due: bool) -> bool:
        """Whether a call fits, or would if all went that may be paused for it."""
        place = self.of(job)
        lacking = self.used + self._more(place, job) - self.capacity
        return lacking <= 0 or lacking <= sum(each.size for each in self._pausable(job, now, due=due))

    def enter(self, job: Job, now: int, *, due: bool) -> None:
        """Make room for a call that gets a slot, and give it that."""
        place = self.of(job)
        most = self.capacity - self._more(place, job)
        if self.used > most:
            self._pause(most, self._pausable(job, now, due=due), now)
            self._pause(most, (each for each in self._idle() if each is not place), now)
        before = place.size
        if job.id not in place.begun:
            place.begun[job.id] = self._needs(job)
        self._resident[place.id] = place
        self.used += place.size - before
        place.running += 1
        self.running.add(job.id)

    def served(self, job: Job, decode: int, now: int) -> None:
        """A running call has written so many tokens."""
        self._answers.wrote(job.program, decode)
        self._written[job.id] += decode
        begun = self.of(job).begun
        if job.id in begun:
            more = self._takes(job.context + self._written[job.id]) - begun[job.id]
            if more > 0:
                begun[job.id] += more
                self.used += more
                self._shrink(now)

    def stop(self, job: Job, now: int) -> bool:
        """A call gives its slot back; whether it had one."""
        if job.id not in self.running:
            return False
        self.running.remove(job.id)
        self.of(job).running -= 1
        self._shrink(now)
        return True

    def done(self, job: Job, now: int) -> None:
        """A call that has no slot has ended; its run begins to pause if that was its only one."""
        self._answers.ended(job.program)
        left = job.context + self._written.pop(job.id)
        place = self.of(job)
        before = place.size
        if place.begun.pop(job.id, None) is not None:
            place.rest = self._takes(left)
            self.used += place.size - before
        place.calls -= 1
        if not place.calls:
            keep_us = self.pauses.keep_us(place.name, self._worth_us(left))
            place.since, place.until = now, now + keep_us
            place.soon = now + min(keep_us, int(self._read_us() * left))
            if place.over or not job.pid:
                self._forget(place)

    def ended(self, pid: int) -> None:
        """A run is over."""
        place = self._all.get(pid)
        if place is not None:
            place.over = True
            if not place.calls:
                self._forget(place)

    def over(self, now: int) -> int | None:
        """When the next of those between their calls has been kept for as long as it was to be, if any is."""
        idle = (each for each in self._resident.values() if not each.calls)
        times = (each.until if self.running else each.soon for each in idle)
        return min((each for each in times if each > now), default=None)

    def _worth_us(self, tokens: int) -> float:
        """The pause through which a context costs as much as to be read again."""
        tokens = max(1, tokens)
        return self._read_us() * tokens * self.capacity / self._takes(tokens)

    def _more(self, place: Resident, job: Job) -> int:
        """What a call takes beyond what its run has resident."""
        if job.id in place.begun:
            return 0
        return self._needs(job) - (0 if place.begun else place.rest)

    def _needs(self, job: Job) -> int:
        return self._takes(job.context + max(self._answers.times(job.program), self._written[job.id]))

    def _idle(self) -> Iterator[Resident]:
        """Resident runs that have no call running."""
        return (each for each in self._resident.values() if not each.running)

    def _pausable(self, job: Job, now: int, *, due: bool) -> Iterator[Resident]:
        """Those of them that may be paused for a call, which may be due by the policy's cap."""
        place = self.of(job)
        anyone = due or place.id in self._resident
        return (
            each
            for each in self._idle()
            if each is not place and (anyone or each.priority < job.priority or (not each.calls and each.until <= now))
        )

    def _shrink(self, now: int) -> None:
        if self.used > self.capacity:
            self._pause(self.capacity, self._idle(), now)

    def _pause(self, most: int, pausable: Iterable[Resident], now: int) -> None:
        """Let some of these go, until no more than `most` is used."""
        for each in sorted(pausable, key=lambda each: (each.calls > 0, each.until > now, each.soon > now, each.size)):
            if self.used <= most:
                return
            self._leave(each)

    def _leave(self, place: Resident) -> None:
        if self._resident.pop(place.id, None) is not None:
            self.used -= place.size
            if place.id > 0:
                self._on_left(place.id)
        place.begun.clear()
        place.rest = 0

    def _forget(self, place: Resident) -> None:
        self._leave(place)
        del self._all[place.id]

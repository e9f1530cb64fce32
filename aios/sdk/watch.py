"""Changes to files as they happen."""

from __future__ import annotations

from collections import deque
from typing import Self

from aios_syscalls import FileVersion, WatchFiles
from aios_syscalls.port import Port


class FileWatch:
    """Versions, one after the other, for ever; `since` is the seq after which the next look goes on.

    No generator, which would have to be closed when a loop over it is left.
    """

    def __init__(self, port: Port, paths: tuple[str, ...], since: int | None) -> None:
        self.since = since
        self._port, self._paths = port, paths
        self._waiting: deque[FileVersion] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FileVersion:
        while not self._waiting:
            found = await self._port.submit(WatchFiles(paths=self._paths, since=self.since))
            self._waiting.extend(found.versions)
            self.since = found.seq
        return self._waiting.popleft()

"""What the daemon's HTTP wires add: to a bare route of the same bytes, and to the kernel's own call."""

from aios.bench.http.measure import main

__all__ = ["main"]

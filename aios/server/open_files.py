"""How many descriptors a daemon may have: each connection takes one, and each process of a client's too."""

from __future__ import annotations

import resource

WANTED = 65_536


def allow_many_files(wanted: int = WANTED) -> int:
    """Raise this process's limit of open files as far as it may; the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= limit:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit

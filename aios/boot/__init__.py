"""The composition root: from a Config to a running kernel. Only here are concrete classes named."""

from aios.boot.kernel import BootedKernel, boot_kernel
from aios.boot.lanes import scheduler
from aios.boot.models import DEFAULT_MODEL, Progress, make_model, make_models, survey, try_models
from aios.boot.remembered import learnt_answers, learnt_programs, memory
from aios.boot.remote import DaemonRun, run_on_daemon
from aios.boot.run import BootedRun, boot, check_root, library, open_run, run_fingerprint, tool_box
from aios.boot.walls import DryWall, check_dry_wall, noted
from aios.hosts.dry_wall import NotedAct
from aios.hosts.namespaces import available as namespaces
from aios.hosts.verdict import Kind as ActKind
from aios.hosts.wall import describe as describe_rung
from aios.hosts.wall import rung

__all__ = [
    "DEFAULT_MODEL",
    "ActKind",
    "BootedKernel",
    "BootedRun",
    "DaemonRun",
    "DryWall",
    "NotedAct",
    "Progress",
    "boot",
    "boot_kernel",
    "check_dry_wall",
    "check_root",
    "describe_rung",
    "learnt_answers",
    "learnt_programs",
    "library",
    "make_model",
    "make_models",
    "memory",
    "namespaces",
    "noted",
    "open_run",
    "run_fingerprint",
    "run_on_daemon",
    "rung",
    "scheduler",
    "survey",
    "tool_box",
    "try_models",
]

"""The composition root: from a Config to a running kernel. Only here are concrete classes named."""

from aios.boot.kernel import BootedKernel, boot_kernel
from aios.boot.lanes import scheduler
from aios.boot.models import DEFAULT_MODEL, Progress, make_model, make_models, survey, try_models
from aios.boot.remembered import learnt_answers, learnt_programs, memory
from aios.boot.remote import DaemonRun, run_on_daemon
from aios.boot.resume import RESUMABLE, Durability, check_unchanged, resumable
from aios.boot.run import BootedRun, boot, check_root, library, open_run, run_fingerprint, tool_box
from aios.boot.walls import DryWall, check_dry_wall, noted
from aios.wall import ActKind, NotedAct, describe_rung, namespaces_available, rung

__all__ = [
    "DEFAULT_MODEL",
    "RESUMABLE",
    "ActKind",
    "BootedKernel",
    "BootedRun",
    "DaemonRun",
    "DryWall",
    "Durability",
    "NotedAct",
    "Progress",
    "boot",
    "boot_kernel",
    "check_dry_wall",
    "check_root",
    "check_unchanged",
    "describe_rung",
    "learnt_answers",
    "learnt_programs",
    "library",
    "make_model",
    "make_models",
    "memory",
    "namespaces_available",
    "noted",
    "open_run",
    "resumable",
    "run_fingerprint",
    "run_on_daemon",
    "rung",
    "scheduler",
    "survey",
    "tool_box",
    "try_models",
]

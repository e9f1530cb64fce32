"""The composition root: from a Config to a running kernel. Only here are concrete classes named."""

from aios.boot.lanes import scheduler
from aios.boot.models import DEFAULT_MODEL, Progress, make_model, make_models, survey, try_models
from aios.boot.remembered import learnt_answers, learnt_programs, memory
from aios.boot.run import Run, boot, library
from aios.boot.walls import DryWall, check_dry_wall, noted
from aios.wall import ActKind, NotedAct, describe_rung, namespaces_available, rung

__all__ = [
    "DEFAULT_MODEL",
    "ActKind",
    "DryWall",
    "NotedAct",
    "Progress",
    "Run",
    "boot",
    "check_dry_wall",
    "describe_rung",
    "learnt_answers",
    "learnt_programs",
    "library",
    "make_model",
    "make_models",
    "memory",
    "namespaces_available",
    "noted",
    "rung",
    "scheduler",
    "survey",
    "try_models",
]

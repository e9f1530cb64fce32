"""The composition root: from a Config to a running kernel. Only here are concrete classes named."""

from aios.boot.lanes import scheduler
from aios.boot.models import DEFAULT_MODEL, Progress, make_model, make_models, survey, try_models
from aios.boot.remembered import learnt_answers, learnt_programs, memory
from aios.boot.run import Run, boot, library

__all__ = [
    "DEFAULT_MODEL",
    "Progress",
    "Run",
    "boot",
    "learnt_answers",
    "learnt_programs",
    "library",
    "make_model",
    "make_models",
    "memory",
    "scheduler",
    "survey",
    "try_models",
]

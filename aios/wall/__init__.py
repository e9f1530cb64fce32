"""The walls around what the kernel starts: agents, tools in processes of their own, and the kernel's helpers."""

from aios.wall.agent import Level, Rung, Wall, Walls, describe_rung, homes, put_up, rung, search_path
from aios.wall.dry_wall import NotedAct, note_refusals, read_notes
from aios.wall.enclosure import enclose
from aios.wall.namespaces import enter_namespaces, namespaces_available
from aios.wall.refusal import refusal_hint
from aios.wall.scratch import make_scratch, remove_scratch
from aios.wall.service import ServiceWall, put_up_service
from aios.wall.verdict import ActKind

__all__ = [
    "ActKind",
    "Level",
    "NotedAct",
    "Rung",
    "ServiceWall",
    "Wall",
    "Walls",
    "describe_rung",
    "enclose",
    "enter_namespaces",
    "homes",
    "make_scratch",
    "namespaces_available",
    "note_refusals",
    "put_up",
    "put_up_service",
    "read_notes",
    "refusal_hint",
    "remove_scratch",
    "rung",
    "search_path",
]

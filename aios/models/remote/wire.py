"""The limits that the protocols of remote models share."""

from __future__ import annotations

from aios.models.remote.calls import MAX_ARGUMENTS_BYTES, MAX_ARGUMENTS_DEPTH, MAX_TOOL_CALLS
from aios.models.remote.lenient import MAX_PARTS

__all__ = ["MAX_ARGUMENTS_BYTES", "MAX_ARGUMENTS_DEPTH", "MAX_PARTS", "MAX_TOOL_CALLS"]

"""Tools: typed Python functions that agents and models may call."""

from aios.tools.registry import ToolBox, load_tools
from aios.tools.tool import Tool, tool

__all__ = ["Tool", "ToolBox", "load_tools", "tool"]

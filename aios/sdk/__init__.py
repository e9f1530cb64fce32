"""The SDK: what an agent program imports.

An agent is one file with `async def main(agent: Agent, task: str) -> str`.
"""

from aios.sdk.agent import Agent
from aios.sdk.conversation import Conversation
from aios.sdk.gathering import gather
from aios.sdk.graph import Future, Graph
from aios.sdk.socket_port import SocketPort
from aios.sdk.solve import solve
from aios.sdk.stream import Stream
from aios.sdk.summaries import compare, faithful, summarise
from aios.sdk.tool_choice import rank_tools
from aios.sdk.versions import At, point

__all__ = [
    "Agent",
    "At",
    "Conversation",
    "Future",
    "Graph",
    "SocketPort",
    "Stream",
    "compare",
    "faithful",
    "gather",
    "point",
    "rank_tools",
    "solve",
    "summarise",
]

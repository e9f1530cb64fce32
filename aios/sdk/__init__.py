"""The SDK: what an agent program imports.

An agent is one file with `async def main(agent: Agent, task: str) -> str`.
"""

from aios.sdk.agent import Agent, gather
from aios.sdk.choice import rank_tools
from aios.sdk.conversation import Conversation
from aios.sdk.graph import Future, Graph
from aios.sdk.solve import solve
from aios.sdk.stream import Stream

__all__ = ["Agent", "Conversation", "Future", "Graph", "Stream", "gather", "rank_tools", "solve"]

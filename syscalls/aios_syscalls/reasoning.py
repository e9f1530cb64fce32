"""How reasoning is marked in a text, where a server leaves it in the answer."""

from __future__ import annotations

from collections.abc import Mapping

TAGS: Mapping[str, str] = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
}
"""What reasoning begins and ends with."""

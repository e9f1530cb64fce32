"""The list of models: each entry has the fields of OpenAI's and of Anthropic's schema."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aios.server.door import ModelInfo


def model_body(model: ModelInfo) -> dict[str, Any]:
    """One model."""
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "aios",
        "type": "model",
        "display_name": model.name,
        "created_at": datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "capabilities": None,
        "max_input_tokens": model.context,
        "max_tokens": model.context,
    }


def list_body(models: Sequence[ModelInfo]) -> dict[str, Any]:
    """All of them, on one page."""
    return {
        "object": "list",
        "data": [model_body(model) for model in models],
        "has_more": False,
        "first_id": models[0].name if models else None,
        "last_id": models[-1].name if models else None,
    }

"""Models behind one protocol: local, remote, scripted."""

from aios.models.base import (
    CHARS_PER_TOKEN,
    NO_LIKELIHOODS,
    NO_VECTORS,
    NOBODY,
    ONLY_VECTORS,
    Backend,
    Caller,
    Embedder,
    Emit,
    Model,
    Ranker,
    attachments_refusal,
    guess_tokens,
    too_long,
)

__all__ = [
    "CHARS_PER_TOKEN",
    "NOBODY",
    "NO_LIKELIHOODS",
    "NO_VECTORS",
    "ONLY_VECTORS",
    "Backend",
    "Caller",
    "Embedder",
    "Emit",
    "Model",
    "Ranker",
    "attachments_refusal",
    "guess_tokens",
    "too_long",
]

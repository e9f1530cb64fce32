"""aios: an operating-system kernel for LLM agents."""

__version__ = "0.1.0"

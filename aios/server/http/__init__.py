"""OpenAI's and Anthropic's protocols over HTTP: any of their clients is a process of the kernel."""

from aios.server.http.app import make_app
from aios.server.http.settings import HttpSettings

__all__ = ["HttpSettings", "make_app"]

"""The core and the calls of the kernel's tests."""

from tests.kernel.conftest import counting, opened, say

__all__ = ["counting", "opened", "say"]

"""The ABI of the aios kernel: every syscall, reply and error, and their JSON form."""

from aios_syscalls.base import *
from aios_syscalls.call_id import *
from aios_syscalls.errors import *
from aios_syscalls.file import *
from aios_syscalls.file_search import *
from aios_syscalls.file_version import *
from aios_syscalls.graph import *
from aios_syscalls.llm import *
from aios_syscalls.process import *
from aios_syscalls.tool import *

"""Mailboxes: messages between processes, bounded by number and by bytes."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from aios_syscalls import Cancelled, Overloaded, ReceiveReply


@dataclass(slots=True)
class MailLimits:
    """What mailboxes may hold unread; sizes in bytes."""

    messages: int
    """In one mailbox."""
    message_bytes: int
    """Of one message."""
    mailbox_bytes: int
    """Of all messages in one mailbox."""
    total_bytes: int = 256 * 1024 * 1024
    """Of all messages in all mailboxes."""
    unread_bytes: int = 0
    """What all mailboxes hold now."""


class Mailbox:
    """One process's unread messages, oldest first."""

    def __init__(self, owner: int, limits: MailLimits) -> None:
        self._owner, self._limits = owner, limits
        self._in, self._out = anyio.create_memory_object_stream[ReceiveReply](limits.messages)
        self._bytes = 0

    def put(self, mail: ReceiveReply) -> None:
        """Add a message. Raises Overloaded when it is too large, or there is no room for it."""
        size, limits = _size(mail), self._limits
        if size > limits.message_bytes:
            raise Overloaded(
                f"a message of {size} bytes is over the limit of {limits.message_bytes}; write it to a file with "
                "agent.write, and send the file's path"
            )
        if self._bytes + size > limits.mailbox_bytes:
            raise Overloaded(
                f"the mailbox of process {self._owner} holds {self._bytes} bytes, and {limits.mailbox_bytes} are its "
                "limit; try again once it has read some"
            )
        if limits.unread_bytes + size > limits.total_bytes:
            raise Overloaded(f"all mailboxes hold {limits.unread_bytes} bytes, near their limit; try again later")
        try:
            self._in.send_nowait(mail)
        except anyio.WouldBlock:
            count = limits.messages
            raise Overloaded(f"the mailbox of process {self._owner} holds {count} messages, its limit") from None
        self._count(size)

    async def take(self) -> ReceiveReply:
        """The oldest message, waited for. Raises Cancelled when the mailbox is closed."""
        try:
            mail = await self._out.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            raise Cancelled(f"process {self._owner} has ended, or the kernel stops") from None
        self._count(-_size(mail))
        return mail

    def close(self) -> None:
        """Let no more mail in or out, and drop what is unread."""
        self._in.close()
        self._out.close()
        self._count(-self._bytes)

    def _count(self, change: int) -> None:
        self._bytes += change
        self._limits.unread_bytes += change


def _size(mail: ReceiveReply) -> int:
    return len(mail.body.encode("utf-8", "replace"))

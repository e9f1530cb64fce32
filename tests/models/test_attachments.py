"""Pictures and files in a conversation: who takes them gets them in its protocol's shape, who does not refuses them."""

from __future__ import annotations

import json

import pytest

from aios.models import attachments_refusal
from aios.models.remote import anthropic_wire, openai_wire
from aios_syscalls import BadRequest, Chat, FilePart, ImagePart, Message, TextPart

PICTURE = ImagePart(media_type="image/png", data=b"\x89PNG")
FILE = FilePart(name="a.pdf", media_type="application/pdf", data=b"%PDF")
PARTS = (TextPart(text="What is "), PICTURE, TextPart(text="this?"), FILE)
CHAT = Chat(messages=(Message(role="user", parts=PARTS),))


def test_a_messages_content_is_the_text_of_its_parts() -> None:
    (message,) = CHAT.messages
    assert message.content == "What is this?"
    assert message.attachments == (PICTURE, FILE)
    assert Chat.model_validate_json(CHAT.model_dump_json()) == CHAT
    with pytest.raises(BadRequest, match="content is not the text of the parts"):
        Message(role="user", content="other", parts=PARTS)


@pytest.mark.parametrize(
    ("takes", "says"), [((), "takes no images"), (("image",), "takes no files"), (("image", "file"), "")]
)
def test_what_a_model_does_not_take_is_refused_by_kind_and_place(takes: tuple[str, ...], says: str) -> None:
    refusal = attachments_refusal(CHAT, takes)
    assert refusal.startswith(says)
    assert bool(refusal) == bool(says)


def test_openais_protocol_has_them_as_urls_with_their_bytes() -> None:
    (message,) = json.loads(openai_wire.request_body(CHAT, "m", {}))["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image_url", "text", "file"]
    assert message["content"][1]["image_url"]["url"] == "data:image/png;base64,iVBORw=="
    assert message["content"][3]["file"] == {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}


def test_anthropics_protocol_has_them_as_sources() -> None:
    (message,) = json.loads(anthropic_wire.request_body(CHAT, "m", {}))["messages"]
    assert [block["type"] for block in message["content"]] == ["text", "image", "text", "document"]
    assert message["content"][1]["source"] == {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}

"""Model files: good, damaged, foreign, and their faster copies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aios.models.local.engine import quantize
from aios.models.local.engine.llama import LlamaContext, LlamaModel, ModelShape
from aios_syscalls import BadRequest, ModelFailed

pytestmark = pytest.mark.whole


def refusal(path: Path) -> str:
    with pytest.raises(ModelFailed) as caught:
        LlamaModel(path)
    assert str(path) in caught.value.message
    return caught.value.message


def test_files_that_are_no_model_say_why(gguf: Path, tmp_path: Path) -> None:
    whole = gguf.read_bytes()
    path = tmp_path / "model.gguf"
    assert "No such file" in refusal(path)
    assert "directory" in refusal(tmp_path)
    path.write_bytes(b"<html>")
    assert "not a GGUF file" in refusal(path)
    path.write_bytes(b"")
    assert "not a GGUF file" in refusal(path)
    path.write_bytes(whole[: len(whole) // 2])
    assert "corrupted or incomplete" in refusal(path)
    path.write_bytes(whole[:1000])
    assert "failed to read" in refusal(path)
    path.write_bytes(whole.replace(b"llama", b"lxama", 50))
    assert "unknown model architecture: 'lxama'" in refusal(path)


def test_a_context_longer_than_the_model_is_refused(llama: LlamaModel) -> None:
    with pytest.raises(BadRequest, match=r"8193 .* 8192") as caught:
        LlamaContext(llama, ModelShape(1, 8193))
    assert caught.value.field == "context"


def test_text_survives_tokens(llama: LlamaModel) -> None:
    text = "Ünïcode 🙂 \x00 <|im_end|> tabs\t\n" + "long " * 500
    assert b"".join(llama.piece(token) for token in llama.tokenize(text)).decode() == text


def test_metadata_of_any_length(llama: LlamaModel) -> None:
    assert llama.metadata("general.architecture") == "llama"
    assert llama.metadata("missing") is None
    assert llama.control_texts >= {"<|im_start|>", "<|im_end|>"}
    assert (llama.generates, llama.trained_context) == (True, 8192)


def test_a_slow_file_gets_a_faster_copy_once(
    shipped_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOS_HOME", str(tmp_path))
    copy, note = quantize.faster(shipped_gguf)
    assert (copy.parent, note) == (tmp_path / "cache/models", "requantized from Q4_1 to Q8_0")
    assert list(copy.parent.iterdir()) == [copy]
    written = copy.stat().st_mtime_ns
    assert quantize.faster(shipped_gguf)[0] == copy
    assert copy.stat().st_mtime_ns == written
    assert quantize.faster(copy)[0] == copy


def test_without_room_for_a_copy_the_shipped_file_serves(
    shipped_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setenv("AIOS_HOME", str(tmp_path))
    path, note = quantize.faster(shipped_gguf)
    assert path == shipped_gguf
    assert "could not be requantized" in note
    monkeypatch.setattr(quantize, "LARGEST", os.path.getsize(shipped_gguf) - 1)
    assert quantize.faster(shipped_gguf) == (shipped_gguf, "too large to requantize")

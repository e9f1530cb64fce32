"""llama.cpp's low-level API, as a model and a context with types. Only the worker process imports this."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as L
from numpy.typing import NDArray

from aios_syscalls import ModelFailed

Logits = NDArray[np.float32]

ALL_LAYERS = 999

_said: deque[str] = deque(maxlen=20)
"""The last warnings and errors that llama.cpp logged: the reason when something returns null."""


@L.llama_log_callback  # type: ignore[untyped-decorator]
def _listen(level: int, text: bytes, _data: Any) -> None:
    if level in (3, 4):  # warning, error
        _said.append(text.decode("utf-8", "replace").strip())


def _why() -> str:
    return next((line for line in reversed(_said) if line), "llama.cpp gave no reason")


class LlamaModel:
    """A loaded GGUF: its vocabulary and its metadata. Raises ModelFailed when it does not load."""

    def __init__(self, path: Path, on_progress: Callable[[float], None], *, vocabulary_only: bool = False) -> None:
        L.llama_log_set(_listen, None)
        L.llama_backend_init()
        if not path.is_file():
            raise ModelFailed(f"no model file at {path}; give the path of a GGUF file")
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelFailed(f"{path} is no GGUF file: it does not begin with GGUF; convert or download it again")
        params = L.llama_model_default_params()
        params.n_gpu_layers = ALL_LAYERS if L.llama_supports_gpu_offload() else 0
        params.vocab_only = vocabulary_only

        @L.llama_progress_callback  # type: ignore[untyped-decorator]
        def tell(share: float, _data: Any) -> bool:
            on_progress(share)
            return True

        params.progress_callback = tell
        self.handle = L.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise ModelFailed(
                f"{path} does not load: {_why()}; is it whole, and of an architecture that llama.cpp has?"
            )
        self.vocab = L.llama_model_get_vocab(self.handle)
        self.vocabulary_size: int = L.llama_vocab_n_tokens(self.vocab)
        self.trained_context: int = L.llama_model_n_ctx_train(self.handle)

    def metadata(self, key: str) -> str | None:
        """A value of the file's metadata, as text."""
        buffer = ctypes.create_string_buffer(1 << 20)
        size = L.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return None if size < 0 else buffer.value.decode("utf-8", "replace")

    @property
    def chat_template(self) -> str | None:
        """The jinja source of the chat template that the file carries."""
        return self.metadata("tokenizer.chat_template")

    @property
    def adds_bos(self) -> bool:
        """Whether a prompt begins with the beginning-of-text token."""
        return bool(L.llama_vocab_get_add_bos(self.vocab))

    @property
    def bos(self) -> int:
        return int(L.llama_vocab_bos(self.vocab))

    @property
    def eos(self) -> int:
        return int(L.llama_vocab_eos(self.vocab))

    def text(self, token: int) -> str:
        """A token's own text, special ones too; empty for none."""
        return "" if token < 0 else L.llama_vocab_get_text(self.vocab, token).decode("utf-8", "replace")

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text; with `special`, names of control tokens in it become those tokens."""
        data = text.encode("utf-8", "surrogatepass")
        room = len(data) + 8
        buffer = (ctypes.c_int32 * room)()
        count = L.llama_tokenize(self.vocab, data, len(data), buffer, room, False, special)
        if count < 0:
            raise ModelFailed(f"llama.cpp could not tokenize {len(data)} bytes: {_why()}")
        return list(buffer[:count])

    def piece(self, token: int) -> bytes:
        """The bytes that a generated token stands for; none for a control token."""
        buffer = ctypes.create_string_buffer(256)
        size = L.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[:size] if size > 0 else b""

    def ends(self, token: int) -> bool:
        """Whether the token ends a generation."""
        return bool(L.llama_vocab_is_eog(self.vocab, token))


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens for one sequence at consecutive positions; `wanted` asks for the logits after the last of them."""

    sequence: int
    position: int
    tokens: Sequence[int]
    wanted: bool


class LlamaContext:
    """A KV cache of `sequences` separate streams of `length` tokens each.

    Separate streams without flash attention are what makes a sequence's logits independent of its batch-mates.
    """

    def __init__(self, model: LlamaModel, sequences: int, length: int, threads: int) -> None:
        params = L.llama_context_default_params()
        params.n_ctx = sequences * length
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = False
        params.flash_attn_type = 0
        params.no_perf = True
        self.batch = int(params.n_batch)
        self.sequences = sequences
        self._params = params  # llama.cpp keeps pointers into it
        self._size = model.vocabulary_size
        self._handle = L.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise ModelFailed(
                f"no context of {sequences} x {length} tokens: {_why()}; ask for fewer slots or a shorter one"
            )
        self._memory = L.llama_get_memory(self._handle)

    def decode(self, rows: Sequence[Row]) -> list[Logits]:
        """Run the rows; the logits of each wanted one, valid until the next call. Raises ModelFailed."""
        tokens = np.concatenate([np.asarray(row.tokens, np.int32) for row in rows])
        count = len(tokens)
        positions = np.concatenate([np.arange(row.position, row.position + len(row.tokens)) for row in rows])
        sequences = np.repeat([row.sequence for row in rows], [len(row.tokens) for row in rows]).astype(np.int32)
        ends = np.cumsum([len(row.tokens) for row in rows]) - 1
        wanted = [int(end) for end, row in zip(ends, rows, strict=True) if row.wanted]
        flags = np.zeros(count, np.int8)
        flags[wanted] = 1
        positions = positions.astype(np.int32)
        ones = np.ones(count, np.int32)
        pointers = (sequences.ctypes.data + 4 * np.arange(count)).astype(np.uintp)
        batch = L.llama_batch()
        batch.n_tokens = count
        batch.token = tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        batch.pos = positions.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        batch.n_seq_id = ones.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        batch.seq_id = pointers.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)))
        batch.logits = flags.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))
        status = L.llama_decode(self._handle, batch)
        if status != 0:
            raise ModelFailed(f"llama_decode of {count} tokens returned {status}: {_why()}")
        return [
            np.ctypeslib.as_array(L.llama_get_logits_ith(self._handle, index), shape=(self._size,)) for index in wanted
        ]

    def truncate(self, sequence: int, length: int) -> None:
        """Forget what is behind the first `length` tokens of a sequence."""
        L.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def save(self, sequence: int) -> NDArray[np.uint8]:
        """A sequence's state as bytes."""
        size = L.llama_state_seq_get_size(self._handle, sequence)
        state = np.empty(size, np.uint8)
        used = L.llama_state_seq_get_data(
            self._handle, state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)), size, sequence
        )
        return state[:used]

    def load(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        """Replace a sequence by a saved state; whether llama.cpp took it."""
        data = np.ascontiguousarray(state)
        pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        return bool(L.llama_state_seq_set_data(self._handle, pointer, data.size, sequence))

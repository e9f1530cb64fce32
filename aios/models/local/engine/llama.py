"""llama.cpp's low-level API, typed, with its errors as ours. Only the worker process imports this."""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as C

from aios.models.local.engine import heartbeat
from aios_syscalls import BadRequest, ModelFailed

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]

WARNING, ERROR, CONTINUED = 3, 4, 5
"""Log levels of ggml.h; llama_cpp's own table is out of date."""
BF16 = 30
"""GGML_TYPE_BF16 of ggml.h, which llama_cpp leaves out."""
ALL_LAYERS = -1
NOT_CAUSAL = frozenset({"bert", "gemma-embedding"})
"""Architectures that only embed, and whose files may not say so."""
CONTROL_TOKEN = 1 << 0 | 1 << 3
"""Attributes of tokens that `special` tokenizing alone recognizes: unknown and control."""


class EngineLog:
    """The last warnings and errors of llama.cpp, which answers failures with nothing but these."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=20)
        self._level = 0
        # llama.cpp keeps the bare pointer: the callback must live as long as the process.
        self._callback = C.llama_log_callback(self._write)
        C.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _write(self, level: int, text: bytes, _data: object) -> None:
        self._level = self._level if level == CONTINUED else level
        if self._level in (WARNING, ERROR) and (line := text.decode("utf-8", "replace").strip()):
            self._lines.append(line)

    def take(self) -> str:
        """What was logged since the last time, as one line without repetitions."""
        lines = list(dict.fromkeys(self._lines))
        self._lines.clear()
        return "; ".join(lines) or "llama.cpp gave no reason"


_log: EngineLog | None = None


def start() -> EngineLog:
    """The library, made ready once a process; the log is how it reports."""
    global _log
    if _log is None:
        _log = EngineLog()
        C.llama_backend_init()
    return _log


def offloaded(wanted: int | None) -> int:
    """How many layers may go to the GPU when so many are wanted (None: all); -1 means all."""
    if not C.llama_supports_gpu_offload():
        return 0
    return ALL_LAYERS if wanted is None else wanted


def amx() -> bool:
    """Whether this build multiplies with Intel's AMX tiles: llama.cpp's kernels for them crash in threaded batches.

    Weights must then stay out of the CPU's extra buffer types, of which the tiles' one is preferred.
    """
    return b"AMX_INT8 = 1" in C.llama_print_system_info()


class LlamaModel:
    """Weights and vocabulary of a GGUF file. Raises ModelFailed when it does not load, with llama.cpp's reason.

    As many as `gpu_layers` of its layers go to the GPU, all when None, where the build of llama.cpp can do that.
    """

    def __init__(
        self,
        path: Path,
        progress: Callable[[float], None] = lambda _share: None,
        vocabulary_only: bool = False,
        gpu_layers: int | None = None,
    ) -> None:
        log = start()
        _check(path)

        def report(share: float, _data: object) -> bool:
            progress(share)
            return True

        parameters = C.llama_model_default_params()
        parameters.vocab_only = vocabulary_only
        parameters.n_gpu_layers = offloaded(gpu_layers)
        parameters.use_extra_bufts = not amx()
        self._callback = parameters.progress_callback = C.llama_progress_callback(report)
        log.take()
        self.handle = C.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.handle:
            raise ModelFailed(
                f"{path} does not load: {log.take()}; fetch the file again if it is not whole, configure another model "
                "or update llama-cpp-python if its kind is not supported"
            )
        self.path = path
        self._vocabulary = C.llama_model_get_vocab(self.handle)
        self.vocabulary_size: int = C.llama_vocab_n_tokens(self._vocabulary)
        self._piece = ctypes.create_string_buffer(256)

    @property
    def vocabulary(self) -> Any:
        """The C handle that a grammar needs."""
        return self._vocabulary

    @cached_property
    def file_type(self) -> int:
        """Which quantization most tensors have, as llama.cpp numbers them; -1 if the file does not say."""
        return int(self.metadata("general.file_type") or -1)

    @cached_property
    def trained_context(self) -> int:
        """The longest sequence that the model was made for, in tokens."""
        return int(C.llama_model_n_ctx_train(self.handle))

    @cached_property
    def layers(self) -> int:
        """How many blocks it has."""
        return int(C.llama_model_n_layer(self.handle))

    @cached_property
    def generates(self) -> bool:
        """Whether it is a model that continues text, not one that only embeds it."""
        kind = self.metadata("general.architecture")
        if kind in NOT_CAUSAL or self.metadata(f"{kind}.attention.causal") == "false":
            return False
        return bool(C.llama_model_has_decoder(self.handle))

    def metadata(self, key: str) -> str | None:
        """A value of the file's header, as text."""
        buffer = ctypes.create_string_buffer(1024)
        length = C.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        if length >= len(buffer):
            buffer = ctypes.create_string_buffer(length + 1)
            C.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if length >= 0 else None

    def tokenize(self, text: str, special: bool = False, framed: bool = False) -> list[int]:
        """The tokens of a text; `special` reads control tokens' spelling as those tokens.

        `framed` puts those around it that the model's documents begin and end with.
        """
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            tokens = (ctypes.c_int32 * room)()
            count = C.llama_tokenize(self._vocabulary, data, len(data), tokens, room, framed, special)
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def piece(self, token: int, special: bool = False) -> bytes:
        """A token's bytes, perhaps a part of a character; a control token's only if `special`."""
        while True:
            room = len(self._piece)
            length = C.llama_token_to_piece(self._vocabulary, token, self._piece, room, 0, special)
            if length >= 0:
                return self._piece.raw[:length]
            self._piece = ctypes.create_string_buffer(-length)

    def ends(self, token: int) -> bool:
        """Whether a token ends a generation."""
        return bool(C.llama_vocab_is_eog(self._vocabulary, token))

    @cached_property
    def begin(self) -> int | None:
        """The token that every text begins with, if the model wants one."""
        token = C.llama_vocab_bos(self._vocabulary)
        return int(token) if token >= 0 and C.llama_vocab_get_add_bos(self._vocabulary) else None

    @cached_property
    def closing(self) -> int:
        """How many tokens a framed text ends with that are not of the text."""
        adds = C.llama_vocab_get_add_eos(self._vocabulary), C.llama_vocab_get_add_sep(self._vocabulary)
        return int(any(adds))

    def spelling(self, which: str) -> str:
        """How the template writes the token `bos` or `eos`; empty if there is none."""
        token = {"bos": C.llama_vocab_bos, "eos": C.llama_vocab_eos}[which](self._vocabulary)
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    @cached_property
    def control_texts(self) -> frozenset[str]:
        """The spellings that `tokenize(special=True)` reads as control tokens."""
        found = (
            self.piece(token, special=True).decode("utf-8", "replace")
            for token in range(self.vocabulary_size)
            if C.llama_vocab_get_attr(self._vocabulary, token) & CONTROL_TOKEN
        )
        return frozenset(text for text in found if text)

    def close(self) -> None:
        """Free the weights; every context must be closed before."""
        C.llama_model_free(self.handle)
        self.handle = None


def _check(path: Path) -> None:
    """Raise ModelFailed for what is plainly no GGUF file: llama.cpp's own words for that are hard to read."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelFailed(f"no model at {path}: {error.strerror}; name a GGUF file") from None
    if magic != b"GGUF":
        raise ModelFailed(f"{path} is not a GGUF file: it begins with {magic!r}; convert the model, or fetch its GGUF")


@dataclass(frozen=True, slots=True)
class ModelShape:
    """How large a context is: `slots` sequences of up to `context` tokens, at most `chunk` tokens in one decode.

    What is not `exact` may be faster, and then the last bits of logits depend on what else is computed.
    """

    slots: int
    context: int
    chunk: int = 512
    threads: int = 1
    threads_batch: int = 1
    exact: bool = True


class LlamaContext:
    """A KV cache of separate sequences, and the decoding into it.

    Split cache and no flash attention: only so the logits do not depend on what else is in a batch. Flash attention is
    faster for short contexts and on GPUs; on a CPU with values as BF16, since llama.cpp sums up F16 slowly.
    Raises BadRequest for a context longer than the model's, ModelFailed when there is no memory for it.
    """

    def __init__(self, model: LlamaModel, shape: ModelShape) -> None:
        if shape.context > model.trained_context > 0:
            raise BadRequest(
                f"a context of {shape.context} tokens is longer than the {model.trained_context} that "
                f"{model.path.name} was trained for; configure at most that",
                "context",
            )
        log = start()
        parameters = C.llama_context_default_params()
        parameters.n_ctx = shape.slots * shape.context
        parameters.n_batch = max(shape.chunk, shape.slots)
        parameters.n_ubatch = max(shape.chunk, shape.slots)
        parameters.n_seq_max = shape.slots
        parameters.n_threads = shape.threads
        parameters.n_threads_batch = shape.threads_batch
        parameters.kv_unified = False
        parameters.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_DISABLED
        if not shape.exact:
            parameters.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_ENABLED
            if not C.llama_supports_gpu_offload():
                parameters.type_v = BF16
        parameters.no_perf = True
        log.take()
        self.handle = C.llama_init_from_model(model.handle, parameters)
        if not self.handle:
            raise ModelFailed(
                f"no context of {shape.slots} x {shape.context} tokens for {model.path.name}: {log.take()}; "
                "configure fewer slots or a shorter context"
            )
        heartbeat.progress().follow(self.handle)
        self.shape, self._model, self._parameters = shape, model, parameters
        self._memory = C.llama_get_memory(self.handle)
        self._batch = _Batch(int(parameters.n_batch))

    def decode(self, tokens: Integers, positions: Integers, sequences: Integers, outputs: Integers) -> Floats:
        """Decode a batch; the logits of the tokens at the indices `outputs`, shape (len(outputs), vocabulary).

        The logits are a view that the next decode overwrites. Raises ModelFailed when llama.cpp refuses.
        """
        heartbeat.progress().begin()
        status = C.llama_decode(self.handle, self._batch.fill(tokens, positions, sequences, outputs))
        if status:
            raise ModelFailed(f"llama.cpp refused a batch of {len(tokens)} tokens (status {status}): {start().take()}")
        if not len(outputs):
            return np.empty((0, self._model.vocabulary_size), np.float32)
        address = ctypes.cast(C.llama_get_logits(self.handle), ctypes.c_void_p).value
        count = len(outputs) * self._model.vocabulary_size
        flat: Floats = np.ctypeslib.as_array((ctypes.c_float * count).from_address(address or 0))
        return flat.reshape(len(outputs), -1)

    def use_threads(self, single: int, batch: int) -> None:
        """How many threads compute a lone token, and how many a batch; the bits do not depend on it."""
        C.llama_set_n_threads(self.handle, single, batch)

    def cut(self, sequence: int, length: int) -> bool:
        """Forget what follows the first `length` tokens of a sequence; false where the model cannot do that in part."""
        return bool(C.llama_memory_seq_rm(self._memory, sequence, length if length else -1, -1))

    def state_bytes(self, sequence: int) -> int:
        """How large the state of a sequence is now."""
        return int(C.llama_state_seq_get_size(self.handle, sequence))

    def save(self, sequence: int, into: memoryview) -> int:
        """Copy a sequence's state into a buffer; how many bytes it took."""
        return int(C.llama_state_seq_get_data(self.handle, _pointer(into), len(into), sequence))

    def restore(self, sequence: int, state: memoryview) -> bool:
        """Replace a sequence by a saved state; false, and an empty sequence, if it does not fit this context."""
        # llama.cpp itself replaces nothing when the saved state is of no tokens.
        self.cut(sequence, 0)
        return bool(C.llama_state_seq_set_data(self.handle, _pointer(state), len(state), sequence))

    def close(self) -> None:
        """Free the cache."""
        C.llama_free(self.handle)
        self.handle = None


class _Batch:
    """A llama_batch over arrays that are allocated once."""

    def __init__(self, size: int) -> None:
        self._tokens, self._positions, self._sequences = (np.zeros(size, np.int32) for _ in range(3))
        self._counts, self._outputs = np.ones(size, np.int32), np.zeros(size, np.int8)
        # One sequence a token: the i-th pointer points at the i-th sequence id.
        self._pointers = (self._sequences.ctypes.data + 4 * np.arange(size)).astype(np.uintp)
        self._batch = C.llama_batch()
        arrays: dict[str, npt.NDArray[Any]] = {
            "token": self._tokens,
            "pos": self._positions,
            "n_seq_id": self._counts,
            "seq_id": self._pointers,
            "logits": self._outputs,
        }
        for field, array in arrays.items():
            setattr(self._batch, field, array.ctypes.data_as(dict(C.llama_batch._fields_)[field]))

    def fill(self, tokens: Integers, positions: Integers, sequences: Integers, outputs: Integers) -> Any:
        count = len(tokens)
        self._tokens[:count], self._positions[:count], self._sequences[:count] = tokens, positions, sequences
        self._outputs[:count] = 0
        self._outputs[outputs] = 1
        self._batch.n_tokens = count
        return self._batch


def _pointer(buffer: memoryview) -> Any:
    return ctypes.cast(np.frombuffer(buffer, np.uint8).ctypes.data, ctypes.POINTER(ctypes.c_uint8))


def quantize(source: Path, target: Path, file_type: int) -> None:
    """Write `source` with another quantization. Raises ModelFailed, perhaps leaving a partial `target`."""
    log = start()
    parameters = C.llama_model_quantize_default_params()
    parameters.ftype = file_type
    parameters.allow_requantize = True
    log.take()
    status = C.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(parameters))
    if status:
        raise ModelFailed(f"{source} could not be requantized (status {status}): {log.take()}")


def pack(values: Sequence[int]) -> Integers:
    """Token ids, positions or sequence ids as llama.cpp wants them."""
    return np.fromiter(values, np.int32, len(values))

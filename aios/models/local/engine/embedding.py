"""Texts to vectors: the worker's loop for a model that embeds. One document a decode.

Documents of several lengths in one batch are slower, not faster, and a document's vector would depend on its
neighbours; read alone and in equal pieces it has the same bits whatever else is asked for.
"""

from __future__ import annotations

import ctypes
from collections import deque
from typing import Any, Protocol

import numpy as np
import psutil
from llama_cpp import llama_cpp as C

from aios.models.local.engine import heartbeat
from aios.models.local.engine.llama import Floats, LlamaModel, pack, start
from aios_syscalls import AiosError, BadRequest, KernelBug, ModelFailed

CHUNK = 256
"""Tokens that a causal model reads at once. It computes the logits of every one, which are large, and nobody wants."""
DECIMALS = 8
"""Of a vector's numbers, which are about as exact as the float32 that they were."""
POOLING = {"1": C.LLAMA_POOLING_TYPE_MEAN, "2": C.LLAMA_POOLING_TYPE_CLS, "3": C.LLAMA_POOLING_TYPE_LAST}
"""How token vectors become one, as files number it; where they do not say, the mean."""
NAMES = {C.LLAMA_POOLING_TYPE_MEAN: "mean", C.LLAMA_POOLING_TYPE_CLS: "first", C.LLAMA_POOLING_TYPE_LAST: "last"}
RANKS = "4"


class EmbeddingEngine:
    """A context that reads documents of up to `context` tokens, or as many as the model was made for.

    Raises BadRequest for a model that embeds nothing, ModelFailed when there is no memory for the context.
    """

    def __init__(self, model: LlamaModel, context: int, threads: int) -> None:
        pooling = model.metadata(f"{model.metadata('general.architecture')}.pooling_type")
        if pooling == RANKS:
            raise BadRequest(f"{model.path.name} ranks pairs of texts and embeds none; configure another model", "path")
        self.dimension = int(C.llama_model_n_embd_out(model.handle))
        self.context = min(context, model.trained_context or context)
        self.threads = threads
        self._model, self._pooling = model, POOLING.get(pooling or "", C.LLAMA_POOLING_TYPE_MEAN)
        # Who sees what follows has to have all of a document before it; what is causal can be read in pieces.
        self._chunk = min(CHUNK, self.context) if model.generates else self.context
        parameters = C.llama_context_default_params()
        parameters.n_ctx = self.context
        parameters.n_batch = parameters.n_ubatch = self._chunk
        parameters.n_seq_max = 1
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.embeddings = True
        parameters.pooling_type = C.LLAMA_POOLING_TYPE_NONE if model.generates else self._pooling
        parameters.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.no_perf = True
        log = start()
        log.take()
        self._handle = C.llama_init_from_model(model.handle, parameters)
        if not self._handle:
            raise ModelFailed(
                f"no context of {self.context} tokens for {model.path.name}: {log.take()}; configure a shorter one"
            )
        heartbeat.progress().follow(self._handle)
        self._memory = C.llama_get_memory(self._handle)

    @property
    def pooling(self) -> str:
        """How token vectors become one: mean, first or last."""
        return NAMES[self._pooling]

    def embed(self, text: str, truncate: bool) -> tuple[Floats, int]:
        """The unit vector of a text, and how many tokens were read.

        Raises BadRequest for a text that is too long, unless it may be cut; ModelFailed when nothing comes of it.
        """
        tokens = self._model.tokenize(text, framed=True)
        if len(tokens) > self.context:
            if not truncate:
                raise BadRequest(
                    f"a text has {len(tokens)} tokens and the model reads {self.context}; "
                    "embed it in parts, or set truncate to have its beginning embedded",
                    "texts",
                )
            end = len(tokens) - self._model.closing
            tokens = tokens[: self.context - self._model.closing] + tokens[end:]
        if not tokens:
            raise BadRequest("a text has no token that the model knows; embed another", "texts")
        vector = (self._read(tokens) if self._model.generates else self._see(tokens)).astype(np.float64)
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or not length:
            raise ModelFailed(f"the vector of a text has no direction: its length is {length}; is the file whole?")
        return (vector / length).astype(np.float32), len(tokens)

    def _see(self, tokens: list[int]) -> Floats:
        """A document read at once, pooled by llama.cpp with what else the file has it do."""
        self._decode(tokens)
        return _array(C.llama_get_embeddings_seq(self._handle, 0), self.dimension).copy()

    def _read(self, tokens: list[int]) -> Floats:
        """A document read in pieces from left to right, and pooled here."""
        C.llama_memory_clear(self._memory, False)
        rows = [self._rows(tokens[at : at + self._chunk]) for at in range(0, len(tokens), self._chunk)]
        vectors: Floats = np.concatenate(rows)
        if self._pooling == C.LLAMA_POOLING_TYPE_LAST:
            vectors = vectors[-1:]
        elif self._pooling == C.LLAMA_POOLING_TYPE_CLS:
            vectors = vectors[:1]
        mean: Floats = vectors.mean(axis=0)
        return mean

    def _rows(self, tokens: list[int]) -> Floats:
        """Each token's vector."""
        self._decode(tokens)
        flat = _array(C.llama_get_embeddings(self._handle), len(tokens) * self.dimension)
        return flat.reshape(len(tokens), -1).copy()

    def _decode(self, tokens: list[int]) -> None:
        array = pack(tokens)
        batch = C.llama_batch_get_one(array.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), len(tokens))
        heartbeat.progress().begin()
        run = C.llama_decode if self._memory else C.llama_encode
        if status := run(self._handle, batch):
            raise ModelFailed(f"llama.cpp refused a text of {len(tokens)} tokens (status {status}): {start().take()}")

    def close(self) -> None:
        """Free the context."""
        C.llama_free(self._handle)


class EmbeddingPipe(Protocol):
    """The worker's end of its socket."""

    def send(self, frame: dict[str, Any]) -> None: ...

    def receive(self, wait: bool) -> Any: ...


class EmbeddingWorker:
    """Embeds the texts of one client, in the order in which they come. Commands: embed, drop, stats."""

    def __init__(
        self, pipe: EmbeddingPipe, model: LlamaModel, context: int, threads: int, info: dict[str, Any]
    ) -> None:
        self._pipe = pipe
        self._embedder = EmbeddingEngine(model, context, threads)
        self._jobs: deque[dict[str, Any]] = deque()
        self._texts = self._tokens = 0
        self._info = {
            **info,
            "dimension": self._embedder.dimension,
            "context": self._embedder.context,
            "pooling": self._embedder.pooling,
            "threads": threads,
        }

    def serve(self) -> None:
        """Obey until the socket is closed."""
        self._pipe.send({"ready": self._info})
        try:
            while True:
                for command in self._pipe.receive(wait=not self._jobs):
                    self._obey(command)
                if self._jobs:
                    job = self._jobs.popleft()
                    self._answer(job["id"], self._end(job))
        except (EOFError, ConnectionError):
            pass
        finally:
            self._embedder.close()

    def _obey(self, command: dict[str, Any]) -> None:
        match command:
            case {"embed": {"id": int()} as job}:
                self._jobs.append(job)
            case {"drop": int(id)}:
                self._jobs = deque(job for job in self._jobs if job["id"] != id)
            case {"stats": int(id)}:
                counts = {"texts": self._texts, "read_tokens": self._tokens, "waiting": len(self._jobs)}
                self._answer(id, {"stats": {**self._info, **counts, "rss_bytes": psutil.Process().memory_info().rss}})
            case _:
                raise ValueError(f"unknown command {list(command)}")

    def _end(self, job: dict[str, Any]) -> dict[str, Any]:
        try:
            vector, tokens = self._embedder.embed(job["text"], job["truncate"])
        except AiosError as error:
            return {"error": error.to_wire()}
        except Exception as error:
            # Whatever is wrong with one text must not end the work on others.
            return {"error": KernelBug(f"could not embed a text: {type(error).__name__}: {error}").to_wire()}
        self._texts += 1
        self._tokens += tokens
        return {"reply": {"vector": [round(number, DECIMALS) for number in vector.tolist()], "tokens": tokens}}

    def _answer(self, id: int, end: dict[str, Any]) -> None:
        self._pipe.send({"step": [{"id": id, "tokens": [], "text": "", "end": end}]})


def _array(pointer: Any, count: int) -> Floats:
    """What llama.cpp has at a pointer, until it computes again. Raises ModelFailed if that is nowhere."""
    if not pointer:
        raise ModelFailed(f"llama.cpp gave no vector: {start().take()}; does this kind of model embed?")
    array: Floats = np.ctypeslib.as_array(pointer, (count,))
    return array

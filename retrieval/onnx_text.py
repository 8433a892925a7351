"""A text model on ONNX Runtime, mean pooling and normalisation inside its graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import IndexFault
from retrieval.tokens import open_tokenizer

if TYPE_CHECKING:
    import onnxruntime


KEPT, SHORT = 256, 8_000
"""Vectors, and the characters of a text that is worth keeping: a question, not a document."""


class OnnxText:
    """Opens `model` (ONNX) and `tokenizer` (tokenizer.json). Raises IndexFault for a file that is broken.

    One text at a time: dynamic int8 quantisation would otherwise make a vector depend on its batch. The vectors of the last 256 short
    texts are kept: a question is looked at more than once.
    """

    def __init__(self, model: Path, tokenizer: Path, *, max_tokens: int, threads: int = 1) -> None:
        self._session = open_session(model, threads)
        self._tokenizer, self._max_tokens = open_tokenizer(tokenizer), max_tokens
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._kept = lru_cache(maxsize=KEPT)(self._vector)

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (len(texts), dimensions), rows of unit length; at least one text."""
        return np.stack([self._kept(text) if len(text) <= SHORT else self._vector(text) for text in texts])

    def _vector(self, text: str) -> NDArray[np.float32]:
        found = self._tokenizer.encode(text).ids
        # Cut here, and not by the tokenizer, which the reader shares. The last token closes every text.
        ids = np.array([found if len(found) <= self._max_tokens else [*found[: self._max_tokens - 1], found[-1]]], np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        vector: NDArray[np.float32] = self._session.run(None, {name: feed[name] for name in self._inputs})[0][0]
        vector.flags.writeable = False
        return vector


def open_session(model: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A model on the CPU. Raises IndexFault for a file that is broken."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        # The fused operator takes longer than the two that it stands for.
        slow = ["SkipLayerNormFusion"]
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"], disabled_optimizers=slow)
    except Exception as error:  # The library's errors share no base class.
        reason = str(error).splitlines()[0]
        raise IndexFault(f"The exported model in {model.parent} is corrupt: {reason} Delete that folder: it is made anew.") from None

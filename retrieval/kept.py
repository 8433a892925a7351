"""An encoder that keeps its vectors in a file, by text: several things learn from the experts' examples, and few of those are ever new."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from retrieval.embedding import default_workers
from retrieval.encoder import Encoder, Vectors

MOST = 200_000
"""Texts. The file takes 0.8 KB for each; beyond that, those that were not asked for this time go."""
GROUP = 64
DIGEST = 16
Half = NDArray[np.float16]


class KeptEncoder:
    """`encoder`, whose vectors, in half precision, are kept in `folder`. New texts are encoded on all cores.

    A broken file is made anew; where the folder cannot be written, nothing new is kept.
    """

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self._encoder = encoder
        self._folder = folder

    @property
    def fingerprint(self) -> str:
        """See `Encoder.fingerprint`."""
        return self._encoder.fingerprint

    @property
    def dimensions(self) -> int:
        """See `Encoder.dimensions`."""
        return self._encoder.dimensions

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        digests = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:DIGEST] for text in texts]
        asked, known = dict(zip(digests, texts, strict=True)), dict[bytes, Half]()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / ".vectors.lock"):
                known = self._read()
                if self._add(known, asked):
                    self._write(known if len(known) <= MOST else {digest: known[digest] for digest in asked})
        except OSError:
            known = known or self._read()  # what cannot be locked may still be read
            self._add(known, asked)
        found: Vectors = np.array([known[digest] for digest in digests], np.float32).reshape(-1, self.dimensions)
        return found

    def _add(self, known: dict[bytes, Half], asked: Mapping[bytes, str]) -> bool:
        """Whether there was anything to add to what is known."""
        new = [digest for digest in asked if digest not in known]
        groups = [[asked[digest] for digest in new[start : start + GROUP]] for start in range(0, len(new), GROUP)]
        with ThreadPoolExecutor(default_workers(self._encoder, len(new))) as pool:
            vectors = [vector for group in pool.map(self._encoder.encode, groups) for vector in group.astype(np.float16)]
        known |= dict(zip(new, vectors, strict=True))
        return bool(new)

    @property
    def _path(self) -> Path:
        return self._folder / f"vectors-{self.fingerprint}.npz"

    def _read(self) -> dict[bytes, Half]:
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                digests, vectors = arrays["digests"], arrays["vectors"]
            return {digest.tobytes(): vector for digest, vector in zip(digests, vectors, strict=True)}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return {}

    def _write(self, known: dict[bytes, Half]) -> None:
        digests = np.frombuffer(b"".join(known), np.uint8).reshape(-1, DIGEST)
        with TemporaryDirectory(prefix=".new-", dir=self._folder, ignore_cleanup_errors=True) as made:
            fresh = Path(made) / self._path.name
            np.savez(fresh, digests=digests, vectors=np.array(list(known.values())))
            fresh.replace(self._path)

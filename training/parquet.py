"""Rows of Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import InputError

BATCH = 1_000


def parquet_rows(path: Path, data: bytes | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number, from 1, and fields of each row; a thousand are in memory at a time.

    `data`: what the file holds, where it has been read. Raises InputError for what is no Parquet, OSError for a file that cannot be read.
    """
    from pyarrow import ArrowException, BufferReader, parquet  # type: ignore[import-untyped]

    try:
        with parquet.ParquetFile(path if data is None else BufferReader(data)) as file:
            yield from enumerate((row for batch in file.iter_batches(BATCH) for row in batch.to_pylist()), 1)
    except (ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise InputError(f"{path}: expected a Parquet file: {str(error).splitlines()[0].rstrip('.')}.") from None

"""Tensors of one shape under labels, in an Arrow file: mapped into memory, read by row, each row checked.

Number types that Arrow does not know, such as bfloat16, are bytes to it; the file says what they are.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerflow.errors import ModelError, RequestError
from layerflow.files import atomic_path

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def arrow() -> Any:
    """pyarrow, which comes with the extra `train`. Raises RequestError without it."""
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise RequestError(
            "the cache of training needs pyarrow, which is not installed; pip install 'layerflow[train]'"
        ) from error
    return pyarrow


def write_tensors(path: Path, labels: Sequence[str], values: Tensor) -> None:
    """Writes `values` [N, ...], whole or not at all. Raises OutputError."""
    pa = arrow()
    rows = values.contiguous().view(torch.uint8).reshape(len(values), -1).numpy()
    sums = [zlib.crc32(row.tobytes()) for row in rows]
    data = pa.FixedSizeBinaryArray.from_buffers(pa.binary(rows.shape[1]), len(rows), [None, pa.py_buffer(rows)])
    about = {"dtype": str(values.dtype).removeprefix("torch."), "shape": json.dumps(list(values.shape[1:]))}
    names = ["label", "data", "crc"]
    batch = pa.record_batch([pa.array(labels, pa.string()), data, pa.array(sums, pa.uint32())], names=names)
    with atomic_path(path) as part, pa.OSFile(str(part), "wb") as sink:
        schema = batch.schema.with_metadata(about)
        with pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(batch.replace_schema_metadata(about))


@dataclass(frozen=True)
class TensorFile:
    """What `write_tensors` wrote to `path`, opened when it is first asked for something."""

    path: Path

    @cached_property
    def _batch(self) -> Any:
        pa = arrow()
        try:
            batch = pa.ipc.open_file(pa.memory_map(str(self.path))).get_batch(0)
            self._form(batch)
        except (OSError, KeyError, ValueError, pa.ArrowInvalid) as error:
            raise self.damaged() from error
        return batch

    @staticmethod
    def _form(batch: Any) -> tuple[torch.dtype, list[int]]:
        about = batch.schema.metadata or {}
        return DTYPES[about[b"dtype"].decode()], json.loads(about[b"shape"])

    @cached_property
    def labels(self) -> list[str]:
        """The label of each row. Raises ModelError for a damaged file."""
        labels: list[str] = self._batch.column("label").to_pylist()
        return labels

    @cached_property
    def places(self) -> dict[str, int]:
        """The row of each label."""
        return {label: row for row, label in enumerate(self.labels)}

    @cached_property
    def _rows(self) -> NDArray[np.uint8]:
        dtype, shape = self._form(self._batch)
        data = np.frombuffer(self._batch.column("data").buffers()[1], np.uint8)
        num_bytes = prod(shape) * dtype.itemsize
        return data[: len(self.labels) * num_bytes].reshape(len(self.labels), num_bytes)

    def row(self, number: int) -> Tensor:
        """A copy of row `number` in its own type. Raises ModelError when its bytes are not those that were written."""
        dtype, shape = self._form(self._batch)
        data = self._rows[number].copy()
        if zlib.crc32(data.tobytes()) != self._batch.column("crc")[number].as_py():
            raise self.damaged()
        return torch.from_numpy(data).view(dtype).reshape(shape)

    def damaged(self) -> ModelError:
        """The error that says so."""
        return ModelError(f"the cache's {self.path} is damaged; remove it, and it is made again")

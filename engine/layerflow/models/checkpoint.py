"""Opens a PyTorch checkpoint from anywhere without running what is in it, and without reading what is not asked for.

A .pt file is a zip archive of a pickle and the raw bytes of every tensor. The archive is checked before anything is
unpickled, the pickle may name nothing but tensors and plain values, and the tensors are views of the file on disk:
their names, types and shapes are known, and can be refused, before any of their bytes are read.
"""

from __future__ import annotations

import argparse
import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from layerflow.errors import ModelError
from layerflow.models.folder import reason_of

MAX_PICKLE_BYTES = 64 << 20  # a released checkpoint of a thousand tensors has about 200 kB
MAX_ENTRIES = 100_000
WRAPPERS = ("module", "state_dict")  # what DeepSpeed and Lightning put around a state dict


class _PassedOver:
    """Stands where a value of numpy was pickled. Numpy's own, given a state that is none, bring the process down."""

    def __new__(cls, *_: object) -> Self:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Takes no state."""


# What else a training run leaves in a checkpoint: numpy's random state, numbers, its options. Nobody wants it here, but
# it has to be passed over.
_INERT: dict[str, Any] = {
    "argparse.Namespace": argparse.Namespace,
    "numpy.core.multiarray._reconstruct": _PassedOver,
    "numpy._core.multiarray._reconstruct": _PassedOver,
    "numpy.core.multiarray.scalar": _PassedOver,
    "numpy._core.multiarray.scalar": _PassedOver,
    "numpy.ndarray": _PassedOver,
    "numpy.dtype": _PassedOver,
    "numpy.dtypes.UInt32DType": _PassedOver,
    "numpy.dtypes.Float64DType": _PassedOver,
}

# What a broken pickle, a broken archive, or torch on meeting one, may raise.
_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def open_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of the checkpoint `path` by name, as read-only views of the file; everything else in it is left out.

    Raises ModelError for a file that is damaged, is not one, or would run code.
    """
    _check_archive(path)
    _check_names(path)
    try:
        with safe_globals([(value, name) for name, value in _INERT.items()]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old or broken pickles, on the way to an error or to none
            values = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    tensors = {name: value for name, value in _unwrapped(values).items() if isinstance(value, Tensor)}
    if not tensors:
        raise ModelError(f"{path} holds no weights; give the file mp_rank_00_model_states.pt or 3d-vae.pt")
    for name, tensor in tensors.items():
        _check_tensor(path, str(name), tensor)
    return tensors


def _check_archive(path: Path) -> None:
    """Refuses archives that are not as torch writes them: packed, overlapping, or with a pickle beyond all measure."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        file_bytes = path.stat().st_size
    except FileNotFoundError as error:
        raise ModelError(f"there is no file {path}; give the checkpoint or the folder that holds it") from error
    except (OSError, zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
        raise ModelError(f"{path} is not a PyTorch checkpoint, or only a part of one; download it again") from error
    pickles = [entry for entry in entries if entry.filename.endswith("data.pkl")]
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    too_large = sum(entry.file_size for entry in entries) > file_bytes or len(entries) > MAX_ENTRIES
    if packed or too_large or len(pickles) != 1 or pickles[0].file_size > MAX_PICKLE_BYTES:
        raise ModelError(f"{path} is not an archive as PyTorch writes them; get it from its authors again")


def _check_names(path: Path) -> None:
    """Refuses a pickle that names anything but tensors, plain values and arrays. Looks at it without running it."""
    try:
        foreign = set(get_unsafe_globals_in_checkpoint(path)) - _INERT.keys()
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    if foreign:
        raise ModelError(
            f"{path} would run {sorted(foreign)[0]} when it is opened, and was not; get the checkpoint from its authors"
        )


def _unwrapped(values: object) -> Mapping[Any, Any]:
    """The state dict in what a checkpoint holds."""
    if not isinstance(values, Mapping):
        return {}
    inner = next((values[name] for name in WRAPPERS if isinstance(values.get(name), Mapping)), values)
    return inner


def _check_tensor(path: Path, name: str, tensor: Tensor) -> None:
    """Refuses what claims more numbers than the file has bytes for: a view that repeats itself, a sparse one."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not (plain and tensor.is_contiguous()):
        raise ModelError(f"{name} in {path} is not a plain tensor; get the checkpoint from its authors again")


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} is damaged ({reason_of(error)}); download it again")

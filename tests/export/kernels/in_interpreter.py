"""A second process in which Triton runs its kernels on the CPU, number by number.

Triton decides that where it is imported, for the whole process; so the tests' own process never does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_map_only

Run = Callable[..., Any]


@contextmanager
def interpreter() -> Iterator[Run]:
    """`run(function, *args, **options)` calls an importable function in the other process, in inference mode."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRITON_INTERPRET", "1")
            pool.submit(torch.set_num_threads, 1).result()  # now it runs, with the environment it will keep
        yield lambda *args, **options: pool.submit(call, *args, **options).result()


def call(function: Run, *args: Any, **options: Any) -> Any:
    """What `function` returns, its tensors fit to be sent to another process."""
    with torch.inference_mode():
        returned = function(*args, **options)
    return tree_map_only(torch.Tensor, torch.clone, returned)

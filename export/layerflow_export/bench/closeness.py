"""How far one backend's numbers are from another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from layerflow.difference import Difference

if TYPE_CHECKING:
    from layerflow_export.bench.runner import Made


@dataclass(frozen=True, kw_only=True)
class Closeness:
    """Of a backend to eager float32, with the same seed."""

    v_max: float | None = None  # largest difference of v, over all steps that were looked at
    v_parts: float | None = None  # the same in parts of the largest v of its step
    latents_max: float  # largest difference of the final latents
    layers_max: float | None  # and of the layers that the model makes, whose range is 0 to 1; None: not decoded
    picture_psnr: float | None  # dB, of all of them but the matte together; None where nothing differs
    matte_mae: float | None  # mean absolute error; None where the model makes no matte


def closeness(made: Made, exact: Made, v: tuple[float, float] | None) -> Closeness:
    """Of one run to the other; `v` is what `v_difference` returned."""
    picture, matte, everything = Difference(), Difference(), Difference()
    for name, pixels in exact.layers.items():
        (matte if name == "alpha" else picture).add(made.layers[name], pixels)
        everything.add(made.layers[name], pixels)
    largest, parts = v or (None, None)
    return Closeness(
        v_max=largest,
        v_parts=parts,
        latents_max=float(np.abs(made.latents - exact.latents).max()),
        layers_max=everything.max if exact.layers else None,
        picture_psnr=picture.psnr_db,
        matte_mae=matte.mean,
    )


def v_difference(answers: Sequence[np.ndarray], exact: Sequence[np.ndarray]) -> tuple[float, float]:
    """The largest difference over all steps, and the largest in parts of the largest value of its step."""
    errors = [float(np.abs(answer - v).max()) for answer, v in zip(answers, exact, strict=True)]
    return max(errors), max(error / float(np.abs(v).max()) for error, v in zip(errors, exact, strict=True))

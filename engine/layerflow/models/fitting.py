"""How a plate meets the picture of a model in a folder."""

from __future__ import annotations

from layerflow.models.estimate import SPATIAL
from layerflow.models.folder import ModelFolder
from layerflow.models.weights import weights_of
from layerflow.preprocess import Fit, FitKind, bucket


def fit_to(folder: ModelFolder, *, width: int, height: int, aspect: float = 1.0, kind: FitKind = "bucket") -> Fit:
    """How a plate of `width` x `height` (pixel aspect `aspect`) meets the model in `folder`.

    Raises as `weights_of` does.
    """
    model = folder.manifest
    columns, rows = model.width, model.height
    if kind == "bucket":
        step = SPATIAL * weights_of(folder.path / "transformer").config["patch_size"]
        columns, rows = bucket(width * aspect / height, columns=columns, rows=rows, step=step)
    return Fit(width=width, height=height, columns=columns, rows=rows, kind=kind, aspect=aspect)

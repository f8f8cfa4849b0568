"""Exports the bundled model's skeletons into the package; to be run when its form or the code of the core changes.

There is one for each number of layers that it makes or is given at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import torch

from layerflow.models.network import load_transformer
from layerflow.models.shelf import find_model
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.core import OPSETS
from layerflow_export.skeleton import SHIPPED, export_skeleton, skeleton_key


def bundled_networks() -> Iterator[LayerFlowTransformer]:
    """The bundled model's network for each set of layers."""
    folder = find_model("mini")
    layouts = [*folder.manifest.layouts.values(), *(layout for _, layout in folder.manifest.further)]
    for layers in dict.fromkeys(layout.layers for layout in layouts):
        yield load_transformer(folder, dtype=torch.float32, layers=layers)


if __name__ == "__main__":
    shutil.rmtree(SHIPPED, ignore_errors=True)
    for transformer in bundled_networks():
        print(export_skeleton(transformer, SHIPPED / skeleton_key(transformer, OPSETS[torch.float32])[:16]).path)

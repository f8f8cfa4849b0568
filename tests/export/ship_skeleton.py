"""Exports the bundled model's skeleton into the package; to be run when its form or the code of the core changes."""

from __future__ import annotations

import shutil

import torch

from layerflow.models.network import load_transformer
from layerflow.models.shelf import find_model
from layerflow_export.core import OPSETS
from layerflow_export.skeleton import SHIPPED, export_skeleton, skeleton_key

if __name__ == "__main__":
    transformer = load_transformer(find_model("mini"), dtype=torch.float32)
    shutil.rmtree(SHIPPED, ignore_errors=True)
    print(export_skeleton(transformer, SHIPPED / skeleton_key(transformer, OPSETS[torch.float32])[:16]).path)

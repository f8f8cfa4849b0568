"""The processes beside the main one of a shot: they load the network and do their share of every step."""

from __future__ import annotations

import gc

import torch

from layerflow.models.load import Loading, load_share
from layerflow.models.split import take_part
from layerflow.processes import CPU, Processes, leave_stopping_to_main
from layerflow.transformer import LayerFlowTransformer


@torch.inference_mode()
def serve(processes: Processes) -> None:
    """Takes part in steps until the main process has no more.

    Raises ProcessLost when the main one is gone without a word, ModelError or RequestError when this one cannot load
    the network.
    """
    leave_stopping_to_main()
    transformer: LayerFlowTransformer | None = None
    device = CPU
    while (order := processes.hear()) is not None:
        if isinstance(order, Loading):
            transformer = None  # first, for another takes its place
            gc.collect()
            transformer, device = load_share(order, processes)
        else:
            assert transformer is not None, "a network is loaded before a step"
            take_part(transformer, order.empty(device), processes)

"""Queries, keys and values in one matrix product. B batch, S token, D model width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers.models.attention import Attention
from torch import Tensor, nn


def project_qkv(attention: Attention, joint: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # [B, S, D], -> each [B, S, D]
    """Queries, keys and values, views of one tensor; of three where the weights are not plain numbers."""
    linears = (attention.to_q, attention.to_k, attention.to_v)
    if any(type(linear.weight.data) is not Tensor for linear in linears):  # float8, which has a scale for each
        q, k, v = (linear(joint) for linear in linears)
    else:
        weight = joined([linear.weight for linear in linears])
        bias = joined([linear.bias for linear in linears])
        q, k, v = F.linear(joint, weight, bias).chunk(3, dim=-1)
    return q, k, v


def joined(parameters: Sequence[nn.Parameter]) -> Tensor:  # each [rows, ...] -> [all rows, ...]
    """All of them as one tensor, row after row, in the very memory that they are in.

    They become views of it where they are not side by side, as they are not after a model is loaded or moved. Their
    names and numbers stay.
    """
    first = parameters[0].data
    rows = [len(parameter) for parameter in parameters]
    if not _are_side_by_side(parameters):
        with torch.inference_mode(False), torch.no_grad():  # else no step outside of it could use them
            together = torch.cat([parameter.data for parameter in parameters])
            for parameter, part in zip(parameters, torch.split(together, rows), strict=True):
                parameter.data = part
        first = parameters[0].data
    return first.as_strided((sum(rows), *first.shape[1:]), first.stride())


def _are_side_by_side(parameters: Sequence[nn.Parameter]) -> bool:
    memory, place = parameters[0].untyped_storage().data_ptr(), parameters[0].storage_offset()
    for parameter in parameters:
        if parameter.untyped_storage().data_ptr() != memory or parameter.storage_offset() != place:
            return False
        place += parameter.numel()
    return True

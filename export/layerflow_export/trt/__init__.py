"""Engines for TensorRT and TensorRT-RTX: each built in a process of its own, proven to have its attention fused."""

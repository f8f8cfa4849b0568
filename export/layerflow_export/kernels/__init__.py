"""Fused Triton kernels for the torch path on NVIDIA GPUs, each with its plain torch reference beside it.

For inference only, Linux only (the extra `kernels` brings Triton). All of them read any of the three float types, work
in float32 and round once, where they store; eager torch rounds after each of the steps that are fused here.
"""

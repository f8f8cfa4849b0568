"""ONNX and TensorRT export of the LayerFlow transformer."""

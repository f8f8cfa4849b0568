"""Blender add-on: talks to the engine over `layerflow.wire` only."""

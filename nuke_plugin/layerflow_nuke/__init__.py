"""Nuke plug-in: talks to the engine over `layerflow.wire` only."""

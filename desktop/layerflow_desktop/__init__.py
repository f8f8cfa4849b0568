"""Desktop application: talks to the engine over `layerflow.wire` only."""

"""LayerFlow Studio, the desktop application: talks to the engine over `layerflow.wire` only.

`models` are values and files, `controllers` what happens to them, without a window; Qt is in `views` alone.
"""

"""Layered video for compositors.

Import the room you need; this file imports nothing, so that a host can load `layerflow.wire` alone.
"""

__version__ = "0.1.0"

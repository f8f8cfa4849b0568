"""Values, files and pictures. Nothing here knows of a window or of the engine's process."""

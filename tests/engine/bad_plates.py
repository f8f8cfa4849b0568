"""All bad file inputs: how each is made and what its refusal must say. For the tests of plate and command line."""

from __future__ import annotations

import bad_plate_images
import bad_plate_movies
import bad_plate_paths
from bad_plate_catalogue import BAD_PLATES, BadPlate

__all__ = ["BAD_PLATES", "BadPlate", "bad_plate_images", "bad_plate_movies", "bad_plate_paths"]

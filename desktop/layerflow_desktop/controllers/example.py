"""The example that the first start offers: a plate with a rough roto, taken apart at a click."""

from __future__ import annotations

import shutil
from pathlib import Path

from layerflow_desktop.controllers.studio import Studio

FOLDER = Path(__file__).resolve().parents[1] / "example"
PLATE, ROTO = FOLDER / "parrot.mov", FOLDER / "parrot-roto.mov"


def take_in_example(studio: Studio) -> None:
    """Makes the example the plate, in a folder that the engine may read, and asks for its layers."""
    place = studio.own_layers_folder() / "example"

    def copied() -> tuple[Path, Path]:
        place.mkdir(parents=True, exist_ok=True)
        return _copied(PLATE, place), _copied(ROTO, place)

    def begin(files: tuple[Path, Path]) -> None:
        plate, roto = files
        studio.open_plate(str(plate))
        document = studio.session.document
        words = {"foreground": "a parrot", "background": "a desert"}
        shot = document.shot.with_(task="decompose", guide=str(roto), guide_kind="roto", further=(), **words)
        studio.session.edit("Open the example", document.with_(shot=shot))
        studio.generating.generate()

    studio.background.run(copied, begin, studio.session.say)


def _copied(movie: Path, folder: Path) -> Path:
    """The movie in that folder, where it may be already."""
    place = folder / movie.name
    if not place.exists() or place.stat().st_size != movie.stat().st_size:
        part = place.with_name(f".{place.name}.part")
        shutil.copyfile(movie, part)
        part.replace(place)
    return place

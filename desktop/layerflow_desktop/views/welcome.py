"""What stands in the viewer while there is nothing to see."""

from __future__ import annotations

from dataclasses import dataclass

from layerflow_desktop.models.document import Document

OPEN, TRY, DOCTOR = "open", "try", "doctor"


@dataclass(frozen=True)
class Message:
    """A heading, a line, and buttons: name and label, the first of them the main one."""

    title: str
    text: str = ""
    buttons: tuple[tuple[str, str], ...] = ()


def message_for(document: Document, engine_state: str, engine_text: str, take_text: str) -> Message:
    """What to say in the place of a picture. `take_text` is how the take that is made stands, empty for none."""
    if take_text:
        return Message("The layers are being made", take_text)
    if engine_state == "away":
        return Message("The engine is not there", engine_text, ((DOCTOR, "See what is missing"),))
    if document.shot.plate:
        return Message("No picture yet", "The line at the bottom says why.", ((OPEN, "Open another plate…"),))
    return Message(
        "Drop a plate here",
        "A folder of frames, one of its files, or a movie. Or describe a shot on the left, and press Generate.",
        ((TRY, "Try the example"), (OPEN, "Open…")),
    )

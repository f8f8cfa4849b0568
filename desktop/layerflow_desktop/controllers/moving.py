"""A layer that is taken hold of in the picture, and moved."""

from __future__ import annotations

from layerflow_desktop.controllers.session import Session
from layerflow_desktop.controllers.stage import Stage
from layerflow_desktop.models.document import LayerState
from layerflow_desktop.models.layer_stack import BACKGROUND, spoken, visible_names
from layerflow_desktop.models.sources import COMP

SOLID = 0.05  # alpha from which on a pixel of a layer can be taken hold of


class Moving:
    """One drag of a layer in the comp; a step that is undone as a whole."""

    def __init__(self, session: Session, stage: Stage) -> None:
        self._session, self._stage = session, stage
        self._held: LayerState | None = None  # as it was when it was taken hold of

    def grab(self, x: float, y: float) -> str:
        """Takes hold of the frontmost layer at a point of the picture; its name, empty where there is none."""
        self._held = self._at(x, y)
        return self._held.name if self._held else ""

    def drag(self, right: float, down: float) -> None:
        """Moves it so many pixels away from where it was taken hold of."""
        if self._held is None:
            return
        moved = self._held.with_(
            offset_x=round(self._held.offset_x + right, 1), offset_y=round(self._held.offset_y + down, 1)
        )
        name = moved.name
        self._session.edit(f"Move {spoken(name)}", self._session.document.with_layer(moved), merge=f"move {name}")

    def drop(self) -> None:
        """Lets it go."""
        if self._held is not None:
            self._held = None
            self._session.history.close_step()

    def _at(self, x: float, y: float) -> LayerState | None:
        document, scene = self._session.document, self._stage.scene
        if scene is None or document.view.a != COMP or document.current_take() is None:
            return None
        size = (scene.width, scene.height)
        seen = visible_names(document.layers)
        layers = (state for state in document.layers if state.name in seen and state.name != BACKGROUND)
        return next((state for state in layers if self._alpha(state, _own_point(state, x, y, size)) > SOLID), None)

    def _alpha(self, state: LayerState, point: tuple[int, int]) -> float:
        pixels = self._stage.layers_at(self._session.document.timeline.frame).get(state.name)
        column, row = point
        if pixels is None or not (0 <= row < pixels.shape[0] and 0 <= column < pixels.shape[1]):
            return 0.0
        return state.opacity * (float(pixels[row, column, 3]) if pixels.shape[2] == 4 else 1.0)


def _own_point(state: LayerState, x: float, y: float, size: tuple[int, int]) -> tuple[int, int]:
    """The layer's own pixel that lies at a point of the picture: scaled about the middle, then moved."""
    middle_x, middle_y = size[0] / 2, size[1] / 2
    column = (x - state.offset_x - middle_x) / state.scale + middle_x
    row = (y - state.offset_y - middle_y) / state.scale + middle_y
    return int(column // 1), int(row // 1)

"""The commands that change how one looks, and where in the shot."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.models import looking
from layerflow_desktop.models.document import Channel, Compare, Document, ViewSettings
from layerflow_desktop.views.actions import Actions
from layerflow_desktop.views.playback_timer import HeldKey


class ViewCommands:
    """Has actions do what they say to the session's view and to the playhead."""

    def __init__(self, studio: Studio, actions: Actions, window: QWidget) -> None:
        self._studio, self._actions = studio, actions
        self._k = HeldKey(window)
        self._connect_look()
        self._connect_playback()
        studio.session.changed.connect(self._show)
        self._show(studio.session.document, studio.session.document)

    def _connect_look(self) -> None:
        self._actions.connect(
            show_rgb=lambda: self._look(lambda view: view.with_(channel="rgb")),
            show_r=self._channel("r"),
            show_g=self._channel("g"),
            show_b=self._channel("b"),
            show_a=self._channel("a"),
            show_luminance=self._channel("luminance"),
            toggle_straight=lambda: self._look(looking.toggled_straight),
            next_background=lambda: self._look(looking.next_background),
            compare_off=lambda: self._look(lambda view: view.with_(compare="off")),
            compare_wipe=self._compare("wipe"),
            compare_difference=self._compare("difference"),
            swap=lambda: self._look(looking.swapped),
            exposure_up=lambda: self._look(lambda view: looking.exposed(view, looking.HALF_A_STOP)),
            exposure_down=lambda: self._look(lambda view: looking.exposed(view, -looking.HALF_A_STOP)),
            reset_look=lambda: self._look(looking.reset),
        )

    def _connect_playback(self) -> None:
        playback = self._studio.playback
        self._actions.connect(
            play=playback.toggle,
            shuttle_back=lambda: playback.shuttle("j", self._k.is_down),
            shuttle_stop=lambda: playback.shuttle("k"),
            shuttle_forward=lambda: playback.shuttle("l", self._k.is_down),
            step_back=lambda: playback.step(-1),
            step_forward=lambda: playback.step(1),
            to_start=playback.to_start,
            to_end=playback.to_end,
            mark_in=playback.mark_in,
            mark_out=playback.mark_out,
            clear_marks=playback.clear_marks,
            next_loop=lambda: playback.set_loop(looking.next_loop(playback.loop)),
        )

    def _channel(self, channel: Channel) -> Callable[[], None]:
        return lambda: self._look(lambda view: looking.with_channel(view, channel))

    def _compare(self, compare: Compare) -> Callable[[], None]:
        return lambda: self._look(lambda view: looking.with_compare(view, compare))

    def _look(self, change: Callable[[ViewSettings], ViewSettings]) -> None:
        self._studio.session.look(view=change(self._studio.session.document.view))

    def _show(self, document: Document, before: Document) -> None:
        self._actions["toggle_straight"].setChecked(document.view.alpha == "straight")
        self._actions["compare_off"].setEnabled(document.view.compare != "off")

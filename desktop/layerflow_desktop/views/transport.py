"""The buttons under the timeline, the frame, and how fast it really plays."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QColor, QKeySequence, QPalette
from PySide6.QtWidgets import QAbstractSpinBox, QHBoxLayout, QLabel, QSizePolicy, QSpinBox, QToolButton, QWidget

from layerflow_desktop.controllers.playback import Playback
from layerflow_desktop.models.document import Loop
from layerflow_desktop.models.keymap import COMMANDS
from layerflow_desktop.views.glyphs import GRID, glyph
from layerflow_desktop.views.listening import listen
from layerflow_desktop.views.playback_timer import PlaybackTimer

AMBER = QColor(240, 180, 60)
_GIB = 2**30
_READ_OUT_MS = 250
_LOOPS: tuple[Loop, ...] = ("loop", "once", "bounce")
_LOOP_WORDS = {"loop": "Plays round and round", "once": "Plays once", "bounce": "Plays to and fro"}
_KEYS = {command.name: command.keys[0] for command in COMMANDS if command.keys}


class Transport(QWidget):
    """Also what ticks the playback, by a precise timer."""

    def __init__(self, playback: Playback, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._playback = playback
        self.setObjectName("transport")
        self.setAccessibleName("Playback")
        self._timer = PlaybackTimer(playback, self)
        self._make_buttons()
        self._make_readouts()
        self._lay_out()
        self._read_out_timer = QTimer(self)
        self._read_out_timer.setInterval(_READ_OUT_MS)
        self._read_out_timer.timeout.connect(self._read_out)
        listen(self, playback.frame_changed, self._on_frame)
        listen(self, playback.state_changed, self._on_state)
        self._on_state()

    def set_cache(self, used_bytes: int, limit_bytes: int) -> None:
        """Says how much of the cache is used: "1.2 of 4.0 GiB"."""
        self.cache.setText(f"{used_bytes / _GIB:.1f} of {limit_bytes / _GIB:.1f} GiB")

    def _make_buttons(self) -> None:
        play = self._playback
        self.to_start = self._button("to_start", "To the start", play.to_start, "to_start")
        self.step_back = self._button("step_back", "Back a frame", lambda: play.step(-1), "step_back")
        self.play_back = self._button("play_back", "Play backwards", lambda: self._play(-1), "shuttle_back")
        self.play = self._button("play", "Play", lambda: self._play(1), "play")
        self.step = self._button("step", "On a frame", lambda: play.step(1), "step_forward")
        self.to_end = self._button("to_end", "To the end", play.to_end, "to_end")
        self.mark_in = self._button("mark_in", "The range begins here", play.mark_in, "mark_in")
        self.mark_out = self._button("mark_out", "The range ends here", play.mark_out, "mark_out")
        self.clear_marks = self._button("clear_marks", "Play the whole shot", play.clear_marks, "clear_marks")
        self.loop = self._button("loop", "", self._next_loop, "next_loop")
        self.policy = QToolButton(self, autoRaise=True)
        self.policy.setObjectName("policy")
        self.policy.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.policy.clicked.connect(self._next_policy)

    def _button(self, name: str, text: str, call: Callable[[], object], command: str) -> QToolButton:
        button = QToolButton(self, autoRaise=True)
        button.setObjectName(name)
        button.setIcon(glyph(name, self.palette()))
        button.setIconSize(QSize(GRID, GRID))
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setProperty("command", command)
        button.clicked.connect(lambda: call())
        _name(button, text)
        return button

    def _make_readouts(self) -> None:
        self.frame = QSpinBox(self)
        self.frame.setObjectName("frame")
        self.frame.setKeyboardTracking(False)
        self.frame.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        self.frame.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.frame.setAccessibleName("Current frame")
        self.frame.setToolTip("The frame that is shown; type a number to go there")
        self.frame.valueChanged.connect(self._go)
        self.range = self._readout("range", "Range", "The frames that are played")
        self.rate = self._readout("rate", "Rate", "")
        self.cache = self._readout("cache", "Cache", "Memory that frames take, of what they may; see the preferences")

    def _readout(self, name: str, spoken: str, tip: str) -> QLabel:
        label = QLabel(self)
        label.setObjectName(name)
        label.setToolTip(tip)
        label.setAccessibleName(spoken)
        label.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        label.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Preferred)
        return label

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 2, 8, 3)
        row.setSpacing(1)
        for widget in (self.frame, self.range):
            row.addWidget(widget)
        row.addStretch(1)
        groups = (
            (self.mark_in, self.mark_out, self.clear_marks),
            (self.to_start, self.step_back, self.play_back, self.play, self.step, self.to_end),
            (self.loop, self.policy),
        )
        for group in groups:
            for button in group:
                row.addWidget(button)
            row.addSpacing(10)
        row.addStretch(1)
        for label in (self.rate, self.cache):
            row.addWidget(label)
            row.addSpacing(8)
        self.range.setContentsMargins(8, 0, 0, 0)
        self.frame.setFixedWidth(self.fontMetrics().horizontalAdvance("0000000") + 14)

    def _play(self, way: int) -> None:
        """The button of the way it plays stops it; the other one turns it round."""
        if self._playback.speed * way > 0:
            self._playback.stop()
        else:
            self._playback.play(way)

    def _go(self, frame: int) -> None:
        self._playback.scrub(frame)
        self._on_frame(self._playback.frame, 0)  # the nearest one there is

    def _next_loop(self) -> None:
        self._playback.set_loop(_LOOPS[(_LOOPS.index(self._playback.loop) + 1) % len(_LOOPS)])

    def _next_policy(self) -> None:
        self._playback.set_policy("realtime" if self._playback.policy == "every" else "every")

    def _on_frame(self, frame: int, way: int) -> None:
        if not self.frame.hasFocus() or frame != self.frame.value():
            self.frame.blockSignals(True)
            self.frame.setValue(frame)
            self.frame.blockSignals(False)

    def _on_state(self) -> None:
        playback, frames = self._playback, self._playback.frames
        self.frame.blockSignals(True)
        self.frame.setRange(min(frames[:1] or (0,)), max(frames[-1:] or (0,)))
        self.frame.setValue(playback.frame)
        self.frame.blockSignals(False)
        there = playback.range
        self.range.setText(f"{there[0]}–{there[-1]}" if there else "No frames")
        for widget in self.findChildren(QToolButton):
            widget.setEnabled(bool(frames))
        self.frame.setEnabled(bool(frames))
        timeline = playback.session.document.timeline
        self.clear_marks.setEnabled(timeline.mark_in is not None or timeline.mark_out is not None)
        self._show_play()
        self._show_modes()
        self._read_out()

    def _show_play(self) -> None:
        speed = self._playback.speed
        for button, way, still in ((self.play, 1, "play"), (self.play_back, -1, "play_back")):
            is_on = speed * way > 0
            button.setIcon(glyph("stop" if is_on else still, self.palette()))
            words = {"play": "Play", "play_back": "Play backwards"}[still]
            _name(button, "Stop" if is_on else words)
        if speed and not self._read_out_timer.isActive():
            self._read_out_timer.start()
        elif not speed:
            self._read_out_timer.stop()

    def _show_modes(self) -> None:
        playback = self._playback
        self.loop.setIcon(glyph(playback.loop, self.palette()))
        _name(self.loop, _LOOP_WORDS[playback.loop])
        is_every = playback.policy == "every"
        self.policy.setText("Every frame" if is_every else "Real time")
        self.policy.setAccessibleName(self.policy.text())
        self.policy.setToolTip(
            "Shows every frame the first time, then keeps time; click to keep time from the start"
            if is_every
            else "Keeps time and leaves frames out; click to show every frame the first time"
        )

    def _read_out(self) -> None:
        playback = self._playback
        measured = playback.measured_fps if playback.is_playing else None
        faster = f" × {abs(playback.speed)}" if abs(playback.speed) > 1 else ""
        self.rate.setText(f"{measured:.1f} fps{faster}" if measured else f"{_rate_text(float(playback.rate))} fps")
        palette = self.rate.palette()
        muted = self.palette().color(QPalette.ColorRole.PlaceholderText)
        palette.setColor(QPalette.ColorRole.PlaceholderText, AMBER if playback.is_slow else muted)
        self.rate.setPalette(palette)
        dropped = playback.num_dropped
        left_out = f"{dropped} frame{'s' if dropped != 1 else ''} left out" if dropped else "No frame left out"
        self.rate.setToolTip(f"The shot has {_rate_text(float(playback.rate))} frames a second. {left_out}.")


def _rate_text(fps: float) -> str:
    """A rate as one writes it: 24.0, 23.976."""
    text = f"{fps:.3f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def _name(button: QToolButton, text: str) -> None:
    """Gives a button its accessible name, and a tooltip with its key."""
    key = QKeySequence(_KEYS.get(str(button.property("command")), "")).toString(QKeySequence.SequenceFormat.NativeText)
    button.setAccessibleName(text)
    button.setToolTip(f"{text} ({key})" if key else text)

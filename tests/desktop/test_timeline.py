"""The ruler's arithmetic; the timeline and the transport, driven as a hand drives them."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolButton, QWidget

from layerflow_desktop.controllers.playback import Playback
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.ruler import MIN_SPAN, Ruler, runs
from layerflow_desktop.views.glyphs import _DRAWINGS, glyph
from layerflow_desktop.views.playback_timer import HeldKey
from layerflow_desktop.views.theme import dark_palette
from layerflow_desktop.views.timeline import Timeline
from layerflow_desktop.views.transport import AMBER, Transport

MARGIN = 10
TRACK_Y = 35


@pytest.fixture
def playback():
    made = Playback(Session(), is_cached=lambda frame: True)
    made.set_clip(range(1001, 1051), 24)
    return made


@pytest.fixture
def timeline(qtbot, playback):
    widget = Timeline(playback)
    qtbot.addWidget(widget)
    widget.setPalette(dark_palette())
    widget.resize(50 * 10 + 2 * MARGIN, 58)  # ten pixels a frame
    widget.show()
    return widget


@pytest.fixture
def transport(qtbot, playback):
    widget = Transport(playback)
    qtbot.addWidget(widget)
    widget.show()
    return widget


def at(frame, y=8, within=5):
    return QPoint(MARGIN + (frame - 1001) * 10 + within, y)


def drag(widget, start, end, button=Qt.MouseButton.LeftButton):
    QTest.mousePress(widget, button, pos=start)
    QTest.mouseMove(widget, end)
    QTest.mouseRelease(widget, button, pos=end)


def turn_wheel(widget, x, notches, modifiers=Qt.KeyboardModifier.NoModifier):
    place = QPointF(x, 10)
    angle, none = QPoint(0, 120 * notches), Qt.MouseButton.NoButton
    event = QWheelEvent(place, place, QPoint(), angle, none, modifiers, Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(widget, event)


def grabbed(widget):
    return widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)


def test_spacing_of_ticks():
    assert [Ruler.over(1, count, 1000).label_step(50) for count in (10, 16, 24, 100, 200, 5000)] == [
        1,
        1,
        2,
        5,
        10,
        500,
    ]
    ruler = Ruler.over(1, 200, 1000)
    assert (ruler.label_step(50), ruler.tick_step(50)) == (10, 2)
    assert list(Ruler.over(1001, 1030, 600).multiples(10)) == [1010, 1020, 1030]


@given(st.integers(0, 10**9), st.integers(0, 10**7), st.floats(30, 5000), st.floats(1, 300))
def test_labels_never_touch_and_fall_on_ticks(first, more, width, label_px):
    ruler = Ruler.over(first, first + more, width)
    numbered, step = ruler.label_step(label_px), ruler.tick_step(label_px)
    assert numbered * ruler.px_per_frame >= label_px * 0.999 and numbered % step == 0


@given(st.integers(1, 2000), st.floats(50, 3000), st.floats(0.1, 10), st.floats(0, 1), st.floats(-500, 500))
def test_zooming_stays_inside_and_under_the_pointer(count, width, factor, part, px):
    whole = Ruler.over(1001, 1000 + count, width)
    near = whole.zoomed(abs(factor), part * width, whole).panned(px, whole)
    assert whole.start - 1e-6 <= near.start and near.start + near.span <= whole.start + whole.span + 1e-6
    assert MIN_SPAN - 1e-9 <= near.span <= whole.span
    assert near.number_at(near.x_of(1010)) == 1010


def test_a_zoom_keeps_the_frame_under_the_pointer():
    whole = Ruler.over(1, 100, 1000)
    assert whole.zoomed(2, 555, whole).number_at(555) == whole.number_at(555)


def test_pages_follow_the_playhead():
    whole = Ruler.over(1, 100, 1000)
    near = Ruler(1.0, 10.0, 1000)
    assert near.showing(10, whole) == near
    assert near.showing(11, whole).start == 10.0
    assert near.showing(100, whole).start == 91.0


def test_runs():
    assert runs([5, 1, 2, 3, 9, 8]) == ((1, 3), (5, 5), (8, 9))
    assert runs([]) == ()


def test_scrubbing(timeline, playback):
    QTest.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=at(1010))
    assert playback.frame == 1010
    drag(timeline, at(1010), at(1033))
    assert playback.frame == 1033
    drag(timeline, at(1010), QPoint(5000, 8))
    assert playback.frame == 1050


def test_handles_of_the_range(timeline, playback):
    marks = playback.session.document.timeline
    assert (marks.mark_in, marks.mark_out) == (None, None)
    drag(timeline, at(1001, TRACK_Y, 0), at(1010, TRACK_Y))
    drag(timeline, at(1050, TRACK_Y, 9), at(1040, TRACK_Y, 9))
    marks = playback.session.document.timeline
    assert (marks.mark_in, marks.mark_out) == (1010, 1040)
    drag(timeline, at(1010, TRACK_Y, 0), at(1048, TRACK_Y))  # not past the other one
    assert playback.session.document.timeline.mark_in == 1040
    assert playback.range == (1040,)


def test_wheel_zooms_pans_and_a_double_click_shows_all(timeline):
    turn_wheel(timeline, at(1025).x(), 5)
    near = timeline.ruler
    assert near.span < 20 and near.number_at(at(1025).x() - MARGIN) == 1025
    turn_wheel(timeline, 100, -1, Qt.KeyboardModifier.ShiftModifier)
    assert timeline.ruler.start > near.start
    drag(timeline, QPoint(100, 8), QPoint(200, 8), Qt.MouseButton.MiddleButton)
    timeline.resize(300, 58)
    assert timeline.ruler.width == 300 - 2 * MARGIN
    QTest.mouseDClick(timeline, Qt.MouseButton.LeftButton, pos=QPoint(150, TRACK_Y))
    assert timeline.ruler == Ruler.over(1001, 1050, 280)


def test_the_view_follows_while_it_plays(timeline, playback):
    turn_wheel(timeline, MARGIN, 8)
    playback.session.look(timeline=playback.session.document.timeline.with_(frame=1040))
    ruler = timeline.ruler
    assert ruler.start <= 1040 < ruler.start + ruler.span


def test_keys(timeline, playback):
    timeline.setFocus()
    for key, frame in [
        (Qt.Key.Key_Right, 1002),
        (Qt.Key.Key_End, 1050),
        (Qt.Key.Key_Left, 1049),
        (Qt.Key.Key_Home, 1001),
    ]:
        QTest.keyClick(timeline, key)
        assert playback.frame == frame
    QTest.keyPress(timeline, Qt.Key.Key_K)
    QTest.keyClick(timeline, Qt.Key.Key_L)
    assert playback.frame == 1002 and not playback.is_playing
    QTest.keyRelease(timeline, Qt.Key.Key_K)
    QTest.keyClick(timeline, Qt.Key.Key_L)
    QTest.keyClick(timeline, Qt.Key.Key_L)
    assert playback.speed == 2
    QTest.keyClick(timeline, Qt.Key.Key_Space)
    assert not playback.is_playing
    QTest.keyClick(timeline, Qt.Key.Key_I)
    assert playback.session.document.timeline.mark_in == 1002


def test_cached_written_and_missing_frames_are_seen(timeline, playback):
    playback.set_clip([*range(1001, 1011), *range(1021, 1051)], 24)
    timeline.set_cached({1001, 1002, 1003, 1090})
    timeline.set_writing(range(1045, 1056))
    assert timeline.bounds == (1001, 1055)
    per_frame = timeline.ruler.px_per_frame

    def words(frame):
        return timeline.words_at(MARGIN + (frame - 1001 + 0.5) * per_frame)

    assert words(1002) == "1002, in memory" and words(1005) == "1005, on disk"
    assert words(1015) == "1015, missing" and words(1052) == "1052, being made"
    image = grabbed(timeline)

    def color(frame, y):
        return image.pixelColor(round(MARGIN + (frame - 1001 + 0.5) * per_frame), y)

    green = color(1003, 50)
    assert green.green() > green.red() + 30 and color(1006, 50).saturation() == 0
    reds = [image.pixelColor(x, 40) for x in range(round(MARGIN + 12 * per_frame), round(MARGIN + 18 * per_frame))]
    assert any(each.red() > each.green() + 40 for each in reds)


@pytest.mark.parametrize("width", [120, 200, 333, 800, 2400])
@pytest.mark.parametrize("frames", [(), (7,), range(1001, 1017), range(1, 201), range(86400, 186400)])
def test_draws_at_any_width(timeline, playback, width, frames):
    playback.set_clip(frames, 24)
    timeline.resize(width, 58)
    assert not grabbed(timeline).isNull()


def test_says_where_it_is_to_those_who_do_not_see(timeline, playback):
    playback.scrub(1007)
    assert timeline.accessibleDescription() == "Frame 1007 of 1001 to 1050"
    playback.set_clip((), 24)
    assert timeline.accessibleDescription() == "No frames"


def press(transport, name):
    QTest.mouseClick(transport.findChild(QToolButton, name), Qt.MouseButton.LeftButton)


def test_transport_buttons(transport, playback):
    press(transport, "to_end")
    assert playback.frame == 1050 and transport.frame.value() == 1050
    press(transport, "step")
    press(transport, "step")
    assert playback.frame == 1002
    press(transport, "mark_in")
    assert transport.range.text() == "1002–1050" and transport.clear_marks.isEnabled()
    press(transport, "clear_marks")
    assert transport.range.text() == "1001–1050" and not transport.clear_marks.isEnabled()
    press(transport, "play")
    assert playback.speed == 1 and transport.play.accessibleName() == "Stop"
    press(transport, "play_back")
    assert playback.speed == -1 and transport.play.accessibleName() == "Play"
    press(transport, "play_back")
    assert not playback.is_playing
    press(transport, "loop")
    assert playback.loop == "once" and transport.loop.accessibleName() == "Plays once"
    press(transport, "policy")
    assert playback.policy == "realtime" and transport.policy.text() == "Real time"


def test_a_typed_frame_goes_to_the_nearest(transport, playback):
    playback.set_clip((1, 2, 9), 24)
    transport.frame.setValue(5)
    assert playback.frame == 2 and transport.frame.value() == 2


def test_it_plays_by_itself(transport, playback, qtbot):
    playback.play()
    qtbot.waitUntil(lambda: playback.frame >= 1004)
    playback.stop()
    assert not transport._timer._timer.isActive()


def test_rate_and_cache(transport, playback, monkeypatch):
    assert transport.rate.text() == "24.0 fps"
    playback.set_clip(range(1, 9), 23.976)
    assert transport.rate.text() == "23.976 fps"
    monkeypatch.setattr(Playback, "measured_fps", property(lambda self: 17.32))
    playback.play()
    playback.num_dropped = 3
    transport._read_out()
    assert transport.rate.text() == "17.3 fps"
    assert transport.rate.palette().placeholderText().color() == AMBER
    assert transport.rate.toolTip() == "The shot has 23.976 frames a second. 3 frames left out."
    playback.stop()
    assert transport.rate.palette().placeholderText().color() != AMBER
    transport.set_cache(round(1.2 * 2**30), 4 * 2**30)
    assert transport.cache.text() == "1.2 of 4.0 GiB"


def test_without_frames_nothing_can_be_pressed(transport, playback):
    playback.set_clip((), 24)
    assert not any(button.isEnabled() for button in transport.findChildren(QToolButton))
    assert transport.range.text() == "No frames"


def test_all_have_names_and_tooltips(transport, timeline):
    named = [*transport.findChildren(QToolButton), transport.frame, transport.rate, transport.cache, transport.range]
    assert all(widget.accessibleName() and widget.toolTip() and widget.objectName() for widget in named)
    assert transport.play.toolTip() == "Play (Space)" and transport.step.toolTip() == "On a frame (Right)"


def test_a_held_key(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    held = HeldKey(window)
    QTest.keyPress(window, Qt.Key.Key_K)
    assert held.is_down
    QTest.keyRelease(window, Qt.Key.Key_K)
    QTest.keyPress(window, Qt.Key.Key_J)
    assert not held.is_down
    QTest.keyPress(window, Qt.Key.Key_K)
    QApplication.sendEvent(window, QEvent(QEvent.Type.WindowDeactivate))
    assert not held.is_down


def test_glyphs_are_drawn(qapp):
    for name in _DRAWINGS:
        image = glyph(name, dark_palette()).pixmap(16, 16).toImage()
        assert any(image.pixelColor(x, y).alpha() for x in range(16) for y in range(16)), name


def test_nothing_is_left_of_them(qtbot, playback):
    widgets = [Timeline(playback), Transport(playback)]
    kept = [weakref.ref(widget) for widget in widgets]
    for widget in widgets:
        widget.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    playback.scrub(1020)  # heard by nobody
    del widgets, widget
    gc.collect()
    assert [ref() for ref in kept] == [None, None]
    assert len(playback.frame_changed) == 0

"""What lies over the picture in the viewer: labels, the line of a wipe, a message, a job's preview."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from layerflow_desktop.models.framing import Framing, wipe_normal, wipe_pivot

GRIP = 7.0  # how near, in the interface's pixels, the pointer takes hold
ARM = 72.0  # from the middle of the wipe's line to its knob
_LINE, _SHADE = QColor(255, 255, 255, 210), QColor(0, 0, 0, 150)  # seen on any picture
_TAG = "QLabel { background: rgba(0, 0, 0, 150); color: #e6e6e6; padding: 2px 6px; border-radius: 3px; }"


class Tag(QLabel):
    """A short text over the picture; gone while it is empty."""

    def __init__(self, name: str, accessible_name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName(accessible_name)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setStyleSheet(_TAG)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def say(self, text: str) -> None:
        """Shows a text."""
        if text != self.text():
            self.setText(text)
            self.adjustSize()
        self.setVisible(bool(text))


class WipeLine:
    """Where the line of a wipe and its knob are on the screen, in the interface's pixels."""

    def __init__(self, framing: Framing, position: float, angle: float, ratio: float) -> None:
        pivot = framing.to_screen(*wipe_pivot(framing.width, framing.height, position, angle))
        nx, ny = wipe_normal(angle)
        along = QPointF(-ny * framing.scale_x, nx * framing.scale_y)
        self.pivot = QPointF(*pivot) / ratio
        self.along = along / max(1e-9, (along.x() ** 2 + along.y() ** 2) ** 0.5)
        self.knob = self.pivot + self.along * ARM

    def is_on_knob(self, point: QPointF) -> bool:
        """Whether the pointer turns the line."""
        apart = point - self.knob
        return bool(apart.x() ** 2 + apart.y() ** 2 <= (GRIP + 3) ** 2)

    def is_on_line(self, point: QPointF) -> bool:
        """Whether the pointer moves the line."""
        apart = point - self.pivot
        return bool(abs(apart.x() * self.along.y() - apart.y() * self.along.x()) <= GRIP)


class WipeOverlay(QWidget):
    """Draws the line; the viewer handles the mouse."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("wipe_line")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.line: WipeLine | None = None
        self._picture = QRect()
        self.hide()

    def show_line(self, line: WipeLine | None, picture: QRect) -> None:
        """Draws a line within the picture; None: none."""
        self.line, self._picture = line, picture
        self.setVisible(line is not None)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        if self.line is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipRect(self._picture)
        reach = self.line.along * float(self.width() + self.height())
        for pen in (QPen(_SHADE, 3.0), QPen(_LINE, 1.2)):
            painter.setPen(pen)
            painter.drawLine(self.line.pivot - reach, self.line.pivot + reach)
        painter.setClipping(False)
        painter.setPen(QPen(_SHADE, 1.5))
        painter.setBrush(_LINE)
        painter.drawEllipse(self.line.pivot, 4.0, 4.0)
        painter.drawEllipse(self.line.knob, GRIP, GRIP)
        painter.end()


class MessagePanel(QFrame):
    """A title, a text and buttons, in place of a picture there is none of."""

    pressed = Signal(str)  # the name of a button

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("viewer_message")
        self.setAccessibleName("Message")
        self._title, self._text = QLabel(self), QLabel(self)
        font = self._title.font()
        font.setPointSizeF(font.pointSizeF() * 1.6)
        self._title.setFont(font)
        self._text.setWordWrap(True)
        for label in (self._title, self._text):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._row = QHBoxLayout()
        self._said: tuple[str, str, tuple[tuple[str, str], ...]] = ("", "", ())
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        for label in (self._title, self._text):
            column.addWidget(label)
        column.addLayout(self._row)
        self.hide()

    def say(self, title: str, text: str, buttons: Sequence[tuple[str, str]]) -> None:
        """Shows a message, with buttons of a name and a label each; nothing to say: none."""
        said = (title, text, tuple(buttons))
        if said == self._said:  # a button may be under the pointer
            return
        self._said = said
        self._title.setText(title)
        self._text.setText(text)
        while (item := self._row.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        self._row.addStretch()
        for index, (name, label) in enumerate(buttons):
            button = self._button(name, label, is_first=index == 0)
            self._row.addWidget(button)
            button.show()  # else it counts for the size only a turn of the event loop later
        self._row.addStretch()
        self.setVisible(bool(title or text))

    def place(self, within: QRect) -> None:
        """Puts itself in the middle."""
        width = min(460, max(120, within.width() - 32))
        height = self.heightForWidth(width) if self.hasHeightForWidth() else self.sizeHint().height()
        size = QSize(width, max(height, self.minimumSizeHint().height()))
        corner = within.center() - QRect(0, 0, size.width(), size.height()).center()
        self.setGeometry(QRect(corner, size))

    def _button(self, name: str, label: str, is_first: bool) -> QPushButton:
        button = QPushButton(label, self)
        button.setObjectName(f"message_{name}")
        button.setAccessibleName(label)
        button.setToolTip(label)
        button.setProperty("primary", is_first)
        button.clicked.connect(lambda: self.pressed.emit(name))
        return button


class PreviewPane(QWidget):
    """A running job's picture, in the place of the one it is going to be."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("job_preview")
        self.setAccessibleName("Preview of a running job")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.image = QImage()
        self.caption = Tag("job_preview_caption", "What the preview is of", self)
        self.hide()

    def show_image(self, image: QImage, place: QRect) -> None:
        """Fits an image into a place."""
        self.image = image
        self.setGeometry(place)
        self.caption.move(8, max(0, place.height() - self.caption.height() - 8))
        self.setVisible(not image.isNull())
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.palette().window())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        size = self.image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRectF((self.width() - size.width()) / 2, (self.height() - size.height()) / 2, *size.toTuple())
        painter.drawImage(place, self.image)
        painter.end()

"""The look: dark and neutral, so that nothing beside a picture tints how it is seen."""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

ACCENT = QColor(232, 148, 62)
GREYS = {
    QPalette.ColorRole.Window: 42,
    QPalette.ColorRole.Base: 30,
    QPalette.ColorRole.AlternateBase: 36,
    QPalette.ColorRole.Button: 54,
    QPalette.ColorRole.Light: 84,
    QPalette.ColorRole.Midlight: 66,
    QPalette.ColorRole.Mid: 34,
    QPalette.ColorRole.Dark: 22,
    QPalette.ColorRole.Shadow: 10,
    QPalette.ColorRole.ToolTipBase: 60,
    QPalette.ColorRole.WindowText: 214,
    QPalette.ColorRole.Text: 224,
    QPalette.ColorRole.ButtonText: 214,
    QPalette.ColorRole.BrightText: 255,
    QPalette.ColorRole.ToolTipText: 230,
    QPalette.ColorRole.PlaceholderText: 124,
}
_DISABLED_TEXT = 108
_SHEET = """
QToolTip {{ border: 1px solid #101010; padding: 3px; }}
QDockWidget::title {{ padding: 5px 8px; background: #232323; }}
QMainWindow::separator {{ background: #1a1a1a; width: 3px; height: 3px; }}
QMainWindow::separator:hover {{ background: {accent}; }}
QStatusBar {{ background: #232323; }}
QStatusBar::item {{ border: none; }}
QPushButton[primary="true"] {{ background: {accent}; color: #141414; font-weight: 600; padding: 6px 12px;
    border: 1px solid {accent}; border-radius: 3px; }}
QPushButton[primary="true"]:hover {{ background: {bright}; }}
QPushButton[primary="true"]:focus {{ border: 1px solid #ffffff; }}
QPushButton[primary="true"]:disabled {{ background: #4a4038; color: #8c8c8c; border-color: #4a4038; }}
"""


def dark_palette() -> QPalette:
    """Neutral greys, with one accent."""
    palette = QPalette()
    for role, grey in GREYS.items():
        palette.setColor(role, QColor(grey, grey, grey))
    palette.setColor(QPalette.ColorRole.Highlight, ACCENT)
    palette.setColor(QPalette.ColorRole.HighlightedText, QColor(20, 20, 20))
    palette.setColor(QPalette.ColorRole.Link, ACCENT.lighter(115))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(_DISABLED_TEXT, _DISABLED_TEXT, _DISABLED_TEXT))
    palette.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Highlight, QColor(90, 90, 90))
    return palette


def dress(application: QApplication) -> None:
    """Gives the application its look, the same on every system."""
    application.setStyle(QStyleFactory.create("Fusion"))
    application.setPalette(dark_palette())
    application.setStyleSheet(_SHEET.format(accent=ACCENT.name(), bright=ACCENT.lighter(112).name()))

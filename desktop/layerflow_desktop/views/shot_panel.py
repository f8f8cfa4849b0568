"""The form on the left: what is to be made, of what, and how."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QPushButton, QToolButton, QVBoxLayout, QWidget

from layerflow.wire import Request
from layerflow_desktop.controllers.engine import Engine
from layerflow_desktop.controllers.recent import Recent
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document, ShotSettings
from layerflow_desktop.models.presets import settings_of
from layerflow_desktop.views.form_scroll import FormScroll
from layerflow_desktop.views.listening import listen
from layerflow_desktop.views.preset_menu import fill_preset_menu
from layerflow_desktop.views.shot_form import ShotForm
from layerflow_desktop.views.wells import Describe, Resolve


class Maker(Protocol):
    """What makes takes: `controllers.generating.Generating`."""

    def generate(self) -> None: ...
    def regenerate(self) -> None: ...
    def why_not_generate(self) -> str: ...
    def why_not_regenerate(self) -> str: ...


class ShotPanel(QWidget):
    """The settings of the shot, each edit a step that can be undone, over Generate and Regenerate."""

    def __init__(
        self,
        session: Session,
        engine: Engine,
        recent: Recent,
        maker: Maker,
        resolve: Resolve,
        describe: Describe,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("shot_panel")
        self._session, self._engine, self._recent, self._maker = session, engine, recent, maker
        self.form = ShotForm(recent.prompts, resolve, describe, self)
        self.form.edited.connect(self._edit)
        self.form.left.connect(session.history.close_step)
        self._presets = self._made_presets()
        self._generate = self._made_button("generate", "Generate", "Make the layers")
        self._generate.setProperty("primary", True)
        self._regenerate = self._made_button("regenerate", "Regenerate", "Make again what is not locked")
        self._generate.clicked.connect(self.generate)
        self._regenerate.clicked.connect(self.regenerate)
        self._reason = QLabel(self)
        self._reason.setObjectName("shot_reason")
        self._reason.setWordWrap(True)
        self._asked = QVBoxLayout()  # questions, above the buttons
        self._lay_out()
        listen(self, session.changed, self._document_changed)
        listen(self, engine.changed, self._engine_changed)
        self._engine_changed()
        self._show(session.document)

    def generate(self) -> None:
        """Asks for what the form says, and remembers its words."""
        self._recent.note_prompts(self._session.document.shot)
        self._maker.generate()

    def regenerate(self) -> None:
        """Asks for the take that is looked at once more, but for what is locked."""
        self._recent.note_prompts(self._session.document.shot)
        self._maker.regenerate()

    def ask_with(self, question: QWidget) -> None:
        """Puts a question above the buttons."""
        self._asked.addWidget(question)

    def use_request(self, request: Request) -> None:
        """Puts what a job was asked for into the form."""
        try:
            shot = settings_of(request, self._session.document.shot)
        except ValueError as error:
            self._session.say(str(error))
            return
        self._session.edit("Use settings of a job", self._session.document.with_(shot=shot))

    def _edit(self, field: str, value: object) -> None:
        document = self._session.document
        try:
            shot = document.shot.with_(**{field: value})
        except ValueError:
            self._session.say(f"{value} cannot be; the {field.replace('_', ' ')} stays as it was.")
            self._show(document)
            return
        if field == "plate" and isinstance(value, str) and value:
            self._recent.note_plate(value)
        self._session.edit(
            f"Change {_spoken(field)}",
            document.with_(shot=shot),
            merge=_merge(field, getattr(document.shot, field), value),
        )

    def _document_changed(self, document: Document, before: Document) -> None:
        if document.shot != before.shot:
            self._show(document)
        elif (document.take, document.layers) != (before.take, before.layers):
            self._show_buttons()

    def _engine_changed(self) -> None:
        self.form.set_names(
            [model.name for model in self._engine.models], [device.name for device in self._engine.devices]
        )

    def _show(self, document: Document) -> None:
        self.form.show_shot(document.shot)
        self._show_buttons()

    def _show_buttons(self) -> None:
        """What can be pressed, and why not; while a layer is dragged that is asked for each move."""
        why_not = self._maker.why_not_generate()
        self._allow(self._generate, why_not, "Make the layers (Ctrl+Return)")
        self._allow(self._regenerate, self._maker.why_not_regenerate(), "Make again what is not locked")
        self._reason.setText(why_not)
        self._reason.setVisible(bool(why_not))

    def _allow(self, button: QPushButton, why_not: str, tip: str) -> None:
        button.setEnabled(not why_not)
        button.setToolTip(why_not or tip)
        button.setAccessibleDescription(why_not)

    def _choose_preset(self, name: str) -> None:
        document = self._session.document
        try:
            shot: ShotSettings = self._recent.with_preset(name, document.shot)
        except ValueError as error:
            self._session.say(str(error))
            return
        self._session.edit(f"Use preset {name}", document.with_(shot=shot))

    def _keep_preset(self, name: str) -> None:
        try:
            self._recent.keep_preset(name, self._session.document.shot)
        except ValueError as error:
            self._session.say(str(error))

    def _made_presets(self) -> QToolButton:
        button = QToolButton(self)
        button.setObjectName("shot_presets")
        button.setText("Presets")
        button.setAccessibleName("Presets")
        button.setToolTip("How shots are made, under a name: model, quality, steps and the rest")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        menu.aboutToShow.connect(lambda: fill_preset_menu(menu, self._recent, self._choose_preset, self._keep_preset))
        button.setMenu(menu)
        return button

    def _made_button(self, name: str, label: str, tip: str) -> QPushButton:
        button = QPushButton(label, self)
        button.setObjectName(f"shot_{name}")
        button.setAccessibleName(label)
        button.setToolTip(tip)
        return button

    def _lay_out(self) -> None:
        scroll = FormScroll(self.form, self)
        scroll.setObjectName("shot_scroll")
        buttons = QHBoxLayout()
        buttons.addWidget(self._generate, 2)
        buttons.addWidget(self._regenerate, 1)
        top = QHBoxLayout()
        top.addStretch(1)
        top.addWidget(self._presets)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 8)
        layout.addLayout(top)
        layout.addWidget(scroll, 1)
        layout.addLayout(self._asked)
        layout.addWidget(self._reason)
        layout.addLayout(buttons)


def _merge(field: str, before: object, value: object) -> str:
    """What steps in a row are one step by: typing in one field is. Adding a foreground and removing it are two."""
    if not (isinstance(before, tuple) and isinstance(value, tuple)):
        return f"shot.{field}"
    if len(before) != len(value):
        return ""
    changed = [at for at, pair in enumerate(zip(before, value, strict=True)) if pair[0] != pair[1]]
    return f"shot.{field}.{changed[0] if changed else 0}"


def _spoken(field: str) -> str:
    words = {"further": "foregrounds", "lock_seed": "seed lock", "num_frames": "length", "lora": "LoRA"}
    return words.get(field, field.replace("_", " "))

"""The form of a shot: what is typed goes into the project as one step, what the project says is shown, in no circle."""

from __future__ import annotations

import pytest
from psygnal import Signal
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QMenu, QPlainTextEdit, QWidget
from shiboken6 import isValid

from layerflow.wire import Request
from layerflow_desktop.controllers import asking
from layerflow_desktop.controllers.engine import Device, Model
from layerflow_desktop.controllers.generating import _why_not
from layerflow_desktop.controllers.recent import Recent
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document, LayerState, ShotSettings, Take
from layerflow_desktop.views.shot_panel import ShotPanel


class StubEngine:
    changed = Signal()

    def __init__(self) -> None:
        self.models, self.devices = (), ()


class StubMaker:
    def __init__(self, session: Session) -> None:
        self._session, self.pressed = session, []

    def generate(self) -> None:
        self.pressed.append("generate")

    def regenerate(self) -> None:
        self.pressed.append("regenerate")

    def why_not_generate(self) -> str:
        return _why_not(asking.generate_plan, self._session.document)

    def why_not_regenerate(self) -> str:
        return _why_not(asking.regenerate_plan, self._session.document)


class Desk:
    """A panel and all around it."""

    def __init__(self, qtbot, folder) -> None:
        self.session, self.engine, self.recent = Session(), StubEngine(), Recent(folder)
        self.maker, self.said, self.descriptions = StubMaker(self.session), [], []
        self.session.said.connect(self.said.append)
        self.panel = ShotPanel(
            self.session,
            self.engine,
            self.recent,
            self.maker,
            lambda paths, then: then(paths[0].replace("1001", "####")),
            lambda text, then: self.descriptions.append((text, then)),
        )
        if qtbot is not None:
            qtbot.addWidget(self.panel)
        self.panel.resize(340, 900)
        self.panel.show()

    @property
    def shot(self) -> ShotSettings:
        return self.session.document.shot

    def find(self, name: str):
        found = self.panel.findChild(QWidget, name)
        assert found is not None, name
        return found

    def set(self, **values) -> None:
        document = self.session.document
        self.session.amend(document.with_(shot=document.shot.with_(**values)))


@pytest.fixture
def desk(qtbot, tmp_path) -> Desk:
    return Desk(qtbot, tmp_path)


def test_typing_is_one_step_for_each_field(desk, qtbot) -> None:
    qtbot.keyClicks(desk.find("prompt_foreground"), "a dog")
    qtbot.keyClicks(desk.find("prompt_background"), "a park")
    assert (desk.shot.foreground, desk.shot.background) == ("a dog", "a park")
    assert desk.session.history.undo_name == "Change background"
    desk.session.undo()
    assert (desk.shot.foreground, desk.shot.background) == ("a dog", "")
    assert desk.find("prompt_background").toPlainText() == ""
    desk.session.undo()
    assert desk.shot == ShotSettings() and not desk.session.history.undo_name


def test_the_cursor_stays_where_one_types(desk, qtbot) -> None:
    field = desk.find("prompt_foreground")
    qtbot.keyClicks(field, "a dog")
    field.moveCursor(field.textCursor().MoveOperation.Start)
    qtbot.keyClicks(field, "x ")
    assert desk.shot.foreground == "x a dog" and field.textCursor().position() == 2


def test_every_setting_is_shown_and_none_is_told_of(desk) -> None:
    changes = []
    values = {
        "task": "decompose", "plate": "/in/dog.####.exr", "guide": "/in/m.exr", "guide_kind": "trimap",
        "foreground": "a dog", "background": "a park", "blended": "both", "model": "other", "quality": "draft",
        "seed": 2**60, "lock_seed": False, "steps": 12, "guidance": 4.5, "motion": 0.5, "first_frame": 1001,
        "last_frame": 1016, "fps": 23.976, "output": "/out/x.%04d.exr", "refine": "best", "closeup": True,
        "colorspace": "sRGB", "output_colorspace": "lin_rec709", "fit": "pad", "memory": "low",
        "precision": "float16", "device": "cuda:1", "backend": "compiled", "lora": ("a.st:0.5", "b.st"),
    }  # fmt: skip
    desk.panel.form.edited.connect(lambda *values: changes.append(values))
    desk.set(**values)
    assert changes == []
    shown = {
        "shot_model": "other", "shot_output": "/out/x.%04d.exr", "shot_seed": str(2**60), "shot_backend": "compiled",
        "shot_colorspace": "sRGB", "shot_output_colorspace": "lin_rec709", "shot_device": "cuda:1",
        "shot_lora": "a.st:0.5; b.st", "shot_quality": "Draft", "shot_fit": "Pad", "shot_memory": "Low",
        "shot_refine": "Best", "shot_precision": "float16", "shot_guide_kind": "Trimap", "shot_steps": "12",
        "shot_guidance": "4.50", "shot_motion": "0.50", "shot_fps": "23.976", "shot_first_frame": "1001",
        "shot_last_frame": "1016",
    }  # fmt: skip
    assert {name: _text(desk.find(name)) for name in shown} == shown
    assert desk.find("shot_closeup").isChecked() and desk.find("task_decompose").isChecked()
    desk.set(**ShotSettings().model_dump())
    assert changes == [] and desk.shot == ShotSettings()
    assert _text(desk.find("shot_steps")) == _text(desk.find("shot_guidance")) == "Model's own"


def _text(widget: QWidget) -> str:
    if isinstance(widget, QComboBox):
        return widget.currentText()
    return widget.text()


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("shot_steps", 7, "steps", 7),
        ("shot_steps", 0, "steps", None),
        ("shot_guidance", 0.0, "guidance", 0.0),
        ("shot_guidance", -0.5, "guidance", None),
        ("shot_num_frames", 24, "num_frames", 24),
        ("shot_first_frame", 0, "first_frame", 0),
        ("shot_first_frame", -1, "first_frame", None),
        ("shot_motion", 1.0, "motion", 1.0),
    ],
)
def test_numbers_and_the_models_own(desk, name, value, field, expected) -> None:
    desk.set(steps=3, guidance=3.0, num_frames=3, first_frame=3)
    desk.find(name).setValue(value)
    assert getattr(desk.shot, field) == expected


def test_the_seed_is_thrown_typed_and_locked(desk, qtbot) -> None:
    desk.find("shot_seed").selectAll()
    qtbot.keyClicks(desk.find("shot_seed"), "42")
    assert desk.shot.seed == 42
    desk.find("shot_dice").click()
    assert desk.shot.seed != 42 and desk.find("shot_seed").text() == str(desk.shot.seed)
    desk.find("shot_lock_seed").click()
    assert not desk.shot.lock_seed


def test_a_task_shows_what_it_has_a_use_for(desk) -> None:
    def visible() -> list[str]:
        names = ("well_plate", "well_guide", "shot_guide_kind", "shot_last_frame", "shot_num_frames", "add_foreground")
        return [name.split("_", 1)[1] for name in names if desk.find(name).isVisible()]

    assert visible() == ["num_frames", "foreground"]
    desk.find("task_decompose").click()
    assert desk.shot.task == "decompose"
    assert visible() == ["plate", "guide", "guide_kind", "last_frame", "foreground"]
    desk.find("task_background").click()
    assert visible() == ["plate", "last_frame"] and desk.find("well_plate").accessibleName() == "Foreground"
    assert [desk.find(f"task_{name}").isChecked() for name in ("generate", "decompose", "background")] == [0, 0, 1]


def test_files_are_dropped_described_and_cleared(desk) -> None:
    desk.find("task_decompose").click()
    well = desk.find("well_plate")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/in/dog.1001.exr")])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    well.dropEvent(QDropEvent(QPointF(5, 5), copy, data, left, none))
    assert desk.shot.plate == "/in/dog.####.exr" and desk.recent.plates == ("/in/dog.####.exr",)
    (text, then) = desk.descriptions[-1]
    assert text == "/in/dog.####.exr" and well._about.text() == "Looking…"
    then("16 frames 1001-1016, 1920 x 1080")
    assert well._about.text() == "16 frames 1001-1016, 1920 x 1080"
    desk.find("well_plate_clear").click()
    then("too late")
    assert desk.shot.plate == "" and well._about.text() == ""


def test_foregrounds_are_added_and_taken_away(desk, qtbot) -> None:
    qtbot.keyClicks(desk.find("prompt_foreground"), "a dog")
    desk.find("add_foreground").click()
    desk.find("add_foreground").click()
    qtbot.keyClicks(desk.find("prompt_foreground2"), "a cat")
    qtbot.keyClicks(desk.find("prompt_foreground3"), "a bird")
    assert desk.shot.further == ("a cat", "a bird")
    desk.find("remove_foreground2").click()
    assert desk.shot.further == ("a bird",) and desk.find("prompt_foreground2").toPlainText() == "a bird"
    desk.session.undo()
    assert desk.shot.further == ("a cat", "a bird")
    desk.set(further=tuple("abcdefg"))
    assert not desk.find("add_foreground").isEnabled()


def test_why_generate_cannot_be_pressed_is_said(desk, qtbot) -> None:
    generate, reason = desk.find("shot_generate"), desk.find("shot_reason")
    assert not generate.isEnabled() and reason.isVisible()
    assert reason.text() == generate.toolTip() == "There is no foreground to make; describe it in a few words"
    desk.set(foreground="a dog", background="a park")
    assert generate.isEnabled() and not reason.isVisible() and "Ctrl+Return" in generate.toolTip()
    generate.click()
    assert desk.maker.pressed == ["generate"] and desk.recent.prompts("background") == ("a park",)
    regenerate = desk.find("shot_regenerate")
    assert not regenerate.isEnabled() and "no take" in regenerate.toolTip()
    take = Take(name="v001", pattern="/o/a_v001.%04d.exr")
    layers = (LayerState(name="foreground", locked=True), LayerState(name="background"))
    desk.session.amend(desk.session.document.with_(takes=(take,), take="v001", layers=layers))
    regenerate.click()
    assert desk.maker.pressed == ["generate", "regenerate"]


def test_models_and_devices_come_with_the_engine(desk) -> None:
    desk.set(model="/my/model")
    desk.engine.models, desk.engine.devices = (Model("mini"), Model("large")), (Device("cuda:0"),)
    desk.engine.changed.emit()
    model, device = desk.find("shot_model"), desk.find("shot_device")
    assert [model.itemText(at) for at in range(model.count())] == ["mini", "large"]
    assert [device.itemText(at) for at in range(device.count())] == ["auto", "cuda:0"]
    assert model.currentText() == desk.shot.model == "/my/model"
    model.setCurrentIndex(1)
    assert desk.shot.model == "large"


def test_presets_are_kept_chosen_and_forgotten(desk, qtbot) -> None:
    desk.set(steps=9, quality="high")
    menu = desk.find("shot_presets").menu()
    menu.aboutToShow.emit()
    line = menu.findChild(QLineEdit, "preset_name")
    line.setText("mine")
    line.returnPressed.emit()
    assert desk.recent.is_own("mine")
    desk.set(steps=None, quality="exact", seed=3)
    menu.aboutToShow.emit()
    next(action for action in menu.actions() if action.text() == "mine").trigger()
    assert (desk.shot.steps, desk.shot.quality, desk.shot.seed) == (9, "high", 3)
    assert desk.session.history.undo_name == "Use preset mine"
    menu.aboutToShow.emit()
    forget = next(action.menu() for action in menu.actions() if action.text() == "Forget")
    assert isinstance(forget, QMenu)
    forget.actions()[0].trigger()
    assert not desk.recent.is_own("mine")
    menu.aboutToShow.emit()
    menu.findChildren(QLineEdit, "preset_name")[-1].returnPressed.emit()
    assert "needs a name" in desk.said[-1]


def test_the_settings_of_a_job_are_put_into_the_form(desk) -> None:
    request = Request("decompose", plate="/in/a.####.exr", foregrounds=("a dog", "a cat"), seed=5, steps=3)
    desk.panel.use_request(request)
    assert (desk.shot.task, desk.shot.plate, desk.shot.further) == ("decompose", "/in/a.####.exr", ("a cat",))
    made = asking.request_of(desk.session.document, request.output)
    assert made == request
    edit = Request("edit", plate="/in/a.exr", keep=("foreground",), background="x")
    desk.panel.use_request(edit)
    assert "lock its layers and press Regenerate" in desk.said[-1] and desk.shot.task == "decompose"


def test_earlier_prompts_are_offered(desk, qtbot) -> None:
    desk.recent.note_prompts(ShotSettings(foreground="a red dog"))
    desk.recent.note_prompts(ShotSettings(foreground="a cat"))
    field = desk.find("prompt_foreground")
    qtbot.keyClick(field, Qt.Key.Key_Down)
    assert field._popup.isVisible() and field._completer.completionCount() == 2
    field._popup.hide()
    qtbot.keyClicks(field, "dog")
    field.offer()
    assert field._completer.currentCompletion() == "a red dog"
    field._completer.activated.emit("a red dog")
    assert desk.shot.foreground == "a red dog"


def test_everything_is_named_for_those_who_do_not_see_it(desk) -> None:
    desk.find("add_foreground").click()
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QPlainTextEdit, QLineEdit)
    found = [each for kind in kinds for each in desk.panel.findChildren(kind)]
    own = [each for each in found if not each.objectName().startswith("qt_") and each.parent() not in found]
    assert len(own) > 30
    for each in own:
        assert each.accessibleName() and each.toolTip() and each.objectName(), each


def test_a_panel_that_is_gone_hears_nothing(qtbot, tmp_path) -> None:
    desk = Desk(None, tmp_path)
    desk.find("task_decompose").click()
    desk.set(plate="/in/dog.exr")
    desk.panel.deleteLater()
    qtbot.waitUntil(lambda: not isValid(desk.panel))
    desk.descriptions[-1][1]("1 frame")
    desk.engine.changed.emit()
    desk.session.open(Document())

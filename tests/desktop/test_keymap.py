"""The commands: every key once, every command with words, and actions that do what they are told to."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QLabel, QMainWindow

from layerflow_desktop.models.keymap import COMMANDS, MENUS, commands_of
from layerflow_desktop.views.actions import Actions
from layerflow_desktop.views.cheat_sheet import CheatSheet


def test_every_key_is_there_once():
    keys = [QKeySequence(key).toString() for command in COMMANDS for key in command.keys]
    assert all(keys)
    assert len(keys) == len(set(keys))


def test_every_command_has_a_name_of_its_own_a_menu_and_a_line_of_help():
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)
    assert sum(len(commands_of(menu)) for menu in MENUS) == len(COMMANDS)
    assert all(command.help and not command.help.endswith(".") for command in COMMANDS)


def test_actions_do_their_call_and_stand_in_their_menus(qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    actions, called = Actions(window), []
    actions.connect(fit=lambda: called.append("fit"), play=lambda: called.append("play"))
    menus = actions.fill(window.menuBar())
    actions["play"].trigger()
    actions["fit"].trigger()
    assert called == ["play", "fit"]
    assert actions["fit"] in menus["View"].actions()
    assert "(F)" in actions["fit"].toolTip()
    with pytest.raises(KeyError):
        actions.connect(nothing=lambda: None)


def test_the_cheat_sheet_shows_every_key(qtbot):
    sheet = CheatSheet()
    qtbot.addWidget(sheet)
    texts = {label.text() for label in sheet.findChildren(QLabel)}
    assert all(command.label.rstrip("…") in texts for command in COMMANDS if command.keys)

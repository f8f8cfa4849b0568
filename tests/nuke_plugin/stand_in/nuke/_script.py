"""Opening, saving, copying and closing scripts."""

# ruff: noqa: N802, N816  (Nuke's own names)

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nuke import _callbacks, _script_read, _script_write
from nuke._create import let_go
from nuke._formats import FIRST, from_text
from nuke._group import Root
from nuke._guard import main_thread_only
from nuke._state import FIRST_LAYERS, state

CLIPBOARD = "%clipboard%"


def new_root() -> None:
    """Makes an empty script the one that is open."""
    if state.the_root is not None:
        for node in (*state.the_root._all_nodes(), state.the_root):
            let_go(node)
    state.selection.clear()
    state.here.clear()
    state.layers = dict(FIRST_LAYERS)
    state.formats = [from_text(text) for text in FIRST]
    state.the_root = Root()
    state.is_modified = False


def _close() -> None:
    _callbacks.fire("onScriptClose", state.root)
    new_root()


@main_thread_only
def scriptName() -> str:
    """The path of the script. RuntimeError where it was never saved."""
    name = str(state.root["name"].value())
    if not name:
        raise RuntimeError("no script name available, choose save as")
    return name


@main_thread_only
def scriptSave(filename: str | None = None) -> bool:
    """Whether the script was saved, under its own name where none is given."""
    path = filename or str(state.root["name"].value())
    if not path:
        raise RuntimeError("no script name available, choose save as")
    _save(path)
    return True


@main_thread_only
def scriptSaveAs(filename: str | None = None, overwrite: int = -1) -> None:
    """Nothing; the script is saved. RuntimeError where there is such a file and `overwrite` is not 1."""
    path = filename or (state.answers.popleft() if state.answers else None)
    if not path:
        raise RuntimeError("cancelled")
    if Path(path).exists() and overwrite != 1:
        if overwrite == 0 or not state.gui:
            raise RuntimeError(f"{path}: file already exists")
        if not (state.answers.popleft() if state.answers else True):
            raise RuntimeError("cancelled")
    _save(path)


def _save(path: str) -> None:
    state.root["name"].setValue(str(path).replace(os.sep, "/"))
    _callbacks.fire("onScriptSave", state.root)
    Path(path).write_text(_script_write.script_text(), encoding="utf-8")
    state.is_modified = False


@main_thread_only
def scriptOpen(filename: str | None = None) -> None:
    """Nothing; another script is open. RuntimeError where it cannot be read."""
    path = filename or (state.answers.popleft() if state.answers else None)
    if not path:
        raise RuntimeError("cancelled")
    text = _text_of(path)
    _close()
    state.root["name"]._value = str(path).replace(os.sep, "/")
    _script_read.read(text, state.root)
    state.root["name"]._value = str(path).replace(os.sep, "/")
    _callbacks.fire("onCreate", state.root)
    _callbacks.fire("onScriptLoad", state.root)
    state.is_modified = False


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise RuntimeError(f"{path}: {error.strerror}") from error


@main_thread_only
def scriptClear(*_: Any) -> None:
    """Nothing; the script is closed, and an empty one is open."""
    _close()
    _callbacks.fire("onCreate", state.root)


@main_thread_only
def scriptClose(filename: str | None = None) -> bool:
    """Whether the script was closed."""
    _close()
    return True


@main_thread_only
def scriptNew(*_: Any) -> None:
    """Nothing; an empty script is open. RuntimeError outside of the window."""
    scriptClear()


@main_thread_only
def scriptExit(*_: Any) -> None:
    """Nothing; Nuke would end here."""
    _callbacks.fire("onScriptClose", state.root)


@main_thread_only
def scriptReadFile(filename: str) -> None:
    """Nothing; the nodes of a script are in the open one too."""
    _script_read.read(_text_of(filename), state.now().group)


@main_thread_only
def scriptReadText(text: str) -> None:
    """Nothing; the nodes of a script are in the open one too."""
    _script_read.read(text, state.now().group)


scriptSource = scriptReadFile


@main_thread_only
def nodeCopy(filename: str = CLIPBOARD) -> None:
    """Nothing; the selected nodes are in a file or on the clipboard. RuntimeError where none are."""
    group = state.now().group
    chosen = [node for node in group._nodes if node.isSelected()]
    if not chosen:
        raise RuntimeError("no nodes selected")
    text = _script_write.copied_text(chosen)
    if filename == CLIPBOARD:
        state.clipboard = text
    else:
        Path(filename).write_text(text, encoding="utf-8")


@main_thread_only
def nodePaste(filename: str = CLIPBOARD) -> Any:
    """The last of the nodes that were pasted, which alone are selected then."""
    group = state.now().group
    text = state.clipboard if filename == CLIPBOARD else _text_of(filename)
    before = group.selectedNodes()
    for node in list(state.selection):
        node.setSelected(False)
    made = _script_read.read(text, group, before[0] if before else None)
    for node in made:
        node.setSelected(True)
    return made[-1] if made else None


@main_thread_only
def nodeDelete(popupOnError: bool = False) -> bool:
    """Whether selected nodes were deleted."""
    from nuke._create import delete

    chosen = state.now().group.selectedNodes()
    for node in chosen:
        delete(node)
    return bool(chosen)


@main_thread_only
def modified(changed: bool | None = None) -> bool:
    """Whether the script changed since it was saved; a value says so or not."""
    if changed is not None:
        state.is_modified = bool(changed)
    return state.is_modified


@main_thread_only
def script_directory() -> str:
    """The folder of the script, empty where it was never saved."""
    return str(Path(str(state.root["name"].value())).parent) if state.root["name"].value() else ""

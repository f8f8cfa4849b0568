"""Stands in for Nuke's Python module where no Nuke is: nodes, knobs, groups, callbacks, threads, scripts and pixels.

The names are Nuke's own, and what each copies of Nuke is said by its test. `nuke._stand_in` is what tests use.
"""

# ruff: noqa: N816  (Nuke's own names)

from __future__ import annotations

from importlib import import_module
from typing import Any

from nuke._state import state as _state

_PUBLIC = {
    "_callbacks": (
        "addAfterFrameRender addAfterRender addBeforeFrameRender addBeforeRender addFilenameFilter "
        "addKnobChanged addOnCreate addOnDestroy addOnScriptClose addOnScriptLoad addOnScriptSave "
        "addOnUserCreate addUpdateUI filenameFilter removeAfterFrameRender removeAfterRender "
        "removeBeforeFrameRender removeBeforeRender removeFilenameFilter removeKnobChanged removeOnCreate "
        "removeOnDestroy removeOnScriptClose removeOnScriptLoad removeOnScriptSave removeOnUserCreate "
        "removeUpdateUI"
    ),
    "_create": "BackdropNode Viewer createNode delete nodes",
    "_execute": "cancel execute executeMultiple executing render",
    "_find": (
        "allNodes endGroup exists root selectAll selectedNode selectedNodes show thisClass thisGroup thisKnob "
        "thisNode thisParent thisRoot toNode"
    ),
    "_flags": (
        "ALL ALWAYS_SAVE DISABLED DO_NOT_WRITE ENDLINE EXPAND_TO_WIDTH EXPRESSIONS HIDDEN HIDDEN_INPUTS "
        "INPUTS INVISIBLE KNOB_CHANGED_ALWAYS KNOB_CHANGED_RECURSIVE LINKINPUTS NO_ANIMATION NO_CHECKMARKS "
        "NO_MULTIVIEW NO_UNDO PREPEND READ_ONLY REPLACE SAVE_MENU STARTLINE TABBEGINCLOSEDGROUP TABBEGINGROUP "
        "TABENDGROUP TABKNOB TO_SCRIPT TO_VALUE WRITE_ALL WRITE_NON_DEFAULT_ONLY WRITE_USER_KNOB_DEFS"
    ),
    "_formats": "Format addFormat formats",
    "_frames": "FrameRange FrameRanges OutputContext",
    "_group": "Group Root",
    "_gui": (
        "CancelledError ProgressTask alert ask askWithCancel choice critical debug error getClipname "
        "getFilename getInput message tprint warning"
    ),
    "_knob": "Knob",
    "_knobs_array": (
        "AColor_Knob BBox_Knob Boolean_Knob ColorChip_Knob Color_Knob Disable_Knob Double_Knob Int_Knob "
        "Unsigned_Knob WH_Knob XYZ_Knob XY_Knob"
    ),
    "_knobs_channel": "ChannelMask_Knob Channel_Knob Format_Knob",
    "_knobs_choice": (
        "CascadingEnumeration_Knob EditableEnumeration_Knob Enumeration_Knob MultiView_Knob OneView_Knob "
        "Pulldown_Knob Radio_Knob"
    ),
    "_knobs_number": "Array_Knob",
    "_knobs_text": (
        "BeginTabGroup_Knob EndTabGroup_Knob EvalString_Knob File_Knob Link_Knob Multiline_Eval_String_Knob "
        "Password_Knob PyScript_Knob PythonKnob Script_Knob String_Knob Tab_Knob Text_Knob"
    ),
    "_layers": "Layer channels layers",
    "_menus": "Menu MenuBar MenuItem ToolBar menu toolbar",
    "_misc": (
        "Undo addView autoplace deleteView expression filename frame knobDefault pluginAddPath "
        "pluginAppendPath pluginPath thisView value views waitForThreadsToFinish"
    ),
    "_node": "Node",
    "_script": (
        "modified nodeCopy nodeDelete nodePaste scriptClear scriptClose scriptExit scriptName scriptNew "
        "scriptOpen scriptReadFile scriptReadText scriptSave scriptSaveAs scriptSource script_directory"
    ),
    "_threads": "executeInMainThread executeInMainThreadWithResult",
}
for _where, _what in _PUBLIC.items():
    globals().update({_name: getattr(import_module(f"nuke.{_where}"), _name) for _name in _what.split()})

NUM_CPUS = 2
EXE_PATH = "/usr/local/Nuke/Nuke"
PLUGIN_EXT = "so"
untitled = "Untitled"
rawArgs: list[str] = ["Nuke"]


def __getattr__(name: str) -> Any:
    """What depends on how Nuke was started."""
    major, minor = _state.version
    answers = {
        "GUI": _state.gui,
        "INTERACTIVE": _state.gui,
        "NUKE_VERSION_MAJOR": major,
        "NUKE_VERSION_MINOR": minor,
        "NUKE_VERSION_RELEASE": 1,
        "NUKE_VERSION_STRING": f"{major}.{minor}v1",
        "NUKE_VERSION_PHASE": "",
        "NUKE_VERSION_PHASENUMBER": 0,
        "NUKE_VERSION_DATE": "Jan  1 2025",
        "env": _state.env,
    }
    if name in answers:
        return answers[name]
    raise AttributeError(f"module 'nuke' has no attribute {name!r}; the stand-in may lack it")

"""The stand-in has names of Nuke's published stubs, and no others, so that no test leans on what Nuke lacks."""

from __future__ import annotations

import ast
import inspect
from importlib.metadata import distribution
from pathlib import Path

import pytest

# Newer than the stubs, or ours: the stubs are of Nuke 13.2, and say nothing of what classes inherit.
NOT_IN_STUBS = {"HIDDEN", "KNOB_CHANGED_ALWAYS"}
OURS = {"view_names", "frame"}  # of the root, which tests may ask
EXTRA = {"notDefault", "channels", "setEnabled"}  # documented, though not for every class that has them here


@pytest.fixture(scope="module")
def stubs() -> dict[str, ast.AST]:
    """Every class, function and constant of the stubs, by name."""
    files = distribution("types-nuke").files or []
    paths = [Path(str(file.locate())) for file in files if file.suffix == ".pyi" and "nuke-stubs" in str(file)]
    found: dict[str, ast.AST] = {}
    for path in paths:
        for entry in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(entry, (ast.ClassDef, ast.FunctionDef)):
                found[entry.name] = entry
            elif isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
                found[entry.target.id] = entry
            elif isinstance(entry, ast.Assign) and isinstance(entry.targets[0], ast.Name):
                found[entry.targets[0].id] = entry
    return found


def test_every_public_name_is_nukes(nuke, stubs):
    """Public functions, classes and constants are those of the stubs."""
    names = {name for names in nuke._PUBLIC.values() for name in names.split()}
    assert names - set(stubs) == NOT_IN_STUBS


def methods(stubs: dict[str, ast.AST], name: str) -> set[str]:
    """The methods that the stubs give a class or those that it inherits from."""
    entry = stubs.get(name)
    if not isinstance(entry, ast.ClassDef):
        return set()
    own = {each.name for each in entry.body if isinstance(each, ast.FunctionDef)}
    return own.union(*(methods(stubs, base.id) for base in entry.bases if isinstance(base, ast.Name)))


def public_methods(cls: type) -> set[str]:
    """The public methods of a class of the stand-in."""
    return {name for name, value in inspect.getmembers(cls) if callable(value) and not name.startswith("_")}


@pytest.mark.parametrize(
    "name",
    [
        *("Node", "Group", "Root", "Knob", "String_Knob", "File_Knob", "Int_Knob", "Double_Knob", "Boolean_Knob"),
        *("Enumeration_Knob", "PyScript_Knob", "Tab_Knob", "Text_Knob", "Link_Knob", "BBox_Knob", "Format_Knob"),
        *("Channel_Knob", "OutputContext", "FrameRange", "FrameRanges", "Undo", "Menu", "ProgressTask"),
        *("Layer", "Format"),
    ],
)
def test_every_public_method_is_nukes(nuke, stubs, name):
    """Methods are those that the stubs give the class."""
    assert public_methods(getattr(nuke, name)) - methods(stubs, name) - OURS <= EXTRA

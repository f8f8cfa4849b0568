"""Callbacks of the stand-in, against the chapter about them in Nuke's Python developer guide."""

from __future__ import annotations

import pytest


def noting(nuke, noted, what):
    """A callback that notes what happened to which node."""

    def note() -> None:
        knob = nuke.thisKnob()
        noted.append((what, nuke.thisNode().name(), "" if knob is None else knob.name()))

    return note


def test_creating(nuke):
    """onUserCreate runs for createNode only, before onCreate; the node's own class comes before all classes."""
    noted = []
    for what, node_class in (("all", "*"), ("dots", "Dot"), ("reads", "Read")):
        nuke.addOnCreate(noting(nuke, noted, what), nodeClass=node_class)
    nuke.addOnUserCreate(noting(nuke, noted, "user"))
    nuke.createNode("Dot", inpanel=False)
    nuke.nodes.Dot()
    assert [what for what, _, _ in noted] == ["user", "dots", "all", "dots", "all"]


def test_arguments(nuke):
    """args may be one value or a tuple; a call that is added again is called once, and removed by the same words."""
    noted = []
    nuke.addOnCreate(noted.append, "a")
    nuke.addOnCreate(noted.append, ("a",))
    nuke.nodes.Dot()
    nuke.removeOnCreate(noted.append, "a")
    nuke.nodes.Dot()
    assert noted == ["a"]
    with pytest.raises(ValueError, match="callable"):
        nuke.addOnCreate("no")


def test_knob_changed(nuke):
    """Tells of every change, once, with the knob; what a callback changes on the same node is not told again."""
    noted = []

    def change() -> None:
        noted.append(nuke.thisKnob().name())
        nuke.thisNode()["ypos"].setValue(nuke.thisNode().ypos() + 1)

    node = nuke.nodes.NoOp()
    nuke.addKnobChanged(change, nodeClass="NoOp")
    node["label"].setValue("a")
    node["label"].setValue("a")
    node["xpos"].setValue(5)
    assert noted == ["label", "xpos"] and node.ypos() == 2


def test_pseudo_knobs(nuke):
    """inputChange when an input is connected, showPanel when the panel opens."""
    noted = []
    node = nuke.nodes.NoOp()
    nuke.addKnobChanged(noting(nuke, noted, "changed"), node=node)
    node.setInput(0, nuke.nodes.Dot())
    node.showControlPanel()
    node.hideControlPanel()
    nuke.nodes.NoOp().setXpos(3)
    assert [knob for _, _, knob in noted] == ["inputChange", "showPanel", "hidePanel"]


def test_own_code_runs_first(nuke):
    """The knobs knobChanged, onCreate and onDestroy of a node hold Python; it runs before what was added."""
    from nuke import _stand_in

    node = nuke.createNode("NoOp", 'onCreate "nuke.tprint(1, nuke.thisNode().name())"', inpanel=False)
    nuke.addKnobChanged(lambda: nuke.tprint("added"))
    node["knobChanged"].setValue("nuke.tprint(nuke.thisKnob().name())")
    node["onDestroy"].setValue("nuke.tprint('gone')")
    nuke.delete(node)
    assert _stand_in.printed() == ["1 NoOp1", "knobChanged", "added", "onDestroy", "added", "gone"]


def test_deleting(nuke):
    """onDestroy runs while the node is still there."""
    noted = []
    nuke.addOnDestroy(noting(nuke, noted, "gone"))
    nuke.delete(nuke.nodes.Dot())
    assert noted == [("gone", "Dot1", "")]


def test_scripts(nuke, tmp_path):
    """Saving, closing and loading are told of, with the root as the node; onCreate runs for every node of a script."""
    noted = []
    nuke.nodes.Dot()
    nuke.addOnScriptSave(lambda: noted.append("save"))
    nuke.addOnScriptClose(lambda: noted.append("close"))
    nuke.addOnScriptLoad(lambda: noted.append(("load", nuke.thisNode() is nuke.root(), len(nuke.allNodes()))))
    nuke.addOnCreate(lambda: noted.append(nuke.thisNode().name()), nodeClass="Dot")
    path = str(tmp_path / "a.nk")
    nuke.scriptSaveAs(path)
    nuke.scriptOpen(path)
    nuke.scriptClear()
    assert noted == ["save", "close", "Dot1", ("load", True, 1), "close"]


def test_loading_is_no_change(nuke, tmp_path):
    """knobChanged is not called for what a script sets."""
    nuke.nodes.Dot(label="a")
    path = str(tmp_path / "a.nk")
    nuke.scriptSaveAs(path)
    noted = []
    nuke.addKnobChanged(noting(nuke, noted, "changed"))
    nuke.scriptOpen(path)
    assert noted == []


def test_errors_are_kept(nuke):
    """What a callback raises does not come out; the rest of that row is not called."""
    from nuke import _stand_in

    noted = []
    nuke.addOnCreate(lambda: 1 / 0)
    nuke.addOnCreate(lambda: noted.append("after"))
    nuke.nodes.Dot()
    assert [type(error) for error in _stand_in.callback_errors()] == [ZeroDivisionError] and not noted


def test_update_ui(nuke):
    """updateUI runs when nothing happens, for every node."""
    from nuke import _stand_in

    noted = []
    nuke.nodes.Dot()
    nuke.addUpdateUI(noting(nuke, noted, "ui"), nodeClass="Dot")
    _stand_in.update_ui()
    assert noted == [("ui", "Dot1", "")]


def test_filename_filters(nuke):
    """Filters change every path; one that gives None leaves it, and the last one that was added is the first."""
    nuke.addFilenameFilter(lambda path: path.replace("P:", "/proj"))
    nuke.addFilenameFilter(lambda path: None)
    assert nuke.filenameFilter("P:/a.exr") == "/proj/a.exr"

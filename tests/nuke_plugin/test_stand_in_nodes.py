"""Nodes of the stand-in, against what Nuke's Python reference and developer guide say of them."""

from __future__ import annotations

import pytest


def test_new_nodes_are_named_by_class_and_number(nuke):
    """Merge2 and Shuffle2 are called Merge1 and Shuffle1, as Nuke calls them."""
    kinds = ["Read", "Read", "Merge2", "Shuffle2", "Group", "Dot"]
    made = [getattr(nuke.nodes, kind)() for kind in kinds]
    assert [node.name() for node in made] == ["Read1", "Read2", "Merge1", "Shuffle1", "Group1", "Dot1"]


def test_create_node_goes_between_the_selected_node_and_what_hangs_on_it(nuke):
    """createNode connects to the selection, takes its outputs, and is alone selected; its knobs are a list of pairs."""
    read = nuke.createNode("Read", "file /a.exr first 3", inpanel=False)
    dot = nuke.nodes.Dot(inputs=[read])
    noop = nuke.createNode("NoOp", 'label "two words"', inpanel=False)
    assert noop.input(0) is read and dot.input(0) is noop
    assert nuke.selectedNodes() == [noop] and noop["label"].value() == "two words"
    assert read["first"].value() == 3 and noop.ypos() > read.ypos()


def test_nodes_dot_class_connects_only_what_it_is_told(nuke):
    """nuke.nodes.X(inputs=[...], name=..., knob=value) neither looks at the selection nor changes it."""
    read = nuke.createNode("Read")
    noop = nuke.nodes.NoOp(name="A", label="x")
    merge = nuke.nodes.Merge2(inputs=[noop, read], operation="plus")
    assert noop.inputs() == 0 and merge.input(0) is noop and merge.input(1) is read
    assert nuke.selectedNodes() == [read] and noop["label"].value() == "x"


def test_unknown_classes_and_knobs(nuke):
    """An unknown class is a RuntimeError; a missing knob a NameError by [], None by knob()."""
    with pytest.raises(RuntimeError, match="Unknown command"):
        nuke.createNode("Blurr")
    node = nuke.nodes.NoOp()
    with pytest.raises(NameError):
        node["size"]
    assert node.knob("size") is None


def test_names_do_not_collide(nuke):
    """setName takes the next free number where the name is taken, and a new node that is told a name does too."""
    first, second = nuke.nodes.NoOp(name="LayerFlow1"), nuke.createNode("NoOp", "name LayerFlow1")
    assert (first.name(), second.name()) == ("LayerFlow1", "LayerFlow2")
    second.setName("Dot")
    assert second.name() == "Dot"


def test_find_by_name(nuke):
    """toNode sees the group that Python is in; dots lead into groups, `root.` always begins at the top."""
    group = nuke.nodes.Group(name="G")
    with group:
        inner = nuke.nodes.NoOp(name="In")
        assert nuke.toNode("In") is inner and nuke.toNode("root.G.In") is inner and nuke.toNode("G") is None
    assert nuke.toNode("G.In") is inner and nuke.toNode("In") is None
    assert inner.fullName() == "G.In" and group.node("In") is inner and inner.parent() is group
    assert nuke.toNode("root") is nuke.root() and nuke.exists("G.In.label") and not nuke.exists("H")


def test_all_nodes(nuke):
    """The newest first; by class, of a group, or with what is in groups."""
    group, dot = nuke.nodes.Group(), nuke.nodes.Dot()
    with group:
        inner = nuke.nodes.Dot()
    assert nuke.allNodes() == [dot, group] and nuke.allNodes("Dot") == [dot]
    assert nuke.allNodes(group=group) == [inner] and nuke.allNodes("Dot", recurseGroups=True) == [dot, inner]


def test_selection(nuke):
    """selectedNodes gives the last one first; selectedNode is a ValueError where none is."""
    with pytest.raises(ValueError, match="no node selected"):
        nuke.selectedNode()
    a, b = nuke.nodes.NoOp(), nuke.nodes.NoOp()
    a.setSelected(True)
    b.setSelected(True)
    assert nuke.selectedNodes() == [b, a] and nuke.selectedNode() is b
    a.selectOnly()
    assert nuke.selectedNodes() == [a] and not b.isSelected()


def test_inputs(nuke):
    """setInput says whether it could; inputs() is the last connected one; no loops, none across groups."""
    read, merge, group = nuke.nodes.Read(), nuke.nodes.Merge2(), nuke.nodes.Group()
    assert merge.setInput(1, read) and merge.inputs() == 2 and merge.input(0) is None
    assert merge.setInput(1, None) and merge.inputs() == 0
    assert not read.setInput(0, merge) and not group.setInput(0, read)
    a = nuke.nodes.NoOp(inputs=[merge])
    assert not merge.setInput(0, a)
    with group:
        inner = nuke.nodes.NoOp()
    assert not inner.setInput(0, read)


def test_group_inputs_go_by_number(nuke):
    """A group has an input for each Input node inside, in the order of their `number` knobs."""
    group = nuke.nodes.Group()
    with group:
        first, second = nuke.nodes.Input(name="A"), nuke.nodes.Input(name="B")
    assert (first["number"].value(), second["number"].value(), group.maxInputs()) == (0, 1, 2)
    second["number"].setValue(0)
    first["number"].setValue(1)
    assert [node.name() for node in group._input_nodes()] == ["B", "A"]


def test_dependencies(nuke):
    """Through inputs and expressions, by the constants; hidden inputs are another kind than visible ones."""
    read, other = nuke.nodes.Read(), nuke.nodes.NoOp(name="Other")
    node = nuke.nodes.NoOp(inputs=[read])
    node["disable"].setExpression("Other.disable")
    assert set(node.dependencies()) == {read, other}
    assert node.dependencies(nuke.INPUTS) == [read] and node.dependencies(nuke.EXPRESSIONS) == [other]
    node["hide_input"].setValue(True)
    assert node.dependencies(nuke.INPUTS) == [] and node.dependencies(nuke.HIDDEN_INPUTS) == [read]
    assert read.dependent() == [node]


def test_deleted_nodes_are_not_attached_any_more(nuke):
    """Any use of one, or of its knobs, is a ValueError; what hung on it hangs on its input then."""
    read = nuke.nodes.Read()
    noop = nuke.nodes.NoOp(inputs=[read])
    dot = nuke.nodes.Dot(inputs=[noop])
    knob = noop["label"]
    nuke.delete(noop)
    assert dot.input(0) is read and nuke.allNodes() == [dot, read]
    for use in (noop.name, noop.fullName, knob.value, lambda: noop["label"], lambda: dot.setInput(0, noop)):
        with pytest.raises(ValueError, match="not attached to a node"):
            use()


def test_deleting_a_group_deletes_what_is_inside(nuke):
    """Its nodes are gone too."""
    group = nuke.nodes.Group()
    with group:
        inner = nuke.nodes.NoOp()
    nuke.delete(group)
    with pytest.raises(ValueError, match="not attached"):
        inner.name()


def test_begin_and_end(nuke):
    """group.begin() and `with group` put new nodes inside; afterwards they are where they were before."""
    group = nuke.nodes.Group()
    group.begin()
    assert nuke.thisGroup() is group and nuke.nodes.NoOp().parent() is group
    group.end()
    assert nuke.thisGroup() is nuke.root() and nuke.nodes.NoOp().parent() is nuke.root()


def test_places_on_the_screen(nuke):
    """Positions are whole numbers; a Dot is smaller; a backdrop knows what is in it."""
    node = nuke.nodes.NoOp()
    node.setXYpos(10, 20)
    assert (node.xpos(), node.ypos(), node["xpos"].value()) == (10, 20, 10)
    assert nuke.nodes.Dot().screenWidth() == 12
    backdrop = nuke.nodes.BackdropNode(bdwidth=300, bdheight=200)
    assert node in backdrop.getNodes() and backdrop.screenWidth() == 300


def test_user_knobs(nuke):
    """addKnob makes a tab User where there is none; removeKnob takes away what was added only."""
    node = nuke.nodes.NoOp()
    knob = nuke.Int_Knob("seed", "Seed")
    node.addKnob(knob)
    assert list(node.knobs())[-2:] == ["User", "seed"] and knob.node() is node
    node.removeKnob(knob)
    assert node.knob("seed") is None
    with pytest.raises(ValueError, match="no user knob"):
        node.removeKnob(node["label"])


def test_layers(nuke):
    """nuke.Layer makes a layer known with its channels; nuke.layers and nuke.channels list what is known."""
    layer = nuke.Layer("foreground", ["foreground.red", "foreground.alpha"])
    assert layer.channels() == ["foreground.red", "foreground.alpha"]
    assert {"rgba", "alpha", "depth", "foreground"} <= set(nuke.layers()) and "foreground.alpha" in nuke.channels()


def test_versions_and_windows(nuke):
    """The constants and nuke.env say which Nuke it is and whether it has a window."""
    from nuke import _stand_in

    assert nuke.GUI and nuke.env["gui"] and (nuke.NUKE_VERSION_MAJOR, nuke.NUKE_VERSION_MINOR) == (16, 0)
    _stand_in.reset(gui=False, version=(13, 2))
    assert not nuke.GUI and nuke.NUKE_VERSION_STRING == "13.2v1" and nuke.env["NukeVersionMajor"] == 13
    for use in (lambda: nuke.message("x"), lambda: nuke.ask("x"), lambda: nuke.menu("Nodes")):
        with pytest.raises(RuntimeError):
            use()


def test_dialogs_are_noted_and_answered(nuke):
    """What message and ask say is kept; a test gives the answers; nobody answers: Yes, and no file."""
    from nuke import _stand_in

    _stand_in.answer(False, "/b.exr")
    nuke.message("hello")
    assert not nuke.ask("sure?") and nuke.getFilename("which?") == "/b.exr" and nuke.ask("and now?")
    assert nuke.getFilename("again?") is None
    assert _stand_in.messages() == ["hello", "sure?", "which?", "and now?", "again?"]


def test_menus(nuke):
    """addMenu and addCommand make the entry or take the one that is there; findItem looks through /."""
    menu = nuke.menu("Nodes").addMenu("LayerFlow")
    menu.addSeparator()
    menu.addCommand("LayerFlow", "nuke.tprint('placed')")
    assert nuke.menu("Nodes").addMenu("LayerFlow") is menu and nuke.toolbar("Nodes").findItem("Nope") is None
    nuke.toolbar("Nodes").findItem("LayerFlow/LayerFlow").invoke()
    from nuke import _stand_in

    assert _stand_in.printed() == ["placed"]


def test_panels(nuke):
    """A panel is open or not; nothing opens without a window."""
    node = nuke.createNode("NoOp")
    assert node.shown() and not nuke.createNode("NoOp", inpanel=False).shown()


def test_undo_can_be_switched_off(nuke):
    """disable() and enable() nest, as the reference says."""
    nuke.Undo.disable()
    nuke.Undo.disable()
    nuke.Undo.enable()
    assert nuke.Undo.disabled()
    nuke.Undo.enable()
    with nuke.Undo():
        nuke.Undo.name("a step")
    assert not nuke.Undo.disabled()

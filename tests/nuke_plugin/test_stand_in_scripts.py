"""Scripts of the stand-in: the text format of .nk files, as Nuke's own files have it, and what opening them does."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# What Nuke wrote or would read, put together by hand in the format of its files.
FROM_NUKE = textwrap.dedent("""\
    #! /usr/local/Nuke13.2v8/libnuke-13.2.8.so -nx
    #write_info Write1 file:"/a.exr" format:"64 48 1"
    version 13.2 v8
    define_window_layout_xml {<?xml version="1.0" encoding="UTF-8"?>
    <layout version="1.0"><window x="0" y="0" w="1" h="1"/></layout>
    }
    Root {
     inputs 0
     name /jobs/shot.nk
     frame 5
     last_frame 24
     format "2048 1556 0 0 2048 1556 1 2K_Super_35(full-ap)"
     colorManagement Nuke
    }
    add_layer {foreground foreground.red foreground.green foreground.blue foreground.alpha}
    Read {
     inputs 0
     file /jobs/plate.%04d.exr
     last 24
     name Plate
     selected true
     xpos -40
     ypos -100
    }
    set N6b5d800 [stack 0]
    Group {
     name Group1
     tile_color 0xb02020ff
     label "\\[value status]"
     addUserKnob {20 User l "My tab"}
     addUserKnob {4 mode l Mode M {plain "two words" ""}}
     mode "two words"
     addUserKnob {7 gain t "How much.\\nA lot." -STARTLINE R 0 4}
     gain 2.5
     addUserKnob {6 on +STARTLINE}
     on true
     addUserKnob {26 line l "" +STARTLINE}
     addUserKnob {22 go l Go T "nuke.thisNode()\\[\\"gain\\"].setValue(3)" +STARTLINE}
     addUserKnob {43 notes +INVISIBLE}
     notes "a\\nb \\{c\\}"
     addUserKnob {1 status +DISABLED}
     addUserKnob {41 which T Switch1.which}
     addUserKnob {3 seed l "" +HIDDEN}
     seed 7
    }
     Input {
      inputs 0
      name In
     }
    set Na1 [stack 0]
     NoOp {
      name Other
     }
    push 0
    push $Na1
     Switch {
      inputs 3
      which {{parent.on}}
      name Switch1
     }
     Output {
      name Output1
     }
    end_group
    push $N6b5d800
    Merge2 {
     inputs 2
     operation plus
     Achannels {rgba.red rgba.green rgba.blue -rgba.alpha}
     name Merge1
    }
    Shuffle2 {
     fromInput1 {
      {0}
      B
     }
     in1 foreground
     fromInput2 {{0} B}
     mappings "2 foreground.red 0 0 rgba.red 0 0 white -1 -1 rgba.alpha 0 3"
     name Shuffle1
     disable {{"Merge1.mix < 0 ? 0 : 1" x1 0}}
    }
    """)


def test_reads_what_nuke_writes(nuke):
    """Headers, layers, the stack, groups, user knobs with their options, expressions, lists over several lines."""
    nuke.scriptReadText(FROM_NUKE)
    group, merge, shuffle = nuke.toNode("Group1"), nuke.toNode("Merge1"), nuke.toNode("Shuffle1")
    assert (nuke.root().lastFrame(), nuke.frame(), nuke.root().name()) == (24, 5, "/jobs/shot.nk")
    assert "foreground.alpha" in nuke.channels()
    assert merge.input(0).name() == "Plate" and merge.input(1) is group and group.input(0).name() == "Plate"
    assert shuffle.input(0) is merge and shuffle["disable"].value() is True
    switch = nuke.toNode("Group1.Switch1")
    assert [switch.input(i) and switch.input(i).name() for i in range(3)] == ["In", None, "Other"]
    assert shuffle["mappings"].value() == [(0, "foreground.red", "rgba.red"), (0, "white", "rgba.alpha")]


def test_reads_user_knobs(nuke):
    """Values, labels, tooltips, flags, ranges, words and code of addUserKnob."""
    nuke.scriptReadText(FROM_NUKE)
    group = nuke.toNode("Group1")
    held = {"mode": "two words", "gain": 2.5, "on": True, "notes": "a\nb {c}", "seed": 7, "status": ""}
    assert {name: group[name].value() for name in held} == held
    assert group["gain"].tooltip() == "How much.\nA lot." and (group["gain"].min(), group["gain"].max()) == (0, 4)
    assert not group["gain"].getFlag(nuke.STARTLINE) and group["on"].getFlag(nuke.STARTLINE)
    assert group["mode"].label() == "Mode" and group["seed"].label() == "" and not group["notes"].visible()
    assert not group["status"].enabled() and group["label"].value() == "[value status]"
    assert group["which"].value() == 1
    group["go"].execute()
    assert group["gain"].value() == 3


def graph(nuke):
    """Everything that a script keeps, as plain data."""
    nodes = {}
    for node in nuke.allNodes(recurseGroups=True):
        inputs = [each and each.name() for each in (node.input(i) for i in range(node.inputs()))]
        knobs = {
            name: (knob.Class(), knob.toScript(), knob.label(), knob.tooltip(), knob.visible(), knob.enabled())
            for name, knob in node.knobs().items()
        }
        nodes[node.fullName()] = (node.Class(), inputs, knobs)
    return nodes, {name: knob.toScript() for name, knob in nuke.root().knobs().items() if name != "name"}


def test_saved_and_opened_is_the_same(nuke, tmp_path):
    """Save, open: the same nodes, inputs, knobs and layers; and saved again, the same text."""
    nuke.scriptReadText(FROM_NUKE)
    before, path = graph(nuke), tmp_path / "a.nk"
    nuke.scriptSaveAs(str(path))
    text = path.read_text(encoding="utf-8")
    nuke.scriptOpen(str(path))
    assert graph(nuke) == before and nuke.scriptName() == path.as_posix()
    nuke.scriptSave()
    assert path.read_text(encoding="utf-8") == text and not nuke.root().modified()


def test_writes_only_what_is_not_as_at_first(nuke, tmp_path):
    """Defaults are left out, names and positions are not; brackets, quotes and lines are escaped as Nuke's are."""
    node = nuke.nodes.NoOp(label='[value a] "b"\nc')
    node.addKnob(nuke.Enumeration_Knob("mode", "Mode", ["a b", "c"]))
    nuke.scriptSaveAs(str(tmp_path / "a.nk"))
    assert (tmp_path / "a.nk").read_text(encoding="utf-8").splitlines()[-10:] == [
        "}",
        "NoOp {",
        " inputs 0",
        " name NoOp1",
        ' label "\\[value a] \\"b\\"\\nc"',
        " xpos 0",
        " ypos 0",
        " addUserKnob {20 User}",
        ' addUserKnob {4 mode l Mode M {"a b" c}}',
        "}",
    ]


def test_masks_count_apart(nuke, tmp_path):
    """A connected mask is written as `inputs 2+1`, an unconnected one in front of A2 is left out."""
    a, b, mask = (nuke.nodes.Dot(name=name) for name in "abm")
    masked, without = nuke.nodes.Merge2(inputs=[b, a, mask]), nuke.nodes.Merge2(inputs=[b, a, None, mask])
    names = masked.name(), without.name()
    nuke.scriptSaveAs(str(tmp_path / "a.nk"))
    text = (tmp_path / "a.nk").read_text(encoding="utf-8")
    assert "inputs 2+1" in text and "inputs 3\n" in text
    nuke.scriptOpen(str(tmp_path / "a.nk"))
    masked, without = map(nuke.toNode, names)
    assert [masked.input(i).name() for i in range(3)] == ["b", "a", "m"]
    assert without.input(2) is None and without.input(3).name() == "m"


# Any text but the control characters that no knob can be given by hand, and half characters.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\n\t"), max_size=30)
TRICKY = st.lists(
    st.sampled_from(['"', "{", "}", "[", "]", "$", "\\", "\n", " ", "#", ";", "a", "é", "\t"]), max_size=12
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS | TRICKY.map("".join), choices=st.lists(TEXTS.filter(bool), min_size=1, max_size=3, unique=True))
def test_any_text_comes_back(nuke, text, choices):
    """Strings with spaces, quotes, brackets, lines, anything: in values, labels, tooltips, code and pulldowns."""
    from nuke import _script_write

    nuke.scriptClear()
    group = nuke.nodes.Group(label=text)
    group.addKnob(nuke.String_Knob("text", text))
    group["text"].setValue(text)
    group["text"].setTooltip(text)
    group.addKnob(nuke.PyScript_Knob("go", "go", text))
    group.addKnob(nuke.Enumeration_Knob("mode", "mode", choices))
    group["mode"].setValue(choices[-1])
    with group:
        nuke.nodes.StickyNote(label=text)
    before, written = graph(nuke), _script_write.script_text()
    nuke.scriptClear()
    nuke.scriptReadText(written)
    assert graph(nuke) == before and _script_write.script_text() == written


def test_copy_and_paste(nuke):
    """Pasted nodes are connected to each other, the first one to what was selected; names go on counting."""
    read = nuke.nodes.Read()
    first = nuke.nodes.NoOp(inputs=[read], label="x")
    second = nuke.nodes.NoOp(inputs=[first])
    with pytest.raises(RuntimeError, match="no nodes"):
        nuke.nodeCopy("%clipboard%")
    first.setSelected(True)
    second.setSelected(True)
    nuke.nodeCopy("%clipboard%")
    read.selectOnly()
    last = nuke.nodePaste("%clipboard%")
    assert last.name() == "NoOp4" and last.input(0).name() == "NoOp3" and last.input(0).input(0) is read
    assert {node.name() for node in nuke.selectedNodes()} == {"NoOp3", "NoOp4"}


def test_closing(nuke, tmp_path):
    """A cleared script is empty, and its nodes and layers are gone."""
    node = nuke.nodes.Read()
    nuke.Layer("mine", ["mine.red"])
    nuke.scriptClear()
    assert nuke.allNodes() == [] and "mine" not in nuke.layers()
    with pytest.raises(ValueError, match="not attached"):
        node.name()


def test_names_of_scripts(nuke, tmp_path):
    """scriptName is a RuntimeError before the script is saved, root().name() is Root then."""
    assert nuke.root().name() == "Root" and nuke.root()["name"].value() == ""
    for use in (nuke.scriptName, nuke.scriptSave):
        with pytest.raises(RuntimeError, match="no script name"):
            use()
    path = str(tmp_path / "a.nk")
    nuke.scriptSaveAs(path)
    assert nuke.scriptName() == nuke.root().name() == path
    with pytest.raises(RuntimeError, match="No such file"):
        nuke.scriptOpen(path + ".no")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Blurr {\n}\n", "Unknown command"),
        ("NoOp {\n size 3\n}\n", "size"),
        ("NoOp {\n name A\n", "close-brace"),
        ("push $N1\n", "no such variable"),
        ("NoOp {\n addUserKnob {99 a}\n}\n", "99"),
    ],
)
def test_broken_scripts(nuke, text, why):
    """What cannot be read is a RuntimeError that says what it is."""
    with pytest.raises(RuntimeError, match=why):
        nuke.scriptReadText(text)


def test_knobs_as_text(nuke):
    """writeKnobs and readKnobs: names, or name and value a line."""
    node, other = nuke.nodes.Switch(which=2, label="a b"), nuke.nodes.Switch()
    text = node.writeKnobs(nuke.WRITE_NON_DEFAULT_ONLY | nuke.TO_SCRIPT)
    assert 'label "a b"' in text.splitlines() and "which 2" in text.splitlines()
    other.readKnobs("which 3 label {c d}")
    assert (other["which"].value(), other["label"].value()) == (3, "c d")

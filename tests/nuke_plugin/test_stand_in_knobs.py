"""Knobs of the stand-in, against what Nuke's Python reference says of them."""

from __future__ import annotations

import pytest


@pytest.fixture
def with_knobs(nuke):
    """A node with one knob of each kind that a panel is usually made of."""
    node = nuke.nodes.Group(name="G")
    for knob in (
        nuke.Tab_Knob("tab", "Tab"),
        nuke.String_Knob("text", "Text"),
        nuke.Multiline_Eval_String_Knob("lines"),
        nuke.File_Knob("path"),
        nuke.Int_Knob("count"),
        nuke.Double_Knob("amount"),
        nuke.Boolean_Knob("on"),
        nuke.Enumeration_Knob("kind", "Kind", ["one", "two", "three"]),
        nuke.XY_Knob("point"),
    ):
        node.addKnob(knob)
    return node


def test_values(with_knobs):
    """value() is str, int, float, bool or, of several numbers, a list; getValue() of a pulldown is its number."""
    node = with_knobs
    held = {"text": "a", "lines": "a\nb", "path": "/a.exr", "count": 3, "amount": 0.5, "on": True, "kind": "two"}
    for name, value in held.items():
        node[name].setValue(value)
        assert node[name].value() == value and type(node[name].value()) is type(value)
    node["point"].setValue((1, 2))
    assert node["point"].value() == [1.0, 2.0] and node["kind"].getValue() == 1
    node["kind"].setValue(2)
    assert node["kind"].value() == "three"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("text", 3), ("path", None), ("count", "3"), ("amount", "x"), ("on", "yes"), ("kind", "four"), ("kind", 7)],
)
def test_wrong_types_are_type_errors(with_knobs, name, wrong):
    """setValue with something that the knob cannot hold is a TypeError, and changes nothing."""
    before = with_knobs[name].value()
    with pytest.raises(TypeError):
        with_knobs[name].setValue(wrong)
    assert with_knobs[name].value() == before


def test_labels_and_flags(nuke):
    """Without a label the name is shown; flags, enabled and visible are what the panel shows."""
    knob = nuke.Int_Knob("count")
    assert knob.label() == "count" and knob.getFlag(nuke.STARTLINE)
    knob.setLabel("Count")
    knob.setTooltip("help")
    knob.clearFlag(nuke.STARTLINE)
    knob.setEnabled(False)
    knob.setVisible(False)
    assert (knob.label(), knob.tooltip(), knob.enabled(), knob.visible()) == ("Count", "help", False, False)
    assert not knob.getFlag(nuke.STARTLINE) and knob.Class() == "Int_Knob"
    knob.setEnabled(True)
    assert knob.enabled()


def test_pulldowns(nuke):
    """values, numValues, and setValues, which stays at the same number where there is one."""
    knob = nuke.Enumeration_Knob("version", "version", ["latest", "v001"])
    knob.setValue("v001")
    knob.setValues(["latest", "v002", "v001"])
    assert (knob.values(), knob.numValues(), knob.value()) == (["latest", "v002", "v001"], 3, "v002")
    knob.setValues(["latest"])
    assert knob.value() == "latest"


def test_words_of_scripts_that_a_pulldown_has_not(nuke):
    """Nuke says so in the error console, and leaves the knob as it is."""
    from nuke import _stand_in

    merge = nuke.createNode("Merge2", "operation overr")
    assert merge["operation"].value() == "over"
    assert _stand_in.printed() == ["ERROR: Bad value for operation : overr"]


def test_whole_numbers_have_32_bits(nuke):
    """An Int_Knob is a C int."""
    knob = nuke.Int_Knob("seed")
    knob.setValue(2**31 - 1)
    with pytest.raises(OverflowError):
        knob.setValue(2**31)


def test_to_script_and_back(with_knobs):
    """fromScript takes what toScript gives, as copying knob values does."""
    node = with_knobs
    node["text"].setValue('a "b" [c] {d}')
    node["kind"].setValue("two")
    node["amount"].setExpression("parent.frame * 2")
    node["point"].setValue([1, 2.5])
    for name in ("text", "kind", "amount", "point"):
        text = node[name].toScript()
        node[name].fromScript(text)
        assert node[name].toScript() == text
    assert node["point"].toScript() == "1 2.5" and node["amount"].hasExpression()


def test_expressions(nuke):
    """parent is the group around, other nodes go by name, a pulldown counts from 0, and [value ...] is Tcl."""
    group = nuke.nodes.Group(name="G")
    group.addKnob(nuke.Enumeration_Knob("alpha", "", ["straight", "premultiplied"]))
    with group:
        premult, switch = nuke.nodes.Premult(name="P"), nuke.nodes.Switch(name="S")
    premult["disable"].setExpression("!parent.alpha")
    switch["which"].setExpression("parent.alpha + 2 * P.disable")
    assert premult["disable"].value() is True and switch["which"].value() == 2
    group["alpha"].setValue("premultiplied")
    assert premult["disable"].value() is False and switch["which"].value() == 1
    switch["which"].setExpression("[value parent.alpha] == 0 ? 1 : frame > 5")
    group["alpha"].setValue(0)
    with pytest.raises(RuntimeError):
        switch["which"].value()  # straight is no number
    switch["which"].setExpression("parent.nothing")
    with pytest.raises(RuntimeError, match="nothing"):
        switch["which"].value()
    switch["which"].setValue(1)
    assert not switch["which"].hasExpression() and switch["which"].value() == 1


def test_keys(nuke):
    """setValueAt makes keys; between them there are values of other frames."""
    knob = nuke.nodes.Switch()["which"]
    knob.setValueAt(0, 1)
    knob.setValueAt(10, 11)
    assert knob.isAnimated() and [knob.getValueAt(frame) for frame in (0, 1, 6, 11, 12)] == [0, 0, 5, 10, 10]
    nuke.frame(6)
    assert knob.value() == 5
    knob.clearAnimated()
    assert knob.value() == 5 and not knob.isAnimated()


def test_brackets_in_paths(nuke, monkeypatch, tmp_path):
    """[value], [file], [getenv] and [python] work inside each other, from the node that the knob is on."""
    monkeypatch.setenv("SHOW", "show")
    nuke.scriptSaveAs(str(tmp_path / "shot.v2.nk"))
    node = nuke.nodes.Write(name="W")
    where = tmp_path.as_posix()
    for text, meant in {
        "[file dirname [value root.name]]/[value name].exr": f"{where}/W.exr",
        "[file rootname [file tail [value root.name]]]": "shot.v2",
        "/[getenv SHOW]/[file tail /a/b.c]": "/show/b.c",
        "[python {nuke.thisNode().name()}]_[python 1+1]": "W_2",
        "[value this.first]/[value missing none]": "0/none",
    }.items():
        node["file"].setValue(text)
        assert node["file"].evaluate() == meant and node["file"].value() == text
    node["file"].setValue("[value nothing]")
    with pytest.raises(RuntimeError, match="nothing"):
        node["file"].evaluate()


def test_frames_and_views_in_paths(nuke):
    """evaluate fills in frame and view; value and getEvaluatedValue keep them, the frame as %04d."""
    nuke.root().addView("left")
    file = nuke.nodes.Read(file="/a/%V/b_%v.####.exr")["file"]
    assert file.value() == "/a/%V/b_%v.%04d.exr" == file.getEvaluatedValue()
    assert file.evaluate(7) == "/a/main/b_m.0007.exr"
    context = nuke.OutputContext()
    context.setFrame(1012)
    context.setView(nuke.views().index("left") + 1)
    assert file.evaluate(context) == "/a/left/b_l.1012.exr"
    file.fromUserText("/c.%02d.exr 3-12")
    assert (file.value(), file.node().firstFrame(), file.node().lastFrame()) == ("/c.%02d.exr", 3, 12)


def test_buttons_run_python_about_their_node(nuke):
    """execute() runs the text with thisNode and thisKnob; an error in it does not come out."""
    from nuke import _stand_in

    node = nuke.nodes.Group(name="G")
    node.addKnob(nuke.PyScript_Knob("go", "Go", "nuke.tprint(nuke.thisNode().name(), nuke.thisKnob().name())"))
    node["go"].execute()
    node["go"].setCommand("1 / 0")
    node["go"].execute()
    assert _stand_in.printed() == ["G go"]
    assert [type(error) for error in _stand_in.callback_errors()] == [ZeroDivisionError]


def test_links(nuke):
    """A Link_Knob shows a knob of a node inside."""
    group = nuke.nodes.Group()
    with group:
        inner = nuke.nodes.Switch(name="S")
    link = nuke.Link_Knob("which")
    link.makeLink("S", "which")
    group.addKnob(link)
    link.setValue(1)
    assert inner["which"].value() == 1 == link.value() and link.getLinkedKnob() is inner["which"]


def test_knobs_of_exr_files(nuke):
    """A Write has datatype and compression only while its file type is exr, by hand or by the file's name."""
    write = nuke.nodes.Write()
    assert write.knob("datatype") is None
    write["file"].setValue("/a.%04d.exr")
    assert write["file_type"].value() == "exr" and write["datatype"].value() == "16 bit half"
    write["file_type"].setValue("png")
    assert write.knob("datatype") is None


def test_formats(nuke):
    """A Format_Knob takes a name or a Format; the script's is 2K_Super_35 at first."""
    assert nuke.root()["format"].value().name() == "2K_Super_35(full-ap)"
    nuke.addFormat("64 48 0 0 64 48 1 small")
    nuke.root()["format"].setValue("small")
    assert (nuke.root().format().width(), nuke.nodes.Constant().height()) == (64, 48)
    with pytest.raises(TypeError):
        nuke.root()["format"].setValue("no such")


def test_shuffle_mappings(nuke):
    """mappings takes pairs or (input, source, target), and scripts write a count and two triples each."""
    nuke.Layer("foreground", [f"foreground.{name}" for name in ("red", "green", "blue", "alpha")])
    shuffle = nuke.nodes.Shuffle2()
    shuffle["in1"].setValue("foreground")
    shuffle["mappings"].setValue([("foreground.red", "rgba.red"), (0, "white", "rgba.alpha")])
    assert shuffle["mappings"].value() == [(0, "foreground.red", "rgba.red"), (0, "white", "rgba.alpha")]
    text = shuffle["mappings"].toScript()
    assert text == "2 foreground.red 0 0 rgba.red 0 0 white -1 -1 rgba.alpha 0 3"
    shuffle["mappings"].setValue([])
    shuffle["mappings"].fromScript(text)
    assert len(shuffle["mappings"].value()) == 2

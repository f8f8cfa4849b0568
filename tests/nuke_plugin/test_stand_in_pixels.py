"""Pixels of the stand-in, against answers known on paper: Porter and Duff, and what Foundry says of its nodes."""

from __future__ import annotations

import numpy as np
import OpenImageIO as oiio
import pytest

RED = (0.8, 0.2, 0.05, 0.5)


@pytest.fixture
def small(nuke):
    """A script of 6 x 4 pixels."""
    nuke.addFormat("6 4 0 0 6 4 1 small")
    nuke.root()["format"].setValue("small")


def constant(nuke, *color, channels="rgba"):
    """A picture of one colour."""
    return nuke.nodes.Constant(color=list(color), channels=channels)


def seen(node, *names, frame=1):
    """The upper left pixel of a node, by channel."""
    from nuke import _stand_in

    found = _stand_in.pixels(node, frame)
    return pytest.approx([float(found[f"rgba.{name}" if "." not in name else name][0, 0]) for name in names], abs=1e-6)


def written(path, names, pixels, kind=oiio.HALF, **attributes):
    """A file of [H, W, C] pixels."""
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], len(names), kind)
    spec.channelnames = tuple(names)
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    file = oiio.ImageOutput.create(str(path))
    assert file.open(str(path), spec) and file.write_image(np.ascontiguousarray(pixels, np.float32))
    file.close()
    return str(path)


def layered(path, value=0.25):
    """An EXR with a rgba and a layer foreground, 6 x 4."""
    names = ["R", "G", "B", "A", *(f"foreground.{c}" for c in "RGBA")]
    pixels = np.full((4, 6, 8), value)
    pixels[..., 4:] = RED
    return written(path, names, pixels, oiio.FLOAT, layerflow__layers="foreground,blended")


def test_merge_operations(nuke, small):
    """Input 0 is B, input 1 is A; over is A + B(1 - a), difference |A - B|, and so on."""
    A, B = constant(nuke, 0.4, 0.1, 0.025, 0.5), constant(nuke, 0.05, 0.3, 0.6, 1.0)
    for operation, answer in {
        "over": [0.425, 0.25, 0.325, 1.0],
        "difference": [0.35, 0.2, 0.575, 0.5],
        "plus": [0.45, 0.4, 0.625, 1.5],
        "minus": [0.35, -0.2, -0.575, -0.5],
        "multiply": [0.02, 0.03, 0.015, 0.5],
    }.items():
        merge = nuke.nodes.Merge2(inputs=[B, A], operation=operation)
        assert answer == seen(merge, "red", "green", "blue", "alpha")
    rgb = nuke.nodes.Merge2(inputs=[B, A], operation="difference", Achannels="rgb", Bchannels="rgb", output="rgb")
    assert seen(rgb, "red", "green", "blue", "alpha") == [0.35, 0.2, 0.575, 1.0]


def test_premult(nuke, small):
    """Multiplies the channels by the alpha, and not the alpha; Unpremult divides."""
    premult = nuke.nodes.Premult(inputs=[constant(nuke, *RED)])
    assert seen(premult, "red", "green", "blue", "alpha") == [0.4, 0.1, 0.025, 0.5]
    assert list(RED) == seen(nuke.nodes.Unpremult(inputs=[premult]), "red", "green", "blue", "alpha")
    premult["channels"].setValue("rgba")
    assert seen(premult, "red", "alpha") == [0.4, 0.5]
    premult["disable"].setValue(True)
    assert seen(premult, "red") == [0.8]


def test_layers_move(nuke, small, tmp_path):
    """A Read names channels as Nuke does; Shuffle2, Shuffle and Copy move them; Remove takes them away."""
    read = nuke.nodes.Read(file=layered(tmp_path / "a.exr"), raw=True)
    layer = [f"foreground.{name}" for name in ("red", "green", "blue", "alpha")]
    assert set(layer) < set(read.channels()) and "foreground" in nuke.layers(read)
    shuffle = nuke.nodes.Shuffle2(inputs=[read])
    shuffle["in1"].setValue("foreground")
    assert seen(shuffle, "red", "alpha") == [0.8, 0.5]
    shuffle["mappings"].setValue([("foreground.green", "rgba.red"), ("white", "rgba.alpha")])
    assert seen(shuffle, "red", "green", "alpha") == [0.2, 0.25, 1.0]
    old = nuke.nodes.Shuffle(inputs=[read], alpha="red", green="white")
    old["in"].setValue("foreground")
    assert seen(old, "red", "green", "alpha") == [0.8, 1.0, 0.8]
    copy = nuke.nodes.Copy(inputs=[constant(nuke, 0, 0, 0, 0), read], from0="foreground.red", to0="rgba.alpha")
    assert seen(copy, "red", "alpha") == [0.0, 0.8]
    kept = nuke.nodes.Remove(inputs=[read], operation="keep", channels="alpha")
    assert kept.channels() == ["rgba.alpha"]


def test_switch_and_groups(nuke, small):
    """A group gives what its Output is connected to; an Input gives what the group is connected to, or nothing."""
    group = nuke.nodes.Group()
    with group:
        a, b = nuke.nodes.Input(), nuke.nodes.Input()
        switch = nuke.nodes.Switch(inputs=[a, b], which=1)
        nuke.nodes.Output(inputs=[switch])
    assert group.channels() == [] and group.width() == 6
    group.setInput(1, constant(nuke, 1, 0, 0, 1))
    assert seen(group, "red") == [1.0]
    switch["which"].setValue(9)
    assert seen(group, "red") == [1.0]


def test_samples_count_from_below(nuke, tmp_path):
    """sample takes x to the right and y up from the lower left corner; outside it is 0."""
    pixels = np.zeros((4, 6, 4))
    pixels[0, 5] = 1.0
    read = nuke.nodes.Read(file=written(tmp_path / "a.exr", "RGBA", pixels))
    assert read.sample("rgba.red", 5.5, 3.5) == 1 and read.sample("red", 5, 3) == 0 == read.sample("rgba.red", 5, 4)
    assert (read.width(), read.height()) == (6, 4)


def test_reads_frames(nuke, small, tmp_path):
    """Outside of first and last the nearest one is held; on_error says what a missing file shows."""
    for frame in (1, 3):
        layered(tmp_path / f"a.{frame:04d}.exr", frame / 4)
    read = nuke.nodes.Read(file=str(tmp_path / "a.%04d.exr"), first=1, last=3)
    assert seen(read, "red", frame=9) == [0.75] and seen(read, "red", frame=-5) == [0.25]
    nuke.frame(2)
    assert read.hasError() and not nuke.nodes.Dot(inputs=[read]).hasError() and nuke.allNodes("Dot")[0].error()
    read["on_error"].setValue("nearest frame")
    assert not read.hasError() and seen(read, "red", frame=2) == [0.25]
    read["on_error"].setValue("black")
    assert seen(read, "red", frame=2) == [0.0]
    assert (read.firstFrame(), nuke.allNodes("Dot")[0].lastFrame()) == (1, 3)


def test_metadata(nuke, tmp_path):
    """Attributes of an EXR are there behind exr/."""
    read = nuke.nodes.Read(file=layered(tmp_path / "a.exr"))
    assert read.metadata("exr/layerflow:layers") == "foreground,blended" and read.metadata("nope") is None
    assert read.metadata()["input/width"] == 6 and nuke.nodes.Dot(inputs=[read]).metadata("input/height") == 4


def test_colour(nuke, tmp_path):
    """8 bit files are sRGB and become linear, unless the Read is raw; EXR is linear."""
    path = written(tmp_path / "a.png", "RGB", np.full((4, 6, 3), 0.5), oiio.UINT8)
    read = nuke.nodes.Read(file=path)
    assert float(read.sample("rgba.red", 0, 0)) == pytest.approx(0.2158, abs=1e-3)
    read["raw"].setValue(True)
    assert float(read.sample("rgba.red", 0, 0)) == pytest.approx(0.502, abs=1e-3)
    with pytest.raises(TypeError):
        read["colorspace"].setValue("no such space")


def test_files_are_read_once(nuke, tmp_path):
    """Nuke keeps what it read: a file that changed is seen after the reload button."""
    read = nuke.nodes.Read(file=layered(tmp_path / "a.exr", 0.25))
    assert seen(read, "red") == [0.25]
    before = read.opHashes()
    layered(tmp_path / "a.exr", 0.5)
    assert seen(read, "red") == [0.25] and read.opHashes() == before
    read["reload"].execute()
    assert seen(read, "red") == [0.5] and read.opHashes() != before


def write_node(nuke, path, above, **knobs):
    """A Write of EXR files."""
    write = nuke.nodes.Write(inputs=[above], file=str(path), file_type="exr", raw=True, **knobs)
    return write


def test_writes_frames(nuke, small, tmp_path):
    """nuke.execute writes first to last, at the depth, compression and channels asked for, in folders that it makes."""
    write = write_node(nuke, tmp_path / "x/b.####.exr", constant(nuke, 0.1, 2, -1, 0.5), channels="rgba")
    with pytest.raises(RuntimeError, match="No such file or directory"):
        nuke.execute(write, 1, 2)
    write["create_directories"].setValue(True)
    write["datatype"].setValue("32 bit float")
    write["compression"].setValue("PIZ Wavelet (32 scanlines)")
    nuke.execute(write.name(), 1, 2)
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["b.0001.exr", "b.0002.exr"]
    spec = oiio.ImageBuf(str(tmp_path / "x/b.0002.exr")).spec()
    assert (spec.format, spec["compression"], list(spec.channelnames)) == ("float", "piz", ["R", "G", "B", "A"])
    back = nuke.nodes.Read(file=str(tmp_path / "x/b.0002.exr"))
    assert seen(back, "red", "green", "blue", "alpha") == [0.1, 2.0, -1.0, 0.5]


def test_written_layers_come_back(nuke, small, tmp_path):
    """channels all writes every layer; a Read of it has them under the same names."""
    read = nuke.nodes.Read(file=layered(tmp_path / "a.exr"))
    nuke.execute(write_node(nuke, tmp_path / "b.exr", read, channels="all"), 1, 1)
    assert nuke.nodes.Read(file=str(tmp_path / "b.exr")).channels() == read.channels()


def test_renders_views(nuke, small, tmp_path):
    """%V is filled in for each view that is rendered; the views may be given."""
    nuke.root().addView("left")
    write = write_node(nuke, tmp_path / "%V.exr", constant(nuke, 1, 1, 1, 1))
    nuke.execute(write, 1, 1, 1, ["left"])
    assert [path.name for path in tmp_path.iterdir()] == ["left.exr"]
    nuke.execute(write, 1, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["left.exr", "main.exr"]


def test_what_goes_wrong_when_rendering(nuke, small, tmp_path):
    """A RuntimeError that names the node: files that are missing, nodes that do not render, one render in another."""
    from nuke import _stand_in

    read = nuke.nodes.Read(file=str(tmp_path / "no.exr"))
    write = write_node(nuke, tmp_path / "b.exr", read)
    with pytest.raises(RuntimeError, match=r"Read1: .*No such file or directory"):
        nuke.execute(write, 1, 1)
    with pytest.raises(RuntimeError, match="not executable"):
        nuke.execute(read, 1, 1)
    read["file"].setValue(layered(tmp_path / "a.exr"))
    nuke.addBeforeFrameRender(lambda: nuke.execute(write, 1, 1))
    nuke.execute(write, 1, 1)
    assert "already executing something else" in str(_stand_in.callback_errors()[0])


def test_renders_can_be_cancelled(nuke, small, tmp_path):
    """What was written stays; the rest is a RuntimeError."""
    from nuke import _stand_in

    write = write_node(nuke, tmp_path / "b.%d.exr", constant(nuke, 1, 1, 1, 1))
    _stand_in.cancel_render_at(2)
    with pytest.raises(RuntimeError, match="Cancelled"):
        nuke.execute(write, 1, 3)
    assert (
        [path.name for path in tmp_path.iterdir()] == ["b.1.exr"] == [f"b.{f}.exr" for _, f, _ in _stand_in.rendered()]
    )


def test_expressions_are_of_the_rendered_frame(nuke, small, tmp_path):
    """While a frame is rendered, `frame` is that one, whatever the script shows."""
    switch = nuke.nodes.Switch(inputs=[constant(nuke, 0, 0, 0, 1), constant(nuke, 1, 1, 1, 1)])
    switch["which"].setExpression("frame > 5")
    assert seen(switch, "red", frame=5) == [0.0] and seen(switch, "red", frame=6) == [1.0]


def test_curve_tool(nuke, small, tmp_path):
    """Max Luma Pixel finds the brightest pixel of the region, and keeps it as a key of that frame."""
    pixels = np.zeros((4, 6, 4))
    pixels[0, 5, :3] = 0.1, 0.5, 0.2
    pixels[3, 0, :3] = 9.0
    read = nuke.nodes.Read(file=written(tmp_path / "a.exr", "RGBA", pixels))
    tool = nuke.nodes.CurveTool(inputs=[read], operation="Max Luma Pixel")
    tool["ROI"].fromDict({"x": 0, "y": 1, "r": 6, "t": 4})
    nuke.execute(tool, 7, 7)
    assert tool["maxlumapixvalue"].getValueAt(7) == pytest.approx([0.1, 0.5, 0.2], abs=1e-3)
    assert tool["maxlumapixdata"].getValueAt(7) == [5, 3] and tool["minlumapixvalue"].getValueAt(7) == [0, 0, 0]
    assert tool["maxlumapixvalue"].isAnimated()


def test_reformat(nuke, small, tmp_path):
    """To box and to format: fit keeps the shape, centred, with black around; linear ramps stay linear."""
    ramp = np.repeat(np.linspace(0, 1, 8)[None, :, None], 4, axis=0).repeat(3, axis=2)
    read = nuke.nodes.Read(file=written(tmp_path / "a.exr", "RGB", ramp))
    fit = nuke.nodes.Reformat(inputs=[read], resize="fit", black_outside=True)
    from nuke import _stand_in

    plane = _stand_in.pixels(fit)["rgba.red"]
    assert plane.shape == (4, 6) and np.all(np.diff(plane[0]) > 0) and plane[3].max() == 0
    box = nuke.nodes.Reformat(inputs=[read], type="to box", box_width=4, box_height=2, box_fixed=True, resize="distort")
    assert _stand_in.pixels(box)["rgba.red"].shape == (2, 4)


def test_views_and_numbers_in_channel_names(nuke, tmp_path):
    """Leading digits go, other signs become _, parts in front of the last are the layer, views are not."""
    from nuke._exr_names import from_file

    names = {
        "R": (None, "rgba.red"),
        "foreground.R": (None, "foreground.red"),
        "foreground.red": (None, "foreground.red"),
        "2nd-light.G": (None, "nd_light.green"),
        "a.b.A": (None, "a_b.alpha"),
        "left.R": ("left", "rgba.red"),
        "Z": (None, "depth.Z"),
    }
    assert {name: from_file(name) for name in names} == names

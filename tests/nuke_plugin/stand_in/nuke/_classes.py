"""The classes of nodes that the stand-in has, with their knobs in the order of scripts."""

from __future__ import annotations

from nuke import _knobs_array as array
from nuke import _knobs_channel as channel
from nuke import _knobs_choice as choice
from nuke._specs import (
    Make,
    Spec,
    button,
    check,
    file,
    one_channel,
    pulldown,
    python,
    real,
    several,
    size,
    some_channels,
    string,
    whole,
)

MANY = 1000
SPACES = ("default", "linear", "sRGB", "rec709", "Cineon", "Gamma1.8", "Gamma2.2", "scene_linear", "ACES - ACEScg")
OPERATIONS = ("over", "difference", "plus", "minus", "multiply", "from", "copy", "max", "min", "under", "in", "out")
WRITE_TYPES = (" ", "exr", "jpeg", "png", "tiff", "dpx", "mov")
RENDER_CALLBACKS = tuple(map(python, ("beforeRender", "beforeFrameRender", "afterFrameRender", "afterRender")))

READ: tuple[Make, ...] = (
    file("file"),
    file("proxy"),
    size(),
    whole("first", 1),
    pulldown("before", "hold", "hold", "loop", "bounce", "black"),
    whole("last", 1),
    pulldown("after", "hold", "hold", "loop", "bounce", "black"),
    pulldown("frame_mode", "expression", "expression", "start at", "offset"),
    string("frame"),
    whole("origfirst", 1),
    whole("origlast", 1),
    check("origset"),
    pulldown("on_error", "error", "error", "black", "checkerboard", "nearest frame"),
    pulldown("colorspace", "default", *SPACES),
    check("premultiplied"),
    check("raw"),
    check("auto_alpha"),
    whole("version"),
    button("reload"),
    string("views"),
)

WRITE: tuple[Make, ...] = (
    some_channels("channels", "rgb"),
    file("file"),
    file("proxy"),
    several(choice.MultiView_Knob, "views"),
    pulldown("colorspace", "default", *SPACES),
    check("premultiplied"),
    check("raw"),
    pulldown("file_type", " ", *WRITE_TYPES),
    real("render_order", 1),
    check("use_limit"),
    whole("first"),
    whole("last"),
    check("create_directories"),
    check("reading"),
    check("checkHashOnRead", True),
    whole("version"),
    *RENDER_CALLBACKS,
)

# Knobs that a Write has only while its files are EXR.
WRITE_EXR: tuple[Make, ...] = (
    check("autocrop"),
    pulldown("datatype", "16 bit half", "16 bit half", "32 bit float"),
    pulldown(
        "compression",
        "Zip (1 scanline)",
        "none",
        "Zip (1 scanline)",
        "Zip (16 scanlines)",
        "PIZ Wavelet (32 scanlines)",
        "RLE",
        "B44",
        "B44A",
        "DWAA",
        "DWAB",
    ),
    real("dw_compression_level", 45),
    pulldown("metadata", "default metadata", "no metadata", "default metadata", "all metadata"),
    pulldown(
        "interleave", "channels, layers and views", "channels, layers and views", "channels and layers", "channels"
    ),
    some_channels("first_part", "rgba"),
)

ROOT: tuple[Make, ...] = (
    whole("frame", 1),
    whole("first_frame", 1),
    whole("last_frame", 100),
    check("lock_range"),
    real("fps", 24),
    size(),
    check("proxy"),
    pulldown("proxy_type", "format", "format", "scale"),
    size("proxy_format"),
    real("proxy_scale", 1),
    string("views", "main #ffffff"),
    pulldown("colorManagement", "Nuke", "Nuke", "OCIO"),
    string("OCIO_config"),
    pulldown("workingSpaceLUT", "linear", "linear", "scene_linear", "ACES - ACEScg"),
    pulldown("int8Lut", "sRGB", *SPACES),
    pulldown("int16Lut", "sRGB", *SPACES),
    pulldown("floatLut", "linear", *SPACES),
    string("project_directory"),
    python("onScriptLoad"),
    python("onScriptSave"),
    python("onScriptClose"),
)

_SHUFFLE_WORDS = ("red", "green", "blue", "alpha", "black", "white", "red2", "green2", "blue2", "alpha2")

CLASSES: dict[str, Spec] = {
    "Root": Spec(knobs=ROOT, min_inputs=0, max_inputs=0),
    "Group": Spec(min_inputs=0, max_inputs=MANY),
    "Input": Spec(knobs=(whole("number"),), min_inputs=0, max_inputs=0),
    "Output": Spec(),
    "Read": Spec(knobs=READ, min_inputs=0, max_inputs=0, size=(80, 78)),
    "Write": Spec(knobs=WRITE, is_executable=True),
    "Viewer": Spec(knobs=(whole("frame", 1), string("frame_range", "1-100")), max_inputs=10),
    "Dot": Spec(size=(12, 12)),
    "NoOp": Spec(),
    "Switch": Spec(knobs=(real("which"),), max_inputs=MANY),
    "Premult": Spec(knobs=(some_channels("channels", "rgb"), one_channel("alpha", "rgba.alpha"), check("invert"))),
    "Unpremult": Spec(knobs=(some_channels("channels", "rgb"), one_channel("alpha", "rgba.alpha"), check("invert"))),
    "Remove": Spec(knobs=(pulldown("operation", "remove", "remove", "keep"), some_channels("channels", "all"))),
    "Constant": Spec(
        knobs=(some_channels("channels", "rgb"), several(array.AColor_Knob, "color"), size()), min_inputs=0
    ),
    "Merge2": Spec(
        knobs=(
            pulldown("operation", "over", *OPERATIONS),
            some_channels("Achannels", "rgba"),
            some_channels("Bchannels", "rgba"),
            some_channels("output", "rgba"),
            some_channels("also_merge", "none"),
            one_channel("maskChannelInput"),
            check("invert_mask"),
            real("mix", 1),
        ),
        min_inputs=2,
        max_inputs=MANY,
        mask=2,
        name="Merge",
    ),
    "Copy": Spec(
        knobs=(
            *(one_channel(f"{side}{i}") for i in range(4) for side in ("from", "to")),
            some_channels("channels", "none"),
            one_channel("maskChannelInput"),
            real("mix", 1),
        ),
        min_inputs=2,
        max_inputs=3,
        mask=2,
    ),
    "Shuffle": Spec(
        knobs=(
            one_channel("in", "rgba"),
            one_channel("in2"),
            *(pulldown(name, name, *_SHUFFLE_WORDS) for name in ("red", "green", "blue", "alpha")),
            one_channel("out", "rgba"),
        )
    ),
    "Shuffle2": Spec(
        knobs=(
            several(channel.FromInput_Knob, "fromInput1", "B"),
            one_channel("in1", "rgba"),
            one_channel("out1", "rgba"),
            several(channel.FromInput_Knob, "fromInput2", "B"),
            one_channel("in2"),
            one_channel("out2"),
            several(channel.Mappings_Knob, "mappings", [(f"rgba.{c}",) * 2 for c in ("red", "green", "blue", "alpha")]),
        ),
        max_inputs=2,
        name="Shuffle",
    ),
    "Reformat": Spec(
        knobs=(
            pulldown("type", "to format", "to format", "to box", "scale"),
            size(),
            real("box_width", 200),
            real("box_height", 200),
            check("box_fixed"),
            real("scale", 1),
            pulldown("resize", "width", "none", "width", "height", "fit", "fill", "distort"),
            check("center", True),
            check("black_outside"),
            pulldown("filter", "Cubic", "Impulse", "Cubic"),
        )
    ),
    "Transform": Spec(
        knobs=(
            several(array.XY_Knob, "translate"),
            real("rotate"),
            real("scale", 1),
            several(array.XY_Knob, "center"),
            check("black_outside", True),
            pulldown("filter", "Cubic", "Impulse", "Cubic"),
        )
    ),
    "Multiply": Spec(knobs=(some_channels("channels", "rgb"), real("value", 1))),
    "CurveTool": Spec(
        knobs=(
            pulldown("operation", "Auto Crop", "Auto Crop", "Avg Intensities", "Exposure Difference", "Max Luma Pixel"),
            some_channels("channels", "rgb"),
            several(array.BBox_Knob, "ROI"),
            several(array.XY_Knob, "maxlumapixdata"),
            several(array.Color_Knob, "maxlumapixvalue"),
            several(array.XY_Knob, "minlumapixdata"),
            several(array.Color_Knob, "minlumapixvalue"),
            several(array.AColor_Knob, "intensitydata"),
        ),
        is_executable=True,
    ),
    "BackdropNode": Spec(
        knobs=(real("bdwidth", 200), real("bdheight", 150), real("z_order")), min_inputs=0, max_inputs=0
    ),
    "StickyNote": Spec(min_inputs=0, max_inputs=0),
}

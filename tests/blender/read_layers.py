"""What Blender makes of layered EXR files. Runs in Blender's own Python: standard library and bpy, 4.5 and 5.0.

`python read_layers.py LAYERED.exr FOREGROUND.exr BACKGROUND.exr OUT` renders what Blender sees to OUT/<name>.exr and
prints one line of JSON: Blender's version, and the sockets and colour space it gives the layered file.
"""

import json
import sys
from pathlib import Path

import bpy

LINEAR = "Linear Rec.709"  # what both versions work in, so that pixels come through as they are
IS_5 = bpy.app.version >= (5, 0, 0)


def new_scene(size):
    """A scene that renders EXR of full floats, `size` pixels."""
    scene = bpy.data.scenes.new("shot")
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.resolution_percentage = 100
    scene.render.dither_intensity = 0
    if IS_5:
        scene.render.image_settings.media_type = "IMAGE"
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.color_depth = "32"
    return scene


def render(scene, path):
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True, scene=scene.name)


def compositor(scene):
    """The scene's node tree and its end, a socket that takes the picture."""
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    if not IS_5:
        scene.use_nodes = True
        scene.node_tree.nodes.clear()
        return scene.node_tree, scene.node_tree.nodes.new("CompositorNodeComposite").inputs["Image"]
    tree = bpy.data.node_groups.new("shot", "CompositorNodeTree")
    scene.compositing_node_group = tree
    tree.interface.new_socket(name="Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    return tree, tree.nodes.new("NodeGroupOutput").inputs[0]


def alpha_over(tree, background, foreground):
    """The picture of one socket over another, by an Alpha Over node set to straight alpha."""
    node = tree.nodes.new("CompositorNodeAlphaOver")
    under, above = ("Background", "Foreground") if IS_5 else (1, 2)
    tree.links.new(background, node.inputs[under])
    tree.links.new(foreground, node.inputs[above])
    node.inputs["Straight Alpha"].default_value = True
    return node.outputs["Image"]


def read_in_compositor(path, size, out):
    """Renders every colour socket of an Image node, and foreground over background; returns what the node has."""
    scene = new_scene(size)
    tree, end = compositor(scene)
    node = tree.nodes.new("CompositorNodeImage")
    image = node.image = bpy.data.images.load(str(path))
    detected = image.colorspace_settings.name
    image.colorspace_settings.name = LINEAR
    sockets = {socket.name: socket for socket in node.outputs if socket.enabled}
    pictures = {name: socket for name, socket in sockets.items() if socket.type == "RGBA"}
    if {"background", "foreground"} <= pictures.keys():
        pictures["over"] = alpha_over(tree, pictures["background"], pictures["foreground"])
    for name, socket in pictures.items():
        tree.links.new(socket, end)
        render(scene, out / f"{name}.exr")
    image.colorspace_settings.name = "ACEScg"
    render(scene, out / "from-acescg.exr")  # the last picture once more, now converted to what Blender works in
    return {"sockets": {name: socket.type for name, socket in sockets.items()}, "colorspace": detected}


def read_in_sequencer(paths, size, path):
    """Renders a stack of image strips, bottom first, straight and blended in linear light."""
    scene = new_scene(size)
    scene.sequencer_colorspace_settings.name = LINEAR
    scene.sequence_editor_create()
    for channel, source in enumerate(paths, start=1):
        strip = scene.sequence_editor.strips.new_image(source.stem, str(source), channel, scene.frame_current)
        strip.colorspace_settings.name = LINEAR
        strip.alpha_mode = "STRAIGHT"  # heeded for the one-layer files only
        strip.blend_type = "ALPHA_OVER"
    render(scene, path)


def main(layered, foreground, background, out):
    size = tuple(bpy.data.images.load(str(foreground)).size)
    found = read_in_compositor(layered, size, out)
    read_in_sequencer([background, foreground], size, out / "sequencer.exr")
    read_in_sequencer([layered], size, out / "sequencer-layered.exr")
    print(json.dumps({"version": bpy.app.version_string, **found}))


main(*map(Path, sys.argv[1:]))

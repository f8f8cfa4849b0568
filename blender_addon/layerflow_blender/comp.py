"""The compositor tree of a shot: its layered EXR, and an Alpha Over for every foreground. In a scene of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy

from layerflow.wire.versions import Frames

from . import host, placing
from .tickets import Ticket

_STEP_X, _STEP_Y = 260, 220  # between nodes
IS_5 = bpy.app.version >= (5, 0, 0)


def build(ticket: Ticket, size: tuple[int, int], like: bpy.types.Scene) -> bpy.types.Scene:
    """A new scene whose compositor puts the layers of a shot together: as long as they are, and of their `size`.

    It plays as fast and is shown as `like`. Its Image node has a socket for every layer. ValueError where the layered
    frames are not there.
    """
    frames = Frames.of(ticket.request.output)
    numbers = frames.on_disk()
    if not numbers:
        raise ValueError(f"there are no frames like {ticket.request.output} any more; press Regenerate")
    scene = bpy.data.scenes.new(f"{placing.title_of(ticket)} comp")
    image = bpy.data.images.load(frames.path(numbers[0]))
    image.colorspace_settings.name = placing.blender_name(ticket.request.output_colorspace)
    image.filepath = host.portable(frames.path(numbers[0]))
    _time(scene, like, len(numbers), ticket.frame)
    _look(scene, like)
    tree = _tree(scene)
    node = _image_node(tree, image, numbers, ticket.frame)
    scene.render.resolution_x, scene.render.resolution_y = size
    _end(tree, _over_all(tree, node))
    return scene


def _time(scene: bpy.types.Scene, like: bpy.types.Scene, count: int, first: int) -> None:
    render = scene.render
    render.fps, render.fps_base = like.render.fps, like.render.fps_base
    render.resolution_percentage, render.use_sequencer = 100, False
    scene.frame_start, scene.frame_end = first, first + count - 1
    scene.frame_set(first)
    scene.camera = bpy.data.objects.new("no camera", bpy.data.cameras.new("no camera"))  # or Blender renders nothing


def _look(scene: bpy.types.Scene, like: bpy.types.Scene) -> None:
    """Has the scene shown as the other one is: the same display, view transform, look, exposure and gamma."""
    scene.display_settings.display_device = like.display_settings.display_device
    for name in ("view_transform", "look", "exposure", "gamma"):
        setattr(scene.view_settings, name, getattr(like.view_settings, name))


def _tree(scene: bpy.types.Scene) -> Any:
    """The empty tree of the scene; in Blender 5 a node group of its own."""
    if not IS_5:
        scene.use_nodes = True
        scene.node_tree.nodes.clear()
        return scene.node_tree
    tree: Any = bpy.data.node_groups.new(scene.name, "CompositorNodeTree")
    tree.interface.new_socket(name="Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    setattr(scene, "compositing_node_group", tree)  # noqa: B010 - not known to the types of 4.5
    return tree


def _image_node(tree: Any, image: bpy.types.Image, numbers: Sequence[int], first: int) -> Any:
    node = tree.nodes.new("CompositorNodeImage")
    node.image = image
    if len(numbers) > 1:
        image.source = "SEQUENCE"
        node.frame_duration, node.frame_start = len(numbers), first
        node.frame_offset = numbers[0] - 1
        node.use_auto_refresh = True
    return node


def _over_all(tree: Any, node: Any) -> Any:
    """The socket of all foregrounds over the background, from back to front."""
    sockets = {socket.name: socket for socket in node.outputs if socket.enabled and socket.type == "RGBA"}
    names = [name for name in placing.in_order(dict.fromkeys(sockets, ())) if name != placing.BLENDED]
    under = sockets[names[0]]
    for place, name in enumerate(names[1:], start=1):
        over = tree.nodes.new("CompositorNodeAlphaOver")
        over.label, over.location = name, (place * _STEP_X, 0)
        below, above = ("Background", "Foreground") if IS_5 else (1, 2)
        tree.links.new(under, over.inputs[below])
        tree.links.new(sockets[name], over.inputs[above])
        over.inputs["Straight Alpha"].default_value = True
        under = over.outputs["Image"]
    return under


def _end(tree: Any, socket: Any) -> None:
    place = socket.node.location.x + _STEP_X
    end = "NodeGroupOutput" if IS_5 else "CompositorNodeComposite"
    for kind, height in ((end, 0), ("CompositorNodeViewer", -_STEP_Y)):
        node = tree.nodes.new(kind)
        node.location = (place, height)
        tree.links.new(socket, node.inputs[0])

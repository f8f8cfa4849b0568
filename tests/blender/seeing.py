"""What the Sequencer and the compositor show, rendered to files. Runs in a real Blender, as part of inside.py."""

import bpy

IS_5 = bpy.app.version >= (5, 0, 0)


def _tree(scene):
    return scene.compositing_node_group if IS_5 else scene.node_tree


def render(frame, path, of=None, view_transform=None, file_format="OPEN_EXR"):
    """A frame of a scene, rendered to a file, as F12 in its window does."""
    found = bpy.data.scenes[of] if of else bpy.context.scene
    bpy.context.window.scene = found
    image = found.render.image_settings
    if IS_5:
        image.media_type = "IMAGE"
    image.file_format, image.color_mode = file_format, "RGBA"
    if file_format == "OPEN_EXR":
        image.color_depth = "32"
    if view_transform:
        found.view_settings.view_transform = view_transform
    found.render.dither_intensity = 0
    found.render.filepath = path
    found.frame_set(frame)
    bpy.ops.render.render(write_still=True, scene=found.name)


def comp_nodes(name):
    """The tree of a scene: its nodes, links, and the sockets of its Image node."""
    found = bpy.data.scenes[name]
    tree = _tree(found)
    (node,) = [node for node in tree.nodes if node.bl_idname == "CompositorNodeImage"]
    return {
        "kinds": sorted(node.bl_idname for node in tree.nodes),
        "sockets": {socket.name: socket.type for socket in node.outputs if socket.enabled},
        "duration": node.frame_duration,
        "start": node.frame_start,
        "offset": node.frame_offset,
        "colorspace": node.image.colorspace_settings.name,
        "path": node.image.filepath,
        "view": found.view_settings.view_transform,
        "range": [found.frame_start, found.frame_end],
        "size": [found.render.resolution_x, found.render.resolution_y],
        "labels": [node.label for node in tree.nodes if node.label],
    }


def show_socket(name, socket):
    """Has the compositor of a scene show one layer alone."""
    found = bpy.data.scenes[name]
    tree = _tree(found)
    (node,) = [node for node in tree.nodes if node.bl_idname == "CompositorNodeImage"]
    end = "NodeGroupOutput" if IS_5 else "CompositorNodeComposite"
    (output,) = [node for node in tree.nodes if node.bl_idname == end]
    tree.links.new(node.outputs[socket], output.inputs[0])

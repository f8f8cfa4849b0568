"""A layout for panels to draw into without a window. Runs in a real Blender, as part of inside.py."""

import bpy

UI = bpy.types.UILayout.bl_rna
ICONS = {item.identifier for item in UI.functions["prop"].parameters["icon"].enum_items}


class Layout:
    """Takes what a panel draws and holds it against Blender's own description of a layout.

    Blender makes a real one only for a window. Names of functions, their arguments, icons, properties, operators, menus
    and panels have to be there.
    """

    def __init__(self, said):
        self.__dict__["said"] = said

    def __setattr__(self, name, value):
        assert name in UI.properties, f"a layout has no {name}"
        self.__dict__[name] = value

    def __getattr__(self, name):
        function = UI.functions[name]  # KeyError where there is none

        def call(*args, **kwargs):
            parameters = [each.identifier for each in function.parameters if not each.is_output]
            given = {**dict(zip(parameters, args, strict=False)), **kwargs}
            assert len(args) <= len(parameters) and set(given) <= {*parameters, "text_ctxt"}, (name, given)
            assert given.get("icon", "NONE") in ICONS, given
            return self._drawn(name, given)

        return call

    def _drawn(self, name, given):
        said = given.get("text", "")
        if name == "prop":
            rna = given["data"].bl_rna.properties[given["property"]]
            said = f"{given['property']}={getattr(given['data'], given['property'])!r} ({rna.name})"
        elif name == "prop_search":
            assert given["property"] in given["data"].bl_rna.properties
            assert given["search_property"] in given["search_data"].bl_rna.properties
            said = given["property"]
        elif name == "operator":
            area, leaf = given["operator"].split(".")
            rna = getattr(getattr(bpy.ops, area), leaf).get_rna_type()
            self.said.append(f"operator: {given['operator']}: {given.get('text', rna.name)}")
            return _Given(rna)
        elif name in ("menu", "popover"):
            said = given["menu" if name == "menu" else "panel"]
            assert hasattr(bpy.types, said), said
        self.said.append(f"{name}: {said}")
        return Layout(self.said) if name in ("row", "column", "box", "split") else None


class _Given:
    """The arguments of an operator's button."""

    def __init__(self, rna):
        self.__dict__["rna"] = rna

    def __setattr__(self, name, value):
        assert name in self.rna.properties, name


class _Shown:
    """What `self` is while a panel, a menu or the preferences draw: its own attributes, and a layout of ours."""

    def __init__(self, owner, said):
        self._owner, self.layout = owner, Layout(said)

    def __getattr__(self, name):
        found = getattr(self._owner, name)
        return found.__get__(self) if isinstance(self._owner, type) and callable(found) else found


def drawn(kind, owner=None):
    """What a panel, a menu or the preferences (whose values are `owner`) draw now; None where it is not shown."""
    if hasattr(kind, "poll") and not kind.poll(bpy.context):
        return None
    said = []
    shown = _Shown(owner or kind, said)
    if hasattr(kind, "draw_header_preset"):
        kind.draw_header_preset(shown, bpy.context)
    kind.draw(shown, bpy.context)
    return said

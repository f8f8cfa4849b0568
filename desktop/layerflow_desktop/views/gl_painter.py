"""What the GPU does for the viewer, in one context: the layers into a buffer for each side, and those to the screen."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from PySide6.QtGui import QOpenGLContext, QVector2D, QVector3D, QVector4D
from PySide6.QtOpenGL import (
    QOpenGLFramebufferObject,
    QOpenGLFramebufferObjectFormat,
    QOpenGLShader,
    QOpenGLShaderProgram,
    QOpenGLVertexArrayObject,
)
from shiboken6 import isValid

from layerflow_desktop.models.display import CHECKER_GREYS, CHECKER_SIZE, ViewTransform
from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.models.framing import Framing, wipe_line
from layerflow_desktop.models.picture import Placed, Scene, Shown
from layerflow_desktop.views import shaders
from layerflow_desktop.views.gl_textures import LayerTextures, table_texture
from layerflow_desktop.views.looks import BESIDE, ViewKey, view_transform

# The few names of OpenGL that Qt has no word for.
TRIANGLES, BLEND, DITHER, SCISSOR_TEST, DEPTH_TEST, CULL_FACE = 4, 0x0BE2, 0x0BD0, 0x0C11, 0x0B71, 0x0B44
ONE, ONE_MINUS_SRC_ALPHA, COLOR_BUFFER_BIT = 1, 0x0303, 0x4000
TEXTURE_2D, TEXTURE0, RGBA32F = 0x0DE1, 0x84C0, 0x8814
MAG_FILTER, MIN_FILTER, WRAP_S, WRAP_T = 0x2800, 0x2801, 0x2802, 0x2803
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 0x2601, 0x2703, 0x812F
FIRST_TABLE = 2  # texture unit; a and b are before it
MAX_VIEWS = 4  # shaders that are kept
_CHANNELS = {"rgb": 0, "r": 1, "g": 2, "b": 3, "a": 4, "luminance": 5}
_COMPARES = {"off": 0, "wipe": 1, "difference": 2}

Value = int | float | QVector2D | QVector3D | QVector4D


class PainterError(Exception):
    """The GPU or its driver cannot draw the viewer; what it says."""


class _View:
    """The second pass with one OCIO view, and the tables of that."""

    def __init__(self, transform: ViewTransform) -> None:
        shader = transform.gpu_shader("glsl_1.3")
        self.luminance = QVector3D(*transform.luma)
        self.program = _program(shaders.screen_shader(shader.text, shader.function))
        self.tables = [(table.sampler, table_texture(table)) for table in shader.textures]
        self.uniforms = shader.uniforms

    def bind_tables(self) -> None:
        """Tells the shader, which is bound, of its tables and values."""
        for unit, (sampler, texture) in enumerate(self.tables, start=FIRST_TABLE):
            texture.bind(unit)
            self.program.setUniformValue1i(self.program.uniformLocation(sampler), unit)
        for name, values in self.uniforms:
            where = self.program.uniformLocation(name)
            self.program.setUniformValueArray(where, list(values), len(values), 1)

    def release(self) -> None:
        """Frees it."""
        for _, texture in self.tables:
            texture.destroy()
        _take_apart(self.program)


class _Side:
    """The buffer that one side of a comparison is composed in, and what is in it."""

    def __init__(self) -> None:
        self.buffer: QOpenGLFramebufferObject | None = None
        self.shown: Shown | None = None
        self.has_levels = False

    def sized(self, width: int, height: int) -> QOpenGLFramebufferObject:
        if self.buffer is None or (self.buffer.width(), self.buffer.height()) != (width, height):
            layout = QOpenGLFramebufferObjectFormat()
            layout.setInternalTextureFormat(RGBA32F)
            layout.setMipmap(True)
            self.buffer = QOpenGLFramebufferObject(width, height, layout)
            self.shown = None
            if not self.buffer.isValid():
                raise PainterError(f"the GPU has no buffer of {width} x {height} pixels")
        return self.buffer


class GlPainter:
    """Draws scenes. Made and called with `context` current; `release` too."""

    def __init__(self, context: QOpenGLContext, limit_bytes: int) -> None:
        self._gl = context.functions()
        self.textures = LayerTextures(limit_bytes)
        self._corners = QOpenGLVertexArrayObject()  # core profiles draw nothing without one, even an empty one
        self._corners.create()
        self._layers = _program(shaders.LAYER)
        self._sides = (_Side(), _Side())
        self._views: OrderedDict[ViewKey, _View] = OrderedDict()

    def release(self) -> None:
        """Frees all that is on the GPU."""
        self.textures.release()
        for view in self._views.values():
            view.release()
        self._views.clear()
        for side in self._sides:
            side.buffer = side.shown = None
        if isValid(self._corners):
            self._corners.destroy()
        _take_apart(self._layers)

    def forget_scene(self) -> None:
        """Holds on to no layer in memory: there is nothing to show."""
        for side in self._sides:
            side.shown = None

    def clear(self) -> None:
        """Fills the current target with what is beside a picture."""
        self._gl.glClearColor(*BESIDE, 1.0)
        self._gl.glClear(COLOR_BUFFER_BIT)

    def compose(self, scene: Scene, settings: ViewSettings) -> None:
        """The first pass, for what is seen and not in its buffer yet."""
        b = scene.b if settings.compare != "off" else None
        for side, shown in zip(self._sides, (scene.a, b), strict=True):
            if shown is not None:
                target = side.sized(scene.width, scene.height)
                if side.shown is not shown:
                    self._compose(target, shown)
                    side.shown, side.has_levels = shown, False
        self.textures.trim()

    def show(self, scene: Scene, settings: ViewSettings, framing: Framing) -> None:
        """The second pass, into the target that is bound: `compose` was called for the scene."""
        self._plain_state(framing.view_width, framing.view_height)
        level = _level(framing)
        self._bind_sides(level)
        view = self._view((settings.display, settings.view, scene.colorspace))
        view.program.bind()
        view.bind_tables()
        self._gl.glActiveTexture(TEXTURE0)
        compare = settings.compare if scene.b is not None else "off"
        values = {
            **_framing_values(framing),
            "level": level,
            **_look_values(settings),
            "side_a": 0,
            "side_b": 1,
            "luminance": view.luminance,
            "compare": _COMPARES[compare],
            "wipe": QVector3D(*wipe_line(scene.width, scene.height, settings.wipe, settings.wipe_angle)),
        }
        _set(view.program, values)
        self._cover()
        view.program.release()

    def _compose(self, target: QOpenGLFramebufferObject, shown: Shown) -> None:
        target.bind()
        self._plain_state(target.width(), target.height())
        self._gl.glClearColor(0.0, 0.0, 0.0, 0.0)
        self._gl.glClear(COLOR_BUFFER_BIT)
        self._gl.glEnable(BLEND)
        self._layers.bind()
        from_the_back = shown.layers[::-1]
        for layer in sorted(from_the_back, key=lambda placed: placed.adds):  # residuals last
            self._draw(layer)
        self._layers.release()
        self._gl.glDisable(BLEND)
        target.release()

    def _draw(self, layer: Placed) -> None:
        self._gl.glBlendFunc(ONE, ONE if layer.adds else ONE_MINUS_SRC_ALPHA)
        self.textures.get(layer.pixels).bind(0)
        _set(
            self._layers,
            {
                "layer": 0,
                "moved": int((layer.offset_x, layer.offset_y, layer.scale) != (0.0, 0.0, 1.0)),
                "adds": int(layer.adds),
                "offset": QVector2D(layer.offset_x, layer.offset_y),
                "scale": float(layer.scale),
                "opacity": float(layer.opacity),
            },
        )
        self._cover()

    def _cover(self) -> None:
        self._corners.bind()
        self._gl.glDrawArrays(TRIANGLES, 0, 3)
        self._corners.release()

    def _plain_state(self, width: int, height: int) -> None:
        for switch in (BLEND, DITHER, SCISSOR_TEST, DEPTH_TEST, CULL_FACE):  # Qt's own painter leaves some on
            self._gl.glDisable(switch)
        self._gl.glViewport(0, 0, width, height)

    def _bind_sides(self, level: float) -> None:
        for unit, side in enumerate(self._sides):
            used = side if side.buffer is not None else self._sides[0]  # without a b, the shader reads none
            assert used.buffer is not None
            self._gl.glActiveTexture(TEXTURE0 + unit)
            self._gl.glBindTexture(TEXTURE_2D, used.buffer.texture())
            if level > 0 and not used.has_levels:
                self._gl.glGenerateMipmap(TEXTURE_2D)
                used.has_levels = True
            self._gl.glTexParameteri(TEXTURE_2D, MAG_FILTER, LINEAR)
            self._gl.glTexParameteri(TEXTURE_2D, MIN_FILTER, LINEAR_MIPMAP_LINEAR if level > 0 else LINEAR)
            for wrap in (WRAP_S, WRAP_T):
                self._gl.glTexParameteri(TEXTURE_2D, wrap, CLAMP_TO_EDGE)

    def _view(self, key: ViewKey) -> _View:
        if key not in self._views:
            self._views[key] = _View(view_transform(*key))
            while len(self._views) > MAX_VIEWS:
                self._views.popitem(last=False)[1].release()
        self._views.move_to_end(key)
        return self._views[key]


def _level(framing: Framing) -> float:
    """Which of the reduced pictures is shown: 0 is the whole one, which four neighbours of suffice down to a half."""
    scale = min(framing.scale_x, framing.scale_y)
    return -1.0 if scale >= 1 else max(0.0, math.log2(0.5 / scale))


def _framing_values(framing: Framing) -> dict[str, Value]:
    return {
        "view_size": QVector2D(framing.view_width, framing.view_height),
        "origin": QVector2D(framing.left, framing.top),
        "scale": QVector2D(framing.scale_x, framing.scale_y),
        "size": QVector2D(framing.width, framing.height),
        "beside": QVector3D(*BESIDE),
    }


def _look_values(settings: ViewSettings) -> dict[str, Value]:
    colors = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0), "custom": settings.background_color}
    return {
        "background": int(settings.background != "checkerboard"),
        "backdrop": QVector3D(*colors.get(settings.background, (0.0, 0.0, 0.0))),
        "checker_greys": QVector2D(*CHECKER_GREYS),
        "checker_size": float(CHECKER_SIZE),
        "channel": _CHANNELS[settings.channel],
        "straight": int(settings.alpha == "straight"),
        "gain": 2.0**settings.exposure,
        "inverse_gamma": 1.0 / settings.gamma,
    }


def _set(program: QOpenGLShaderProgram, values: dict[str, Value]) -> None:
    for name, value in values.items():
        where = program.uniformLocation(name)
        if isinstance(value, int):
            program.setUniformValue1i(where, value)
        elif isinstance(value, float):
            program.setUniformValue1f(where, value)
        else:
            program.setUniformValue(where, value)


def _take_apart(program: QOpenGLShaderProgram) -> None:
    if isValid(program):  # Qt takes it along where the whole application ends
        program.removeAllShaders()


def _program(fragment: str) -> QOpenGLShaderProgram:
    program = QOpenGLShaderProgram()
    add: Callable[[QOpenGLShader.ShaderTypeBit, str], bool] = program.addShaderFromSourceCode
    kinds = QOpenGLShader.ShaderTypeBit
    if not (add(kinds.Vertex, shaders.COVER) and add(kinds.Fragment, fragment) and program.link()):
        raise PainterError(f"the GPU's driver takes no shader of the viewer: {program.log().strip()}")
    return program

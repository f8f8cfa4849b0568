"""Textures of the layers that are shown, and of the tables of an OCIO view. All of it with a context current."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any, NamedTuple, cast

import numpy as np
from PySide6.QtOpenGL import QOpenGLPixelTransferOptions, QOpenGLTexture

from layerflow_desktop.models.display import LutTexture
from layerflow_desktop.models.picture import Half

DEFAULT_LIMIT_BYTES = 512 * 2**20

_Filter = QOpenGLTexture.Filter
_Target = QOpenGLTexture.Target
_HALVES = {
    3: (QOpenGLTexture.TextureFormat.RGB16F, QOpenGLTexture.PixelFormat.RGB),
    4: (QOpenGLTexture.TextureFormat.RGBA16F, QOpenGLTexture.PixelFormat.RGBA),
}
_TABLES = {
    1: (QOpenGLTexture.TextureFormat.R32F, QOpenGLTexture.PixelFormat.Red),
    3: (QOpenGLTexture.TextureFormat.RGB32F, QOpenGLTexture.PixelFormat.RGB),
    4: (QOpenGLTexture.TextureFormat.RGBA32F, QOpenGLTexture.PixelFormat.RGBA),
}
_TARGETS = {2: _Target.Target2D, 3: _Target.Target3D}


class _Kept(NamedTuple):
    pixels: weakref.ref[Half]
    texture: QOpenGLTexture
    num_bytes: int


class LayerTextures:
    """Layers on the GPU, those that were shown last: stepping to and fro sends nothing twice."""

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    @property
    def num_bytes(self) -> int:
        """The memory they take."""
        return sum(kept.num_bytes for kept in self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, pixels: Half) -> QOpenGLTexture:
        """The texture of a layer, as it is in memory."""
        kept = self._kept.get(id(pixels))
        if kept is None or kept.pixels() is not pixels:  # an id is given again once its array is gone
            self._drop(id(pixels))
            kept = _Kept(weakref.ref(pixels), _layer_texture(pixels), pixels.nbytes)
            self._kept[id(pixels)] = kept
        self._kept.move_to_end(id(pixels))
        return kept.texture

    def trim(self) -> None:
        """Frees what was shown longest ago, beyond the limit, and what is no longer in memory."""
        for key in [key for key, kept in self._kept.items() if kept.pixels() is None]:
            self._drop(key)
        while len(self._kept) > 1 and self.num_bytes > self.limit_bytes:
            self._drop(next(iter(self._kept)))

    def release(self) -> None:
        """Frees all."""
        for key in list(self._kept):
            self._drop(key)

    def _drop(self, key: int) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            kept.texture.destroy()


def _layer_texture(pixels: Half) -> QOpenGLTexture:
    height, width, channels = pixels.shape
    texture_format, pixel_format = _HALVES[channels]
    texture = QOpenGLTexture(_Target.Target2D)
    texture.setFormat(texture_format)
    texture.setSize(width, height)
    _fill(texture, pixel_format, QOpenGLTexture.PixelType.Float16, pixels, _Filter.Nearest)
    return texture


def table_texture(table: LutTexture) -> QOpenGLTexture:
    """The texture of a table of an OCIO view."""
    texture = QOpenGLTexture(_TARGETS[table.dimensions])
    texture_format, pixel_format = _TABLES[table.values.shape[-1]]
    texture.setFormat(texture_format)
    texture.setSize(*reversed(table.values.shape[:-1]))
    look_up = _Filter.Linear if table.is_linear else _Filter.Nearest
    _fill(texture, pixel_format, QOpenGLTexture.PixelType.Float32, table.values, look_up)
    return texture


def _fill(
    texture: QOpenGLTexture,
    pixel_format: QOpenGLTexture.PixelFormat,
    pixel_type: QOpenGLTexture.PixelType,
    values: np.ndarray[Any, Any],
    look_up: QOpenGLTexture.Filter,
) -> None:
    texture.setAutoMipMapGenerationEnabled(False)
    texture.setMipLevels(1)
    texture.setMinMagFilters(look_up, look_up)
    texture.setWrapMode(QOpenGLTexture.WrapMode.ClampToEdge)
    texture.allocateStorage(pixel_format, pixel_type)
    packed = QOpenGLPixelTransferOptions()
    packed.setAlignment(1)  # a row of three halves need not end on a multiple of four bytes
    texture.setData(pixel_format, pixel_type, cast(Any, np.ascontiguousarray(values)), packed)

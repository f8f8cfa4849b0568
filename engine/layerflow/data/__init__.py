"""Layered clips to train on, made of what people have: stills and clips with alpha, backgrounds, plain video, layered
stills, matting sets.

Every maker writes one dataset folder (`store`, `manifest`), and one reader (`supply`) gives layered clips of it:

    footage -> copy_paste | video | layered_stills | matting -> store, manifest -> supply -> trainer

Colours are straight and sRGB-encoded, 8 bit; alpha is 8 bit; light is added up in scene-linear unless a dataset says
otherwise. Letters: N clip, G layer, F frame, H W rows and columns.
"""

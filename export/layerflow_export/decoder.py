"""A codec's decoder as a module that can be exported: whole clips of any length and size, latents to pixels.

diffusers' decoder asks of every tensor on its way whether its length is odd, since an odd clip begins with a frame of
its own, and it cuts large tensors into pieces: either would bind a graph to one size. Here the same weights see the
same numbers, and which frame is made of which is worked out once, from the number of latent frames.

Shapes: B clip, F latent frame, T frame on the way, C channel, H W rows and columns.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXSafeConv3d
from einops import rearrange, repeat
from torch import Tensor, nn

from layerflow.codec import Codec, LinearCodec, VideoVAE


class LinearDecoder(nn.Module):
    """The linear codec's way back, `[B, F, C, H, W]` to `[B, 4 F, 3, 8 H, 8 W]`."""

    def __init__(self, codec: LinearCodec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, latents: Tensor) -> Tensor:
        return self.codec.to_pixels(latents)


class VideoDecoder(nn.Module):
    """What `VideoVAE.stream` makes of a whole clip, `[B, F, C, H, W]` to `[B, T, 3, 8 H, 8 W]`, both float32.

    Of an even number of latent frames each makes four; of an odd one the first makes a single frame.
    """

    def __init__(self, codec: VideoVAE) -> None:
        super().__init__()
        self.decoder = copy.deepcopy(codec.vae.decoder)
        for module in self.decoder.modules():
            if isinstance(module, CogVideoXSafeConv3d):
                module.__class__ = nn.Conv3d  # in one piece
        self.scale = codec.scale

    def forward(self, latents: Tensor) -> Tensor:
        network = self.decoder
        clip = rearrange(latents / self.scale, "b f c h w -> b c f h w").to(network.conv_in.conv.weight.dtype)
        hidden, seen = _causal(network.conv_in, clip), clip  # `seen` are the latents, at the size of `hidden`
        for resnet in network.mid_block.resnets:
            hidden = _resnet(resnet, hidden, seen)
        num_frames = 1  # of each latent frame
        for block in network.up_blocks:
            for resnet in block.resnets:
                hidden = _resnet(resnet, hidden, seen)
            for upsampler in block.upsamplers or ():
                if upsampler.compress_time:
                    num_frames *= 2
                    sources = _sources(clip.shape[2], num_frames).to(clip.device)
                    hidden, seen = hidden.index_select(2, sources), seen.index_select(2, sources)
                hidden, seen = _convolved(upsampler.conv, _doubled(hidden)), _doubled(seen)
        hidden = network.conv_act(_spatial_norm(network.norm_out, hidden, seen))
        return rearrange(_causal(network.conv_out, hidden), "b c t h w -> b t c h w").float()


def decoder_of(codec: Codec) -> nn.Module:
    """The decoder of `codec`, never training: latents of the transformer's scale to pixels in about [-1, 1]."""
    if isinstance(codec, LinearCodec):
        return LinearDecoder(codec).eval()
    assert isinstance(codec, VideoVAE)  # there are these two
    return VideoDecoder(codec).eval()


def _sources(num_latents: int, num_frames: int) -> Tensor:
    """For every frame, at `num_frames` of a latent, the one that it repeats of those at half as many."""
    alone = num_latents % 2  # the first frame, once
    return (torch.arange(num_frames * (num_latents - alone) + alone) + alone) // 2


def _doubled(clip: Tensor) -> Tensor:
    return repeat(clip, "b c t h w -> b c t (h 2) (w 2)")


def _convolved(convolution: nn.Conv2d, clip: Tensor) -> Tensor:
    """Each picture by itself."""
    pictures = clip.transpose(1, 2)
    made: Tensor = convolution(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])
    return made.transpose(1, 2)


def _causal(module: Any, clip: Tensor) -> Tensor:
    """A convolution that sees the frames before, and in front of the first one that frame again."""
    before = [clip[:, :, :1]] * (module.time_kernel_size - 1)
    made: Tensor = module.conv(torch.cat([*before, clip], dim=2))
    return made


def _resnet(module: Any, clip: Tensor, latents: Tensor) -> Tensor:
    hidden = _causal(module.conv1, module.nonlinearity(_spatial_norm(module.norm1, clip, latents)))
    hidden = _causal(module.conv2, module.nonlinearity(_spatial_norm(module.norm2, hidden, latents)))
    return hidden + (clip if module.in_channels == module.out_channels else module.conv_shortcut(clip))


def _spatial_norm(module: Any, clip: Tensor, latents: Tensor) -> Tensor:
    return _group_norm(module.norm_layer, clip) * _causal(module.conv_y, latents) + _causal(module.conv_b, latents)


def _group_norm(module: nn.GroupNorm, clip: Tensor) -> Tensor:
    """The same with sums that are taken side by side: onnxruntime's own lose three digits in a clip of 200 pixels."""
    groups = rearrange(clip.float(), "b (g c) t h w -> b g c t h w", g=module.num_groups)
    centred = groups - _mean(groups)
    normed = rearrange(centred * torch.rsqrt(_mean(centred.square()) + module.eps), "b g c t h w -> b (g c) t h w")
    scale, shift = (each.float()[:, None, None, None] for each in (module.weight, module.bias))
    return (normed * scale + shift).to(clip.dtype)


def _mean(groups: Tensor) -> Tensor:
    return groups.mean(5, keepdim=True).mean(4, keepdim=True).mean((2, 3), keepdim=True)

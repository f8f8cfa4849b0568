"""Pixels to latents and back: exact where it must be, measured where it cannot be, and layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import random_linear_codec, tiny_vae
from torch import Tensor

from layerflow.codec import LinearCodec, VideoVAE, decode_layers
from layerflow.layout import LAYERS, Layout

pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def linear() -> LinearCodec:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return random_linear_codec(6)


@pytest.fixture(scope="module")
def make_vae() -> Callable[..., VideoVAE]:
    """A tiny VAE, the same weights each time; options are those of VideoVAE."""

    def make(**options: object) -> VideoVAE:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return VideoVAE(tiny_vae(), **options)  # type: ignore[arg-type]

    return make


def decoded(codec: VideoVAE | LinearCodec, latents: Tensor) -> Tensor:
    return torch.cat(list(codec.stream(latents)))


def test_the_linear_codec_is_exact_within_its_subspace(linear: LinearCodec) -> None:
    latents = torch.randn(3, 6, 2, 5, generator=seeded())
    pixels = decoded(linear, latents)
    assert pixels.shape == (12, 3, 16, 40)
    torch.testing.assert_close(linear.encode(pixels), latents, atol=1e-5, rtol=1e-5)


def test_the_linear_codec_gives_the_nearest_picture_it_can(linear: LinearCodec) -> None:
    """What is lost is orthogonal to all that can be shown."""
    pixels = torch.rand(4, 3, 8, 8, generator=seeded())
    lost = pixels - decoded(linear, linear.encode(pixels))
    again = linear.encode(lost + linear.mean.reshape(4, 8, 8, 3).permute(0, 3, 1, 2))
    assert float(lost.abs().max()) > 0.1 and float(again.abs().max()) < 1e-5


def test_the_linear_codec_knows_no_neighbours(linear: LinearCodec) -> None:
    pixels = torch.rand(8, 3, 16, 24, generator=seeded())
    whole = linear.encode(pixels)
    block = linear.encode(pixels[4:, :, 8:, 16:])
    torch.testing.assert_close(whole[1:, :, 1:, 2:], block, atol=1e-6, rtol=1e-5)
    batched = linear.to_latents(pixels[None, None].expand(2, 3, -1, -1, -1, -1))
    torch.testing.assert_close(batched[1, 2], whole, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(linear.to_pixels(batched)[0, 1], decoded(linear, whole), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("frames", "latents"), [(1, 1), (8, 2), (16, 4), (17, 5)])
@pytest.mark.parametrize("streaming", [False, True])
def test_frame_counts_of_the_vae(make_vae: Callable[..., VideoVAE], frames: int, latents: int, streaming: bool) -> None:
    codec = make_vae(streaming=streaming)
    encoded = codec.encode(torch.rand(frames, 3, 16, 24, generator=seeded()), seeded())
    assert encoded.shape == (latents, 4, 2, 3)
    assert decoded(codec, encoded).shape == (frames, 3, 16, 24)


def test_the_vae_draws_from_its_posterior_by_the_given_generator(make_vae: Callable[..., VideoVAE]) -> None:
    codec, pixels = make_vae(), torch.rand(4, 3, 16, 16, generator=seeded())
    first, same, other = (codec.encode(pixels, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)
    mean, std = codec.posterior(pixels)
    noise = torch.randn(mean.shape, generator=seeded(1))
    assert torch.equal(first, ((mean + std * noise) * codec.scale)[0].transpose(0, 1))
    assert torch.equal(codec.encode(pixels, None), (mean * codec.scale)[0].transpose(0, 1))


def test_the_scale_of_latents_is_taken_out_before_decoding(make_vae: Callable[..., VideoVAE]) -> None:
    codec, latents = make_vae(), torch.randn(2, 4, 2, 2, generator=seeded())
    plain = (
        codec.vae.decode((latents / codec.vae.config.scaling_factor).transpose(0, 1)[None]).sample[0].transpose(0, 1)
    )
    torch.testing.assert_close(decoded(codec, latents), plain, atol=1e-5, rtol=1e-5)


# The norms' statistics are all that streaming changes. Measured on these random weights, whose pictures range over 6.3:
# at worst 0.92 and 0.013 on average; in tiles of 32 pixels 1.63 and 0.036. The bounds are a little more.
@pytest.mark.parametrize(("options", "bound", "mean_bound"), [({}, 1.0, 0.02), ({"tile": 32}, 1.8, 0.05)])
def test_how_far_streaming_is_from_whole_clips(
    make_vae: Callable[..., VideoVAE],
    record_property: Callable[[str, object], None],
    options: dict[str, int],
    bound: float,
    mean_bound: float,
) -> None:
    latents = torch.randn(9, 4, 6, 8, generator=seeded())
    whole, streamed = decoded(make_vae(), latents), decoded(make_vae(streaming=True, **options), latents)
    worst, mean = float((whole - streamed).abs().max()), float((whole - streamed).abs().mean())
    record_property("range", float(whole.max() - whole.min()))
    record_property("worst", worst)
    record_property("mean", mean)
    print(f"{options}: worst {worst:.3f}, mean {mean:.3f} of a range of {float(whole.max() - whole.min()):.3f}")
    assert 0 < worst < bound and mean < mean_bound


def test_streaming_one_latent_frame_is_the_same(make_vae: Callable[..., VideoVAE]) -> None:
    latents = torch.randn(1, 4, 4, 6, generator=seeded())
    assert torch.equal(decoded(make_vae(), latents), decoded(make_vae(streaming=True), latents))
    assert torch.equal(decoded(make_vae(), latents), decoded(make_vae(streaming=True, tile=64), latents))


def test_a_batch_of_two_is_all_a_clip_of_two_has(make_vae: Callable[..., VideoVAE]) -> None:
    latents = torch.randn(2, 4, 4, 6, generator=seeded())
    assert torch.equal(decoded(make_vae(), latents), decoded(make_vae(streaming=True), latents))


def test_the_first_batch_does_not_see_the_rest(make_vae: Callable[..., VideoVAE]) -> None:
    """The convolutions are causal: what streams out early is final."""
    codec = make_vae(streaming=True)
    latents = torch.randn(6, 4, 2, 2, generator=seeded())
    first = next(codec.stream(latents))
    assert torch.equal(first, next(codec.stream(torch.cat([latents[:2], torch.zeros(4, 4, 2, 2)]))))


@pytest.mark.parametrize("num_latents", range(1, 18))
def test_batches_cover_every_latent_once(make_vae: Callable[..., VideoVAE], num_latents: int) -> None:
    batches = list(make_vae(streaming=True)._batches(num_latents, 2))
    assert [start for start, _ in batches] == [0, *(stop for _, stop in batches[:-1])] and batches[-1][1] == num_latents
    assert all(stop - start == 2 for start, stop in batches[1:]) and batches[0][1] in (1, 2, 3)
    assert list(make_vae()._batches(num_latents, 2)) == [(0, num_latents)]


@given(rows=st.integers(1, 40), columns=st.integers(1, 40), side=st.integers(2, 12))
def test_tiles_cover_the_picture_and_overlap(rows: int, columns: int, side: int) -> None:
    codec = object.__new__(VideoVAE)
    codec.tile, codec.spatial = side * 8, 8
    covered = torch.zeros(rows, columns)
    tiles = list(codec._tiles((rows, columns)))
    for down, across in tiles:
        covered[down, across] += 1
        assert 0 <= down.start < down.stop <= rows and 0 <= across.start < across.stop <= columns
        assert (down.stop - down.start, across.stop - across.start) == (min(side, rows), min(side, columns))
    assert (covered > 0).all()
    starts = sorted({down.start for down, _ in tiles})
    assert all(later - earlier < side for earlier, later in pairwise(starts))


@pytest.mark.parametrize("tile", [32, 48, 64])
@pytest.mark.parametrize("shape", [(64, 96), (40, 136), (24, 24)])
def test_pictures_of_any_size_are_encoded_in_tiles(
    make_vae: Callable[..., VideoVAE], tile: int, shape: tuple[int, int]
) -> None:
    """No strip at an edge is too small to be encoded, and each tile's latents come to their own place."""
    pixels = torch.rand(9, 3, *shape, generator=seeded()) * 2 - 1
    whole, _ = make_vae(streaming=True).posterior(pixels)
    tiled, std = make_vae(streaming=True, tile=tile).posterior(pixels)
    assert tiled.shape == whole.shape == (1, 4, 3, shape[0] // 8, shape[1] // 8) and std.isfinite().all()
    alike = torch.corrcoef(torch.stack([whole.flatten(), tiled.flatten()]))[0, 1]
    assert float(alike) > 0.5  # in the wrong place: about 0.03


def test_tiles_of_one_picture_join_to_it(make_vae: Callable[..., VideoVAE]) -> None:
    """Where every tile says the same, so does the whole; here, for latents that are alike everywhere, well inside."""
    latents = torch.ones(1, 4, 1, 1).expand(1, 4, 12, 16)
    tiled = decoded(make_vae(streaming=True, tile=64), latents)
    assert tiled.shape == (1, 3, 96, 128) and tiled.isfinite().all()
    inside = tiled[0, :, 30:34, 30:34]
    assert float(inside.amax((-2, -1)).sub(inside.amin((-2, -1))).max()) < 0.2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("streaming", [False, True])
def test_low_precision_is_near(make_vae: Callable[..., VideoVAE], dtype: torch.dtype, streaming: bool) -> None:
    exact, low = make_vae(streaming=streaming), make_vae(streaming=streaming)
    low.vae.to(dtype)
    pixels = torch.rand(8, 3, 16, 24, generator=seeded())
    latents = exact.encode(pixels, None)
    for made, right in ((low.encode(pixels, None), latents), (decoded(low, latents), decoded(exact, latents))):
        assert made.dtype == torch.float32 and 0 < float((made - right).abs().mean()) < 0.05 * float(right.std())


class Scripted:
    """A codec that hands out numbered frames in pieces, and tells how many latents it has decoded."""

    latent_channels, spatial, temporal = 1, 8, 4

    def __init__(self, pieces: list[int]) -> None:
        self.pieces, self.num_decoded = pieces, 0

    def encode(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        raise AssertionError

    def stream(self, latents: Tensor) -> Iterator[Tensor]:
        frame = 0
        for size in self.pieces:
            self.num_decoded += 1
            yield torch.arange(frame, frame + size)[:, None, None, None].expand(-1, 3, 1, 1) / 1000.0
            frame += size


@pytest.mark.parametrize("lead", [0, 1])
@pytest.mark.parametrize("sizes", [[1], [2], [3], [5], [9], [12], [100], [9, 8]])
def test_layers_come_out_in_order_and_whole(sizes: list[int], lead: int) -> None:
    layout = Layout(layers=LAYERS, num_frames=6, latent_frames=2, lead_frames=lead)
    pieces, total = [], layout.num_sequence_frames
    while sum(pieces) < total:
        pieces.append(min(sizes[len(pieces) % len(sizes)], total - sum(pieces)))
    out = list(decode_layers(Scripted(pieces), torch.zeros(1), layout))
    assert [name for name, _ in out] == list(LAYERS)
    numbers = torch.cat([pixels for _, pixels in out])[:, 0, 0, 0] * 1000
    assert numbers.round().tolist() == list(range(lead, total))


def test_a_layer_is_handed_on_before_the_next_is_decoded() -> None:
    layout = Layout(layers=LAYERS, num_frames=8, latent_frames=2)
    codec = Scripted([8] * 4)
    seen = [(name, codec.num_decoded) for name, _ in decode_layers(codec, torch.zeros(1), layout)]
    assert seen == [("foreground", 1), ("alpha", 2), ("background", 3), ("blended", 4)]


def test_streaming_hands_layers_on_before_the_last_latent_is_decoded(make_vae: Callable[..., VideoVAE]) -> None:
    codec = make_vae(streaming=True)
    seen: list[int] = []
    codec.vae.decoder.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[2]))
    layout = Layout(layers=LAYERS, num_frames=16, latent_frames=4, lead_frames=1)
    latents = torch.randn(17, 4, 2, 2, generator=seeded())
    after = {name: sum(seen) for name, _ in decode_layers(codec, latents, layout)}
    assert after == {"foreground": 5, "alpha": 9, "background": 13, "blended": 17}


def test_pixels_leave_within_range() -> None:
    class Wild(Scripted):
        def stream(self, latents: Tensor) -> Iterator[Tensor]:
            yield torch.tensor([-9.0, 9.0])[:, None, None, None].expand(-1, 3, 1, 1)

    layout = Layout(layers=("blended",), num_frames=2, latent_frames=1)
    ((_, pixels),) = decode_layers(Wild([]), torch.zeros(1), layout)
    assert pixels[:, 0, 0, 0].tolist() == [-1.0, 1.0]


def test_too_few_frames_are_noticed() -> None:
    layout = Layout(layers=LAYERS, num_frames=8, latent_frames=2)
    with pytest.raises(ValueError, match=r"too few frames: \['blended'\] are missing"):
        list(decode_layers(Scripted([31]), torch.zeros(1), layout))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_overflow_is_told_and_not_shown_as_white(number: float) -> None:
    class Overflowing(Scripted):
        def stream(self, latents: Tensor) -> Iterator[Tensor]:
            for pixels in super().stream(latents):
                pixels[-1, 0, 0, 0] = number
                yield pixels

    layout = Layout(layers=LAYERS, num_frames=4, latent_frames=1)
    with pytest.raises(FloatingPointError, match="the decoded pixels are not finite"):
        list(decode_layers(Overflowing([16]), torch.zeros(1), layout))

"""The tour of the engine: prompts and given pictures in, the layers of one clip out.

    given pictures -> codec -> given latents ┐
    prompts -> text -> embeddings            ├-> sampler (denoiser) -> latents -> codec -> layers
    seed -> noise ───────────────────────────┘

A clip is as many frames as the model makes at once; `shots.py` makes shots of clips. Pixels here are torch tensors
`[F, 3, H, W]` of the model's size, display-referred sRGB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from layerflow.codec import decode_layers
from layerflow.denoisers import LayerDenoiser, given_mask, splice
from layerflow.errors import ModelError, RequestError
from layerflow.hints import Guess, Hint, guess_of
from layerflow.layout import Layout
from layerflow.models.load import Engine
from layerflow.preprocess import to_signed, to_unit
from layerflow.quality import EXACT, Quality
from layerflow.sampler import Sampler, SamplerState, guided, with_constant_guidance
from layerflow.seams import Known
from layerflow.step_cache import Reuse, reusing
from layerflow.text import Dropped, layer_prompts

# What the sequence holds where a layer is not known yet, best first. The codec mixes neighbouring layers a little, so
# the released models were conditioned with the picture at hand in the empty slots rather than with grey.
STAND_INS = ("blended", "background", "foreground")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What one clip is made from."""

    layout: Layout
    prompts: Mapping[str, str]  # by layer
    given: Mapping[str, Tensor]  # layer -> [F, 3, H, W] in [-1, 1]
    seed: int
    height: int
    width: int
    hint: Hint | None = None  # of the alpha
    drawn: bool = True  # given latents are drawn from the codec's posterior, as released; else they are its mean


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a clip is sampled under."""

    layout: Layout
    given: Tensor  # [1, given frames, C, h, w], clean latents
    text: Tensor  # [1, prompts, tokens, width]
    generator: torch.Generator  # after the codec's draws, before the sampler's
    guess: Guess | None = None  # of what is made
    known: Known | None = None  # of what is made; the last step is free, so that its ends fit the rest


def make_clip(
    engine: Engine,
    clip: Clip,
    sampler: Sampler,
    *,
    reuse: Reuse | None = None,
    state: SamplerState | None = None,
    on_state: Callable[[SamplerState], None] = lambda state: None,
) -> dict[str, Tensor]:
    """The layers of a clip by name, `[F, 3, H, W]` in [0, 1] on the CPU.

    Every random draw comes from one CPU generator: first the codec's, then the sampler's. The rest is said of its
    parts: `encode_clip`, `sample_clip`, `decode_clip`.
    """
    conditions = encode_clip(engine, clip)
    latents = sample_clip(engine, conditions, sampler, reuse=reuse, state=state, on_state=on_state)
    return decode_clip(engine, clip.layout, latents)


def encode_clip(engine: Engine, clip: Clip) -> Conditions:
    """Prompts and given pictures as the denoiser sees them."""
    generator = torch.Generator().manual_seed(clip.seed)
    latents = known_latents(engine, clip, generator)
    return Conditions(
        layout=clip.layout,
        given=latents[given_mask(clip.layout)][None],
        text=embed_prompts(engine, clip),
        generator=generator,
        guess=None if clip.hint is None else guess_of(clip.hint, clip.layout, latents),
    )


def sample_clip(
    engine: Engine,
    conditions: Conditions,
    sampler: Sampler,
    *,
    reuse: Reuse | None = None,
    state: SamplerState | None = None,
    on_state: Callable[[SamplerState], None] = lambda state: None,
) -> Tensor:  # [f, C, h, w]
    """Clean latents of the whole sequence, float32 on the CPU.

    `on_state` gets the sampler's state after every step; handing one back as `state` goes on from there, to the same
    bits. With `reuse`, only one after which a step begins anew may be handed back: ValueError for another.
    Raises RequestError or ModelError when numbers run out of range; nothing of that step is kept.
    """
    layout, given = conditions.layout, conditions.given
    denoiser = LayerDenoiser(
        network=engine.network, layout=layout, given=given, device=engine.device, dtype=engine.dtype
    )
    guided_v = guided(denoiser, conditions.text, sampler.guidance)
    if state and state.step < sampler.num_steps and reuse and not reuse.begins_anew(state.step):
        raise ValueError(f"no run can go on from step {state.step} under {reuse}: what it reuses is not kept")
    state = state or sampler.start((1, layout.num_predicted, *given.shape[2:]), conditions.generator)
    with _finite(engine), engine.sampling(), reusing(engine.transformer, layout, reuse) as begin:
        while state.step < sampler.num_steps:
            begin(state.step)
            is_last = state.step == sampler.num_steps - 1
            signal = 1.0 if is_last else sampler.signal(state.step)
            state = sampler.step(state, guided_v, settle=partial(_settled, conditions, signal=signal))
            on_state(state)
    return splice(layout, state.latents, given)[0]


def _settled(conditions: Conditions, estimate: Tensor, *, signal: float) -> Tensor:
    """The sampler's estimate of the clean latents, corrected by what is known; `signal` is 1 in the last step."""
    if conditions.guess is not None:
        estimate = conditions.guess.put(estimate, signal=signal)
    return estimate if conditions.known is None or signal == 1.0 else conditions.known.put(estimate)


def decode_clip(engine: Engine, layout: Layout, latents: Tensor) -> dict[str, Tensor]:
    """The layers in latents `[f, C, h, w]` by name, `[F, 3, H, W]` in [0, 1] on the CPU.

    Raises RequestError or ModelError when numbers run out of range.
    """
    with _finite(engine):
        return {name: to_unit(pixels) for name, pixels in decode_layers(engine.codec, latents, layout)}


@contextmanager
def _finite(engine: Engine) -> Iterator[None]:
    """Turns numbers that ran out of range into the user's next step."""
    try:
        yield
    except FloatingPointError as error:
        name = engine.folder.manifest.name
        if engine.dtype == torch.float16:
            raise RequestError(
                f"model {name} gave numbers that are not finite in float16; use --precision bfloat16 or float32"
            ) from error
        raise ModelError(
            f"model {name} gave numbers that are not finite ({error}); check it with layerflow models verify"
        ) from error


def known_latents(engine: Engine, clip: Clip, generator: torch.Generator) -> Tensor:  # [f, C, h, w]
    """Clean latents of the whole sequence, encoded in one pass; of no meaning where a layer is not known."""
    if not clip.given:
        side = engine.codec.spatial
        shape = clip.layout.num_latents, engine.codec.latent_channels, clip.height // side, clip.width // side
        return torch.zeros(shape)
    return engine.codec.encode(sequence_pixels(clip), generator if clip.drawn else None).float().cpu()


def encode_layers(engine: Engine, clip: Clip) -> Tensor:  # [f, C, h, w]
    """Clean latents of the whole sequence of a clip whose layers are all given, without a draw."""
    return engine.codec.encode(sequence_pixels(clip), None).float().cpu().contiguous()


def sequence_pixels(clip: Clip) -> Tensor:  # [sequence frames, 3, H, W] in [-1, 1]
    """All layers one after another along time, with stand-ins for the unknown ones and the lead frame in front."""
    stand_in = clip.given[next(name for name in STAND_INS if name in clip.given)]
    guessed = {} if clip.hint is None else {"alpha": to_signed(clip.hint.alpha).expand(-1, 3, -1, -1)}
    known = {**clip.given, **guessed}
    layers = [known.get(name, stand_in) for name in clip.layout.layers]
    lead = layers[0][: clip.layout.lead_frames]
    return torch.cat([lead, *layers])


def embed_prompts(engine: Engine, clip: Clip) -> Tensor:  # [1, prompts, tokens, width]
    """Text embeddings of the layout's prompts, each encoded alone."""
    return engine.text.encode(layer_prompts(clip.layout, dict(clip.prompts)))[None]


def dropped_words(engine: Engine, clip: Clip) -> dict[str, Dropped]:
    """The end of each prompt that is too long for the text encoder, by layer."""
    numbered = zip(clip.layout.prompts, layer_prompts(clip.layout, dict(clip.prompts)), strict=True)
    return {name: tail for name, prompt in numbered if (tail := engine.text.dropped(prompt)) is not None}


def pick_sampler(
    own: Sampler, *, steps: int | None, guidance: float | None, kind: str | None, quality: Quality = EXACT
) -> Sampler:
    """The model's own sampler with what the request changes. A guidance number means that weight in every step."""
    own = quality.sampler(own)
    changes = {"num_steps": steps, "kind": kind}
    sampler = replace(own, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]
    return sampler if guidance is None else with_constant_guidance(sampler, guidance)

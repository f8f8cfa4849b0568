"""What the release does otherwise than one would, and what of it a model folder still does.

What the release does is in the class defaults of Sampler and in VARIANTS, and a model folder records it as its sampler
and layouts. `Fidelity` says which of the four quirks are kept; `--faithful` keeps them all. docs/fidelity.md has the
figures behind the defaults.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from layerflow.layout import Layout
from layerflow.sampler import Sampler, with_constant_guidance


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """Four ways of a model; True is as it was released."""

    guidance: bool = True  # the sampler's own schedule, which jumps in the release; else its mean in every step
    snapping: bool = True  # the denoiser counts on the nearest of the 1000 training levels; else on the level itself
    posterior: bool = True  # given latents are drawn; else they are the posterior's mean
    condition: bool = True  # the given latents of the layout; else all of every layer of which some are given

    def __post_init__(self) -> None:
        if wrong := [name for name, value in asdict(self).items() if not isinstance(value, bool)]:
            raise ValueError(f"{wrong[0]} must be true or false")

    def sampler(self, own: Sampler) -> Sampler:
        """`own`, the sampler of the release, with its quirks kept or not. Its mean weight is that of its own steps."""
        if own.guidance.jumps and not self.guidance:
            own = with_constant_guidance(own, own.mean_guidance)
        return own if self.snapping else replace(own, snaps=False)

    def layout(self, own: Layout) -> Layout:
        """`own`, the layout of the release, with its condition as it is or whole."""
        return own if self.condition else own.with_whole_condition()


RELEASED = Fidelity()

# What the manifest of an imported checkpoint says: `Manifest(sampler=Sampler(), fidelity=IMPORTED, ...)`. All as
# released, since on the bundled model no clean choice that such a checkpoint could take scored better.
IMPORTED = Fidelity()

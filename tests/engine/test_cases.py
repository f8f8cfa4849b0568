"""Kinds of batches: how often each comes, and what is given in it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from layerflow.layout import ALL_LAYERS, Layout
from layerflow.training.cases import Cases, Shares

NUM = 4000


def drawn(shares: Shares, num: int = NUM) -> list[Layout]:
    cases, rng = Cases(num_frames=8, latent_frames=2, shares=shares), np.random.default_rng(0)
    return [cases.draw(rng) for _ in range(num)]


def given(layout: Layout) -> tuple[str, ...]:
    return tuple(name for name in layout.layers if layout.is_given(name))


def test_every_kind_comes_as_often_as_it_should() -> None:
    shares = Shares()
    kinds = Counter((len(layout.layers), given(layout), layout.prompts) for layout in drawn(shares))
    apart = ("foreground", "background")
    expected = {
        (4, ("blended",), apart): shares.decompose,
        (5, ("guide", "blended"), apart): shares.guided,
        (4, ("alpha", "blended"), apart): shares.matted,
        (6, ("blended",), (*apart, "foreground2")): shares.decompose_two,
        (4, (), (*apart, "blended")): shares.generate,
        (2, (), ("foreground",)): shares.element,
        (6, (), (*apart, "blended", "foreground2")): shares.generate_two,
    }
    for kind, share in expected.items():
        assert kinds[kind] / NUM == pytest.approx(share, abs=0.02)


def test_any_layers_may_be_given_but_never_all_and_never_none() -> None:
    nothing = dict.fromkeys(Shares.__dataclass_fields__, 0.0)
    sets = Counter((len(layout.layers), given(layout)) for layout in drawn(Shares(**nothing | {"any": 1.0})))
    assert {size for size, _ in sets} == {4, 6} and len([1 for size, _ in sets if size == 4]) == 2**4 - 2
    assert len(sets) > 60 and all(0 < len(names) < size for size, names in sets)
    assert {name for _, names in sets for name in names} == set(ALL_LAYERS) - {"guide"}


@pytest.mark.parametrize("changes", [{"generate": 0.5}, {"generate": -0.1, "any": 0.29}])
def test_shares_come_to_one(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="come to 1"):
        Shares(**changes)

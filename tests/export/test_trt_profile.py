"""Ranges of sizes: what `--profile` says, and the shapes that come of it."""

from __future__ import annotations

import re

import pytest

from layerflow.errors import RequestError
from layerflow_export.trt.profile import Range, parse_profile, shapes

INPUTS = {"latents": ("batch", "4*frames", 16, "2*rows"), "timestep": ("batch",)}
PROFILE = {"batch=1/2/2", "frames=1/2/4", "rows=30"}


def test_known_shapes():
    assert shapes(INPUTS, parse_profile(PROFILE)) == {
        "latents": [[1, 4, 16, 60], [2, 8, 16, 60], [2, 16, 16, 60]],
        "timestep": [[1], [2], [2]],
    }


def test_sums_and_quotients_of_names():
    inputs = {"x": ("a + 2*b - 1", "a//2")}
    assert shapes(inputs, parse_profile(["a=4", "b=3/5/7"])) == {"x": [[9, 2], [13, 2], [17, 2]]}


def test_a_range_says_what_was_parsed():
    assert str(parse_profile(["rows=1/2/3"])["rows"]) == "1/2/3"
    with pytest.raises(ValueError, match="rising from 1"):
        Range(minimum=0, optimum=1, maximum=1)


@pytest.mark.parametrize("text", ["rows", "rows=", "rows=3/2/1", "rows=0/1/1", "rows=1/2", "rows=a/b/c", "=x"])
def test_a_bad_range_is_a_sentence(text):
    with pytest.raises(RequestError, match=f"--profile '{text}' is not a name and a rising range; write e.g."):
        parse_profile([text])


@pytest.mark.parametrize(
    ("profile", "sentence"),
    [
        (PROFILE - {"rows=30"}, "no range is given for rows; add --profile rows=MIN/OPT/MAX"),
        (PROFILE | {"depth=3"}, "the graph has no dimension 'depth'; it has batch, frames, rows"),
    ],
)
def test_ranges_and_dimensions_have_to_meet(profile, sentence):
    with pytest.raises(RequestError, match=re.escape(sentence)):
        shapes(INPUTS, parse_profile(sorted(profile)))


def test_a_dimension_that_cannot_be_worked_out_is_a_sentence():
    with pytest.raises(RequestError, match="'max\\(a, 3\\)' is not a size"):
        shapes({"x": ("max(a, 3)",)}, parse_profile(["a=1", "max=1"]))

"""What the names of scores mean: each is "ROW.NAME", and a name is words about whose layer it is and a measure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One kind of score."""

    says: str
    unit: str = ""
    digits: int = 3
    better: str = ""  # "higher", "lower", or neither

    def told(self, value: float) -> str:
        """`value` as it is printed."""
        return f"{value:.{self.digits}f} {self.unit}".strip()


def _psnr(says: str) -> Measure:
    return Measure(says=says, unit="dB", digits=1, better="higher")


MEASURES: dict[str, Measure] = {  # by the end of a name, the longest that fits
    "matte_iou": Measure(says="matte: IoU at 0.5", better="higher"),
    "matte_mae": Measure(says="matte: mean absolute error", digits=4, better="lower"),
    "matte_mse": Measure(says="matte: mean squared error", digits=4, better="lower"),
    "matte_grad": Measure(says="matte: gradient error of a frame", digits=0, better="lower"),
    "matte_conn": Measure(says="matte: connectivity error of a frame", digits=0, better="lower"),
    "matte_dtssd": Measure(says="matte: dtSSD, how much it flickers", digits=4, better="lower"),
    "visible_matte_iou": Measure(says="matte as far as the first leaves it to see: IoU at 0.5", better="higher"),
    "visible_matte_mae": Measure(
        says="matte as far as the first leaves it to see: mean absolute error", digits=4, better="lower"
    ),
    "psnr": _psnr("PSNR"),
    "psnr_hole": _psnr("PSNR in the hole, alpha above 0.5"),
    "psnr_outside": _psnr("PSNR outside of it"),
    "ssim": Measure(says="SSIM", better="higher"),
    "gmsd": Measure(says="GMSD", better="lower"),
    "flow": Measure(says="dynamic degree, optical flow of a frame in the height", unit="%", digits=2),
    "change": Measure(says="mean absolute difference of neighbouring frames", digits=4),
    "warped": Measure(says="what flow leaves of that difference", digits=4, better="lower"),
    "coverage": Measure(says="mean alpha"),
    "empty": Measure(says="share of clips without alpha above 0.5", better="lower"),
    "prompt": Measure(says="right prompt among 16, chance .063", better="higher"),
    "prompt_ceiling": Measure(says="the same of fresh real renders, as fitted"),
    "prompt_real": Measure(says="the same of fresh real renders of the pack"),
    "iou": Measure(says="matte: IoU at 0.5, mean of frames", better="higher"),
    "subject_consistency": Measure(says="VBench: DINO features that stay", better="higher"),
    "aesthetic_quality": Measure(says="VBench: LAION aesthetic score, 0 to 1", better="higher"),
    "overall_consistency": Measure(says="VBench: ViCLIP, picture to words", better="higher"),
    "dynamic_degree": Measure(says="VBench: share of clips that move, by RAFT"),
}

WHOSE: dict[str, str] = {  # by how a name begins
    "model": "the model's own",  # before they are refined and solved
    "plate": "the plate",  # as background; from here on no model is needed
    "blob": "a centre blob",  # as matte
    "whole": "all white",
    "empty": "all black",
    "grey": "mid-grey",
    "rough": "the rough roto",
    "both": "both together",  # of two foregrounds, as the matte of either
    "true": "held-out clips",
}

REAL: dict[str, str] = {  # by how a name of real plates ends, the longest first
    "rough_itself_iou": "trivial: the rough roto itself",
    "rough_iou": "with the rough roto as a guide",
    "blob_iou": "trivial: an ellipse in the middle as matte",
    "iou": "without a guide",
}

LAYERS: dict[str, str] = {
    "first": "first foreground",  # of two, the one in front
    "second": "second foreground",
    "foreground": "foreground over mid-grey",
    "background": "background",
    "blended": "blended",
    "recomposition": "layers over each other",
}


def measure_of(name: str) -> Measure:
    """The measure of the score `name`, with or without its row. Raises KeyError for a name that is no score's."""
    words = name.rpartition(".")[2].split("_")
    for first in range(len(words)):
        if (end := "_".join(words[first:])) in MEASURES:
            return MEASURES[end]
    raise KeyError(f"no score is called {name!r}")


def meaning(name: str) -> str:
    """The score `name` in words."""
    row, _, own = name.rpartition(".")
    words = own.split("_")
    told = [LAYERS[word] for word in words if word in LAYERS][:1]
    whose = [WHOSE[words[0]]] if words[0] in WHOSE and len(words) > 1 else []
    if row == "real":
        whose = [REAL[end] for end in REAL if own.endswith(end)][:1]
    return ", ".join([": ".join([*told, measure_of(own).says]), *whose])


def whose(name: str) -> tuple[str, str]:
    """Whose layer the score `name` (without its row) is of, a key of WHOSE or empty; and the rest of the name."""
    first, _, rest = name.partition("_")
    return (first, rest) if first in WHOSE and rest else ("", name)

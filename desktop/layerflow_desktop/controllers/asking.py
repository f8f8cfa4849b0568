"""From the panel to the request that the engine gets. Values alone: nothing here looks at a disk or asks a server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from layerflow.wire import Request
from layerflow.wire.asking import again, new_seed, told_apart
from layerflow_desktop.models.document import Document, ShotSettings, Take

Making = Callable[[str], Request]  # a request, of where it goes

_PLATES = {
    "decompose": "there is no plate to take apart; drop frames or a movie on Plate",
    "background": "there is no foreground to make a background for; drop its frames on Foreground",
    "foreground": "there is no background to make a foreground for; drop its frames on Background",
}
_SHARED = ("quality", "seed", "steps", "guidance", "motion", "fit", "memory", "precision", "device", "backend", "lora")
_PICTURE_LAYER = re.compile(r"foreground([0-9]*)|background")


def request_of(document: Document, output: str) -> Request:
    """What the panel asks for, to `output`. A ValueError says in one sentence what is missing or wrong."""
    shot = document.shot
    return Request(
        shot.task,
        **_words(shot),
        **_plate(shot),
        **_matte(shot),
        **_range(shot),
        **_making(shot),
        output=output,
    )


def edit_request(document: Document, take: Take, output: str) -> Request:
    """What makes the unlocked layer of a take anew, while the locked ones stay as they are, to the bit.

    The engine makes exactly one layer at a time, and leaves out what is neither kept nor made; so all but one have to
    be locked. ValueError.
    """
    kept, new = kept_and_new(document)
    shot = document.shot
    fronts = [name for name in kept if name != "background"]
    words = [_prompt(shot, name) for name in (fronts if new == "background" else [new])]
    if not _prompt(shot, new):
        raise ValueError(f"{_spoken(new)} is made anew; describe it in a few words under {_field(new)}")
    return Request(
        "edit",
        plate=take.pattern,
        keep=tuple(kept),
        foreground=", ".join(filter(None, words)),
        background=shot.background.strip(),
        blended=shot.blended.strip(),
        **{**_making(shot), **_of_take(take)},
        output=output,
    )


def kept_and_new(document: Document) -> tuple[list[str], str]:
    """The locked layers, and the one that is made for them. A ValueError says why there is no such one."""
    layers = [layer for layer in document.layers if _PICTURE_LAYER.fullmatch(layer.name)]
    kept = [layer.name for layer in layers if layer.locked]
    others = [layer.name for layer in layers if not layer.locked]
    if not kept:
        raise ValueError("no layer is locked; lock the ones to keep")
    if not others:
        raise ValueError("every layer is locked; unlock the one to make anew")
    if len(others) > 1:
        names = " and ".join(others)
        raise ValueError(f"{names} are unlocked and one layer is made at a time; lock all but one of them")
    return kept, others[0]


def has_locks(document: Document) -> bool:
    """Whether some layer of the picture is to stay."""
    return any(layer.locked and _PICTURE_LAYER.fullmatch(layer.name) for layer in document.layers)


def generate_plan(document: Document) -> tuple[Making, int]:
    """What Generate asks for, and its seed. A ValueError says why it cannot."""
    seed = document.shot.seed if document.shot.lock_seed else new_seed()
    seeded = document.with_(shot=document.shot.with_(seed=seed))
    return lambda output: request_of(seeded, output), seed


def regenerate_plan(document: Document) -> tuple[Making, int]:
    """What Regenerate asks for, and its seed. A ValueError says why it cannot."""
    take = document.current_take()
    if take is None:
        raise ValueError("there is no take to make again; press Generate")
    shot = document.shot
    if has_locks(document):
        seed = shot.seed if shot.lock_seed else new_seed()
        seeded = document.with_(shot=shot.with_(seed=seed))
        return lambda output: edit_request(seeded, take, output), seed
    if not take.request:
        raise ValueError(f"{take.name} does not say how it was made; press Generate, or lock layers of it to keep")
    request = Request.from_dict(take.request)
    same = not shot.lock_seed or shot.seed == request.seed  # the same seed would make the same frames
    seed = new_seed() if same else shot.seed
    return lambda output: again(request, seed, output), seed


def _words(shot: ShotSettings) -> dict[str, Any]:
    """The prompts, those of the layers that the task has no use for left out."""
    first = shot.foreground.strip()
    further = [text.strip() for text in shot.further if text.strip()]
    prompts = told_apart(shot.task, [first, *further], first)
    if prompts["foregrounds"] and not first:
        raise ValueError("the first foreground is empty and there are more; say what each of them shows")
    for layer in ("foreground", "background"):
        if shot.task in ("generate", layer) and not _prompt(shot, layer):
            raise ValueError(f"there is no {layer} to make; describe it in a few words")
    return {
        **prompts,
        "background": shot.background.strip(),
        "blended": shot.blended.strip(),
    }


def _plate(shot: ShotSettings) -> dict[str, Any]:
    if shot.task == "generate":
        return {}
    if not shot.plate.strip():
        raise ValueError(_PLATES[shot.task])
    return {"plate": shot.plate.strip(), "colorspace": shot.colorspace.strip() or None}


def _matte(shot: ShotSettings) -> dict[str, Any]:
    """What only taking a plate apart has a use for."""
    if shot.task != "decompose":
        return {}
    given: dict[str, Any] = {"refine": shot.refine, "closeup": shot.closeup}
    if shot.guide.strip():
        given.update(guide=shot.guide.strip(), guide_kind=shot.guide_kind)
    several = any(text.strip() for text in shot.further)
    if several and shot.guide.strip():
        raise ValueError("a matte guide is of one foreground and there are several; clear the guide, or the others")
    if several and shot.closeup:
        raise ValueError("the closer look is at one foreground and there are several; switch it off, or clear them")
    return given


def _range(shot: ShotSettings) -> dict[str, Any]:
    """First and last frame; of generate the first, and how many."""
    if shot.task != "generate" or shot.num_frames is None:
        return {"first_frame": shot.first_frame, "last_frame": shot.last_frame}
    return {"first_frame": shot.first_frame, "num_frames": shot.num_frames}


def _making(shot: ShotSettings) -> dict[str, Any]:
    given = {name: getattr(shot, name) for name in _SHARED}
    if not shot.model.strip():
        raise ValueError("there is no model; choose one")
    return {**given, "model": shot.model.strip(), "fps": shot.fps, "output_colorspace": shot.output_colorspace}


def _of_take(take: Take) -> dict[str, Any]:
    """What has to be as in the take, for the layers to stay to the bit: the space they are in."""
    space = take.request.get("output_colorspace")
    return {"output_colorspace": space} if isinstance(space, str) and space else {}


def _prompt(shot: ShotSettings, layer: str) -> str:
    """The prompt of a layer, by its name in the frames."""
    if layer == "background":
        return shot.background.strip()
    number = int(layer[len("foreground") :] or 1)
    prompts = (shot.foreground, *shot.further)
    return prompts[number - 1].strip() if 0 < number <= len(prompts) else ""


def _spoken(layer: str) -> str:
    return f"the {layer}" if layer in ("foreground", "background") else layer


def _field(layer: str) -> str:
    number = layer[len("foreground") :] if layer.startswith("foreground") else ""
    return f"Foreground {number}" if number not in ("", "1") else layer.rstrip("1").capitalize()


def prompts_of(shot: ShotSettings) -> Mapping[str, str]:
    """The prompts by layer, those that are empty left out."""
    named = {"foreground": shot.foreground, "background": shot.background, "blended": shot.blended}
    named |= {f"foreground{number}": text for number, text in enumerate(shot.further, start=2)}
    return {layer: text.strip() for layer, text in named.items() if text.strip()}

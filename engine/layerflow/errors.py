"""What a caller may catch.

LayerFlowError
├── RequestError   the request itself: prompts, numbers, frame range, task against model
├── PlateError     a plate that is missing, damaged or unusable
├── ColorError     an unknown colour space or OCIO config
├── ModelError     a model folder or LoRA that is missing, damaged or of the wrong kind
├── OutputError    an output that cannot be written, or is already there
├── ProcessLost    one of several processes that make a shot is gone; what was done is kept, as when interrupted
└── Interrupted    someone asked to stop; what was done is kept, and --resume goes on from there

Every message is one sentence for an artist: what is wrong, then the next step. `ValueError` stays for a wrong argument
in our own calls.
"""

from __future__ import annotations

from typing import ClassVar


class LayerFlowError(Exception):
    """Base of every error that is the user's to solve. `exit_code` is what the command line returns."""

    exit_code: ClassVar[int] = 1


class RequestError(LayerFlowError):
    """The request cannot be carried out as it stands."""

    exit_code = 2


class PlateError(LayerFlowError):
    """The plate is missing, damaged or unusable."""

    exit_code = 3


class ColorError(LayerFlowError):
    """A colour space or OCIO config is unknown."""

    exit_code = 4


class ModelError(LayerFlowError):
    """The model folder or a LoRA is missing, damaged or of the wrong kind."""

    exit_code = 5


class OutputError(LayerFlowError):
    """The output cannot be written, or is already there."""

    exit_code = 6


class ProcessLost(LayerFlowError):  # noqa: N818 - as Interrupted
    """One of the processes that make a shot together is gone. Its state is kept."""


class Interrupted(LayerFlowError):  # noqa: N818 - a wish, not a failure
    """The work was stopped on request, between two steps. Its state is kept."""

    exit_code = 130

"""Nuke, for the tests of its plug-in: a stand-in, for no Nuke runs where tests do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parent / "stand_in"))


@pytest.fixture
def nuke() -> Iterator[ModuleType]:
    """A Nuke with a window that was just started, with an empty script. Afterwards it is as if it had ended."""
    import nuke
    from nuke import _stand_in

    _stand_in.reset()
    yield nuke
    _stand_in.reset()

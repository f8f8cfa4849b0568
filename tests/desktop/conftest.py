"""Windows that nobody sees, and a place of their own for what the app keeps."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session", autouse=True)
def own_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what the tests remember out of the user's own state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFLOW_STUDIO", str(tmp_path_factory.mktemp("studio")))
        patch.setattr(os, "fsync", lambda handle: None)  # a busy disk takes seconds, and nobody pulls the plug here
        yield

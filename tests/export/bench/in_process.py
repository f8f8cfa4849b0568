"""Workers without processes of their own, for tests that are about what is asked and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from layerflow.errors import LayerFlowError, RequestError
from layerflow_export.bench.case import Case
from layerflow_export.bench.runner import Runner


class Here:
    """A Worker whose Runner is in this process."""

    def __init__(self, *loaded: Any) -> None:
        self.loaded, self.runner = loaded, None

    def ask(self, what: str, *arguments: Any) -> Any:
        try:
            self.runner = self.runner or Runner(*self.loaded)
            return getattr(self.runner, what)(*arguments)
        except LayerFlowError as error:
            raise RequestError(str(error)) from error


@contextmanager
def working(case: Case, backend: str, precision: str = "auto", plan: str = "full") -> Iterator[Here]:
    yield Here(case, backend, precision, plan)

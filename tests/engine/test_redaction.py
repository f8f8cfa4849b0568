"""The token stays out of logs, whatever is written there."""

from __future__ import annotations

import io
import logging

from layerflow.server.redaction import RedactingFormatter


def test_fault_5_a_log_holds_no_token() -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setFormatter(RedactingFormatter("s3cret"))
    logger = logging.Logger("own")
    logger.addHandler(handler)
    logger.warning("GET /v1/jobs?token=%s", "s3cret")
    try:
        raise ValueError("Bearer s3cret")
    except ValueError:
        logger.exception("failed s3cret")
    assert "s3cret" not in log.getvalue()
    assert "GET /v1/jobs?token=[token]" in log.getvalue() and "Traceback" in log.getvalue()

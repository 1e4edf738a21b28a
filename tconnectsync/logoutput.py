"""Shows what the program logs on the standard error output, without secrets."""

from __future__ import annotations

import logging
import sys
import warnings
from datetime import tzinfo

from tconnectsync.redact import RedactingFormatter, Redactor


def enable_logging(
    level: int = logging.INFO, redactor: Redactor | None = None, zone: tzinfo | None = None
) -> None:
    """Show what the program does on the standard error output.

    Times are those of ``zone``, or of this computer as long as none is known. What the redactor
    knows is not shown. Calling it again changes all of that. Other libraries stay silent: their
    warnings name whole addresses, with what is in them.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(redactor or Redactor(), zone))
    logger = logging.getLogger("tconnectsync")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")

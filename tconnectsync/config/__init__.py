"""The settings: one table of variables, read and validated.

Values come from the environment, else from the first ``.env`` file found. Nothing is read before
:func:`load` is called, and all problems are reported at once.
"""

from tconnectsync.config.settings import (
    Settings,
    env_files,
    load,
    notices,
    read,
    read_env_files,
    readable,
    secrets,
)
from tconnectsync.config.variables import (
    REQUIRED,
    RETIRED,
    VARIABLES,
    Variable,
)

__all__ = [
    "REQUIRED",
    "RETIRED",
    "VARIABLES",
    "Settings",
    "Variable",
    "env_files",
    "load",
    "notices",
    "read",
    "read_env_files",
    "readable",
    "secrets",
]

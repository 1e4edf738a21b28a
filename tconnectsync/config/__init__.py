"""The settings: one table of variables, read and validated.

Values come from the environment, else from the first ``.env`` file found, unless a file is named:
then that file comes first. All problems are reported at once.
"""

from tconnectsync.config.settings import Configuration, Settings, env_files, load, read_env_files
from tconnectsync.config.variables import REQUIRED, RETIRED, VARIABLES, Variable

__all__ = [
    "REQUIRED",
    "RETIRED",
    "VARIABLES",
    "Configuration",
    "Settings",
    "Variable",
    "env_files",
    "load",
    "read_env_files",
]

"""The settings as they are answered so far, and the file that they will be written to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tconnectsync.config.envfile import EnvFile, read_env_file, text_of, why_not_read
from tconnectsync.config.settings import Configuration
from tconnectsync.config.variables import VARIABLES
from tconnectsync.errors import UsageError
from tconnectsync.setup.backup import replace_with_backup
from tconnectsync.setup.envtext import changed


class Draft:
    """Answers, over what the file holds; nothing is written before :meth:`write`.

    Args:
        path: the file; it need not exist.
        environment: the variables that are set.

    Raises:
        UsageError: there is something in its place that cannot be changed.
    """

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self.path = path
        self.answers: dict[str, str] = {}
        """What was answered, by the variable's name, in the order of the questions."""
        self.is_written = False
        self._environment = environment
        self._text = _text_of(path)
        self._before = read_env_file(path) if path.exists() else EnvFile(path)
        self._known = Configuration(self._before).given

    @property
    def is_new(self) -> bool:
        """Whether there is no file yet."""
        return not self.path.exists()

    @property
    def is_foreign(self) -> bool:
        """Whether there is a file that sets nothing of ours that only we need."""
        return bool(self._text.strip()) and not {"TCONNECT_EMAIL", "NS_URL"} & set(self._known)

    def before(self, name: str) -> str:
        """Return what the file says now; empty if nothing."""
        return self._known[name].value if name in self._known else ""

    def configuration(self) -> Configuration:
        """Return the settings as they will be read; what is answered overrules all else."""
        hidden = {each for it in VARIABLES if it.name in self.answers for each in it.all_names}
        file = EnvFile(self.path)
        file.update((name, it) for name, it in self._before.items() if name not in hidden)
        file.update(self.answers)
        others = {name: it for name, it in self._environment.items() if name not in hidden}
        return Configuration(file, others)

    def overruled(self) -> list[str]:
        """Return the answered variables that the environment sets to something else."""
        return [
            name
            for name, value in self.answers.items()
            if self._environment.get(name, value).strip() not in ("", value)
        ]

    def write(self) -> Path | None:
        """Write the file; return the copy of the one before, if there was one and it changes.

        Raises:
            OSError: it cannot be written.
        """
        new = {name: it for name, it in self.answers.items() if it != self.before(name)}
        text = changed(self._text, new)
        if not self.is_new and text == self._text:
            return None
        backup = replace_with_backup(self.path, text)
        self.is_written = True
        return backup


def _text_of(path: Path) -> str:
    if not path.exists():
        return ""
    try:
        text = text_of(path.read_bytes())
        text.encode()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {why_not_read(error)}.") from None
    except ValueError:
        raise UsageError(
            f"{path} cannot be changed, because it is not a text in UTF-8. Save it again with that "
            "encoding, or choose another file with --env-file."
        ) from None
    return text

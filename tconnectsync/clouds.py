"""The clouds: one row for each, with all that differs between them.

A row names the parts of its cloud in other packages, and imports them at the first call. So every
package may import this table, and it is cheap where only names are needed, as in the help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from tconnectsync.errors import ConfigError


def _imported_when_called(function: str) -> Callable[..., Any]:
    """Return a function that is given as ``module:name`` and imported when it is first called."""
    module, _, name = function.partition(":")
    return lambda *given, **named: getattr(import_module(module), name)(*given, **named)


class Cloud(NamedTuple):
    """A cloud that holds a pump's data."""

    name: str
    """The value of ``TCONNECT_SOURCE`` and of ``--source``."""
    title: str
    """Its name for people."""
    open_source: Callable[..., Any]
    """Returns its :class:`~tconnectsync.sources.base.Source`; sends nothing yet. Takes Tandem's
    clients, the settings, the pump's clock and this computer's, and by the keyword
    ``needs_readings`` whether glucose readings are needed."""
    needs: Mapping[str, str] = {}
    """The variables that only this cloud requires, each with the reason, as a sentence."""
    lacks: frozenset[str] = frozenset()
    """The features that it has no data for."""
    tests: frozenset[str] = frozenset()
    """The features that can be chosen with ``ENABLE_TESTING_MODES`` only."""
    open_file: Callable[..., Any] | None = None
    """Returns a :class:`~tconnectsync.sources.base.SavedLog`: takes the path of a saved pump log,
    the settings, the pump's clock and this computer's. ``None``: it has no logs in files."""
    check_steps: Callable[..., Any] | None = None
    """Takes a :class:`~tconnectsync.check.results.CheckRequest` and returns the steps of
    ``--check-login`` that ask it. ``None``: those that suit every cloud."""
    list_pumps: Callable[..., Any] | None = None
    """Takes the same and returns the serial numbers of the account's pumps, by what people call
    the pump. ``None``: the cloud does not know them."""
    shapes: Callable[..., Any] | None = None
    """Returns the :class:`~tconnectsync.api.shapes.Endpoint` of which the answers are known.
    ``None``: changes of the cloud are not noticed."""
    simulator: Callable[..., Any] | None = None
    """Returns a :class:`~tconnectsync.simulators.loopback.SimulatedCloud` that serves a history:
    takes it, and ``email``, ``password`` and ``zone``. ``None``: no demo."""


TANDEM_SOURCE = Cloud(
    "tandem-source",
    "Tandem Source",
    _imported_when_called("tconnectsync.sources.tandemsource.source:open_source"),
    tests=frozenset({"BOLUS_BG"}),
    open_file=_imported_when_called("tconnectsync.sources.tandemsource.log.logfile:open_file"),
    check_steps=_imported_when_called("tconnectsync.check.tandemsource:steps"),
    list_pumps=_imported_when_called("tconnectsync.check.tandemsource:serial_numbers"),
    shapes=_imported_when_called("tconnectsync.sources.tandemsource.shapes:endpoints"),
    simulator=_imported_when_called(
        "tconnectsync.simulators.tandemsource.cloud:SimulatedTandemSource"
    ),
)
TCONNECT = Cloud(
    "tconnect",
    "t:connect",
    _imported_when_called("tconnectsync.sources.tconnect.source:open_source"),
    needs={"PUMP_SERIAL_NUMBER": "t:connect has to know which pump."},
    lacks=frozenset({"CGM_ALERTS", "DEVICE_STATUS"}),
    tests=frozenset({"BOLUS_BG", "CGM"}),
    check_steps=_imported_when_called("tconnectsync.check.tconnect:steps"),
    list_pumps=_imported_when_called("tconnectsync.check.tconnect:serial_numbers"),
    shapes=_imported_when_called("tconnectsync.sources.tconnect.shapes:endpoints"),
    simulator=_imported_when_called("tconnectsync.simulators.tconnect.cloud:simulate"),
)

CLOUDS = {cloud.name: cloud for cloud in (TANDEM_SOURCE, TCONNECT)}
"""Every cloud by its name; the first is the one that is used unless another is chosen."""


def clouds_with_files() -> list[Cloud]:
    """Return the clouds of which saved pump logs can be read."""
    return [cloud for cloud in CLOUDS.values() if cloud.open_file]


def cloud_named(name: str) -> Cloud:
    """Return the cloud with a name; upper and lower case do not matter.

    Raises:
        ConfigError: there is no such cloud.
    """
    if name.lower() not in CLOUDS:
        raise ConfigError([f"TCONNECT_SOURCE is not usable: write one of: {', '.join(CLOUDS)}."])
    return CLOUDS[name.lower()]


def known_shapes() -> list[Any]:
    """Return the endpoints of all clouds of which the answers are known."""
    return [each for cloud in CLOUDS.values() if cloud.shapes for each in cloud.shapes()]

"""The registry of features: what each one needs from a source.

The command line, the help text and the cycle all take it from here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from tconnectsync.clouds import CLOUDS
from tconnectsync.nightscout.eventtypes import (
    BASAL_SUSPENSION,
    CGM_ALERT,
    COMBO_BOLUS,
    MBG,
    SGV,
    SITE_CHANGE,
    SLEEP,
    TEMP_BASAL,
)


class Feature(NamedTuple):
    """Something that can be synced or left out.

    ``parts`` are methods of :class:`tconnectsync.sources.base.Reader` that give events; one without
    any is synced once, at the end of a cycle. ``regular`` is the type of treatment or entry that
    comes every day, by which a run sees how far the one before got.
    """

    name: str
    meaning: str
    parts: tuple[str, ...] = ()
    default: bool = False
    regular: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    """The types of treatments or entries that show it; without any, all that show no other."""
    collection: str = "treatments"
    """The collection of Nightscout that it is written to."""
    signs: tuple[str, ...] = ()
    """Types of treatments or entries that show that it was switched on once, where no other
    feature writes them."""

    @property
    def testing(self) -> tuple[str, ...]:
        """The clouds on which it can be chosen with ``ENABLE_TESTING_MODES`` only."""
        return tuple(cloud.name for cloud in CLOUDS.values() if self.name in cloud.tests)

    @property
    def lacking(self) -> tuple[str, ...]:
        """The clouds that have no data for it."""
        return tuple(cloud.name for cloud in CLOUDS.values() if self.name in cloud.lacks)


FEATURES = {
    feature.name: feature
    for feature in (
        Feature(
            "BASAL",
            "every basal segment with its rate and duration, and why",
            parts=("basals",),
            default=True,
            regular=(TEMP_BASAL,),
            kinds=(TEMP_BASAL,),
        ),
        Feature(
            "BOLUS",
            "every bolus: insulin delivered, carbs, kind, extended and incomplete ones",
            parts=("boluses",),
            default=True,
            regular=(COMBO_BOLUS,),
            kinds=(COMBO_BOLUS,),
        ),
        Feature(
            "PUMP_EVENTS",
            "site and cartridge changes, alarms, suspensions, exercise and sleep, sensor sessions",
            parts=("user_modes", "suspensions", "pump_events"),
            regular=(SITE_CHANGE, BASAL_SUSPENSION),
            signs=(SITE_CHANGE, BASAL_SUSPENSION, SLEEP),
        ),
        Feature(
            "PUMP_EVENTS_BASAL_SUSPENSION",
            "of PUMP_EVENTS only site and cartridge changes, alarms and suspensions",
            parts=("suspensions",),
            regular=(SITE_CHANGE, BASAL_SUSPENSION),
        ),
        Feature(
            "PROFILES",
            "the pump's insulin profiles, and which one is active",
            collection="profile",
        ),
        Feature(
            "IOB",
            "the newest insulin on board, as one activity record",
            collection="activity",
        ),
        Feature(
            "BOLUS_BG",
            "BOLUS, and with it the glucose that it was calculated with, from sensor or finger",
            parts=("boluses", "readings"),
            regular=(COMBO_BOLUS,),
            kinds=(COMBO_BOLUS,),
        ),
        Feature(
            "CGM",
            "the pump's glucose readings as entries; only without another CGM uploader",
            parts=("readings",),
            regular=(SGV,),
            kinds=(SGV, MBG),
            collection="entries",
            signs=(SGV,),
        ),
        Feature(
            "CGM_ALERTS",
            "the pump's alerts about glucose and its sensor",
            parts=("cgm_alerts",),
            kinds=(CGM_ALERT,),
            signs=(CGM_ALERT,),
        ),
        Feature(
            "DEVICE_STATUS",
            "the pump's battery, reservoir and insulin on board, for Nightscout's pump display",
            collection="devicestatus",
        ),
    )
}
DEFAULT = tuple(name for name, feature in FEATURES.items() if feature.default)


def features_of_entries(names: Iterable[str]) -> list[str]:
    """Return those of the features with these names that write glucose entries."""
    return [name for name in names if FEATURES[name].collection == "entries"]


def parts_of(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return what the features with these names need, each once, with those that need it."""
    parts: dict[str, tuple[str, ...]] = {}
    for name in names:
        for part in FEATURES[name].parts:
            parts[part] = (*parts.get(part, ()), name)
    return parts


def features_showing(kinds: Collection[str], names: Sequence[str]) -> list[str]:
    """Return those of the features with these names that documents of these types belong to.

    If that is not known, return all that are synced by range.
    """
    in_ranges = [name for name in names if FEATURES[name].parts]
    own = {kind for feature in FEATURES.values() for kind in feature.kinds}
    found = [
        name
        for name in in_ranges
        if any(kind in (FEATURES[name].kinds or {kind} - own) for kind in kinds)
    ]
    return found or in_ranges

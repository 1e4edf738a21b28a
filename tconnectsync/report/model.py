"""What a report shows, computed and ready to be drawn.

Insulin is in U, rates in U/h, carbohydrates in g, glucose in mg/dL whatever unit is shown. Times
are aware, with the offset of the pump's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Basal, Bolus, CarbEntry, PumpEvent, Reading, UserMode


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of one day, or their mean over days."""

    basal: float
    """U."""
    bolus: float
    """U, automatic ones included."""
    automatic: float
    """U of boluses that the pump gave by itself; an extended bolus was asked for by a person."""
    carbs: float
    """g."""

    @property
    def insulin(self) -> float:
        """U of basal and bolus together."""
        return self.basal + self.bolus


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day of the pump's calendar.

    What reaches over midnight stands, whole, in each of the days that it touches. Of a basal the
    sums count the part within the day; a bolus counts, with its carbs, on the day on which it
    ended.
    """

    date: date
    range: TimeRange
    """From midnight to midnight, or to the end of the report: 23 or 25 hours when clocks change."""
    totals: Totals
    basals: Sequence[Basal]
    boluses: Sequence[Bolus]
    carbs: Sequence[CarbEntry]
    """Carbohydrates that were entered without a bolus."""
    modes: Sequence[UserMode]
    events: Sequence[PumpEvent]
    readings: Sequence[Reading]
    suspended: Sequence[TimeRange]
    """When delivery was suspended."""
    gaps: Sequence[TimeRange]
    """When it is not known what basal insulin was delivered."""
    is_whole: bool = True
    """Whether it is known from midnight to midnight what was delivered: only then does the day
    count for the average."""

    @property
    def has_data(self) -> bool:
        """Whether anything at all is known of the day."""
        known = (self.basals, self.boluses, self.carbs, self.modes, self.events, self.readings)
        return any(known)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """How glucose was at one time of day over all days, in mg/dL."""

    minute: int
    """Minutes after midnight of the pump's clock."""
    p5: float
    p25: float
    p50: float
    p75: float
    p95: float


@dataclass(frozen=True, slots=True)
class Glucose:
    """What the sensor's readings of all days together say."""

    readings: int
    coverage: float
    """The share of the time for which there is a reading, 0..1."""
    mean: float
    """mg/dL."""
    deviation: float
    """The standard deviation, mg/dL."""
    gmi: float
    """The glucose management indicator, %."""
    shares: Mapping[str, float]
    """The share of readings, 0..1, by the name of the band in :data:`BANDS`; together 1."""
    profile: Sequence[Percentiles]
    """By time of day; where there are too few readings, none."""

    @property
    def cv(self) -> float:
        """The coefficient of variation, %."""
        return 100 * self.deviation / self.mean


@dataclass(frozen=True, slots=True)
class Band:
    """A band of glucose: from ``low`` (included) to ``high`` (excluded), in mg/dL."""

    name: str
    low: int
    high: int

    def __contains__(self, glucose: float) -> bool:
        """Return whether a value lies in the band."""
        return self.low <= glucose < self.high


LEVELS = (54, 70, 180, 250)
"""mg/dL: very low is below the first and low below the second, high is above the third and very
high above the last; what lies between the two in the middle, both included, is in range."""
IN_RANGE = Band("in range", LEVELS[1], LEVELS[2] + 1)
BANDS = (
    Band("very low", 0, LEVELS[0]),
    Band("low", LEVELS[0], LEVELS[1]),
    IN_RANGE,
    Band("high", LEVELS[2] + 1, LEVELS[3] + 1),
    Band("very high", LEVELS[3] + 1, 10_000),
)
"""From the lowest to the highest; readings are whole numbers."""


@dataclass(frozen=True, slots=True)
class Worn:
    """A site, a cartridge or a sensor that was in use."""

    kind: str
    """"Site", "Cartridge" or "Sensor"."""
    began: datetime
    ended: datetime | None
    """``None``: it was still in use when the report ends."""


SMALLEST_DIFFERENCE = 0.005
"""U; what is less is rounded away."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Insulin of one day by the pump and as Nightscout holds it, in U."""

    date: date
    pump_basal: float
    pump_bolus: float
    nightscout_basal: float
    nightscout_bolus: float

    @property
    def difference(self) -> float:
        """How much more Nightscout holds than the pump reported, U; negative if less."""
        held = self.nightscout_basal + self.nightscout_bolus
        # Without the traces of binary fractions, which would show as -0.00.
        return round(held - self.pump_basal - self.pump_bolus, 4) + 0.0

    @property
    def differs(self) -> bool:
        """Whether that shows in hundredths of a unit."""
        return abs(self.difference) >= SMALLEST_DIFFERENCE


@dataclass(frozen=True, slots=True)
class Report:
    """All that the page shows."""

    made_at: datetime
    first: date
    last: date
    zone: str
    """The zone of the pump's clock, such as ``Europe/Berlin``."""
    pumps: Sequence[str]
    """Model and end of the serial number of each pump that was read."""
    person: str
    """The name of the person's settings; empty where there is one only."""
    mmol: bool
    """Whether glucose is shown in mmol/L; else in mg/dL."""
    days: Sequence[Day]
    """The newest first; also those without data."""
    average: Totals
    """The mean per day, over the days that have data from midnight to midnight."""
    averaged_days: int
    """How many days that are; which ones, :attr:`Day.is_whole` says."""
    glucose: Glucose | None
    """``None`` if there are no readings."""
    worn: Sequence[Worn]
    suspensions: int
    suspended_for: timedelta
    """How long delivery was suspended in all."""
    alarms: Mapping[str, int]
    """How often each alarm and alert came, by its text."""
    profile: Sequence[tuple[int, float]]
    """The basal profile that is active now: seconds after midnight, and U/h from then on; where a
    basal does not say what its profile was, this is drawn."""
    compared: Sequence[Compared]
    """Per whole day, the newest first; empty where Nightscout was not asked."""
    not_compared: Sequence[date]
    """Days of which only a part is known, the newest first."""
    why_not_compared: str
    """A sentence if Nightscout was not asked, or could not be; else empty."""
    remarks: Sequence[str]
    """Sentences about what could not be read or understood."""

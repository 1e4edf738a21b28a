"""The events of the pump's log: their numbers, names and fields. See tandem-event-log §7–9.

Fields have plain names: those of the JSON form in lower case, only letters and digits, so that the
spellings in use become one.
"""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """One value of an event, and where the 16 payload bytes of a binary record hold it."""

    name: str
    offset: int
    type: str
    """The letter that the struct module has for it: B b H h I or f, big-endian."""
    is_mask: bool
    """Whether it is a set of bits; JSON lists the numbers of those that are set."""


class Layout(NamedTuple):
    """An event whose fields are known, in the order of their offsets."""

    name: str
    fields: tuple[Field, ...]


def _event(name: str, fields: str) -> Layout:
    """Read fields written as "H2 bolusid": type, offset, ``*`` if it is a bit mask, name."""
    places = (text.split() for text in fields.split(", "))
    return Layout(
        f"LID_{name}",
        tuple(
            Field(field, int(place[1:].removesuffix("*")), place[0], place.endswith("*"))
            for place, field in places
        ),
    )


_FAULT = "I4 faultlocatordata, I8 param1, f12 param2"
_SENSOR_ALERT = "B2 sensortype, B3 dalertid"
_CLOCK_CHANGE = "I0 {0}prior, I4 {0}after, I8 rawrtctime"
_BOLUS_END = "H0 bolusid, H2 completionstatus, f4 iob, f8 insulindelivered, f12 insulinrequested"
_BOLUS_START = "B1 selectediob, H2 bolusid, f4 iob, f8 {}size"
_VERSION = "I0 version, I4 configabits, I8 configbbits"
_DOSE = "B0 tempadjustmentpercent, B1 dosesource, H2 doseid"
_DEXCOM_TIMES = "I0 currenttransmittertime, I4 sessionstarttime"
_LIBRE_STOP = "I0 sessionstarttime, I4 sessionstoptime"
_LIBRE_JOIN = "I0 sessionstarttime, I4 sessionjointime"
_GLUCOSE = (
    "H4 currentglucosedisplayvalue, b6 rssi, B7 algorithmstate, I8 egvtimestamp, B13 interval, "
    "H14* egvinfobitmask"
)
_DEXCOM_READING = f"b0 rate, B1* cgmdatatype, H2 glucosevaluestatus, {_GLUCOSE}"
_LIBRE_READING = f"h0 rate, B2* cgmdatatype, B3 glucosevaluestatus, {_GLUCOSE}"

LAYOUTS: dict[int, Layout] = {
    2: _event("TEMP_RATE_ACTIVATED", "f0 percent, f4 duration, H8 temprateid"),
    3: _event(
        "BASAL_RATE_CHANGE",
        "f0 commandedbasalrate, f4 basebasalrate, f8 maxbasalrate, B13* changetype, H14 idp",
    ),
    4: _event("ALERT_ACTIVATED", f"I0 alertid, {_FAULT}"),
    5: _event("ALARM_ACTIVATED", f"I0 alarmid, {_FAULT}"),
    6: _event("MALFUNCTION_ACTIVATED", f"I0 malfid, {_FAULT}"),
    11: _event(
        "PUMPING_SUSPENDED",
        "I0 presuspendstate, B4 rpatimeout, B5 suspendreason, H6 insulinamount",
    ),
    12: _event("PUMPING_RESUMED", "I0 preresumestate, H6 insulinamount"),
    13: _event("TIME_CHANGED", _CLOCK_CHANGE.format("time")),
    14: _event("DATE_CHANGED", _CLOCK_CHANGE.format("date")),
    15: _event("TEMP_RATE_COMPLETED", "H0 temprateid, H2 stopreason, I4 timeleft"),
    16: _event(
        "BG_READING_TAKEN",
        "B0 bgentrytype, B1 cgmcalibration, H2 bg, f4 iob, H8 isf, H10 targetbg, "
        "B14 bgsourcetype, B15 selectediob",
    ),
    20: _event("BOLUS_COMPLETED", _BOLUS_END),
    21: _event("BOLEX_COMPLETED", _BOLUS_END),
    26: _event("ALERT_CLEARED", "I0 alertid, I4 faultlocatordata"),
    28: _event("ALARM_CLEARED", "I0 alarmid"),
    33: _event("CARTRIDGE_FILLED", "I0 insulinvolume, f4 v2volume"),
    36: _event("USB_CONNECTED", "f0 negotiatedcurrent"),
    37: _event("USB_DISCONNECTED", "f0 negotiatedcurrent"),
    48: _event("CARBS_ENTERED", "f0 carbs"),
    53: _event(
        "SHELF_MODE",
        "I0 msecsincereset, B4 lipoibc, B5 lipoabc, h6 lipocurrent, I8 liporemcap, I12 lipomv",
    ),
    55: _event("BOLUS_ACTIVATED", _BOLUS_START.format("bolus")),
    59: _event("BOLEX_ACTIVATED", _BOLUS_START.format("bolex")),
    60: _event("DATA_LOG_CORRUPTION", "I0 block, B7 reason"),
    61: _event("CANNULA_FILLED", "f0 primesize, I4 completionstatus, B11 infusionsettype"),
    63: _event("TUBING_FILLED", "f0 primesize, I4 completionstatus, I8 position"),
    64: _event(
        "BOLUS_REQUESTED_MSG1",
        "B0 correctionbolusincluded, B1 bolustype, H2 bolusid, H4 bg, H6 carbamount, f8 iob, "
        "I12 carbratio",
    ),
    65: _event(
        "BOLUS_REQUESTED_MSG2",
        "B0 standardpercent, B1 options, H2 bolusid, H6 duration, H8 targetbg, H10 isf, "
        "B13 selectediob, B14 declinedcorrection, B15 useroverride",
    ),
    66: _event(
        "BOLUS_REQUESTED_MSG3",
        "B1 queued, H2 bolusid, f4 foodbolussize, f8 correctionbolussize, f12 totalbolussize",
    ),
    81: _event(
        "DAILY_BASAL",
        "f0 dailytotalbasal, f4 lastbasalrate, f8 iob, H12 batterylipomillivolts, "
        "B14 batterychargepercent, B15 finaleventforday",
    ),
    # The layout calls these two plain numbers, the JSON form lists bits.
    90: _event("NEW_DAY", "f0 commandedbasalrate, I4* featuresbitmask, I8* featurebitmaskindex"),
    99: _event("ARM_INIT", f"{_VERSION}, I12 numlogentries"),
    140: _event(
        "PLGS_PERIODIC",
        "I0 timestamp, H4 pgv, H6 fmr, B8 hominstate, B9* rulestate, B10 pgvvalid, B11 fmrstatus, "
        "I12* status",
    ),
    171: _event("CGM_ALERT_ACTIVATED", f"I0 dalertid, {_FAULT}"),
    172: _event("CGM_ALERT_CLEARED", "I0 dalertid"),
    191: _event("VERSION_INFO", f"{_VERSION}, H14 armcrc"),
    203: _event(
        "UPDATE_STATUS",
        "H0 metadataandversionstatus, H2 swupdatestatus, H4 filedlandsideloadstatus, "
        "H6 fulldlandcrcstatus, B9 updatesuccessful, H10 externalflashstatus, I12 swpartnum",
    ),
    212: _event(
        "CGM_START_SESSION_GX", f"{_DEXCOM_TIMES}, B14 sessionstartreason, B15 sessionduration"
    ),
    213: _event(
        "CGM_JOIN_SESSION_GX", f"{_DEXCOM_TIMES}, B14 sessionjoinreason, B15 sessionduration"
    ),
    214: _event(
        "CGM_STOP_SESSION_GX",
        f"{_DEXCOM_TIMES}, I8 sessionstoptime, B14 sessionstopreason, B15 sessionduration",
    ),
    229: _event(
        "AA_USER_MODE_CHANGE",
        "B1 requestedaction, B2 previoususermode, B3 currentusermode, B6* activesleepschedule, "
        "B7 sleepstartedbygui, H8 exercisetime, B10 exercisechoice, B11 exercisestoppedbytimer, "
        "B15 eatingsoonstoppedbytimer",
    ),
    230: _event(
        "AA_PCM_CHANGE",
        "B0 calculationavailable, B1 pumpsuspended, B2 previouspcm, B3 currentpcm, "
        "B5 sufficientclosedloopparams, B6 closedlooppreferred, B7 cgmavailable",
    ),
    256: _event("CGM_DATA_GXB", _DEXCOM_READING),
    279: _event(
        "BASAL_DELIVERY",
        "H2 commandedratesource, H4 profilebasalrate, H6 commandedrate, H8 temprate, "
        "H10 algorithmrate",
    ),
    280: _event(
        "BOLUS_DELIVERY",
        "B0* bolustype, B1 bolusdeliverystatus, H2 bolusid, H4 requestednow, B6 remoteid, "
        "B7 bolussource, H8 correction, H10 requestedlater, H12 deliveredtotal, "
        "H14 extendeddurationrequested",
    ),
    307: _event(
        "VERSIONS_A", "I0 armpartnumber, I4 armswversion, I8 blepartnumber, I12 bleswversion"
    ),
    313: _event(
        "AA_DAILY_STATUS",
        "B0 weightunit, B1 sensortype, B2 usermode, B3 pumpcontrolstate, B5 currenttdipop, "
        "H6 weight",
    ),
    369: _event("CGM_ALERT_ACTIVATED_DEX", f"{_SENSOR_ALERT}, {_FAULT}"),
    370: _event("CGM_ALERT_CLEARED_DEX", _SENSOR_ALERT),
    371: _event("CGM_ALERT_ACK_DEX", f"{_SENSOR_ALERT}, I4 acksource"),
    372: _event("CGM_DATA_FSL2", _LIBRE_READING),
    394: _event("CGM_JOIN_SESSION_G7", "I0 cgmtimestamp, I4 sessionsignature"),
    399: _event("CGM_DATA_G7", _DEXCOM_READING),
    404: _event("CGM_START_SESSION_FSL2", "I0 sessionstarttime, B7 sessionduration"),
    405: _event(
        "CGM_STOP_SESSION_FSL2", f"{_LIBRE_STOP}, B10 sessionstopreason, B11 sessionduration"
    ),
    406: _event(
        "CGM_JOIN_SESSION_FSL2", f"{_LIBRE_JOIN}, B10 sessionjoinreason, B11 sessionduration"
    ),
    447: _event(
        "CGM_STOP_SESSION_G7",
        f"{_DEXCOM_TIMES}, I8 sessionstoptime, B13 stopsessioncode, B14 sessionstopreason, "
        "B15 sessionduration",
    ),
    460: _event("CGM_ALERT_ACTIVATED_FSL2", f"{_SENSOR_ALERT}, {_FAULT}"),
    461: _event("CGM_ALERT_CLEARED_FSL2", _SENSOR_ALERT),
    477: _event(
        "CGM_JOIN_SESSION_FSL3",
        f"{_LIBRE_JOIN}, B10 sessionjoinreason, B11 sessionduration, I12 sessiondurationsecs",
    ),
    480: _event("CGM_DATA_FSL3", _LIBRE_READING),
    486: _event(
        "CGM_STOP_SESSION_FSL3", f"{_LIBRE_STOP}, B10 sessionstopreason, B11 sessionduration"
    ),
    558: _event(
        "SYNC_DOSE_START",
        f"{_DOSE}, f4 syncdosesizerequested, H8 profilebasalrate, H10 currentbasalrate, "
        "f12 activeinsulin",
    ),
    559: _event(
        "SYNC_DOSE_COMPLETE",
        f"{_DOSE}, f4 syncdosesizedelivered, H10 currentbasalrate, f12 activeinsulin",
    ),
    562: _event(
        "ANT_DAILY_STATUS1",
        "B0 priortherapy, B1 glycemicgoal, B2 totaldailyinsulinunits, B3 closedlooppreferred, "
        "H4 sleepeatsegmentstarttime1, H6 sleepeatsegmentstarttime0, "
        "H8 sleepeatsegmentstarttime3, H10 sleepeatsegmentstarttime2, "
        "B12 sleepeatsegmenttype3, B13 sleepeatsegmenttype2, B14 sleepeatsegmenttype1, "
        "B15 sleepeatsegmenttype0",
    ),
    563: _event("ANT_DAILY_STATUS2", "B2 sensortype, B3 pumpcontrolstate"),
    564: _event("TEMP_ADJUSTMENT_COMPLETED", "H0 temprateid, H2 stopreason, I4 timeleft"),
    565: _event(
        "TEMP_ADJUSTMENT_ACTIVATED",
        "H0 tempbasalpercent, H2 requestedpercent, I8 duration, H12 temprateid, "
        "H14 requestedadjustmenttype",
    ),
    566: _event(
        "ANT_SLEEP_EAT_SCHED_SETTING_CHANGE",
        "H0 sleepeatsegmentstarttime1, H2 sleepeatsegmentstarttime0, "
        "H4 sleepeatsegmentstarttime3, H6 sleepeatsegmentstarttime2, "
        "B8 sleepeatsegmenttype3, B9 sleepeatsegmenttype2, B10 sleepeatsegmenttype1, "
        "B11 sleepeatsegmenttype0",
    ),
}
"""The events whose fields are known, by their number."""

_WITHOUT_LAYOUT = (
    *(0, 7, 8, 9, 25, 27, 29, 30, 31, 32, 34, 35, 41, 57, 67, 68, 69, 70, 71, 73),
    *(74, 82, 93, 96, 97),
    *(98, 142, 151, 156, 157, 160, 162, 163, 165, 166, 167, 168, 169, 173, 187, 198, 199, 210),
    *(211, 215, 216, 217, 218, 220, 235, 238, 244, 245, 246, 267, 283, 286, 288, 291, 301, 302),
    *(318, 319, 332, 348, 367, 368, 390, 395, 419, 438, 439, 441, 443),
)

KNOWN_CODES = frozenset({*LAYOUTS, *_WITHOUT_LAYOUT})
"""Every event number that is known to anyone; other numbers are logged."""

REPORTED_ELSEWHERE = frozenset(
    (
        *(17, 19, 194, 195, 206, 207, 219, 227, 231, 237, 271, 277, 290, 292, 293, 295, 297),
        *(298, 300, 309, 327, 330, 334, 338, 343, 359, 434, 473, *range(488, 498)),
    )
)
"""Entries that a Mobi writes over Bluetooth, of uncertain meaning: none of it is insulin, carbs or
glucose that other entries do not report (docs/protocol/tandem-event-log.md §15)."""

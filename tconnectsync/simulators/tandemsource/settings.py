"""What the pump is set to, as ``settings.details`` has it (tandem-source-processing §9)."""

from __future__ import annotations

from typing import Any

from tconnectsync.domain.profiles import Profile, PumpSettings, Segment


def settings_details(settings: PumpSettings) -> dict[str, Any]:
    """Return the settings, with blocks beside them that only the pump itself needs."""
    profiles = settings.profiles
    active = next((number for number, profile in enumerate(profiles) if profile.active), -1)
    return {
        "profiles": {
            "numberOfProfiles": len(profiles),
            "activeSegment": 0,
            "activeIdp": active,
            "profile": [_profile(number, profile) for number, profile in enumerate(profiles)],
        },
        "cgmSettings": {
            "highGlucoseAlertMgPerDl": round(settings.high_alert),
            "highGlucoseAlertEnabled": True,
            "lowGlucoseAlertMgPerDl": round(settings.low_alert),
            "lowGlucoseAlertEnabled": True,
        },
        "basalLimitSettings": {"basalLimit": 3000, "basalLimitDefault": 3000},
        "globalMaxBolusSettings": {"maxBolus": 25000, "maxBolusDefault": 25000},
        "controlIqSettings": {"closedLoop": True, "weight": 68, "totalDailyInsulin": 42},
        "quickBolusSettings": {"active": False, "dataEntryType": "Units"},
    }


def _profile(number: int, profile: Profile) -> dict[str, Any]:
    return {
        "idp": number,
        "name": profile.name,
        "carbEntry": "UnitsAsCarbs" if profile.carbs_enabled else "Units",
        "maxBolus": 25000,
        "insulinDuration": int(profile.insulin_duration.total_seconds()) // 60,
        "timeDependentSegmentNumber": len(profile.segments),
        "timeDependentSegments": [_segment(segment) for segment in profile.segments],
    }


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "startTime": segment.start.hour * 60 + segment.start.minute,
        "basalRate": round(segment.basal_rate * 1000),
        "carbRatio": round(segment.carb_ratio * 1000),
        "isf": round(segment.correction_factor),
        "targetBg": round(segment.target),
        "status": ["BasalRateAvailability"],
    }

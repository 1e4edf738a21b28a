"""The shapes of t:connect's answers that this version knows.

See tconnect-api §2, §3 and §4. How they are written is described at
:class:`tconnectsync.api.shapes.Endpoint`.
"""

from __future__ import annotations

from tconnectsync.api.shapes import Endpoint

DELIVERY = "x number, y number, duration number"
DELIVERED = "value number, completionDateTime text"


def endpoints() -> list[Endpoint]:
    """Return the endpoints of t:connect that answer with JSON."""
    return [
        Endpoint(
            "login of the t:connect app",
            r"/cloud/oauth2/token$",
            {"": "accessToken! text, accessTokenExpiresAt text, user object, * any"},
        ),
        Endpoint(
            "upload counter",
            r"/getlasteventuploaded$",
            {"": "maxPumpEventIndex! number, processingStatus number"},
        ),
        Endpoint(
            "basal suspensions",
            r"/basalsuspension/",
            {
                "": "BasalSuspension list",
                "BasalSuspension[]": "EventDateTime! text, SuspendReason text, Continuation text",
            },
        ),
        Endpoint(
            "therapy timeline",
            r"/therapytimeline/users/",
            {
                "": "basal! object, events list, suspensionDeliveryEvents list, "
                "softwareUpdates list, pumpFeatures list",
                "basal": "profileRates list, tempDeliveryEvents list, "
                "algorithmDeliveryEvents list, profileDeliveryEvents list",
                "basal.tempDeliveryEvents[]": DELIVERY,
                "basal.algorithmDeliveryEvents[]": DELIVERY,
                "basal.profileDeliveryEvents[]": DELIVERY,
                "events[]": "duration number, eventType number, continuation text, "
                "timeZoneId text, x number",
                "suspensionDeliveryEvents[]": "suspendReason text, continuation text, x number",
            },
        ),
        Endpoint("therapy events", r"/therapyevents/api/", THERAPY_EVENTS),
    ]


THERAPY_EVENTS = {
    "": "event! list",
    "event[]": "type! text, eventDateTime text, requestDateTime text, description text, "
    "sourceRecId number, eventTypeId number, indexId number, uploadId number, interactive number, "
    "tempRateId number, tempRateCompleted number, tempRateActivated number, "
    "actualTotalBolusRequested number, bg number, bolusRequestOptions text, bolusType text, "
    "carbSize number, correctionBolusSize number, correctionFactor number, "
    "declinedCorrection number, duration number, eventHistoryReportDetails text, "
    "eventHistoryReportEventDesc text, foodBolusSize number, isQuickBolus number, note object, "
    "noteDate object, standard object, standardPercent number, targetBG number, "
    "userOverride number, bolex object, iob number, eventID number, deviceType text, "
    "serialNumber text, egv object, cgmCalibration number, basalRate object, "
    "displayInHistory number",
    "event[].note": "id number, indexId text, eventTypeId number, sourceRecordId number, "
    "eventId number, active flag",
    "event[].standard": "insulinDelivered object, foodDelivered number, "
    "correctionDelivered number, insulinRequested number, completionStatusId number, "
    "completionStatusDesc text, bolusIsComplete number, bolusRequestId number, "
    "bolusCompletionId number",
    "event[].standard.insulinDelivered": DELIVERED,
    "event[].bolex": "size number, bolexStartDateTime text, insulinDelivered object, iob number, "
    "completionStatusId number, completionStatusDesc text, extendedBolusIsComplete number, "
    "insulinRequested number, bolexCompletionId number",
    "event[].bolex.insulinDelivered": DELIVERED,
    "event[].egv": "estimatedGlucoseValue number, hypo number, belowTarget number, "
    "withinTarget number, aboveTarget number, hyper number",
    "event[].basalRate": "value number, percent number, duration number",
}

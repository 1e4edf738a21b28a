"""Where we do not do what a case says.

For everything in :data:`EXCEPTIONS` a test asserts what we do instead. The ids ``D-…`` are those
of the known defects in docs/protocol/tconnect-processing.md.
"""

from __future__ import annotations

from typing import Any

TEXT_DATES = (
    "the older program sends a day given as text as it is; t:connect wants MM-DD-YYYY, so we write "
    "every day like that (docs/protocol/tconnect-api.md §0)"
)
SHIFTED = (
    "D-API-9: the value without a name moves the last five columns of boluses; we name it and put "
    "the others where they belong"
)
REASONS = "reasons are not free texts with us: they say what the pump reports; the rest is the same"
IN_PLACE = "D-PUMP-5: deletes and creates again; we update the stored document"
UNKNOWN_KIND = "D-SYNC-2: stops at an unknown kind; we count it, name it and go on"
EXTENDED = (
    "D-BOLUS-1: loses the extended part, how the bolus was divided and its duration; we show both "
    "parts"
)
NO_DEFAULT = "a placeholder counts as not set; what is required has no default"

CONTROLIQ = "controliq_requests.cases.json"
AUTO_UPDATE = "autoupdate.cases.json"
ENTRIES = "parser_entries.cases.json"
DEFAULTS = "config_defaults.expected.json"
DOCUMENTS = "nightscout_documents.cases.json"
WRITES = "pump_events_write.cases.json"

EXCEPTIONS: dict[tuple[str, str], str] = {
    # file, case in it (or none): why we differ
    (CONTROLIQ, "therapy_timeline_fails_after_two_http_401s"): TEXT_DATES,
    (CONTROLIQ, "therapy_timeline_fails_after_two_http_500s"): TEXT_DATES,
    (CONTROLIQ, "therapy_timeline_triggers_relogin_after_single_http_401"): TEXT_DATES,
    (CONTROLIQ, "therapy_timeline_works_after_single_http_500"): TEXT_DATES,
    ("ws2_timeline.cases.json", "therapy_timeline_csv_fails_after_three_retries"): (
        "D-API-6: sleeps once more after the last try; we do not"
    ),
    ("ws2_timeline_full.csv", ""): SHIFTED,
    ("synthetic/ws2_timeline_single_row_sections.csv", ""): f"D-API-7: loses them. {SHIFTED}",
    ("synthetic/ws2_timeline_basal.csv", ""): (
        "D-BASAL-3: puts a duration on the wrong row, modulo a day; with us the rate lasts until "
        "the next row, and the last one as long as anything is known"
    ),
    ("therapy_timeline_activity_unknown_type.json", ""): UNKNOWN_KIND,
    ("therapy_timeline_activity_sleep_70min.json", ""): IN_PLACE,
    ("therapy_events_bolus_extended_complete.json", ""): EXTENDED,
    ("therapy_events_bolus_extended_incomplete.json", ""): (
        "D-BOLUS-2, D-BOLUS-3: writes ' (: requested …' and never revises it; we write what the "
        "finished bolus says as well, and add the extended part later"
    ),
    ("source_samples/therapy_events_all_four_types.json", ""): (
        "D-BOLUS-8: takes basal events for readings; to us each event is what it says"
    ),
    ("basalsuspension_unknown_reason.json", ""): UNKNOWN_KIND,
    (ENTRIES, "parse_ciq_activity_event_unknown_id"): UNKNOWN_KIND,
    (ENTRIES, "parse_basalsuspension_event_unknown_suspendreason"): UNKNOWN_KIND,
    (ENTRIES, "parse_basalsuspension_event_tempprofile"): (
        "D-PUMP-3: is read and then dropped; to us it is no event, the basal segments show it"
    ),
    (ENTRIES, "parse_bolus_entry_extended_complete"): (
        "D-BOLUS-4: no times for the immediate part, and both parts as requested for it; we keep "
        "the times and know what was requested for each part"
    ),
    ("bolus_processing.cases.json", "process_bolus_events_ciq_extended_bolus"): EXTENDED,
    (WRITES, "write_exercise_events"): IN_PLACE,
    (WRITES, "write_sleep_events"): IN_PLACE,
    (DOCUMENTS, "basal"): REASONS,
    (DOCUMENTS, "basalsuspension"): REASONS,
    (DOCUMENTS, "sitechange"): REASONS,
    (DOCUMENTS, "bolus_with_bg"): "glucose is a text; with us it is a number with its unit",
    (DOCUMENTS, "bolus_with_bg_invalid_type"): (
        "an unknown kind of glucose is an error; with us the bolus is shown without its glucose"
    ),
    ("reading_at_time.cases.json", ""): (
        "a reading is in force however old it is; with us for a quarter of an hour"
    ),
    ("ws2_timeline_readings.csv", ""): "entries have no direction; ours have where it is known",
    (DEFAULTS, "TCONNECT_EMAIL"): NO_DEFAULT,
    (DEFAULTS, "TCONNECT_PASSWORD"): NO_DEFAULT,
    (DEFAULTS, "PUMP_SERIAL_NUMBER"): NO_DEFAULT,
    (DEFAULTS, "NS_URL"): NO_DEFAULT,
    (DEFAULTS, "NS_SECRET"): NO_DEFAULT,
    (DEFAULTS, "TIMEZONE_NAME"): (
        "required: a time zone that was not chosen makes everything wrong by hours"
    ),
    (DEFAULTS, "AUTOUPDATE_FAILURE_MINUTES"): (
        "15 is shorter than the hour from one upload to the next; with us it is 75"
    ),
    (DEFAULTS, "AUTOUPDATE_RESTART_ON_FAILURE"): (
        "a restart does not help a phone that is off; with us it has to be asked for"
    ),
    (DEFAULTS, "NS_IGNORE_CONN_ERRORS"): (
        "D-NS-3: a failed look-up is no empty site; we say that the variable is retired"
    ),
    (DEFAULTS, "SKIP_NS_LAST_UPLOADED_CHECK"): (
        "D-SYNC-3: we always compare everything; we say that the variable is retired"
    ),
    ("process/new_ciq_bolus_data_from_ciq_therapy_events.case.json", ""): EXTENDED,
    (AUTO_UPDATE, "process_time_range_never_called_with_pretend"): (
        "only logs that it would sync; with us every cycle is planned, and nothing written"
    ),
    ("process/skipped_ws2_activity_events.case.json", ""): (
        "PUMP_EVENTS includes the basal suspensions (product.md), so we read them here as well; "
        "there is nothing in them to show"
    ),
}


def both_parts(immediate: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what we show of the extended bolus in the cases, given its immediate part there."""
    split = {"enteredinsulin": 0.4, "splitNow": 50.0, "splitExt": 50.0, "duration": 15.0}
    extended = {
        "eventType": "Combo Bolus",
        "created_at": "2022-08-09 23:35:03-04:00",
        "insulin": 0.2,
        "notes": "Extended 50.00%/0.00 (Extended part)",
        "enteredBy": "Pump (tconnectsync)",
    }
    return [{**immediate, **split}, extended]

"""The API of Tandem Source, the cloud that replaced t:connect (tandem-source-api §4)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any
from urllib.parse import quote

from tconnectsync.api.answers import json_of, text_of, unusable
from tconnectsync.api.session import LoginKeeper
from tconnectsync.api.tandemsource.extracodes import Refusals, refuses_codes, words_of
from tconnectsync.api.tandemsource.logs import LISTS, WHAT, MergedAnswers, request_windows
from tconnectsync.api.tandemsource.regions import cloud_of, origin
from tconnectsync.api.tandemsource.tokens import TandemLogin
from tconnectsync.config.settings import TandemSettings
from tconnectsync.errors import ApiError
from tconnectsync.exchange import Answer
from tconnectsync.http import HttpClient, endpoint

PUMPER_KEYS = ("pumps", "firstName", "lastName", "name")
ACCOUNT_KEYS = ("devices", "account", "firstName", "lastName")


class TandemSourceApi:
    """Reads from Tandem Source; logs in at the first call and again when the token runs out.

    Every method raises ``ApiError``, ``LoginError``, ``FirewallError`` or ``NetworkError``.

    Args:
        account: whose data, and where.
        http: the client for the data.
        logins: keeps the login.
        refusals: remembers which kinds of entries the cloud refuses.
    """

    def __init__(
        self,
        account: TandemSettings,
        http: HttpClient,
        logins: LoginKeeper[TandemLogin],
        refusals: Refusals,
    ) -> None:
        self.logins = logins
        self._base = cloud_of(account).source_url
        self._refusals = refusals
        self._http = http

    def pumper(self) -> dict[str, Any]:
        """Return the user's profile and all their pumps (tandem-source-api §4.1)."""
        return self._get("api/reports/bff/pumper/{pumper}", "list of pumps", PUMPER_KEYS)

    def account(self) -> dict[str, Any]:
        """Return the user's account and its devices, also a guardian's (tandem-source-api §4.3)."""
        return self._get("api/pumpers/pumpers/{pumper}", "account", ACCOUNT_KEYS)

    def pump_logs(
        self,
        assignment_id: str,
        first: date,
        last: date,
        codes: Iterable[int] | None = None,
        extra: Iterable[int] = (),
    ) -> dict[str, list[Any]]:
        """Return ``events`` and ``clockChanges`` of a pump, each once, in no order.

        See docs/protocol/tandem-source-api.md §4.2.

        Args:
            assignment_id: names the pump, see :meth:`pumper`.
            first: a day of the pump's calendar.
            last: another one, inclusive; a long range is asked for in pieces.
            codes: the kinds of event to ask for, all of them if there are none; the server may send
                others as well.
            extra: kinds to ask for as well, for as long as the server accepts them; a refusal is
                remembered (tandem-source-api §4.4).
        """
        codes, extra = list(codes or ()), sorted(extra)
        if not codes or not extra or self._refusals.holds(extra):
            return self._pump_logs(assignment_id, first, last, codes)
        try:
            return self._pump_logs(assignment_id, first, last, sorted({*codes, *extra}))
        except ApiError as error:
            if not refuses_codes(error):
                raise
        found = self._pump_logs(assignment_id, first, last, codes)
        self._refusals.note(extra)
        return found

    def _pump_logs(
        self, assignment_id: str, first: date, last: date, codes: Iterable[int] | None
    ) -> dict[str, list[Any]]:
        path = f"api/reports/bff/pump-logs/{quote(assignment_id, safe='')}?pumperId={{pumper}}"
        listed = ",".join(map(str, codes or ()))
        answers = MergedAnswers()
        for start, end in request_windows(first, last):
            days = {"startDate": f"{start}T00:00:00Z", "endDate": f"{end}T23:59:59Z"}
            query = days | ({"eventCodes": listed} if listed else {})
            answers.add(self._get(path, WHAT, LISTS, query))
        return answers.as_payload()

    def _get(
        self, path: str, what: str, keys: tuple[str, ...], query: dict[str, str] | None = None
    ) -> dict[str, Any]:
        site = origin(self._base)

        def send(login: TandemLogin) -> Answer:
            return self._http.get(
                endpoint(self._base, path.format(pumper=quote(login.pumper_id, safe=""))),
                params=query,
                headers={
                    "Accept": "application/json",
                    "Origin": site,
                    "Referer": f"{site}/",
                    **login.token.header,
                },
                allow_redirects=False,
            )

        answer = self.logins.ask(send)
        text = text_of(answer)
        if answer.status_code == 400 and "ZodError" in text:
            # The server has other ideas of a query than we have (tandem-source-api §4.2).
            raise ApiError(
                f"Tandem's cloud now expects a different request for the {what}. A newer "
                f"tconnectsync is needed. It says: {words_of(text)}",
                400,
                divisible=False,
                changed=True,
            )
        payload = json_of(answer, what, dict)
        if payload and not payload.keys() & set(keys):
            raise unusable(text, what)  # An error report must not pass for an empty day.
        return payload

"""Where a site answers: its address, what stands in front of it, and whether it is Nightscout."""

from __future__ import annotations

import logging
from base64 import b64encode
from typing import Any

from tconnectsync.exchange import Answer
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.address import shorter, split_login
from tconnectsync.nightscout.faults import (
    fault_of,
    is_json,
    is_nightscout,
    is_page,
    no_nightscout,
    own_words,
)
from tconnectsync.redact import Redactor

log = logging.getLogger(__name__)

STATUS = "status.json"


class Site:
    """Sends requests to a Nightscout site; answers of other servers become errors.

    Until Nightscout has answered once, a doubtful answer is examined: the given address may be that
    of a page or of the interface, and the site at a shorter one.

    Args:
        url: the site's address as it was given; it may have a path, a user and a password.
        secret: what must not be shown if the site repeats it.
        http: the client.
    """

    def __init__(self, url: str, secret: str, http: HttpClient) -> None:
        self.given = url.rstrip("/")
        self.remark = ""
        """The notice about an address that was not quite right; empty if it was right."""
        self._url, self._login = split_login(self.given)
        self._secret = secret
        self._http = http
        self._is_known = False

    @property
    def url(self) -> str:
        """The address in use; with the user and password that were given, if any."""
        login = self.given.partition("://")[2].partition("/")[0].rpartition("@")[0]
        if not self.remark:
            return self.given
        return self._url.replace("://", f"://{login}@", 1) if login else self._url

    def request(self, method: str, path: str, headers: dict[str, str], **options: Any) -> Answer:
        """Return Nightscout's answer, whatever its status; ``path`` is below ``/api/v1/``.

        Raises:
            NightscoutError: what answers is not Nightscout; a subclass says what else it is.
            NetworkError: nothing answers.
        """
        answer = self._ask(self._url, method, path, headers, options)
        self._require_own(answer)
        status = answer.status_code
        # A known site that is not there any more may be another server's by now.
        if method != "GET" or (self._is_known and status != 404):
            return answer
        if path == STATUS:
            is_ours = is_nightscout(answer)
        else:
            is_ours = status in (200, 401) and is_json(answer)
        if is_ours:
            self._is_known = True
        elif status == 200 and path != STATUS and not is_page(answer):
            # Not another web server's: Nightscout answers in other forms than JSON, too.
            return answer
        elif status in (200, 203, 300, 400, 403, 404, 405, 406, 410, 421):
            found = self._found(path, answer, headers)
            if path == STATUS:
                return found
            if self.remark:
                answer = self._ask(self._url, method, path, headers, options)
                self._require_own(answer)
        return answer

    def find(self, headers: dict[str, str]) -> None:
        """Find out at which address the site is, where another one may have been meant.

        Raises as :meth:`request`.
        """
        if any(True for _ in shorter(self._url)):
            self.request("GET", STATUS, headers)

    def words(self, answer: Answer) -> str:
        """Return what an answer says, as a sentence that follows others."""
        return own_words(answer, Redactor({"NS_SECRET": self._secret, "NS_URL": self.given}))

    def _found(self, path: str, answer: Answer, headers: dict[str, str]) -> Answer:
        """Return the site's status after finding out where it is.

        Raises:
            NightscoutAddressError: neither at the address nor at a shorter one.
        """
        for url in (self._url, *shorter(self._url)):
            is_asked = url == self._url and path == STATUS
            status = answer if is_asked else self._ask(url, "GET", STATUS, headers, {})
            if not is_nightscout(status):
                continue
            self._is_known = True
            if url != self._url:
                more, self._url = self._url.removeprefix(url), url
                self.remark = (
                    f"With {more} at its end, NS_URL is not the address of a Nightscout site. "
                    f"Without it, it is one, and that address is used. Remove {more} from NS_URL."
                )
                log.warning(self.remark)
            return status
        raise no_nightscout(answer, self.words(answer))

    def _require_own(self, answer: Answer) -> None:
        if fault := fault_of(answer, self._login, self.words):
            raise fault

    def _ask(
        self, url: str, method: str, path: str, headers: dict[str, str], options: dict[str, Any]
    ) -> Answer:
        if self._login:
            login = b64encode(":".join(self._login).encode()).decode()
            headers = {**headers, "Authorization": f"Basic {login}"}
        return self._http.request(
            method,
            f"{url.rstrip('/')}/api/v1/{path}",
            headers=headers,
            allow_redirects=False,
            **options,
        )

"""Takes t:connect's web pages apart; Tandem Source answers in JSON, so it does not load this."""

from __future__ import annotations

import warnings

from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, XMLParsedAsHTMLWarning
from bs4.builder import ParserRejectedMarkup

BIGGEST_PAGE = 2_000_000
"""Letters of a web page; to take one apart takes long."""


def parsed_page(page: str) -> BeautifulSoup | None:
    """Take a web page apart; ``None`` if it is too damaged or too long for that.

    Text after its last tag is left out: for each unfinished tag, the library would search all the
    rest for its end, which takes hours if there are many.
    """
    if len(page) > BIGGEST_PAGE:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        try:
            return BeautifulSoup(page[: page.rfind(">") + 1], "html.parser")
        except ParserRejectedMarkup:
            return None

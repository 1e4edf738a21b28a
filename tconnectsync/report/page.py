"""Draws a report as a page."""

from __future__ import annotations

from html import escape

from tconnectsync.report.model import Report


def render(report: Report) -> str:
    """Return the page."""
    return f"<!doctype html>\n<title>{escape(f'{report.first} to {report.last}')}</title>\n"

"""A page that shows what a small Nightscout holds, day by day, for people with a browser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any

from jinja2 import Environment

from tconnectsync.simulators.nightscout.find import Document

_BASAL = "Temp Basal"
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>A small Nightscout</title>
<link rel="icon" href="data:,">
<style>
:root { --text: #1d2429; --line: #d5dbe0; --page: #fff; --link: #0b5cad }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6eaed; --line: #3a444c; --page: #14191d; --link: #7db8f0 }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; color: var(--text);
  background: var(--page); font: 1rem/1.5 system-ui, sans-serif }
a { color: var(--link) }
h2 { margin: 2rem 0 .25rem; border-top: 1px solid var(--line); padding-top: 1rem }
.table { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { padding: .2rem .75rem .2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line) }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
@media (max-width: 32rem) { th, td { padding-right: .4rem } }
summary { cursor: pointer; padding: .5rem 0 }
</style>
</head>
<body>
<main>
<h1>A small Nightscout</h1>
<p>{{ about }}</p>
<ul>
{%- for address, text in links.items() %}
<li><a href="{{ address }}">{{ text }}</a></li>
{%- endfor %}
</ul>
{%- for day in days %}
<section>
<h2>{{ "{0:%A}, {0.day} {0:%B %Y}".format(day.date) }}</h2>
<p>{{ "%.2f" | format(day.insulin) }} U of insulin: boluses {{ "%.2f" | format(day.bolus) }} U, \
basal {{ "%.2f" | format(day.basal) }} U. Carbs: {{ "%g" | format(day.carbs) }} g.</p>
{%- for shown, title in ((day.others, ""), (day.basals, "basals")) if shown %}
{%- if title %}
<details><summary>{{ shown | length }} {{ title }}</summary>
{%- endif %}
<div class="table" tabindex="0" role="region" \
aria-label="{{ title or 'treatments' }} of {{ day.date }}">
<table>
<thead><tr><th scope="col">Time</th><th scope="col">What</th>\
<th scope="col" class="number">{{ "U/h" if title else "U" }}</th>\
{% if not title %}<th scope="col" class="number">g</th>{% endif %}\
<th scope="col" class="number">min</th><th scope="col">Note</th></tr></thead>
<tbody>
{%- for row in shown %}
<tr><td>{{ "{:%H:%M}".format(row.at) }}</td><td>{{ row.type }}</td>\
<td class="number">{{ row.insulin }}</td>\
{% if not title %}<td class="number">{{ row.carbs }}</td>{% endif %}\
<td class="number">{{ row.minutes }}</td><td>{{ row.note }}</td></tr>
{%- endfor %}
</tbody>
</table>
</div>
{%- if title %}
</details>
{%- endif %}
{%- endfor %}
</section>
{%- else %}
<p>It holds no treatments.</p>
{%- endfor %}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class _Row:
    """A treatment as it is shown; numbers are texts, empty where there is none."""

    at: datetime
    type: str
    insulin: str
    carbs: str
    minutes: str
    note: str


@dataclass(frozen=True)
class _Day:
    date: date
    bolus: float
    basal: float
    carbs: float
    basals: list[_Row]
    others: list[_Row]

    @property
    def insulin(self) -> float:
        return self.bolus + self.basal


def home_page(treatments: Iterable[Document], about: str, links: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        treatments: those that the site holds.
        about: a sentence on what the site is.
        links: texts of links, by their addresses.
    """
    template = Environment(autoescape=True).from_string(_PAGE)
    return template.render(about=about, links=links, days=list(_days(treatments)))


def _days(treatments: Iterable[Document]) -> Iterator[_Day]:
    """Yield the days that have treatments, the newest first."""
    placed = sorted(((_local(it), it) for it in treatments), key=lambda pair: pair[0], reverse=True)
    for day, of_day in groupby(placed, key=lambda pair: pair[0].date()):
        found = list(of_day)
        rows = sorted((_row(at, it) for at, it in found), key=attrgetter("at"))
        yield _Day(
            date=day,
            bolus=_sum(it.get("insulin") for _, it in found),
            basal=_sum(
                it["absolute"] * it["duration"] / 60 for _, it in found if it["eventType"] == _BASAL
            ),
            carbs=_sum(it.get("carbs") for _, it in found),
            basals=[row for row in rows if row.type == _BASAL],
            others=[row for row in rows if row.type != _BASAL],
        )


def _local(treatment: Document) -> datetime:
    """Return when it was by the pump's clock, whose offset the site keeps beside the instant."""
    instant = datetime.fromisoformat(treatment["created_at"])
    return instant.replace(tzinfo=None) + timedelta(minutes=treatment.get("utcOffset", 0))


def _row(at: datetime, treatment: Document) -> _Row:
    return _Row(
        at,
        treatment["eventType"],
        _number(treatment.get("insulin", treatment.get("absolute"))),
        _number(treatment.get("carbs")),
        _number(treatment.get("duration"), 1),
        treatment.get("notes") or treatment.get("reason") or "",
    )


def _sum(numbers: Iterable[Any]) -> float:
    return sum(number or 0.0 for number in numbers)


def _number(number: float | None, places: int = 2) -> str:
    return "" if number is None else f"{round(number, places):g}"

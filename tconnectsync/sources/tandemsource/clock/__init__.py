"""From the wall times of a pump's log to instants: "bootstrapping to UTC", as Tidepool calls it.

1. A pump's clock knows no zone, but its log records every change of it (``changes.py``).
2. Between two changes lies an *offset interval*: in it the clock's offset from UTC is constant.
3. A change shifts the offset by what it says, less the *clock drift*: the minutes gone wrong.
4. So the offset of one interval gives all the others. Each choice is a *hypothesis* with a *cost*
   for everything in it that is unusual; the cheapest is the best (``hypotheses.py``).
5. An entry cannot be written after its own upload, and seldom long before (``evidence.py``).
6. Where nothing decides, the rules of the zone ``TIMEZONE_NAME`` count (``zonerules.py``).
7. The best hypothesis gives each interval its offset (``intervals.py``).
8. An interval is cut into *segments* of wall times with one offset each (``segments.py``).
9. A wrong date has a *conversion offset*, which is subtracted from its wall times.
10. ``logclock.py`` finds the segment of every entry by its *log position* and its wall time.

An example: a pump in New York, whose clock was put back on 2 November 2025, ten minutes late. Its
log says only that sequence number 12 changed the clock from 02:10 to 01:10, a shift of -1 hour.

============ ===================== ========== ==================================================
log position wall time             instant    why
============ ===================== ========== ==================================================
(0, 11)      01:50                 05:50 UTC  before the change: the interval with -4 hours
(0, 12)      02:10, then 01:10     06:10 UTC  the change itself
(0, 13)      01:50                 06:50 UTC  after it: -5 hours, as New York has from 06:00 UTC
============ ===================== ========== ==================================================

Three hypotheses are compared, of which the first is the best:

=============== ==== ===========================================================================
offsets (hours) cost why
=============== ==== ===========================================================================
-4, then -5     1    the zone's own offsets; the clock was put back late
-5, then -6     4    after the change, the person was away
-3, then -4     8    before the change, the clock had been an hour ahead for a long time
=============== ==== ===========================================================================
"""

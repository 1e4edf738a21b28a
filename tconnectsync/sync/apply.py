"""Carrying out what a plan says of treatments."""

from __future__ import annotations

from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.sync.plan import Plan


def apply(plan: Plan, nightscout: NightscoutApi) -> None:
    """Write the treatments of a plan: updates first, since they free instants, then what is new.

    At last, what another pump claims is removed.

    Every step can be repeated, so a run that breaks off in the middle is made good by the next.

    Raises:
        NightscoutError: a write was refused; what came before it stays written.
        NetworkError: Nightscout could not be reached.
    """
    for update in plan.update:
        nightscout.replace(update.after)
    nightscout.create(plan.create)
    for document in plan.remove:
        nightscout.remove_treatment(document)

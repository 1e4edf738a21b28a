"""Compares desired treatments with stored ones. Pure: nothing is read or written here."""

from tconnectsync.sync.plan.lookup import moved_elsewhere
from tconnectsync.sync.plan.plan import Plan, Update
from tconnectsync.sync.plan.planner import make_plan

__all__ = ["Plan", "Update", "make_plan", "moved_elsewhere"]

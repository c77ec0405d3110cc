"""User profiles: what somebody likes, counted from what they did, for people and for policies."""

from longgame.profiles.corrections import RESERVED, UNCORRECTED, Corrections, corrections_id
from longgame.profiles.population import Population, ProfileConfig
from longgame.profiles.portraits import Leaning
from longgame.profiles.profile import GENERAL, NOBODY, Profile, Worded, columns, pairs
from longgame.profiles.tags import Tag, Tags

__all__ = [
    "GENERAL",
    "NOBODY",
    "RESERVED",
    "UNCORRECTED",
    "Corrections",
    "Leaning",
    "Population",
    "Profile",
    "ProfileConfig",
    "Tag",
    "Tags",
    "Worded",
    "columns",
    "corrections_id",
    "pairs",
]

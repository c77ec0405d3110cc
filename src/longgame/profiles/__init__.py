"""User profiles: what somebody likes, counted from what they did, for people and for policies."""

from longgame.profiles.corrections import RESERVED, UNCORRECTED, Corrections, corrections_id
from longgame.profiles.population import Population, ProfileConfig
from longgame.profiles.profile import GENERAL, Profile, columns, pairs
from longgame.profiles.tags import Tag, Tags

__all__ = [
    "GENERAL",
    "RESERVED",
    "UNCORRECTED",
    "Corrections",
    "Population",
    "Profile",
    "ProfileConfig",
    "Tag",
    "Tags",
    "columns",
    "corrections_id",
    "pairs",
]

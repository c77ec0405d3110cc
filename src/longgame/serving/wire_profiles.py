"""What HTTP carries of profiles: corrections in, and what is known of a user out."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from longgame.profiles import Corrections, Tags
from longgame.serving.wire import Body, Reply


class CorrectionBody(Body):
    """What a user says of their own profile: tags by name ("genres=Drama"), or by label where one tag has it ("Drama")."""

    remove: list[str] = Field(default_factory=list)
    """Nothing is to be concluded about these."""
    add: list[str] = Field(default_factory=list)
    """These are liked."""
    restore: list[str] = Field(default_factory=list)
    """What was said of these is taken back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"remove": ["Horror"], "add": ["Documentary"]}]})

    def change(self, said: Corrections, tags: Tags) -> Corrections:
        """What the user said before, and this. Raises RecordError for a tag that is not one, or that is named twice."""
        names = [tags.named(given) for given in (self.remove, self.add, self.restore)]
        return said.changed(*names)


class TagReply(Reply):
    """One tag of a profile."""

    name: str
    label: str
    preference: float
    """-1 to 1: liked above what is usual, or below."""
    evidence: float
    """0 to 1: how much of that is the user's own doing, rather than of people like them."""
    said: str
    """removed or added, where the user corrected it; empty elsewhere."""


class SaidReply(Reply):
    """What a user corrected."""

    removed: list[str]
    added: list[str]
    since: datetime | None
    """What was done up to then is forgotten."""


class ProfileReply(Reply):
    """What is known of a user."""

    user: str
    text: str
    """One line for people."""
    by: Literal["model", "counted"]
    """Who worded what is liked and what is not."""
    events: int
    """That were counted."""
    rated: int
    """Of those, with a value that says how much it was liked."""
    tags: list[TagReply]
    """Most liked first."""
    general: dict[str, float]
    """The numbers that are no tag's: how much is known, how high values are, how spread over tags."""
    corrections: SaidReply

"""What users lean to, worded by a model beforehand: ``longgame understand --what profiles``.

Asked is only what no run asked before, of what today's profiles say; sentences that pass the checks are kept by their tags.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from pathlib import Path

from longgame.artefacts import write_whole
from longgame.language.objects import TRIES, ObjectCache
from longgame.language.shield import marks_of
from longgame.profiles import RESERVED, Leaning, Worded, portraits
from longgame.protocols import Writer
from longgame.serving.profiles import Profiles
from longgame.settings import Settings
from longgame.types import UserId
from longgame.wiring.budget import Budget, Spent, Tell
from longgame.wiring.ledgers import entered
from longgame.wiring.reading_items import Forecast, Read
from longgame.wiring.reading_kept import portraits_path
from longgame.wiring.reading_models import Models, to_write
from longgame.wiring.workspace import workspace

WHAT = "profiles"
_OBJECT = 20
"""Tokens of a sentence that is written, or so."""


class Portraits:
    """The users of a workspace, and the model that words what they lean to."""

    def __init__(self, settings: Settings, models: Models | None = None) -> None:
        """``models``: of whoever reads beside, so that the bounds of a server hold for all of it."""
        self._settings, self._models = settings, models or Models(settings)

    @cached_property
    def _leanings(self) -> tuple[int, Counter[Leaning]]:
        """How many users there are, and what they lean to, by how many. Raises ArtefactError before the first training."""
        with workspace(self._settings) as ws:
            population, profiles = ws.population(), Profiles(ws.store, self._settings.serve.history)
            now, told = datetime.now(UTC), Counter[Leaning]()
            users = dict.fromkeys(chain((user.id for user in ws.store.users()), (event.user for event in ws.events())))
            known = [user for user in users if not user.startswith(RESERVED)]
            for user in known:
                leanings = profiles.of(UserId(user), now, population).leanings()
                told.update(one.unordered for one in leanings)
        return len(known), told

    def _objects(self, writer: Writer) -> ObjectCache:
        return ObjectCache(Path(self._settings.data.folder) / "reading" / "written", writer, portraits.SCHEMA)

    def _prompts(self) -> dict[Leaning, str]:
        """Those that may be asked, each once."""
        marks = marks_of(self._models.writer)
        return {one: told for one in self._leanings[1] if (told := one.prompt(marks))}

    def plan(self, what: str = WHAT) -> Forecast:
        """Nothing is kept; a few prompts are tried. Raises ArtefactError before the first training."""
        writer, users = self._models.writer, self._leanings[0]
        if writer is None:
            return Forecast(what, f"{portraits.RECIPE}+counted", users, 0, 0, 0.0)
        todo = self._objects(writer).missing(list(self._prompts().values()))
        version = portraits.version(writer.name, marks_of(writer))
        if not todo:
            return Forecast(what, version, users, 0, 0, 0.0)
        trial = self._models.trial(to_write(writer, todo, portraits.SCHEMA, _OBJECT))
        return Forecast(what, version, users, len(todo), round(trial.tokens), trial.seconds, trial.cost)

    def read(self, what: str = WHAT, budget: float | None = None, tell: Tell = lambda done, total: None) -> Read:
        """Words what was not worded before, for ``budget`` seconds at most, to the end of the batch under way then.

        Raises ArtefactError before the first training.
        """
        before, unanswered, bound = self._models.ledger, self._models.missed, Budget(budget, tell)
        writer, (users, told) = self._models.writer, self._leanings
        if writer is None:
            note = "no model writes: profiles are told as they are counted"
            return Read(what, f"{portraits.RECIPE}+counted", users, 0, 0, 0.0, self._models.ledger - before, note)
        version, prompts, note, found = portraits.version(writer.name, marks_of(writer)), self._prompts(), "", 0
        with entered(self._settings, what, lambda: version, lambda: self._models.ledger - before, bound):
            try:
                written = self._objects(writer).generate(list(prompts.values()), bound)
            except Spent:
                pass
            else:
                self._models.finish()
                judged = {one: portraits.judged(said, one)[0] for one, said in zip(prompts, written, strict=True)}
                passed = {one: text for one, text in judged.items() if text}
                self._keep(version, passed)
                found, people = len(passed), sum(told[one] for one in passed)
                note = f"of {len(told):,} leanings, which passed the checks: {people:,} of {told.total():,} that users have"
                if missed := self._models.missed - unanswered:
                    note += f"; a server left {missed:,} prompts without an answer: of {TRIES} runs each asks again"
        return Read(what, version, users, found, bound.left, bound.passed, self._models.ledger - before, note)

    def _keep(self, version: str, passed: Worded) -> None:
        """Those of today's leanings and no others: what nobody leans to any more is gone."""
        rows = [{"side": one.side, "tags": one.labels, "text": text} for one, text in passed.items()]
        write_whole(portraits_path(self._settings), json.dumps({"version": version, "sentences": rows}).encode())

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longgame.errors import ArtefactError
from longgame.language import HashingModel, VectorCache, understand
from longgame.language.asked import Answers
from longgame.language.cache import BATCH
from longgame.language.questions import SENTIMENT
from longgame.types import Item, ItemId


class Counting(HashingModel):
    """Counts the texts it is asked for."""

    def __init__(self, width: int = 7) -> None:
        super().__init__(width)
        self.asked: list[str] = []

    def embed(self, texts):
        self.asked += texts
        return super().embed(texts)


def _vectors_file(folder: Path) -> Path:
    (path,) = folder.glob("*/vectors.bin")
    return path


TEXTS = [f"title {i}" for i in range(23)]
RECORD = 16 + 4 * 7 + 4


def test_a_second_run_computes_nothing(tmp_path):
    first, second = Counting(), Counting()
    vectors = VectorCache(tmp_path).embed(first, [*TEXTS, TEXTS[3], ""], batch=5)
    assert sorted(first.asked) == sorted([*TEXTS, ""])
    np.testing.assert_array_equal(vectors, HashingModel(7).embed([*TEXTS, TEXTS[3], ""]))
    np.testing.assert_array_equal(VectorCache(tmp_path).embed(second, [*TEXTS, TEXTS[3], ""]), vectors)
    assert second.asked == []
    VectorCache(tmp_path).embed(second, [*TEXTS, "new"])
    assert second.asked == ["new"]


def test_models_do_not_share_vectors(tmp_path):
    cache = VectorCache(tmp_path)
    narrow, wide = cache.embed(HashingModel(7), TEXTS), cache.embed(HashingModel(9), TEXTS)
    assert (narrow.shape, wide.shape) == ((23, 7), (23, 9))


@pytest.mark.parametrize("lost", [1, 4, RECORD - 1, RECORD, RECORD + 5, 23 * RECORD])
def test_a_torn_tail_is_cut_off_and_read_again(tmp_path, lost):
    VectorCache(tmp_path).embed(Counting(), TEXTS)
    path = _vectors_file(tmp_path)
    os.truncate(path, 23 * RECORD - lost)
    model = Counting()
    np.testing.assert_array_equal(VectorCache(tmp_path).embed(model, TEXTS), HashingModel(7).embed(TEXTS))
    assert len(model.asked) == -(-lost // RECORD)
    assert path.stat().st_size == 23 * RECORD


def test_a_tail_of_zeros_as_a_power_cut_leaves_is_cut_off(tmp_path):
    VectorCache(tmp_path).embed(Counting(), TEXTS)
    path = _vectors_file(tmp_path)
    with path.open("ab") as file:
        file.write(bytes(3 * RECORD + 7))
    model = Counting()
    VectorCache(tmp_path).embed(model, [*TEXTS, "new"])
    assert model.asked == ["new"]
    assert path.stat().st_size == 24 * RECORD


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, 23 * RECORD - 1), byte=st.integers(1, 255))
def test_a_damaged_byte_anywhere_never_gives_a_wrong_vector(tmp_path_factory, at, byte):
    folder = tmp_path_factory.mktemp("cache")
    VectorCache(folder).embed(Counting(), TEXTS)
    path = _vectors_file(folder)
    data = bytearray(path.read_bytes())
    data[at] ^= byte
    path.write_bytes(data)
    model = Counting()
    np.testing.assert_array_equal(VectorCache(folder).embed(model, TEXTS), HashingModel(7).embed(TEXTS))
    assert len(model.asked) == 1
    again = Counting()
    VectorCache(folder).embed(again, TEXTS)
    assert again.asked == []


def test_a_second_writer_is_told_and_changes_nothing(tmp_path):
    class Nested(HashingModel):
        def embed(self, texts):
            with pytest.raises(ArtefactError, match="another process is writing"):
                VectorCache(tmp_path).embed(HashingModel(7), ["other"])
            return super().embed(texts)

    VectorCache(tmp_path).embed(Nested(7), TEXTS, batch=6)
    assert VectorCache(tmp_path).embed(HashingModel(7), [*TEXTS, "other"]).shape == (24, 7)


def test_a_reader_sees_what_another_object_wrote(tmp_path):
    reader, model = VectorCache(tmp_path), Counting()
    reader.embed(HashingModel(7), TEXTS[:2])
    VectorCache(tmp_path).embed(HashingModel(7), TEXTS)
    reader.embed(model, TEXTS)
    assert model.asked == []


def test_a_foreign_folder_is_refused(tmp_path):
    VectorCache(tmp_path).embed(HashingModel(7), TEXTS)
    recipe = _vectors_file(tmp_path).with_name("recipe.json")
    recipe.write_text(recipe.read_text().replace('"width": 7', '"width": 8'))
    with pytest.raises(ArtefactError, match="width"):
        VectorCache(tmp_path).embed(HashingModel(7), TEXTS)
    recipe.write_text("{")
    with pytest.raises(ArtefactError, match="not JSON"):
        VectorCache(tmp_path).embed(HashingModel(7), TEXTS)
    recipe.unlink()
    with pytest.raises(ArtefactError, match=r"recipe\.json"):
        VectorCache(tmp_path).embed(HashingModel(7), TEXTS)


def test_progress_counts_items_that_are_safe(tmp_path):
    told: list[tuple[int, int]] = []
    VectorCache(tmp_path).embed(HashingModel(7), TEXTS[:4])
    VectorCache(tmp_path).embed(HashingModel(7), [*TEXTS, TEXTS[0], TEXTS[9]], lambda *t: told.append(t), batch=8)
    assert told[0] == (5, 25)
    assert told[-1] == (25, 25)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


CHILD = """
import sys
from longgame.language import HashingModel, VectorCache, understand
from longgame.types import Item

class Loud(HashingModel):
    def embed(self, texts):
        print(len(texts), flush=True)
        return super().embed(texts)

print("up", flush=True)
items = [Item(str(i), f"title number {i}") for i in range(20_000)]
understand(items, Loud(300), VectorCache(sys.argv[1]))
print("done", flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize("after", [2, 9])
def test_a_killed_run_resumes_with_at_most_one_batch_lost(tmp_path, after):
    asked = 0
    with subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        for _ in range(after):
            asked += int(child.stdout.readline())
        child.kill()
        rest = child.stdout.read().split()
    assert "done" not in rest
    asked += sum(map(int, rest))

    class Wide(Counting):
        def __init__(self) -> None:
            super().__init__(300)

    items = [Item(ItemId(str(i)), f"title number {i}") for i in range(20_000)]
    model = Wide()
    features = understand(items, model, VectorCache(tmp_path))
    assert model.asked
    assert asked + len(model.asked) <= len(items) + BATCH
    np.testing.assert_array_equal(features.vectors, HashingModel(300).embed([item.text for item in items]))


class Shy:
    """A chooser that gives no answer to what it was told to be silent about, as a server's model may."""

    name = "shy"

    def __init__(self, silent: str) -> None:
        self.silent, self.asked = silent, list[str]()

    def answered(self, prompts, options):
        self.asked += prompts
        said = np.array([self.silent not in prompt for prompt in prompts], np.bool_)
        return np.where(said[:, None], [[-0.1, -2.0]], [[-0.69, -0.69]]).astype(np.float32), said

    def choose(self, prompts, options):
        return self.answered(prompts, options)[0]


def test_a_question_that_got_no_answer_is_asked_again_by_the_next_run(tmp_path: Path):
    texts = ["it is lovely", "it is odd", "it is grand"]
    shy = Shy("odd")
    cache = VectorCache(tmp_path)
    got = cache.embed(Answers(shy, SENTIMENT), texts)
    np.testing.assert_allclose(got, [[-0.1, -2.0], [-0.69, -0.69], [-0.1, -2.0]], rtol=1e-6)
    np.testing.assert_array_equal(cache.embed(Answers(shy, SENTIMENT), texts), got)
    assert len(shy.asked) == 3, "one run asks once"
    assert VectorCache(tmp_path).missing(Answers(shy, SENTIMENT), texts) == ["it is odd"]
    well = Shy("nothing of it")
    again = VectorCache(tmp_path).embed(Answers(well, SENTIMENT), texts)
    assert len(well.asked) == 1 and "odd" in well.asked[0]
    np.testing.assert_allclose(again, [[-0.1, -2.0]] * 3, rtol=1e-6)
    assert VectorCache(tmp_path).missing(Answers(well, SENTIMENT), texts) == []

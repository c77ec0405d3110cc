"""Parts and snapshots appear whole or not at all, whatever happens in between."""

import json
import os
import threading

import numpy as np
import pytest

from longgame import artefacts
from longgame.algorithms.rank import RankPolicy
from longgame.artefacts import digest, load, save
from longgame.errors import ArtefactError
from longgame.language.lock import exclusive
from longgame.learning import publish as module
from longgame.learning.publish import Registry, Snapshot


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {"a": rng.standard_normal((2, 3)).astype(np.float32), "b": rng.integers(0, 9, 4), "c": np.array([True, False])}


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


def snapshot(registry, seed=0, **more):
    return Snapshot(f"p-{seed}", {"policy": registry.put("policy", arrays(seed), {"kind": "x"})}, {"steps": 4}, **more)


def test_a_part_is_read_as_it_was_written(registry):
    name = registry.put("policy", arrays(), {"kind": "x", "names": ["é", 1.5]})
    got, about = registry.get(name)
    assert about == {"kind": "x", "names": ["é", 1.5]} and got.keys() == arrays().keys()
    for key, value in arrays().items():
        np.testing.assert_array_equal(got[key], value)
        assert got[key].dtype == value.dtype
    assert registry.get(registry.put("policy", {}, RankPolicy().about()))[0] == {}, "a policy without arrays"


def test_a_name_is_made_of_the_contents(registry):
    base, transposed = arrays(), {**arrays(), "a": np.asfortranarray(arrays()["a"])}
    assert registry.put("policy", base, {"k": 1, "l": 2}) == registry.put("policy", transposed, {"l": 2, "k": 1})
    others = [
        registry.put("policy", arrays(1), {"k": 1, "l": 2}),
        registry.put("policy", base, {"k": 1, "l": 3}),
        registry.put("features", base, {"k": 1, "l": 2}),
        registry.put("policy", {**base, "a": base["a"].reshape(3, 2)}, {"k": 1, "l": 2}),
        registry.put("policy", {**base, "b": base["b"].view(np.uint64)}, {"k": 1, "l": 2}),
        registry.put("policy", {"a2": base["a"], "b": base["b"], "c": base["c"]}, {"k": 1, "l": 2}),
    ]
    assert len({registry.put("policy", base, {"k": 1, "l": 2}), *others}) == 7
    assert digest({"a": np.zeros(0)}) != digest({})


def test_a_part_that_is_there_is_not_written_again(registry):
    name = registry.put("policy", arrays(), {})
    (path,) = (registry.folder / "parts").iterdir()
    before = path.stat().st_mtime_ns
    assert registry.put("policy", arrays(), {}) == name and path.stat().st_mtime_ns == before


@pytest.mark.parametrize("keep", [0, 7, 8, 40, -1])
def test_a_torn_part_is_refused(registry, keep):
    name = registry.put("policy", arrays(), {})
    (path,) = (registry.folder / "parts").iterdir()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArtefactError, match="not a whole longgame checkpoint"):
        registry.get(name)


def test_what_is_not_a_part_is_refused(registry, tmp_path):
    with pytest.raises(ArtefactError, match="no such checkpoint"):
        registry.get("policy-0000")
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ArtefactError, match="not a whole"):
        load(tmp_path / "foreign.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is no checkpoint")
    with pytest.raises(ArtefactError, match="not a whole"):
        load(tmp_path / "text.safetensors")


def test_the_live_snapshot_is_the_last_one_published(registry):
    assert registry.current() is None
    first = registry.publish(snapshot(registry, 0, proof={"reason": "first", "low": -0.5}))
    assert registry.current().number == first.number == 1
    second = registry.publish(snapshot(registry, 1))
    assert registry.current() == second and second.number == 2 and second.policy == "p-1"
    again = registry.publish(first)
    assert again.number == 3 and again.parts == first.parts
    assert sorted(p.name for p in (registry.folder / "snapshots").iterdir()) == [f"{n:06d}.json" for n in (1, 2, 3)]
    assert Registry(registry.folder).current() == again


def test_a_snapshot_needs_its_parts(registry):
    with pytest.raises(ArtefactError, match="put it before"):
        registry.publish(Snapshot("p", {"policy": "policy-gone"}, {}))
    assert registry.current() is None


def test_an_old_snapshot_made_live_by_hand_does_not_write_over_the_newer_ones(registry):
    for seed in range(3):
        registry.publish(snapshot(registry, seed))
    folder = registry.folder
    (folder / "current.json").write_bytes((folder / "snapshots" / "000001.json").read_bytes())
    third = (folder / "snapshots" / "000003.json").read_bytes()
    assert registry.current().number == 1
    assert registry.publish(snapshot(registry, 7)).number == 4
    assert (folder / "snapshots" / "000003.json").read_bytes() == third


@pytest.mark.parametrize("dies_at", ["part", "snapshot", "current", "rename"])
def test_a_crash_leaves_the_old_snapshot_live_and_the_way_free(registry, dies_at, monkeypatch):
    old = registry.publish(snapshot(registry, 0))
    whole = artefacts.write_whole

    def crash(path, data):
        where = "current" if path.name == "current.json" else "snapshot"
        if dies_at == "rename" and where == "current":  # half of the new file lies beside the old one
            path.with_name(f".{path.name}.1.part").write_bytes(data[: len(data) // 2])
        if dies_at in (where, "rename" if where == "current" else ""):
            raise KeyboardInterrupt
        whole(path, data)

    def torn(path, arrays, about):
        path.with_name(f".{path.name}.1.part").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_whole", crash)
        if dies_at == "part":
            patch.setattr(module, "save", torn)
        with pytest.raises(KeyboardInterrupt):
            registry.publish(snapshot(registry, 1))
    assert registry.current() == old
    new = registry.publish(snapshot(registry, 2))
    assert registry.current() == new and new.number > old.number
    np.testing.assert_array_equal(registry.get(new.parts["policy"])[0]["a"], arrays(2)["a"])


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"schema": 99}', '{"schema": 1}', '{"schema": 1, "policy": "p", "unknown": 2}']
)
def test_a_damaged_snapshot_is_an_error_that_says_what_to_do(registry, content):
    registry.publish(snapshot(registry))
    (registry.folder / "current.json").write_text(content)
    with pytest.raises(ArtefactError, match=r"current\.json"):
        registry.current()


def test_a_snapshot_of_another_version_says_so(registry):
    registry.publish(snapshot(registry))
    path = registry.folder / "current.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    with pytest.raises(ArtefactError, match="needs schema 1, got 2; it is of another version"):
        registry.current()


def test_a_reader_always_sees_a_whole_snapshot(registry):
    """It reads as fast as it can while another thread publishes: no error, no half, and numbers only rise."""
    registry.publish(snapshot(registry, 0))
    stop, seen, errors = threading.Event(), [0], list[object]()

    def read():
        reader = Registry(registry.folder)
        while not stop.is_set():
            try:
                now = reader.current()
                assert now is not None
                got, _ = reader.get(now.parts["policy"])
                if now.number < seen[-1] or not np.array_equal(got["a"], arrays(int(now.policy[2:]))["a"]):
                    errors.append(now)
                if now.number != seen[-1]:
                    seen.append(now.number)
            except BaseException as error:
                errors.append(error)
                return

    thread = threading.Thread(target=read)
    thread.start()
    for seed in range(1, 60):
        registry.publish(snapshot(registry, seed))
    stop.set()
    thread.join()
    assert not errors and len(seen) > 2


def test_a_checkpoint_is_replaced_whole(tmp_path):
    path = tmp_path / "deep" / "a.safetensors"
    save(path, arrays(0), {"n": 0})
    save(path, arrays(1), {"n": 1})
    got, about = load(path)
    assert about == {"n": 1} and np.array_equal(got["a"], arrays(1)["a"])
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]


def test_publishers_of_one_moment_get_numbers_of_their_own(registry):
    """Threads with a registry each, as `longgame train` beside a server's learner: the lock is the file's."""
    numbers, begin = list[int](), threading.Barrier(6)

    def publish(seed):
        own = Registry(registry.folder)
        begin.wait()
        for n in range(4):
            numbers.append(own.publish(snapshot(own, 10 * seed + n)).number)

    threads = [threading.Thread(target=publish, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 25))
    held = [json.loads(path.read_text())["policy"] for path in (registry.folder / "snapshots").iterdir()]
    assert len(set(held)) == 24 and registry.current().number == 24


def test_threads_that_write_one_file_do_not_share_what_lies_aside(tmp_path, monkeypatch):
    """Both have written their half before either goes on: with one name for both, one renames what the other needs."""
    path, both, errors = tmp_path / "a", threading.Barrier(2), list[BaseException]()
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (both.wait(10), sync(handle)))
    monkeypatch.setattr(artefacts, "sync_folder", lambda folder: None)

    def write(data):
        try:
            artefacts.write_whole(path, data)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(data,)) for data in (b"first" * 100, b"second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and path.read_bytes() in (b"first" * 100, b"second")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_publisher_waits_for_another_but_not_for_ever(registry, monkeypatch):
    first = registry.publish(snapshot(registry, 0))
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with exclusive(registry.folder / "lock"), pytest.raises(ArtefactError, match="another process is writing here"):
        registry.publish(snapshot(registry, 1))
    assert registry.current() == first and registry.publish(snapshot(registry, 1)).number == 2

"""Of several machines one trains a run; another takes over when it gives no sign of life."""

import time

import pytest

from debias.storage import leases
from debias.storage.leases import HeldError, Lease, is_held, owner_of
from debias.storage.urls import opened


def lease(owner: str) -> Lease:
    return Lease(opened("out", "memory://bucket/sweep"), "run", owner)


def objects(files) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in files.find("/bucket/sweep/leases/run"))


def test_one_owner_at_a_time(memory):
    first = lease("a")
    assert not first.acquire()
    with pytest.raises(HeldError, match=r"sweep is being trained on .*sign of life \d s ago"):
        lease("b").acquire()
    assert lease("a").acquire()  # the same machine goes on at once: its local copy is the newest
    with first.renewed():
        pass
    assert not lease("b").acquire()  # it was given back
    with pytest.raises(HeldError, match="another machine has taken over"):
        first.check()
    assert first.number == 1  # a late sign of life must not overwrite the lease of the other
    lease("b").check()
    assert objects(memory) == ["000002.json"]


def test_owner_that_was_last_has_the_newest_copy(memory):
    first = lease("a")
    first.acquire()
    with first.renewed():
        pass
    assert lease("a").acquire()


def test_silent_owner_loses_the_lease_by_the_clock_of_the_storage(memory, monkeypatch):
    lease("a").acquire()
    monkeypatch.setattr(time, "time", lambda: 1e12)  # that of this machine does not count
    with pytest.raises(HeldError):
        lease("b").acquire()
    monkeypatch.setattr(leases, "EXPIRY", 0.0)
    assert not lease("b").acquire()
    with pytest.raises(HeldError, match="taken over"):
        lease("a").check()


def test_signs_of_life_keep_the_lease(memory, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.01)
    first = lease("a")
    first.acquire()
    path = "/bucket/sweep/leases/run/000001.json"
    before = memory.modified(path)
    with first.renewed():
        while memory.modified(path) == before:
            time.sleep(0.01)


@pytest.mark.parametrize("refuses", [True, False], ids=["exclusive writes", "plain writes"])
def test_of_two_that_take_over_at_once_one_wins(memory, monkeypatch, refuses):
    """The second creates its lease between the first's look and its write."""
    monkeypatch.setattr(leases, "EXPIRY", 0.0)
    lease("a").acquire()
    write, late = memory.pipe_file, lease("c")

    def pipe_file(path, value, mode="overwrite"):
        if mode == "create" and b'"b"' in value:
            write(path, late.text.bytes())
        write(path, value, mode=mode if refuses else "overwrite")

    monkeypatch.setattr(type(memory), "pipe_file", staticmethod(pipe_file))
    if refuses:
        with pytest.raises(HeldError):
            lease("b").acquire()
    else:
        lease("b").acquire()
    lease("c" if refuses else "b").check()
    with pytest.raises(HeldError):
        lease("b" if refuses else "c").check()


def test_owner_is_drawn_once(tmp_path):
    assert owner_of(tmp_path / "x") == owner_of(tmp_path / "x") != owner_of(tmp_path / "y")


def test_copied_leases_say_who_trains(memory, tmp_path, monkeypatch):
    first = lease("a")
    first.acquire()
    (tmp_path / "000001.json").write_bytes(first.text.bytes())
    assert is_held(tmp_path)
    monkeypatch.setattr(leases, "EXPIRY", -1.0)
    assert not is_held(tmp_path)
    monkeypatch.undo()
    (tmp_path / "000002.json").write_bytes(first.text._replace(ended=True).bytes())
    assert not is_held(tmp_path)
    assert not is_held(tmp_path / "none")


def test_real_server(s3):
    def one(owner):
        return Lease(opened("out", "s3://bucket/sweep"), "run", owner)

    one("a").acquire()
    with pytest.raises(HeldError):
        one("b").acquire()
    assert one("a").acquire()
    with pytest.raises(FileExistsError):
        s3.pipe_file("bucket/sweep/leases/run/000001.json", b"", mode="create")

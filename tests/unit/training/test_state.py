import os
import resource
import signal

import pytest
import torch

from polylect.base import StorageError
from polylect.training.checkpointing import Position, load_state, save_state
from polylect.training.mesh import Mesh


def fresh(seed=0):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    return model, optimizer


def advance(model, optimizer, num):
    for i in range(num):
        torch.manual_seed(100 + i)
        model(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_saved_state_goes_on_as_if_it_had_never_stopped(tmp_path):
    model, optimizer = fresh()
    advance(model, optimizer, 3)
    save_state(tmp_path, model, optimizer, Position(3, 123, 4.5), Mesh())
    at_save = flat(model).clone()
    advance(model, optimizer, 4)

    other, other_optimizer = fresh(seed=9)
    assert not torch.equal(flat(other), at_save)
    assert load_state(tmp_path, other, other_optimizer) == Position(3, 123, 4.5)
    assert torch.equal(flat(other), at_save)
    advance(other, other_optimizer, 4)
    assert torch.equal(flat(other), flat(model))
    assert os.listdir(tmp_path) == ["state"]


def test_there_is_none_at_first(tmp_path):
    model, optimizer = fresh()
    assert load_state(tmp_path, model, optimizer) is None
    (tmp_path / "state.new").mkdir()  # killed while the first was written
    assert load_state(tmp_path, model, optimizer) is None


def test_a_later_state_takes_the_place_of_the_first(tmp_path):
    model, optimizer = fresh()
    for step in (1, 2):
        advance(model, optimizer, 1)
        save_state(tmp_path, model, optimizer, Position(step, 0, 0.0), Mesh())
    other, other_optimizer = fresh(seed=9)
    assert load_state(tmp_path, other, other_optimizer).step == 2
    assert torch.equal(flat(other), flat(model))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("kills", [1, 2, 3])
@pytest.mark.kill
def test_a_kill_between_the_two_renames_keeps_a_good_state_even_twice(tmp_path, monkeypatch, kills):
    model, optimizer = fresh()
    advance(model, optimizer, 1)
    save_state(tmp_path, model, optimizer, Position(1, 0, 0.0), Mesh())
    good = flat(model).clone()
    rename = os.replace

    def killed(source, target):
        if str(source).endswith("state.new"):
            raise Killed
        rename(source, target)

    for _ in range(kills):
        advance(model, optimizer, 1)
        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            save_state(tmp_path, model, optimizer, Position(2, 0, 0.0), Mesh())
        monkeypatch.undo()
        model, optimizer = fresh(seed=9)
        assert load_state(tmp_path, model, optimizer) == Position(1, 0, 0.0)
        assert torch.equal(flat(model), good)
    save_state(tmp_path, model, optimizer, Position(3, 0, 0.0), Mesh())
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.kill
def test_a_kill_at_any_system_call_of_a_save_keeps_a_good_state(tmp_path, monkeypatch):
    # Every function of the operating system that a save calls may be the last.
    import shutil

    import polylect.training.checkpointing as module

    for last in range(1, 12):
        work = tmp_path / str(last)
        work.mkdir()
        model, optimizer = fresh()
        advance(model, optimizer, 1)
        save_state(work, model, optimizer, Position(1, 0, 0.0), Mesh())
        advance(model, optimizer, 1)
        calls = 0

        def counted(function, last=last):
            def call(*args, **kwargs):
                nonlocal calls
                calls += 1
                if calls == last:
                    raise Killed
                return function(*args, **kwargs)

            return call

        for owner, name in ((os, "replace"), (shutil, "rmtree"), (module, "save_file"),
                            (module, "sync"), (module, "write_json")):  # fmt: skip
            monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
        try:
            save_state(work, model, optimizer, Position(2, 0, 0.0), Mesh())
            done = True
        except Killed:
            done = False
        monkeypatch.undo()
        other, other_optimizer = fresh(seed=9)
        position = load_state(work, other, other_optimizer)
        assert position in ([Position(2, 0, 0.0)] if done else
                            [Position(1, 0, 0.0), Position(2, 0, 0.0)])  # fmt: skip
        if done:
            assert last > 5  # the loop did reach every call
            return
    pytest.fail("a save makes more calls than were tried")


def test_a_disk_that_is_full_keeps_the_last_state(tmp_path):
    model, optimizer = fresh()
    save_state(tmp_path, model, optimizer, Position(1, 0, 0.0), Mesh())
    good = flat(model).clone()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(StorageError, match="the file would exceed the allowed size"):
            save_state(tmp_path, model, optimizer, Position(2, 0, 0.0), Mesh())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    other, other_optimizer = fresh(seed=9)
    assert load_state(tmp_path, other, other_optimizer) == Position(1, 0, 0.0)
    assert torch.equal(flat(other), good)


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="choose another path"):
        save_state(tmp_path / "file", *fresh(), Position(0, 0, 0.0), Mesh())

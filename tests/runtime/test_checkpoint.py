import resource
import signal

import pytest
import torch

from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from pretext.runtime.command_line import RunFailedError


def test_a_checkpoint_comes_back_equal(tmp_path):
    state = {"step": 7, "network": {"w": torch.randn(3, 4)}, "config": {"lr": 1e-3, "betas": (0.9, 0.99)}}
    save_checkpoint(tmp_path / "last.pt", state)
    loaded = load_checkpoint(tmp_path / "last.pt")
    assert torch.equal(loaded["network"]["w"], state["network"]["w"])
    assert (loaded["step"], loaded["config"]) == (7, state["config"])


@pytest.fixture
def full_disk():
    """The kernel refuses to let any file of this process grow beyond 64 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_fails_leaves_the_checkpoint_of_before_whole(tmp_path, request):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 1})
    request.getfixturevalue("full_disk")
    with pytest.raises(RunFailedError, match=r"cannot save .*last\.pt: .*checkpoint of before is whole"):
        save_checkpoint(path, {"step": 2, "network": torch.zeros(1_000_000)})
    assert load_checkpoint(path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named_as_such(tmp_path, kept):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"network": torch.zeros(10_000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"last\.pt cannot be read as a checkpoint \(truncated"):
        load_checkpoint(path)


class Payload:
    def __reduce__(self):
        return (print, ("code ran while loading",))


def test_a_file_with_code_in_it_is_refused_without_running_it(tmp_path, capsys):
    torch.save({"network": Payload()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_checkpoint(tmp_path / "evil.pt")
    assert "code ran" not in capsys.readouterr().out

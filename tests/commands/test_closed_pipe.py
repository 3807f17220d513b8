"""A command whose reader has ended, as in ``debias data list | head -1``."""

from debias.__main__ import main
from debias.commands.data import list as data_list


def test_a_closed_pipe_is_no_mistake(monkeypatch, capfd):
    def run(source, overrides):
        raise BrokenPipeError

    monkeypatch.setattr(data_list, "run", run)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    assert main(["data", "list"]) == 0
    assert capfd.readouterr() == ("", "")

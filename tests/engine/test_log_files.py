"""fairseq2's log file of a process holds what aista says in it, though only the main one writes to the terminal."""

import logging

from aista.engine.compat import keep_in_log_files


def test_aistas_messages_are_in_the_file_of_this_run_alone(tmp_path, monkeypatch):
    ours, theirs = logging.getLogger("aista"), logging.getLogger("fairseq2")
    monkeypatch.setattr(ours, "handlers", [])
    for name in ("first", "second"):
        file = logging.FileHandler(tmp_path / name)
        monkeypatch.setattr(theirs, "handlers", [logging.NullHandler(), file])
        keep_in_log_files()
        logging.getLogger("aista.data").warning("in the %s", name)
        file.close()
    assert (tmp_path / "first").read_text() == "in the first\n"
    assert (tmp_path / "second").read_text() == "in the second\n"

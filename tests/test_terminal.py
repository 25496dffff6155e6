import logging

from aista.terminal import LoggedProgress


def test_progress_in_a_log_is_a_line_a_minute(caplog):
    times = iter([0, 30, 61, 100, 122, 190])
    progress = LoggedProgress(now=lambda: next(times))
    with caplog.at_level(logging.INFO, "aista.progress"):
        for stage, done, total in [("t", 1, 10), ("t", 2, 10), ("t", 3, 10), ("t", 5, 10), ("searched", 7, 0)]:
            progress(stage, done, total)
    assert caplog.messages == ["t: 20 %, about 4 min left", "t: 50 %, about 2 min left", "searched: 7"]

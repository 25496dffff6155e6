import logging

from aista.terminal import LoggedProgress, result_console


def test_a_table_in_a_file_is_wider_than_the_80_columns_of_no_terminal(capsys):
    result_console().print("x" * 120)
    assert capsys.readouterr().out == "x" * 120 + "\n"


def test_progress_in_a_log_is_a_line_a_minute(caplog):
    times = iter([0, 30, 61, 100, 122, 190])
    progress = LoggedProgress(now=lambda: next(times))
    with caplog.at_level(logging.INFO, "aista.progress"):
        for stage, done, total in [("t", 1, 10), ("t", 2, 10), ("t", 3, 10), ("t", 5, 10), ("searched", 7, 0)]:
            progress(stage, done, total)
    assert caplog.messages == ["t: 20 %, about 4 min left", "t: 50 %, about 2 min left", "searched: 7"]

import io

import pytest

from vidjax import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stderr(monkeypatch):
    def set_to(stream):
        monkeypatch.setattr("sys.stderr", stream)
        return stream

    return set_to


def test_a_log_gets_lines(stderr, monkeypatch):
    monkeypatch.setattr(progress_bar, "LOG_SECONDS", 0.0)
    log = stderr(io.StringIO())
    assert list(progress_bar.progress_bar(range(3), "videos", unit="video", leave=False)) == [0, 1, 2]
    lines = log.getvalue().splitlines()
    assert "\r" not in log.getvalue() and all(line.startswith("videos:") for line in lines)
    assert "1/3" in lines[0] and "3/3" in lines[-1]


def test_short_work_prints_one_line_at_most(stderr):
    for leave, count in ((True, 1), (False, 0)):
        log = stderr(io.StringIO())
        with progress_bar.progress_bar(total=3, description="videos", leave=leave) as bar:
            for _ in range(3):
                bar.update()
        assert len(log.getvalue().splitlines()) == count
        assert not count or "3/3" in log.getvalue()


def test_a_bar_that_has_nothing_to_do_prints_nothing(stderr):
    log = stderr(io.StringIO())
    progress_bar.progress_bar(total=3, initial=3).close()
    progress_bar.progress_bar(range(3), disable=True).close()
    assert not log.getvalue()


def test_a_terminal_gets_a_bar_in_place(stderr):
    terminal = stderr(Terminal())
    list(progress_bar.progress_bar(range(3), "videos"))
    assert "\rvideos" in terminal.getvalue()

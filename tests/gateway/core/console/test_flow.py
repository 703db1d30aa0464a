"""What waits, who has it, how much comes and goes."""

from services.gateway.core.console.flow import MINUTE, Group, Meter, Seen

GROUP = Group("tts", 3, 1, 4)


def seen(added: int, length: int, *groups: Group, key: str = "speak:a:show") -> Seen:
    return Seen(key, length, added, 1_000 if length else None, groups or (GROUP,))


def test_the_first_look_knows_no_rate() -> None:
    """A row for the group, as the broker has it."""
    (row,) = Meter().feed([seen(10, 5)], 1_000)
    assert row == {
        "key": "speak:a:show", "group": "tts", "length": 5, "oldest_ms": 1_000, "in": 0.0, "out": 0.0,
        "consumers": 3, "pending": 1, "lag": 4,
    }  # fmt: skip


def test_rates_count_what_came_and_what_was_finished() -> None:
    """Ten came, the length grew by four: six were finished; over two seconds that is five and three."""
    meter = Meter()
    meter.feed([seen(10, 5)], 1_000)
    (row,) = meter.feed([seen(20, 9)], 3_000)
    assert (row["in"], row["out"]) == (5.0, 3.0)


def test_a_stream_that_was_made_anew_has_no_rate() -> None:
    """Neither has one that is looked at twice in the same moment."""
    meter = Meter()
    meter.feed([seen(10, 5)], 1_000)
    (row,) = meter.feed([seen(2, 2)], 2_000)
    assert (row["in"], row["out"]) == (0.0, 0.0)
    (row,) = meter.feed([seen(9, 2)], 2_000)
    assert row["in"] == 0.0


def test_a_lag_that_the_broker_cannot_say_is_what_nobody_has() -> None:
    """Each entry of a work stream is either in somebody's hands or was not given out."""
    (row,) = Meter().feed([seen(10, 5, Group("tts", 1, 2, None))], 1_000)
    assert row["lag"] == 3


def test_a_stream_without_a_group_has_a_row_too() -> None:
    """Nobody reads it: all of it waits."""
    (row,) = Meter().feed([Seen("speak:a:call", 2, 2, 1)], 1_000)
    assert (row["group"], row["consumers"], row["lag"]) == ("", 0, 2)


def test_the_last_minute_is_kept() -> None:
    """Sixty samples, the newest last; a stream that is gone is forgotten."""
    meter = Meter()
    for second in range(MINUTE + 5):
        meter.feed([seen(second, 1)], second * 1_000)
    samples = meter.minutes()["speak:a:show"]
    assert samples == [(1.0, 1)] * MINUTE
    assert meter.feed([], 90_000) == []
    assert meter.minutes() == {}

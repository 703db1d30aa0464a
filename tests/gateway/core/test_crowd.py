"""How many connections there are, how fast a client may be, and what a ticket is."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.core.crowd import Crowd
from services.gateway.core.rates import Bucket
from services.gateway.core.tickets import key_of


def test_each_client_has_so_many_and_all_together_too() -> None:
    """Whoever is refused is told what to do; who leaves makes room."""
    crowd = Crowd(3, 2)
    assert [crowd.enter("10.0.0.1", trusted=False) for _ in range(2)] == ["", ""]
    assert crowd.enter("10.0.0.1", trusted=False).startswith("2 connections from your address are open")
    assert crowd.enter("10.0.0.2", trusted=False) == ""
    assert crowd.enter("10.0.0.3", trusted=False).startswith("3 connections are open already")
    crowd.leave("10.0.0.1")
    crowd.leave("10.0.0.2")
    assert crowd.enter("10.0.0.1", trusted=False) == ""


def test_who_is_trusted_may_have_all() -> None:
    """An address that many clients share."""
    crowd = Crowd(3, 1)
    assert [bool(crowd.enter("127.0.0.1", trusted=True)) for _ in range(4)] == [False, False, False, True]


def test_an_ipv6_client_is_its_network() -> None:
    """Each has 2^64 addresses; one of IPv4 in IPv6 is itself; a name is a name."""
    crowd = Crowd(9, 1)
    for client in ("2001:db8::1", "::ffff:10.0.0.1", "::ffff:10.0.0.2", "somebody"):
        assert crowd.enter(client, trusted=False) == ""
    for client in ("2001:db8::2:1", "::ffff:10.0.0.1", "somebody"):
        assert crowd.enter(client, trusted=False)
    crowd.leave("2001:db8::1:1")
    assert crowd.enter("2001:db8::2:1", trusted=False) == ""


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 30))), st.integers(1, 50), st.integers(1, 100))
def test_a_bucket_gives_what_it_has(asked: list[tuple[int, int]], size: int, rate: int) -> None:
    """Over any time, at most its size and what came since."""
    bucket, now, given_out = Bucket(size, rate), 1_000, 0
    for later, units in asked:
        now += later
        given_out += units if bucket.take(units, now) else 0
        assert given_out <= size + (now - 1_000) * rate / 1_000 + 0.001


def test_a_bucket_fills_again() -> None:
    """What is refused is not taken; a clock that goes back gives nothing."""
    bucket = Bucket(2, 1)
    assert [bucket.take(2, 0), bucket.take(1, 500), bucket.take(1, 1_000), bucket.take(1, 900)] == [
        True,
        False,
        True,
        False,
    ]


def test_a_ticket_is_kept_under_another_name() -> None:
    """Nothing that is no ticket is looked up."""
    assert len(key_of("a" * 43)) == 64
    assert "a" * 43 not in key_of("a" * 43)
    assert [key_of(text) for text in ("", "a" * 42, "a" * 44, "a" * 42 + "*", "票" * 43)] == [""] * 5

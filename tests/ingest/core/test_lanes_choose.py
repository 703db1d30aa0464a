"""The choice: what of it all is next, and why."""

from hypothesis import given
from hypothesis import strategies as st

from services.contract.ingest import Kind, Lane
from services.ingest.core.policy import Policy
from tests.ingest.core.made import T0, chat, enter, event, gift, paid
from tests.ingest.core.test_lanes import chosen, lanes


def test_super_chat_before_comment_of_the_same_second() -> None:
    """A super chat goes before the comment that came with it (B6)."""
    room = lanes(chat("a", T0 - 900), paid("p"))
    assert room.chat_waits(T0)
    choice = room.choose(T0, 0)
    assert choice
    assert (choice.item.ids, choice.lane, choice.deadline_ms) == (("p",), Lane.PAID, T0 + 60_000)


def test_highest_price() -> None:
    """A higher price goes first."""
    room = lanes(paid("cheap", T0 - 1_000), paid("dear", yuan=100))
    assert chosen(room.choose(T0, 0)) == (("dear",), "highest_price")


def test_age_outweighs_price() -> None:
    """One second of waiting is worth two yuan."""
    room = lanes(paid("old", T0 - 10_001, yuan=30), paid("dear", yuan=50))
    assert chosen(room.choose(T0, 0)) == (("old",), "oldest_paid")


def test_overdue_goes_before_any_price() -> None:
    """Whoever has waited for the paid deadline is next, whatever others pay."""
    room = lanes(paid("one", T0 - 60_000, yuan=1), paid("guard", yuan=19_998))
    assert chosen(room.choose(T0, 0)) == (("one",), "oldest_paid")


def test_ties() -> None:
    """Equal scores go by time, then by id."""
    room = lanes(paid("b"), paid("a"), paid("c", T0 - 1_000, yuan=28))
    assert [chosen(room.choose(T0, 0)) for _ in range(3)] == [
        (("c",), "oldest_paid"),
        (("a",), "oldest_paid"),
        (("b",), "paid_first"),
    ]


def test_operator_first() -> None:
    """An operator's line goes before what was paid."""
    room = lanes(paid("p", T0 - 90_000), event("s", Kind.SAY, Lane.PAID, text="We are back in five minutes."))
    assert chosen(room.choose(T0, 0)) == (("s",), "operator")


def test_turn_of_the_chat() -> None:
    """After five paid answers a waiting comment is answered, though paid ones wait (B7)."""
    room = lanes(paid("p"), chat("a", T0 - 2), chat("b", T0 - 1))
    assert chosen(room.choose(T0, 5)) == (("a",), "chat_turn")
    assert chosen(room.choose(T0, 4)) == (("p",), "paid_first")
    assert chosen(room.choose(T0, 5)) == (("b",), "oldest_chat")


def test_nothing_is_prepared_that_would_be_stale() -> None:
    """A comment that will be too old when it is aired is left, unless it is the chat's turn: then the newest goes."""
    room = lanes(chat("a", T0 - 12_000), chat("b", T0 - 11_000), enter("e", T0 - 5_000))
    assert room.choose(T0, 0, ahead_ms=6_000) is None
    assert chosen(room.choose(T0, 0, ahead_ms=4_000)) == (("b",), "oldest_chat")
    room.add(chat("c", T0 - 11_500), T0)
    room.add(paid("p"), T0)
    assert chosen(room.choose(T0, 5, ahead_ms=6_000)) == (("c",), "chat_turn")


def test_welcome_last() -> None:
    """A welcome is for when nobody says anything; its deadline counts from when the viewer came."""
    room = lanes(enter("e", T0 - 100), chat("a"))
    assert chosen(room.choose(T0, 0)) == (("a",), "oldest_chat")
    choice = room.choose(T0, 0)
    assert chosen(choice) == (("e",), "welcome")
    assert choice
    assert choice.deadline_ms == T0 - 100 + 8_000


def test_idle_topics() -> None:
    """Where nothing waits and nothing was heard for long enough, the topics are taken up in turn."""
    room = lanes(chat("a"), policy=Policy(idle_after_ms=30_000, idle_asks=("weather", "songs")))
    assert chosen(room.choose(T0, 0, quiet_ms=30_000)) == (("a",), "oldest_chat")
    assert room.choose(T0, 0, quiet_ms=29_999) is None
    topics = [room.choose(T0 + i, 0, quiet_ms=30_000) for i in range(3)]
    assert [topic.item.first.text for topic in topics if topic] == ["weather", "songs", "weather"]
    assert {topic.reason for topic in topics if topic} == {"idle"}


def test_idle_topics_are_off() -> None:
    """Without topics, or without a time, silence stays."""
    assert lanes().choose(T0, 0, quiet_ms=10**9) is None
    assert lanes(policy=Policy(idle_after_ms=0)).choose(T0, 0, quiet_ms=0) is None


def test_no_topic_while_a_combo_is_open() -> None:
    """A combo that is not over yet is about to be answered: no topic is begun."""
    room = lanes(gift("g"), policy=Policy(idle_after_ms=0, idle_asks=("weather",)))
    assert room.choose(T0, 0, quiet_ms=0) is None


@given(
    st.lists(st.tuples(st.integers(0, 120_000), st.integers(1, 20_000)), min_size=1, max_size=12),
    st.integers(0, 60_000),
)
def test_paid_order(entries: list[tuple[int, int]], later: int) -> None:
    """Of two paid events the one that is older and dearer always goes first, at whatever time one looks."""
    room = lanes(*(paid(f"p{i:02}", T0 - age, yuan=yuan) for i, (age, yuan) in enumerate(entries)))
    order: list[tuple[int, int]] = []
    while choice := room.choose(T0 + later, 0):
        order.append((T0 - choice.item.since_ms, choice.item.amount_fen))
    assert len(order) == len(entries)
    for i, (age, fen) in enumerate(order):
        assert not any(other[0] > age and other[1] > fen for other in order[i + 1 :])

"""The lanes: what waits, what goes, what is next."""

from collections.abc import Callable

import pytest

from services.contract.ingest import Decided, Kind, Lane, LiveEvent, Viewer
from services.ingest.core.items import Choice
from services.ingest.core.lanes import Lanes
from services.ingest.core.policy import Policy
from tests.ingest.core.made import ROOM, T0, chat, enter, event, gift, paid, withdrawal


def lanes(*events: LiveEvent, policy: Policy | None = None, now: int = T0) -> Lanes:
    made = Lanes(policy or Policy(), ROOM)
    for one in events:
        made.add(one, now)
    return made


def reasons(told: list[Decided]) -> list[tuple[str, str, str]]:
    return [(one.choice, one.reason, one.event.id if one.event else "") for one in told]


def chosen(choice: Choice | None) -> tuple[tuple[str, ...], str] | None:
    return (choice.item.ids, choice.reason) if choice else None


def test_newest_comments_wait() -> None:
    """The lane holds the newest comments; the oldest is pushed out and said so."""
    room = lanes(chat("a", T0), chat("b", T0 + 1), policy=Policy(chat_lane=2), now=T0 + 9)
    assert reasons(room.add(chat("c", T0 + 2), T0 + 9)) == [("drop", "pushed_out", "a")]
    assert [item.first.id for item in room.waiting(Lane.CHAT)] == ["b", "c"]
    assert len(room) == 2


def test_paid_is_never_dropped() -> None:
    """A thousand paid events of an hour ago all wait."""
    room = lanes(*(paid(f"p{i}", T0 - 3_600_000) for i in range(1_000)))
    assert room.expire(T0) == []
    assert len(room.waiting(Lane.PAID)) == 1_000


@pytest.mark.parametrize("make", [chat, paid, enter])
def test_duplicates(make: Callable[[str], LiveEvent]) -> None:
    """An id is taken once, also after it was answered."""
    room = lanes(make("a"))
    assert reasons(room.add(make("a"), T0)) == [("drop", "duplicate", "a")]
    assert room.choose(T0, 0)
    assert reasons(room.add(make("a"), T0)) == [("drop", "duplicate", "a")]


def test_memory_is_bounded() -> None:
    """Ids that were forgotten may come again, but not while the event still waits."""
    room = lanes(paid("a"), paid("b"), policy=Policy(seen_ids=1))
    assert reasons(room.add(paid("a"), T0)) == [("drop", "duplicate", "a")]
    assert room.choose(T0, 0)
    assert room.choose(T0, 0)
    assert room.add(paid("b"), T0) == []


def test_control_is_not_answered() -> None:
    """That a stream begins is no stimulus."""
    room = lanes(event("s", Kind.STARTED, Lane.CONTROL))
    assert len(room) == 0


def test_comments_become_stale() -> None:
    """After its deadline a comment goes, and one that comes too late is not taken at all."""
    room = lanes(chat("a"), enter("e"))
    assert room.expire(T0 + 8_000) == []
    assert reasons(room.expire(T0 + 8_001)) == [("drop", "stale", "e")]
    assert reasons(room.expire(T0 + 15_001)) == [("drop", "stale", "a")]
    assert reasons(room.add(chat("b"), T0 + 15_001)) == [("drop", "stale", "b")]


def test_clock_ahead() -> None:
    """A platform whose clock runs ahead does not keep comments fresh for longer."""
    room = lanes(chat("a", T0 + 3_600_000))
    assert reasons(room.expire(T0 + 15_001)) == [("drop", "stale", "a")]


def test_busy_room_welcomes_nobody() -> None:
    """With three comments waiting nobody is welcomed."""
    room = lanes(chat("a"), chat("b"))
    assert room.add(enter("e"), T0) == []
    room.add(chat("c"), T0)
    assert reasons(room.add(enter("f"), T0)) == [("drop", "busy", "f")]


def test_combo_is_one() -> None:
    """Gifts of one combo are answered together, once no gift has joined for three seconds."""
    room = lanes(gift("g1"))
    assert reasons(room.add(gift("g2"), T0 + 2_000)) == [("merge", "combo", "g2")]
    assert not room.paid_waits(T0 + 4_999)
    assert room.choose(T0 + 4_999, 0) is None
    choice = room.choose(T0 + 5_000, 0)
    assert chosen(choice) == (("g1", "g2"), "paid_first")
    assert choice
    assert choice.item.amount_fen == 200


def test_combo_without_end() -> None:
    """A combo that goes on for more than ten seconds is thanked for; later gifts of it are another item (B18)."""
    room = lanes(*(gift(f"g{i}") for i in range(3)))
    for second in range(1, 11):
        room.add(gift(f"h{second}", T0 + second * 1_000), T0 + second * 1_000)
        assert room.choose(T0 + second * 1_000, 0) is None
    choice = room.choose(T0 + 10_001, 0)
    assert choice
    assert len(choice.events) == 13
    assert room.add(gift("late", T0 + 10_002), T0 + 10_002) == []


def test_masked_viewers_are_not_one() -> None:
    """Gifts of viewers whom the platform masks are not merged (B17)."""
    masked = Viewer(id="", name="折***")
    room = lanes(gift("g1", viewer=masked), gift("g2", viewer=masked))
    assert [item.ids for item in room.waiting(Lane.PAID)] == [("g1",), ("g2",)]
    assert room.paid_waits(T0)


def test_two_viewers_are_not_one() -> None:
    """The same combo id from two viewers makes two items."""
    room = lanes(gift("g1"), gift("g2", viewer=Viewer(id="2")))
    assert len(room) == 2


def test_summary_of_seen_gifts() -> None:
    """The summary of a combo is the same money a second time, also when the combo was answered."""
    room = lanes(gift("g1"))
    assert room.choose(T0 + 3_000, 0)
    assert reasons(room.add(gift("bilibili:combo:c"), T0)) == [("drop", "combo", "bilibili:combo:c")]


def test_summary_alone() -> None:
    """The summary of gifts that were missed counts, at once."""
    room = lanes(gift("bilibili:combo:c"))
    assert chosen(room.choose(T0, 0)) == (("bilibili:combo:c",), "paid_first")


def test_silver_gift_is_chat() -> None:
    """A gift that cost nothing waits among the comments."""
    room = lanes(gift("g", lane=Lane.CHAT))
    assert room.choose(T0, 0) is None
    assert chosen(room.choose(T0 + 3_000, 0)) == (("g",), "oldest_chat")


def test_withdrawn_while_it_waits() -> None:
    """What the platform takes back is not answered (B16)."""
    room = lanes(paid("a"), paid("b"))
    told = room.add(withdrawal("w", "a", "unknown"), T0)
    assert reasons(told) == [("withdraw", "withdrawn", "a"), ("withdraw", "withdrawal", "w")]
    assert chosen(room.choose(T0, 0)) == (("b",), "paid_first")


def test_withdrawn_before_it_comes() -> None:
    """A withdrawal may overtake what it withdraws."""
    room = lanes(withdrawal("w", "a"))
    assert reasons(room.add(paid("a"), T0)) == [("withdraw", "withdrawn", "a")]
    assert len(room) == 0


def test_part_of_a_combo_is_withdrawn() -> None:
    """The rest of the combo still waits."""
    room = lanes(gift("g1"), gift("g2"), withdrawal("w", "g1"))
    assert chosen(room.choose(T0 + 3_000, 0)) == (("g2",), "paid_first")


def test_put_back() -> None:
    """What was chosen in vain waits at its old place, without what was withdrawn meanwhile."""
    room = lanes(gift("g1"), gift("g2"), chat("a"), chat("b", T0 + 1))
    paid_choice, chat_choice = room.choose(T0 + 3_000, 0), room.choose(T0 + 3_000, 0)
    assert paid_choice
    assert chat_choice
    room.add(withdrawal("w", "g1"), T0 + 3_000)
    assert room.is_withdrawn(paid_choice.item)
    assert reasons(room.put_back(paid_choice.item, T0 + 3_000)) == [("withdraw", "withdrawn", "g1")]
    assert room.put_back(chat_choice.item, T0 + 3_000) == []
    assert chosen(room.choose(T0 + 3_000, 0)) == (("g2",), "paid_first")
    assert chosen(room.choose(T0 + 3_000, 0)) == (("a",), "oldest_chat")


def test_put_back_too_late() -> None:
    """A comment that has become stale, or that the platform has taken back, does not wait again."""
    room = lanes(chat("a"), chat("b"))
    first, second = room.choose(T0, 0), room.choose(T0, 0)
    assert first
    assert second
    room.add(withdrawal("w", "b"), T0)
    assert reasons(room.put_back(first.item, T0 + 15_001)) == [("drop", "stale", "a")]
    assert reasons(room.put_back(second.item, T0)) == [("withdraw", "withdrawn", "b")]
    assert len(room) == 0


def test_remembered_events() -> None:
    """What is known from before a restart is neither taken again nor forgotten as withdrawn or as part of a combo."""
    room = lanes()
    for known in (paid("p"), gift("g"), withdrawal("w", "q")):
        room.remember(known)
    told = [*room.add(paid("p"), T0), *room.add(gift("bilibili:combo:c"), T0), *room.add(paid("q"), T0)]
    assert [one.reason for one in told] == ["duplicate", "combo", "withdrawn"]

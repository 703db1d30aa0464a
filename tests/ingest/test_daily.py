"""Conversations: one suite over the scripted ones and over Daily's adapter on a stand-in of its SDK."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.contract.failure import Code, Failure
from services.ingest.adapters import daily
from services.ingest.adapters.daily import DailyConversations
from services.ingest.adapters.scripted import ScriptedConversations
from services.ingest.core.ports import AppMessage, Conversations, Stay
from tests.ingest.cloud import REPLICA, Cloud, cloud

SDK = Path(__file__).parent / "fake_daily"
ODD: dict[str, Any] = {
    "event_type": "x.never.seen",
    "n": 1.5,
    "none": None,
    "text": '你好 🎉 \\u4f60 "q" \u2028',
    "list": [1, {"a": []}],
}


@pytest.fixture
def meetings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The stand-in in the SDK's place, and its cloud."""
    monkeypatch.syspath_prepend(str(SDK))  # pyright: ignore[reportUnknownMemberType]  pytest leaves it untyped
    monkeypatch.delitem(sys.modules, "daily", raising=False)
    daily.library.cache_clear()
    with cloud() as made:
        monkeypatch.setenv("FAKE_DAILY", made.address)
        yield made
    sys.modules.pop("daily", None)
    daily.library.cache_clear()


@dataclass
class Place:
    """Conversations, and what a test lets happen in them."""

    where: Conversations
    say: Callable[[str, object], None]
    end: Callable[[str, str], None]
    refuse: Callable[[str, str], None]
    sent: Callable[[], list[Any]]
    here: Callable[[str], int]


def scripted() -> Place:
    made = ScriptedConversations()

    def refuse(_: str, why: str) -> None:
        made.refusal = why

    return Place(
        made,
        made.say,
        made.close,
        refuse,
        lambda: [message for _, message in made.sent],
        lambda name: len(made.stays.get(name, ())),
    )


def on_stand_in(made: Cloud) -> Place:
    return Place(
        DailyConversations("tavus", empty_s=0.2),
        made.say,
        made.end,
        made.refusals.__setitem__,
        lambda: [message for guest in made.joins for message in guest.sent],
        lambda name: len(made.in_(name)),
    )


@pytest.fixture(params=["scripted", "daily"])
def place(request: pytest.FixtureRequest) -> Place:
    return scripted() if request.param == "scripted" else on_stand_in(request.getfixturevalue("meetings"))


async def heard(stay: Stay) -> AppMessage | str:
    async with asyncio.timeout(20):
        return await stay.next()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_app_messages_come_as_they_are(place: Place) -> None:
    """Each as its JSON text, raw UTF-8, what no document names too, and what is no object."""
    stay = await place.where.join("c1")
    messages: list[Any] = [ODD, "a text", 7, None, [True]]
    for message in messages:
        place.say("c1", message)
        news = await heard(stay)
        assert isinstance(news, AppMessage)
        assert news.body == json.dumps(message, ensure_ascii=False).encode()
        assert news.sender
    await stay.leave()


async def test_a_thousand_in_order(place: Place) -> None:
    """None is lost, none overtakes another."""
    stay = await place.where.join("c1")
    for number in range(1_000):
        place.say("c1", {"n": number})
    found = [await heard(stay) for _ in range(1_000)]
    assert [json.loads(each.body)["n"] for each in found if isinstance(each, AppMessage)] == list(range(1_000))
    await stay.leave()


async def test_a_conversation_that_ends(place: Place) -> None:
    """What was said before comes first, then why it ended, as often as one asks; it is left then."""
    stay = await place.where.join("c1")
    place.say("c1", {"last": True})
    place.end("c1", "the room was deleted")
    assert isinstance(await heard(stay), AppMessage)
    why = await heard(stay)
    assert isinstance(why, str)
    assert "the room was deleted" in why
    assert await heard(stay) == why
    with pytest.raises(Failure) as refused:
        await stay.send({"a": 1})
    assert refused.value.code is Code.ENGINE_REFUSED
    await stay.leave()
    await stay.leave()
    await until(lambda: place.here("c1") == 0)


async def test_a_conversation_that_cannot_be_joined(place: Place) -> None:
    """The reason is said, and nothing is left open."""
    place.refuse("c1", "The meeting you're trying to join does not exist.")
    with pytest.raises(Failure, match=r"could not join .*c1.*does not exist") as refused:
        await place.where.join("c1")
    assert refused.value.code is Code.ENGINE_REFUSED
    assert place.here("c1") == 0


async def test_what_is_sent(place: Place) -> None:
    """Everybody in the conversation gets it."""
    stay = await place.where.join("c1")
    await stay.send(ODD)
    await until(place.sent)
    assert place.sent() == [ODD]
    await stay.leave()
    await until(lambda: place.here("c1") == 0)


async def test_how_daily_is_joined(meetings: Cloud) -> None:
    """As `listener`, without camera, microphone, and what others send of theirs; by the proxy; two after another."""
    for name in ("c1", "c2"):
        stay = await DailyConversations("my-domain", "http://proxy:1").join(name)
        await stay.leave()
    assert meetings.joins[0].about == {
        "join": "https://my-domain.daily.co/c1",
        "token": None,
        "user": "listener",
        "proxy": "http://proxy:1",
        "settings": {"inputs": {"camera": False, "microphone": False}},
        "profiles": {"base": {"camera": "unsubscribed", "microphone": "unsubscribed"}},
    }
    assert meetings.joins[1].about["join"] == "https://my-domain.daily.co/c2"


async def test_a_cloud_that_does_not_answer(meetings: Cloud) -> None:
    """It is waited for so long, and what was begun is let go."""
    meetings.slow.add("c1")
    with pytest.raises(Failure, match=r"did not let us into .*c1 within 0\.3 s") as silent:
        await DailyConversations("tavus", join_s=0.3).join("c1")
    assert silent.value.code is Code.ENGINE_SILENT


async def test_nobody_waits_for_a_join(meetings: Cloud) -> None:
    """Who is cancelled while he joins leaves nobody in the meeting."""
    meetings.slow.add("c1")
    joining = asyncio.ensure_future(DailyConversations("tavus").join("c1"))
    await until(lambda: meetings.joins)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    await until(lambda: not meetings.inside)


async def test_a_meeting_that_all_have_left(meetings: Cloud) -> None:
    """Who hides is there; who comes back in time, too; then it is over."""
    stay = await DailyConversations("tavus", empty_s=0.3).join("c1")
    user = {"id": "user", "info": {"isLocal": False}}
    us = {"id": "us", "info": {"isLocal": True}}
    meetings.tell("c1", {"came": user})
    for who, reason in ((REPLICA, "leftCall"), (user, "hidden"), (us, "leftCall")):
        meetings.tell("c1", {"went": who, "reason": reason})
    meetings.say("c1", {"still": "here"})
    assert isinstance(await heard(stay), AppMessage)
    meetings.tell("c1", {"went": user, "reason": "leftCall"})
    meetings.tell("c1", {"came": user})
    meetings.tell("c1", {"came": us})
    await asyncio.sleep(0.5)
    meetings.say("c1", {"still": "here"})
    assert isinstance(await heard(stay), AppMessage)
    meetings.tell("c1", {"went": user, "reason": "leftCall"})
    assert await heard(stay) == "everybody else has left the meeting"
    await stay.leave()


async def test_what_nobody_takes_is_bounded(meetings: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are kept, the others counted, and told once; one that is too large is none; then it goes on."""
    monkeypatch.setattr(daily, "WAITING", 3)
    monkeypatch.setattr(daily, "MESSAGE_BYTES", 100)
    stay = await DailyConversations("tavus").join("c1")
    meetings.say("c1", "x" * 200)
    for number in range(5):
        meetings.say("c1", number)
    meetings.say("c1", "y" * 200)
    await until(lambda: stay.inbox.dropped == 4)
    for number in range(3):
        assert await heard(stay) == AppMessage("replica", str(number).encode())
    meetings.say("c1", "again")
    assert await heard(stay) == AppMessage("replica", b'"again"')
    await stay.leave()


async def test_what_is_no_json_is_none(meetings: Cloud) -> None:
    """A message that cannot be written down is counted; half a surrogate pair becomes a question mark."""
    stay = await DailyConversations("tavus").join("c1")
    stay.inbox.put(object(), "someone")
    stay.inbox.put("\ud800", None)
    assert await heard(stay) == AppMessage("", b'"?"')
    await stay.leave()
    await until(lambda: not meetings.inside)


async def test_the_sdk_is_begun_once(meetings: Cloud) -> None:
    """However many join: a second init would end the process."""
    places = [DailyConversations("tavus") for _ in range(3)]
    stays = await asyncio.gather(*(place.join(f"c{number}") for number, place in enumerate(places)))
    assert daily.library().Daily.begun == 1
    await asyncio.gather(*(stay.leave() for stay in stays))
    await until(lambda: not meetings.inside)


async def test_late_words_of_the_sdk(meetings: Cloud) -> None:
    """What it calls after it was released reaches nobody, and breaks nothing, with the loop or without it."""
    stay = await DailyConversations("tavus").join("c1")
    await stay.leave()
    await asyncio.sleep(0.2)
    assert stay.inbox.take() is None
    elsewhere = asyncio.new_event_loop()
    stay.inbox.loop = elsewhere
    elsewhere.close()
    stay.inbox.put("nobody hears it", "x")
    await until(lambda: not meetings.inside)


async def test_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said, and again at the next try."""
    monkeypatch.setitem(sys.modules, "daily", None)
    daily.library.cache_clear()
    for _ in range(2):
        with pytest.raises(Failure, match=r"pip install 'onair\[daily\]'") as missing:
            await DailyConversations("tavus").join("c1")
        assert missing.value.code is Code.ENGINE_MISSING

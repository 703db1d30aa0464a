"""Tavus's client, and the routes with it, on a stand-in that is strict, slow, broken, or somebody else."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest

from services import __version__
from services.contract import streams
from services.contract.failure import Code, Failure
from services.contract.gateway import ConversationCreated
from services.gateway.adapters.tavus import MOST_BYTES, Options, TavusApi
from services.gateway.api import tavus as routes
from services.gateway.api.console import Booth
from services.gateway.app import listen, serve, web
from services.gateway.core.access import Rules
from services.gateway.core.caps import Caps
from services.gateway.core.tavus import held
from services.gateway.core.tavus.ports import Conversation, Ended, Persona
from services.gateway.handlers.desk import BusDesk
from services.gateway.handlers.hands import BusHands
from services.gateway.handlers.panel import BusPanel
from services.gateway.handlers.tavus import TavusConversations
from services.runtime.bus import Bus
from services.runtime.health import Health
from tests.gateway.tavus import KEY, Fault, Tavus, cut, serving, silent, status

FAST: dict[str, Any] = {"connect_s": 2.0, "answer_s": 1.0, "create_s": 1.0, "pause_s": 0.01}
LIST, MAKE = "/api/tavus/conversations", {"persona": "p1", "name": "Tonight"}
NOWHERE = "http://127.0.0.1:1/v2"


@pytest.fixture
def tavus() -> Generator[Tavus]:
    """The stand-in."""
    with serving() as found:
        yield found


@pytest.fixture
async def api(tavus: Tavus) -> AsyncIterator[TavusApi]:
    """The client, with little patience."""
    found = TavusApi(Options(KEY, tavus.url, **FAST))
    yield found
    await found.close()


async def test_what_is_sent(tavus: Tavus, api: TavusApi) -> None:
    """The key in its header, JSON as JSON, nothing else that tells who asks; half a surrogate pair does not break it."""
    body = {"persona_id": "p1", "conversation_name": "你好 \ud83d", "properties": {"max_call_duration": 60}}
    made = await api.create(body)
    (asked,) = tavus.asked
    assert (asked.line, asked.body, asked.query) == ("POST /v2/conversations", body, {})
    told = {name: value for name, value in asked.headers.items() if name not in {"host", "content-length"}}
    assert told.pop("accept-encoding")
    assert told == {
        "x-api-key": KEY,
        "accept": "application/json",
        "content-type": "application/json",
        "user-agent": f"onair/{__version__}",
        "connection": "keep-alive",
    }
    assert made == Conversation(
        made.id, "你好 �", "active", f"https://tavus.daily.co/{made.id}", created_at="2025-06-30T07:34:47.131571Z"
    )
    assert await api.conversation(made.id) == replace(made, persona="p1", replica="r1")
    await api.end(made.id)
    assert (await api.conversation(made.id)).status == "ended"


async def test_lists_are_read_to_their_end(tavus: Tavus, api: TavusApi) -> None:
    """Page by page, however long the server's pages are; by state; also from a server that gives a bare list."""
    ids = [tavus.add(f"n{number}", "ended" if number % 3 else "active") for number in range(230)]
    assert [each.id for each in await api.conversations()] == ids
    tavus.largest = 50
    assert [each.id for each in await api.conversations("active")] == ids[::3]
    tavus.bare = True
    assert [each.id for each in await api.conversations()] == ids[:50]
    made = await api.create_persona({"persona_name": "Ann", "system_prompt": "Be Ann."})
    assert await api.personas() == [made] == [Persona("p1", "Ann", created_at="2025-06-30T07:34:47Z")]


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (status(401, {"message": "Invalid access token"}), Code.ENGINE_MISSING, "refuses the key (401)"),
        (status(402), Code.BUSY, "add credit"),
        (status(429), Code.BUSY, "try again in a minute"),
        (status(404), Code.NOT_FOUND, "look at the id"),
        (status(500), Code.ENGINE_BROKEN, "is in trouble (500)"),
        (status(302, location="http://127.0.0.1:1/"), Code.ENGINE_MISSING, "is not followed"),
        (status(200, b"x" * (MOST_BYTES + 1)), Code.ENGINE_BROKEN, "is larger than 8 MiB"),
        (status(200, b"<html>"), Code.ENGINE_BROKEN, "is not JSON"),
        (cut, Code.ENGINE_BROKEN, "broke off"),
        (silent(5), Code.ENGINE_SILENT, "did not answer within 1 s"),
    ],
)
async def test_each_failure_has_its_code_and_remedy(
    tavus: Tavus, api: TavusApi, fault: Fault, code: Code, words: str
) -> None:
    """Of what creates and of what asks; the server is named, the key never."""
    for line, ask in (("POST", lambda: api.create({"persona_id": "p1"})), ("GET", lambda: api.conversation("c1"))):
        tavus.faults[line] = [fault]
        with pytest.raises(Failure) as caught:
            await ask()
        assert caught.value.code is code
        assert words in caught.value.sentence
        assert KEY not in str(caught.value)
        assert "127.0.0.1" in caught.value.sentence or "Tavus's server" in caught.value.sentence
    assert tavus.count("POST /v2/conversations") == 1


async def test_only_what_may_be_asked_twice_is() -> None:
    """A list and an end are asked for three times, a creation once; nothing is asked again that was refused."""
    with serving() as tavus:
        api = TavusApi(Options(KEY, tavus.url, **FAST))
        id_ = tavus.add("x")
        tavus.faults = {"GET": [status(503)], f"POST /v2/conversations/{id_}": [status(503), status(429), cut]}
        for ask in (api.conversations, lambda: api.end(id_)):
            with pytest.raises(Failure):
                await ask()
        assert (tavus.count("GET"), tavus.ends()) == (3, 3)
        tavus.faults = {f"POST /v2/conversations/{id_}": [status(503), status(200)]}
        await api.end(id_)
        assert tavus.ends() == 5
        tavus.faults = {"POST /v2/conversations": [status(503)], "GET": [status(400)]}
        for ask in (lambda: api.create({"persona_id": "p1"}), lambda: api.conversation(id_)):
            with pytest.raises(Failure):
                await ask()
        assert tavus.count("POST /v2/conversations") == 6
        assert tavus.count("GET") == 4
        await api.close()


async def test_nobody_is_there() -> None:
    """Nobody listens, or the proxy does not: the sentence says so, without the proxy's password."""
    for options in (Options(KEY, NOWHERE, **FAST), Options(KEY, NOWHERE, "http://me:hush@127.0.0.1:1", **FAST)):
        api = TavusApi(options)
        with pytest.raises(Failure, match="cannot be reached; is this machine online") as caught:
            await api.create({})
        assert (caught.value.code, "hush" in str(caught.value)) == (Code.ENGINE_MISSING, False)
        assert KEY not in repr(options)
        await api.close()
    with pytest.raises(Failure, match="cannot be used") as caught:
        TavusApi(Options(KEY, NOWHERE, "ftp://127.0.0.1"))
    assert caught.value.code is Code.BAD_CONFIG


@dataclass
class Door:
    """A gateway with the routes of Tavus."""

    client: httpx2.AsyncClient
    work: Any
    conversations: TavusConversations | None

    async def records(self) -> list[ConversationCreated]:
        """What is written down."""
        return [ConversationCreated.from_json(each) for each in (await self.work.hgetall(streams.TAVUS)).values()]

    async def age(self, ms: int) -> None:
        """Make what is written down so much older."""
        for record in await self.records():
            older = record.model_copy(update={"at_ms": record.at_ms - ms})
            await self.work.hset(streams.TAVUS, record.mark, older.to_json())


@asynccontextmanager
async def gateway(work: str, live: str, tavus: Tavus | None, caps: Caps | None = None) -> AsyncGenerator[Door]:
    """On a free port; without Tavus as without a key."""
    bus, caps, rules = Bus(work, [live]), caps or Caps(), Rules(token="letmein")  # noqa: S106  a test's
    booth = Booth(BusPanel(bus, (), ()), BusHands(bus, ()), rules)
    app = web(BusDesk(bus), Health("gateway"), "host", rules, caps, (), booth)
    api = TavusApi(Options(KEY, tavus.url, **FAST)) if tavus else None
    conversations = TavusConversations(bus.work, api) if api else None
    studio = routes.Studio(conversations, api) if api and conversations else None
    app.include_router(routes.router(studio, booth, caps, {"teacher": "Teach."}))
    listener = listen("127.0.0.1", 0)
    server = asyncio.ensure_future(serve(app, [listener]))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with httpx2.AsyncClient(base_url=base, timeout=20, trust_env=False) as client:
            yield Door(client, bus.work, conversations)
    finally:
        server.cancel()
        with suppress(asyncio.CancelledError):
            await server
        if api:
            await api.close()
        await bus.close()


@pytest.fixture
async def door(broker_url: str, live_url: str, tavus: Tavus) -> AsyncIterator[Door]:
    async with gateway(broker_url, live_url, tavus) as found:
        await found.work.delete(streams.TAVUS, streams.AUDIT)
        yield found


async def test_a_conversation_from_its_creation_to_its_end(door: Door, tavus: Tavus) -> None:
    """Written down before the answer, listed as ours, ended once; an operator's deeds are in the audit."""
    made = (await door.client.post(LIST, json={**MAKE, "max_duration": 600})).json()
    (record,) = await door.records()
    assert made == {
        "id": record.conversation,
        "name": held.named("Tonight", record.mark),
        "status": "active",
        "url": f"https://tavus.daily.co/{record.conversation}",
        "max_duration": 600,
    }
    assert (record.url, record.max_s, record.by) == (made["url"], 600, "this machine, 127.0.0.1")
    assert tavus.asked[-1].body["properties"] == {"max_call_duration": 600}
    other = tavus.add("somebody else's")
    seen = (await door.client.get(LIST, params={"status": "active"})).json()["conversations"]
    assert {each["id"]: each["ours"] for each in seen} == {made["id"]: True, other: False}
    ends = [(await door.client.post(f"{LIST}/{made['id']}/end")).json() for _ in range(2)]
    assert ends[0] == {"ended": [made["id"]], "over": [], "failed": []}
    assert ends[1] == {"ended": [], "over": [made["id"]], "failed": []}
    assert tavus.active == [other]
    assert await door.records() == []
    notes = [
        {name.decode(): value.decode() for name, value in each.items()} for _, each in await door.work.xrange("audit")
    ]
    assert [(note["what"], note["on"]) for note in notes] == [
        ("create a Tavus conversation", "Tonight"),
        ("end a Tavus conversation", made["id"]),
        ("end a Tavus conversation", made["id"]),
    ]
    assert [note["how"] for note in notes] == [
        made["id"],
        "1 ended, 0 were over, 0 failed",
        "0 ended, 1 were over, 0 failed",
    ]


async def test_it_is_written_down_before_it_is_asked_for(door: Door, tavus: Tavus) -> None:
    """While Tavus has not answered, its name is on the broker already, without an id; then with it."""
    seen: list[str] = []
    loop = asyncio.get_running_loop()
    tavus.created = lambda: seen.append(
        asyncio.run_coroutine_threadsafe(door.records(), loop).result(10)[0].conversation
    )
    made = (await door.client.post(LIST, json=MAKE)).json()
    assert seen == [""]
    assert [record.conversation for record in await door.records()] == [made["id"]]


async def test_a_test_is_over_when_it_is_created(door: Door, tavus: Tavus) -> None:
    """It is told as ended, and there is nothing to end."""
    made = (await door.client.post(LIST, json={**MAKE, "test": True})).json()
    assert (made["status"], tavus.active, await door.records()) == ("ended", [], [])


async def test_what_tavus_refuses_is_not_kept(door: Door, tavus: Tavus) -> None:
    """422 or 503 with Tavus's reason; nothing is written down any more."""
    tavus.most = 0
    answers = [await door.client.post(LIST, json={"persona": name}) for name in ("p1", "nobody")]
    assert [answer.status_code for answer in answers] == [503, 422]
    assert [answer.json()["code"] for answer in answers] == ["busy", "bad_input"]
    assert "Invalid persona_id" in answers[1].json()["detail"]
    assert await door.records() == []


@pytest.mark.parametrize("fault", [status(500), cut, silent(3)])
async def test_a_lost_answer_is_found_again(door: Door, tavus: Tavus, fault: Fault) -> None:
    """Whether it was created is said not to be known; if it was, it is found by its name and ended."""
    created: list[str] = []
    tavus.created = lambda: created.append("yes")

    def create_and_lose(handler: Any) -> None:
        tavus.answer(tavus.asked[-1])
        fault(handler)

    tavus.faults["POST /v2/conversations"] = [create_and_lose]
    answer = await door.client.post(LIST, json=MAKE)
    assert answer.status_code in {503, 504}
    assert "whether it was created is not known" in answer.json()["detail"]
    tavus.faults.clear()
    assert (created, len(tavus.active)) == (["yes"], 1)
    assert door.conversations
    assert await door.conversations.end_all() == Ended()  # its answer may still come
    await door.age(held.ASKING_MS)
    (listed,) = (await door.client.get(LIST)).json()["conversations"]
    assert listed["ours"]
    assert (await door.client.post(f"{LIST}/end")).json() == {"ended": [listed["id"]], "over": [], "failed": []}
    assert (tavus.active, await door.records()) == ([], [])


async def test_one_that_never_began_is_given_up(door: Door, tavus: Tavus) -> None:
    """Not before it could not go on any more."""
    tavus.faults["POST /v2/conversations"] = [status(500)]
    await door.client.post(LIST, json=MAKE)
    (record,) = await door.records()
    assert door.conversations
    await door.age(held.ASKING_MS)
    assert await door.conversations.end_forgotten(1, alone=False) == Ended()
    await door.age(3_600_000)
    assert await door.conversations.end_forgotten(1, alone=False) == Ended(over=(record.name,))
    assert (await door.records(), tavus.ends()) == ([], 0)


async def test_what_cannot_be_ended_is_tried_again(door: Door, tavus: Tavus) -> None:
    """It is told with the reason and stays written down; where its state cannot be asked for it is ended all the same."""
    made = (await door.client.post(LIST, json=MAKE)).json()
    tavus.faults = {"GET": [status(500)], f"POST /v2/conversations/{made['id']}": [status(500)]}
    done = (await door.client.post(f"{LIST}/end")).json()
    assert done["failed"][0].startswith(f"{made['id']}: Tavus (127.0.0.1:")
    assert (len(await door.records()), len(tavus.active)) == (1, 1)
    del tavus.faults[f"POST /v2/conversations/{made['id']}"]
    assert (await door.client.post(f"{LIST}/end")).json()["ended"] == [made["id"]]
    assert (tavus.active, await door.records()) == ([], [])


async def test_one_that_tavus_does_not_know(door: Door, tavus: Tavus) -> None:
    """As with another account's key: it is kept until it cannot go on any more. By its id it is not found: 404."""
    made = (await door.client.post(LIST, json=MAKE)).json()
    tavus.conversations.clear()
    assert (await door.client.post(f"{LIST}/{made['id']}/end")).status_code == 404
    assert len((await door.client.post(f"{LIST}/end")).json()["failed"]) == 1
    await door.age(3_600_000 + held.ASKING_MS)
    assert (await door.client.post(f"{LIST}/end")).json()["over"] == [made["id"]]
    assert await door.records() == []


async def test_two_who_end_end_once(door: Door, tavus: Tavus) -> None:
    """However many sweep at the same time, Tavus is asked once for each, and each is counted once."""
    ids = {(await door.client.post(LIST, json=MAKE)).json()["id"] for _ in range(5)}
    others = [TavusConversations(door.work, TavusApi(Options(KEY, tavus.url, **FAST))) for _ in range(3)]
    done = await asyncio.gather(*(each.end_forgotten(60_000, alone=True) for each in others))
    assert sorted(id_ for each in done for id_ in each.ended) == sorted(ids)
    assert tavus.ends() == 5
    assert await others[0].end_forgotten(60_000, alone=True) == Ended()
    for each in others:
        await each._tavus.close()  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage, reportUnknownMemberType]  the client's


async def test_only_the_forgotten_are_ended(door: Door, tavus: Tavus) -> None:
    """While a gateway lives: what has lasted long enough; what OnAir did not create never."""
    tavus.add("somebody else's")
    old = (await door.client.post(LIST, json=MAKE)).json()["id"]
    await door.age(3_600_000)
    new = (await door.client.post(LIST, json=MAKE)).json()["id"]
    assert door.conversations
    assert await door.conversations.end_forgotten(3_600_000, alone=False) == Ended(ended=(old,))
    assert new in tavus.active
    assert len(tavus.active) == 2


async def test_no_more_than_can_be_ended(door: Door, tavus: Tavus) -> None:
    """As many as OnAir holds; then the sentence says what to do, and Tavus is not asked."""
    for number in range(held.MOST):
        await door.work.hset(streams.TAVUS, f"m{number}", b"{}")
    answer = await door.client.post(LIST, json=MAKE)
    assert (answer.status_code, tavus.asked) == (503, [])
    assert "holds 32 conversations already" in answer.json()["detail"]


async def test_a_gateway_that_ends_begins_none(door: Door, tavus: Tavus) -> None:
    """One that was being created while it ended is ended at once; a new one is refused."""
    assert door.conversations
    tavus.created = lambda: setattr(door.conversations, "_stopping", True)
    answers = [await door.client.post(LIST, json=MAKE) for _ in range(2)]
    assert [answer.json()["detail"] for answer in answers] == [answers[0].json()["detail"]] * 2
    assert "is stopping" in answers[0].json()["detail"]
    assert (tavus.active, await door.records(), tavus.count("POST /v2/conversations")) == ([], [], 2)


async def test_what_cannot_be_written_down_is_ended(door: Door, tavus: Tavus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the broker is lost between the two writes, the conversation is not left to itself."""
    conversations, kept = door.conversations, list[str]()
    assert conversations
    keep: Callable[[ConversationCreated], Awaitable[None]] = conversations._keep  # pyright: ignore[reportPrivateUsage]  what fails

    async def once(record: ConversationCreated) -> None:
        if record.conversation:
            raise ConnectionError("gone")
        kept.append(record.mark)
        await keep(record)

    monkeypatch.setattr(conversations, "_keep", once)
    answer = await door.client.post(LIST, json=MAKE)
    assert (answer.status_code, answer.json()["code"]) == (503, "bus_down")
    assert (len(kept), tavus.active) == (1, [])
    assert [record.conversation for record in await door.records()] == [""]


async def test_personas(door: Door, tavus: Tavus) -> None:
    """Created with a prompt of their own or of the configuration, and listed without what may be secret."""
    body = {
        "name": "Ann",
        "prompt": "Be Ann.",
        "replica": "r1",
        "layers": {"llm": {"api_key": "hush"}},
        "perception": "raven-1",
    }
    first = (await door.client.post("/api/tavus/personas", json=body)).json()
    second = (await door.client.post("/api/tavus/personas", json={"from": "teacher"})).json()
    assert [first["id"], second["name"]] == ["p1", "teacher"]
    assert tavus.personas[0]["layers"] == {"llm": {"api_key": "hush"}, "perception": {"perception_model": "raven-1"}}
    assert tavus.personas[1]["system_prompt"] == "Teach."
    listed = await door.client.get("/api/tavus/personas")
    assert [each["name"] for each in listed.json()["personas"]] == ["Ann", "teacher"]
    assert "hush" not in listed.text + json.dumps([str(each) for each in await door.work.xrange("audit")])


ORDERS = [("POST", LIST), ("POST", f"{LIST}/end"), ("POST", f"{LIST}/c1/end"), ("POST", "/api/tavus/personas")]
ROUTES = [*ORDERS, ("GET", LIST), ("GET", "/api/tavus/personas")]


async def test_without_a_key_the_remedy_is_told(broker_url: str, live_url: str) -> None:
    """404 on every route, which names the variable."""
    async with gateway(broker_url, live_url, None) as door:
        for method, path in ROUTES:
            answer = await door.client.request(method, path)
            assert answer.status_code == 404
            assert "set TAVUS_API_KEY (or TAVUS_API_KEY_FILE)" in answer.json()["detail"]


async def test_only_operators_and_no_other_page(door: Door, tavus: Tavus) -> None:
    """Another page's order is refused before Tavus hears of it."""
    for method, path in ORDERS:
        answer = await door.client.request(method, path, json=MAKE, headers={"sec-fetch-site": "cross-site"})
        assert answer.status_code == 401
    assert tavus.asked == []


async def test_wrong_bodies_and_ids_stay_here(door: Door, tavus: Tavus) -> None:
    """422 or 413 with the reason, and Tavus is not asked."""
    answers = [
        await door.client.post(LIST, content=b"{"),
        await door.client.post(LIST, json={}),
        await door.client.post(f"{LIST}/c%20d/end"),
        await door.client.get(LIST, params={"status": "asleep"}),
        await door.client.post("/api/tavus/personas", content=b" " * 300_000),
    ]
    assert [answer.status_code for answer in answers] == [422, 422, 422, 422, 413]
    assert tavus.asked == []


async def test_so_many_at_once(broker_url: str, live_url: str, tavus: Tavus) -> None:
    """What is over the limit is told to come again."""
    tavus.faults["GET"] = [silent(0.5)]
    async with gateway(broker_url, live_url, tavus, Caps(tavus=1)) as door:
        answers = await asyncio.gather(*(door.client.get("/api/tavus/personas") for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [503, 503]
    assert sum("being served already" in answer.text for answer in answers) == 1

"""Who may come in."""

from ipaddress import ip_network

import pytest

from services.contract.failure import Code, Failure
from services.gateway.core.access import (
    Rules,
    Visit,
    check,
    is_loopback,
    is_open,
    may_listen,
    only_for,
    same_page,
    student,
    token_of,
    who,
)

TOKEN = "correct horse"  # noqa: S105  a test's own
OPEN, LOCKED, PUBLISHED = Rules(), Rules(token=TOKEN), Rules(loopback=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_no_token_to_listen_on_itself(host: str) -> None:
    """Loopback addresses are this machine's own."""
    assert is_loopback(host)
    may_listen(host, OPEN)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com"])  # noqa: S104  refused
def test_the_network_is_not_let_in_by_accident(host: str) -> None:
    """Any other address needs a token, or a word that the port is published on loopback; the sentence names both."""
    with pytest.raises(Failure, match=r"ONAIR_TOKEN.*GATEWAY_EXPOSED=loopback") as caught:
        may_listen(host, OPEN)
    assert caught.value.code is Code.BAD_CONFIG
    may_listen(host, LOCKED)
    may_listen(host, PUBLISHED)


@pytest.mark.parametrize(
    "visit",
    [
        Visit(client="127.0.0.1", host="127.0.0.1:8000"),
        Visit(client="::1", host="[::1]:8000"),
        Visit(client="127.0.0.1", host="localhost:8000", origin="http://localhost:8080"),
        Visit(client="127.0.0.1", host="LOCALHOST."),
        Visit(client="127.0.0.1", host="gateway:8000"),
        Visit(client="127.0.0.1", host="host.docker.internal:8000"),
        Visit(client="127.0.0.1"),
    ],
)
def test_this_machine_comes_in_without_a_token(visit: Visit) -> None:
    """By its addresses and by names that no public domain can have."""
    check(visit, OPEN)
    check(visit, LOCKED)


@pytest.mark.parametrize(
    "visit",
    [
        Visit(client="127.0.0.1", host="evil.example:8000"),
        Visit(client="127.0.0.1", host="localhost.evil.example"),
        Visit(client="127.0.0.1", host="evil.example#localhost"),
        Visit(client="127.0.0.1", host="localhost@evil.example"),
        Visit(client="127.0.0.1", host="localhost", origin="https://evil.example"),
        Visit(client="127.0.0.1", host="localhost", origin="null"),
        Visit(client="127.0.0.1", host="localhost", origin="http://[evil"),
    ],
)
def test_foreign_pages_do_not_come_in_through_this_machines_browser(visit: Visit) -> None:
    """A public name in Host is DNS rebinding, one in Origin a foreign page; the token opens nevertheless."""
    with pytest.raises(Failure, match="is not this machine") as caught:
        check(visit, OPEN)
    assert caught.value.code is Code.UNAUTHORIZED
    check(Visit(visit.client, visit.host, visit.origin, f"Bearer {TOKEN}"), LOCKED)


@pytest.mark.parametrize("client", ["192.168.1.7", "fe80::1", "", "testclient"])
@pytest.mark.parametrize("authorization", ["", "Bearer wrong", f"bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ", "你"])
def test_others_need_the_token(client: str, authorization: str) -> None:
    """Another machine without the very token stays out; where none is set, nobody has it."""
    for rules in (OPEN, LOCKED):
        with pytest.raises(Failure, match="Authorization: Bearer"):
            check(Visit(client=client, host="onair.example", authorization=authorization), rules)
    check(Visit(client=client, host="onair.example", authorization=f"Bearer {TOKEN}"), LOCKED)


def test_a_port_published_on_loopback_has_only_local_clients() -> None:
    """In a container the peer's address is the bridge's; the names are checked all the same."""
    check(Visit(client="172.17.0.1", host="localhost:8000"), PUBLISHED)
    with pytest.raises(Failure, match="is not this machine"):
        check(Visit(client="172.17.0.1", host="evil.example"), PUBLISHED)


def test_what_every_page_is_made_of_is_open() -> None:
    """Health and the page's files; nothing that tells of a room."""
    asked = ("/healthz", "/web/app.js", "/rooms/demo", "/web", "/api/rooms/demo/stage")
    assert [path for path in asked if is_open(path)] == ["/healthz", "/web/app.js"]


PAGE = "http://127.0.0.1:8000"


def order(origin: str = "", host: str = "127.0.0.1:8000") -> Visit:
    return Visit(client="127.0.0.1", host=host, origin=origin)


def test_an_order_comes_from_our_own_page_or_from_a_program() -> None:
    """The same name and port, whatever the case and the scheme of a proxy before it; or no page at all."""
    same_page(order(PAGE), "same-origin")
    same_page(order("https://OnAir.example", "onair.example"), "")
    same_page(order(), "")
    same_page(order(), "none")


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("http://127.0.0.1:3000", ""), ("http://localhost:8000", ""), ("https://evil.example", ""), ("null", ""),
        (PAGE, "same-site"), ("", "cross-site"), (f"{PAGE}.evil.example", "same-origin"), ("http://evil@127.0.0.1:8000", ""),
    ],
)  # fmt: skip
def test_another_page_gives_no_orders(origin: str, site: str) -> None:
    """Not even one of this machine on another port: a browser would send it without a token."""
    with pytest.raises(Failure) as refused:
        same_page(order(origin), site)
    assert refused.value.code is Code.UNAUTHORIZED


def test_a_record_says_by_what_right() -> None:
    """By the token or by being here; from where."""
    rules = Rules(token="correct horse")  # noqa: S106  a test's own
    known = Visit(client="10.0.0.7", authorization="Bearer correct horse")
    assert who(known, rules) == "token, 10.0.0.7"
    assert who(order(), rules) == who(order(), Rules()) == "this machine, 127.0.0.1"
    assert who(Visit(), Rules()) == "this machine, unknown"


HOME = Rules(open_networks=(ip_network("192.168.0.0/16"), ip_network("fd00::/8")))


@pytest.mark.parametrize("client", ["192.168.1.7", "::ffff:192.168.1.7", "fd00::7"])
def test_an_open_network_comes_in_without_a_token(client: str) -> None:
    """Its clients, under a name that no public domain can have, with our own page or none."""
    check(Visit(client=client, host="192.168.1.2:8000", path="/api/chat"), HOME)
    check(Visit(client=client, host="gateway:8000", origin="http://gateway:8000"), HOME)
    may_listen("0.0.0.0", HOME)  # noqa: S104  for the open network


@pytest.mark.parametrize(
    ("visit", "reason"),
    [
        (Visit(client="192.169.1.7", host="192.168.1.2"), "send the operator's token"),
        (Visit(client="192.168.1.7", host="evil.example"), "Host 'evil.example' is not this machine"),
        (Visit(client="192.168.1.7", host="192.168.1.2", origin="http://192.168.1.9"), "Origin 'http://192.168.1.9'"),
        (Visit(client="192.168.1.7", host="192.168.1.2", path="/api/console/silence"), "send the operator's token"),
        (Visit(client="192.168.1.7", host="192.168.1.2", path="/api/rooms/a/events"), "send the operator's token"),
        (Visit(client="192.168.1.7", host="192.168.1.2", path="/api/tickets"), "send the operator's token"),
        (Visit(client="192.168.1.7", host="192.168.1.2", path="/api/tavus/personas"), "send the operator's token"),
    ],
)
def test_an_open_network_is_no_more_than_that(visit: Visit, reason: str) -> None:
    """Not its neighbours, no rebound name, no other page; nothing that is the operator's."""
    with pytest.raises(Failure, match=reason):
        check(visit, HOME)


def test_an_ipv4_client_of_a_socket_for_both_is_itself() -> None:
    """::ffff:127.0.0.1 is this machine."""
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("::ffff:10.0.0.1")


PAGE_8080 = "http://localhost:8080"
LISTED = Rules(origins=frozenset({"https://onair.example"}))


def lesson(
    path: str = "/chat", *, origin: str = "", authorization: str = "", client: str = "127.0.0.1", socket: bool = True
) -> Visit:
    return Visit(client, f"{client}:8000", origin, authorization, path=path, socket=socket)


@pytest.mark.parametrize("origin", [PAGE_8080, "http://127.0.0.1:8080"])
def test_the_original_pages_open_a_lesson_and_nothing_else(origin: str) -> None:
    """Where no origins are named; letter by letter, and on no other path."""
    check(lesson(origin=origin), OPEN)
    check(lesson("/session", origin=origin, socket=False, client="192.168.1.7"), HOME)
    for page in (origin.replace("8080", "8081"), origin.replace("http", "https"), f"{origin}.evil.example"):
        with pytest.raises(Failure, match="is not this machine"):
            check(lesson(origin=page), OPEN)
    for path in ("/ws", "/api/live_voice_call/chat", "/chat/x"):
        with pytest.raises(Failure, match="is not this machine"):
            check(lesson(path, origin=origin), OPEN)


def test_named_origins_take_the_place_of_the_original_pages() -> None:
    """As for every WebSocket."""
    check(lesson(origin="https://onair.example"), LISTED)
    with pytest.raises(Failure, match="is not this machine"):
        check(lesson(origin=PAGE_8080), LISTED)
    assert LISTED.pages("/chat") == LISTED.pages("/ws") == LISTED.origins
    assert (len(OPEN.pages("/audio/x.wav")), len(OPEN.pages("/ws"))) == (2, 0)


def test_a_users_token_opens_his_lessons() -> None:
    """From anywhere, on the partner's paths; for his own id alone."""
    mine = f"Bearer {token_of(7, TOKEN)}"
    for path in ("/chat", "/session", "/audio/x.wav"):
        seen = lesson(path, authorization=mine, client="203.0.113.9", origin="https://anywhere.example")
        check(seen, LOCKED)
        assert student(seen, LOCKED) == 7
        only_for(7, seen, LOCKED)
        with pytest.raises(Failure, match="nothing of user 8"):
            only_for(8, seen, LOCKED)
    only_for(8, lesson(), LOCKED)


@pytest.mark.parametrize("path", ["/api/chat", "/api/console", "/api/users/8/token", "/metrics", "/ws", "/rooms/demo"])
def test_a_users_token_opens_nothing_else(path: str) -> None:
    """It is a stranger's there."""
    with pytest.raises(Failure, match="Authorization: Bearer"):
        check(lesson(path, authorization=f"Bearer {token_of(7, TOKEN)}", client="203.0.113.9"), LOCKED)


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "7",
        "7.",
        "7.x",
        "07.{}",
        "8.{}",
        "0.{}",
        "-7.{}",
        "７.{}",
        "7.{}x",
        "7.{} ",
        " 7.{}",
        "7\n.{}",
        "9" * 400 + ".{}",
    ],
)
def test_a_forged_token_is_nobodys(shown: str) -> None:
    """Another id, another form of the same id, another signature; and none is good where the operator has no token."""
    signature = token_of(7, TOKEN).partition(".")[2]
    forged = lesson(authorization=f"Bearer {shown.format(signature)}", client="203.0.113.9")
    assert student(forged, LOCKED) == 0
    with pytest.raises(Failure, match="Authorization: Bearer"):
        check(forged, LOCKED)
    assert student(lesson(authorization=f"Bearer {token_of(7, '')}"), OPEN) == 0
    assert student(lesson(authorization=f"Bearer {token_of(7, 'old')}"), LOCKED) == 0


def test_the_operator_gives_tokens_out() -> None:
    """An open network does not."""
    with pytest.raises(Failure, match="Authorization: Bearer"):
        check(lesson("/api/users/7/token", client="192.168.1.7", socket=False), HOME)

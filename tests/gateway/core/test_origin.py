"""Where a page comes from."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.failure import Code, Failure
from services.gateway.core.access import Rules, Visit, check
from services.gateway.core.origin import host_in, host_of, hosts_of, listed, origin_of


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("127.0.0.1:8000", "127.0.0.1"), ("[::1]:8000", "::1"), ("LOCALHOST.", "localhost"), ("my_gateway", "my_gateway"),
        ("", ""), ("localhost, evil.example", ""), ("localhost@evil.example", ""), ("localhost#x", ""), ("a b", ""),
        ("localhost\n", ""), ("localhost:", ""), ("localhost:8000:1", ""), ("evil.example\\localhost", ""), ("本机", ""),
        ("localhost:123456", ""), ("..", ""),
    ],
)  # fmt: skip
def test_a_host_is_a_name_or_an_address(authority: str, host: str) -> None:
    """With a port or without; anything else is none."""
    assert host_of(authority) == host


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """Whatever it is, nothing is raised; what is taken for a host has only the letters of one."""
    for host in (host_of(text), host_in(text)):
        assert not set(host) - set("abcdefghijklmnopqrstuvwxyz0123456789-_.:")
    assert origin_of("http", text) == "" or host_in(origin_of("http", text)) == host_of(text)


def test_an_origin_is_what_a_browser_says() -> None:
    """The usual port is left out, another one is not."""
    assert origin_of("http", "LocalHost:80") == "http://localhost"
    assert origin_of("https", "localhost:80") == "https://localhost:80"
    assert origin_of("http", "[::1]:8000") == "http://[::1]:8000"
    assert origin_of("http", "a, b") == ""


def test_listed_origins_are_read_as_a_browser_says_them() -> None:
    """Case and the usual port do not count in the list; nothing listed is nothing."""
    found = listed(" https://OnAir.example:443 ,http://localhost:8080,, app://talk")
    assert found == {"https://onair.example", "http://localhost:8080", "app://talk"}
    assert hosts_of(found) == {"onair.example", "localhost", "talk"}
    assert listed("") == frozenset()


@pytest.mark.parametrize(
    "text", ["*", "null", "onair.example", "https://onair.example/", "https://*.example", "https://本机", "https://a@b"]
)
def test_a_list_that_cannot_be_meant_is_refused(text: str) -> None:
    """With how to write it."""
    with pytest.raises(Failure, match="write each origin as a browser sends it") as caught:
        listed(f"http://localhost:1,{text}")
    assert caught.value.code is Code.BAD_CONFIG


def handshake(origin: str, host: str = "127.0.0.1:8000", client: str = "127.0.0.1", scheme: str = "http") -> Visit:
    return Visit(client=client, host=host, origin=origin, scheme=scheme, socket=True)


def test_a_websocket_is_opened_by_our_own_page_or_a_listed_one() -> None:
    """Scheme, host and port; a program, which has no origin, comes in too."""
    check(handshake("http://127.0.0.1:8000"), Rules())
    check(handshake("https://[::1]:8000", "[::1]:8000", scheme="https"), Rules())
    check(handshake("http://localhost:8080"), Rules(origins=listed("http://localhost:8080")))
    check(handshake("https://onair.example", "onair.example"), Rules(origins=listed("https://onair.example")))
    check(handshake(""), Rules())


@pytest.mark.parametrize("origin", ["http://localhost:8080", "https://127.0.0.1:8000", "http://127.0.0.1", "null"])
def test_no_other_page_of_this_machine_opens_one(origin: str) -> None:
    """Another port, another scheme."""
    with pytest.raises(Failure, match="GATEWAY_ORIGINS"):
        check(handshake(origin), Rules())


def test_a_ticket_opens_from_anywhere_but_for_our_own_page() -> None:
    """Whoever shows it; a page that is not ours or listed has no business with it."""
    seen = Visit(client="10.1.2.3", host="onair.example", socket=True, ticket=True)
    check(replace(seen, origin="http://onair.example"), Rules(token="horse"))  # noqa: S106  a test's own
    check(seen, Rules())
    with pytest.raises(Failure, match="not this machine's own page"):
        check(replace(seen, origin="https://evil.example"), Rules())

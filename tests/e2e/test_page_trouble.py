"""What the page says when the model does not answer."""

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.test_page import CONFIG, browser, opened, post, show, until, up

__all__ = ["browser", "show"]  # the fixtures
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]
REFUSAL = json.dumps({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}).encode()
HELD_S = 60
"""How long the silent server keeps a request: longer than anybody waits."""


class Refuses(BaseHTTPRequestHandler):
    """A model server that knows no such key."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(REFUSAL)))
        self.end_headers()
        self.wfile.write(REFUSAL)

    def do_GET(self) -> None:
        self.send_error(401)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Say nothing."""


class Silent(Refuses):
    """A model server that takes every request and never answers."""

    over = threading.Event()

    def do_POST(self) -> None:
        self.over.wait(HELD_S)
        self.close_connection = True


@contextmanager
def serving(kind: type[BaseHTTPRequestHandler]) -> Generator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        Silent.over.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("kind", "word"), [(Refuses, "OPENAI_API_KEY"), (Silent, "did not answer")])
def test_the_page_says_what_is_wrong_with_the_model(
    browser: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseHTTPRequestHandler],
    word: str,
) -> None:
    """A clear word with the remedy within five seconds of the comment; the host still speaks the template's words."""
    Silent.over.clear()
    config = tmp_path / "onair.yaml"
    room = CONFIG.replace("{replay: {path: RECORDING, once: true}}", "{api: {}}")
    config.write_text(f"{room}engines: {{llm: {{openai: {{model: some-model}}}}}}\n", encoding="utf-8")
    data = tmp_path / "data"
    data.mkdir()
    with serving(kind) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        monkeypatch.setenv("OPENAI_API_KEY", "wrong-key-of-a-test")
        with up(data, "--config", str(config)) as (_, gateway), opened(browser, f"{gateway}/rooms/demo") as page:
            body = {"kind": "super_chat", "text": "唱首歌吧", "viewer": "小明", "amount_fen": 3_000}
            written = time.monotonic()
            post(f"{gateway}/api/rooms/demo/events", body)
            captions: set[str] = set()

            def troubled() -> bool:
                captions.add(str(page.evaluate("onair.scene.caption?.text ?? ''")))
                return page.query_selector(".trouble") is not None

            until(troubled)
            took = time.monotonic() - written
            said = page.inner_text(".trouble")
            until(lambda: troubled() and any("谢谢小明的醒目留言" in text for text in captions))
    assert took < 5
    assert word in said
    assert "wrong-key-of-a-test" not in said


def test_a_token_opens_no_socket(browser: Browser, show: tuple[str, Path]) -> None:
    """A page that was given a token shows a new ticket at each of its WebSockets, and the token at none."""
    asked: list[str] = []
    url, _ = show
    context = browser.new_context()
    page = context.new_page()
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.goto(f"{url}/rooms/demo?token=correct%20horse")
    until(lambda: page.evaluate("onair.show.link") == "live")
    page.evaluate("onair.link.lost(0, '')")
    until(lambda: page.evaluate("onair.show.link") == "live" and len(asked) > 1)
    context.close()
    assert len(set(asked)) == len(asked) == 2
    assert all("?ticket=" in each and "horse" not in each for each in asked)


def test_a_ticket_that_is_not_given_is_told(browser: Browser, show: tuple[str, Path]) -> None:
    """A wrong token: the page says what the gateway said, and asks again."""
    url, _ = show
    context = browser.new_context()
    page = context.new_page()
    body = json.dumps({"code": "unauthorized", "detail": "send the operator's token"})
    page.route("**/api/tickets", lambda route: route.fulfill(status=401, body=body))
    page.goto(f"{url}/rooms/demo?token=wrong")
    until(lambda: page.evaluate("onair.show.reason") == "send the operator's token")
    page.unroute("**/api/tickets")
    until(lambda: page.evaluate("onair.show.link") == "live")
    context.close()

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

from tests.e2e.test_page import CONFIG, browser, opened, post, until, up

__all__ = ["browser"]  # the fixture
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

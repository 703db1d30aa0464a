"""The live view as it is drawn: the facts on it, at small and large sizes, and its picture."""

import html
import io
import os
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from onair.screen import draw
from onair.told import way
from onair.view import View
from services.contract.failure import Code, Failed
from services.contract.ingest import Kind, Lane, LiveEvent, TurnRequested, Viewer
from services.contract.llm import SentenceReady
from services.contract.tts import SpeechChunk, SpeechEnded, SpeechStarted
from tests.onair.test_show import MS, ORIGIN, Entry, aired
from tests.onair.test_view import decided, feed

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "terminal.svg"
WHEN = 4_300
SAID = ("谢谢青柠汽水的醒目留言！", "主播能推荐一首下雨天听的歌吗？", "当然，听听《雨的印记》吧。")


def came(number: int, name: str, text: str, fen: int = 0) -> LiveEvent:
    kind = Kind.SUPER_CHAT if fen else Kind.DANMAKU
    lane = Lane.PAID if fen else Lane.CHAT
    return LiveEvent(
        id=f"bilibili:{number}", room="demo", source="bilibili", kind=kind, lane=lane, viewer=Viewer(name=name),
        text=text, amount_fen=fen, at_ms=ORIGIN,
    )  # fmt: skip


def ordered(turn: str, no: int, event: LiveEvent) -> Entry:
    request = TurnRequested(
        turn=turn, no=no, session="demo", epoch=0, kind="room", lane=event.lane, causes=(event.id,), ask=event.text,
        persona="host", viewer=event.viewer.name, requested_ms=ORIGIN, deadline_ms=ORIGIN,
    )  # fmt: skip
    return request, b""


def scene() -> View:
    """A paid message is being answered, another is next, comments wait, one was dropped."""
    view = View("http://127.0.0.1:8000/", ORIGIN)
    paid = came(1, "青柠汽水", "主播能推荐一首下雨天听的歌吗？", 3_000)
    crew = came(2, "waffle_wizard", "", 13_800).model_copy(
        update={"kind": Kind.GUARD, "action": "开通", "gift": "舰长"}
    )
    talk = [
        came(10, "moonlit_fox", "糖醋汁的比例是多少呀"),
        came(11, "lofi_rabbit", "What song cheers you up on a bad day?"),
        came(12, "半糖奶盖", "第一次来，主播声音真好听！"),
        came(13, "今晚吃什么", "会弹尤克里里吗"),
        came(14, "星尘邮差", "星尘邮差 进入直播间").model_copy(update={"kind": Kind.ENTER}),
        came(15, "阿橘不吃鱼", "").model_copy(update={"kind": Kind.LIKE}),
    ]
    feed(view, 0, *((event, b"") for event in (talk[0], paid, *talk[1:4], crew, *talk[4:])))
    feed(view, 20, ordered("a", 1, paid), decided("answer", "paid_first", paid, "a"), aired("a", 1))
    for index, text in enumerate(SAID):
        said = SentenceReady(
            turn="a", no=1, session="demo", epoch=0, index=index, text=text, speak=text, voice="x", deadline_ms=0
        )
        feed(view, 30 + 180 * index, (said, b""))
        begun = SpeechStarted(turn="a", no=1, epoch=0, index=index, attempt=1, text=text)
        chunk = SpeechChunk(turn="a", index=index, attempt=1, chunk=0, sample_offset=0)
        over = SpeechEnded(turn="a", index=index, attempt=1, samples=2_000 * MS)
        feed(view, 60 + 190 * index, (begun, b""), (chunk, b"\1\0" * 2_000 * MS), (over, b""))
    feed(view, 700, ordered("b", 2, crew), decided("answer", "highest_price", crew, "b"))
    feed(view, 800, decided("drop", "pushed_out", talk[0]), decided("drop", "busy", talk[4]))
    view.health = dict.fromkeys(("ingest", "asr", "llm", "tts", "avatar", "gateway", "work", "live"), "")
    return view


def widened(svg: str) -> str:
    """The picture with room for wide letters: rich gives each letter one cell."""

    def cells(found: re.Match[str]) -> str:
        text = html.unescape(found[3])
        return f'textLength="{float(found[1]) * cell_len(text) / len(text):.1f}"{found[2]}>{found[3]}</text>'

    return re.sub(r'textLength="([\d.]+)"([^>]*)>([^<]+)</text>', cells, svg)


def drawn(view: View, at_ms: int, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, record=True, file=io.StringIO(), color_system="truecolor")
    console.print(draw(view, ORIGIN + at_ms, width, height))
    if os.environ.get("ONAIR_PICTURES") == "1" and (width, at_ms) == (110, WHEN):
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        PICTURE.write_text(widened(console.export_svg(title="make demo", clear=False)), encoding="utf-8")
    return console.export_text().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (110, 30), (120, 40), (200, 50)])
def test_everything_is_on_the_screen(width: int, height: int) -> None:
    """Address, cause with its price, reason, next, the sentence with its age, fates, counters, health: at each size."""
    lines = drawn(scene(), WHEN, width, height)
    text = "\n".join(lines)
    assert len(lines) == height
    for fact in (
        "http://127.0.0.1:8000/",
        "¥30 青柠汽水 › 主播能推荐",
        "paid goes first (paid_first)",
        "waffle_wizard — the highest price first",
        "▶ 当然，听听《雨的印记》吧。",
        "4.06 s = lane 0.02 + llm 0.37 + tts 0.05 + floor 3.62",
        "busy",
        "8 came, 0 answered, dropped: pushed_out 1, busy 1",
        "2 = 0 spoken + 0 withdrawn + 0 failed + 2 waiting",
        "● gateway  ● work  ● live",
        "all is well",
    ):
        assert fact in text, fact


def test_wide_letters_do_not_break_the_frame() -> None:
    """Each line is as wide as the terminal, whatever is written in it."""
    for line in drawn(scene(), 4_300, 80, 24):
        assert Console().render_str(line, markup=False).cell_len <= 80


def test_a_sentence_is_on_the_screen_when_it_is_heard() -> None:
    """Not before: the second one is being made while the first one is heard."""
    early, late = "\n".join(drawn(scene(), 1_000, 80, 24)), "\n".join(drawn(scene(), 2_100, 80, 24))
    assert f"▶ {SAID[0]}" in early
    assert SAID[1] not in early.replace(f"› {SAID[1]}", "").replace(f"青柠汽水: {SAID[1]}", "")
    assert f"▶ {SAID[1]}" in late


def test_what_is_wrong_is_on_the_screen() -> None:
    """A part that is not well is marked, and the last line says what to do; nothing steers the terminal."""
    view = scene()
    view.health["llm"] = "the model server 127.0.0.1:1 refuses the key (401); set OPENAI_API_KEY\x1b[2J"
    text = "\n".join(drawn(view, 4_300, 80, 24))
    assert "✗ llm" in text
    assert "! llm: the model server 127.0.0.1:1 refuses the key (401); set OPENAI_API_KEY" in text.replace("\n", "")
    assert "\x1b" not in text
    view.health["llm"] = ""
    feed(view, 4_300, (Failed(code=Code.ENGINE_SILENT, sentence="the model did not answer within 4 s"), b""))
    assert "! the model did not answer within 4 s" in "\n".join(drawn(view, 4_300, 80, 24))


def test_an_empty_room() -> None:
    """Before anything has happened the screen says so; a topic of the host's own has no viewer."""
    view = View("http://127.0.0.1:8000/", ORIGIN)
    text = "\n".join(drawn(view, 0, 80, 24))
    assert all(fact in text for fact in ("nobody has been answered yet", "nobody has written yet", "looking …"))
    topic = came(1, "", "聊聊今天的天气吧。").model_copy(update={"kind": Kind.SCHEDULE})
    feed(view, 0, ordered("a", 1, topic), decided("idle", "idle", topic, "a"), aired("a", 1))
    text = "\n".join(drawn(view, 0, 80, 24))
    assert "the host › 聊聊今天的天气吧。" in text
    assert "nobody writes (idle)" in text


def test_a_way_adds_up() -> None:
    """The age and its four parts."""
    said = scene().said(ORIGIN + 500)[0]
    assert way(said.latency) == "0.06 s = lane 0.02 + llm 0.01 + tts 0.03 + floor 0.00"

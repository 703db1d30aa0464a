"""`onair report`: asked for, waited for, saved; and what is told where it is not to be had."""

from pathlib import Path

import pytest

from onair import report
from onair.report import Wanted, fetch
from services.contract.failure import Code, Failure
from tests.onair.gateway import Answer, serving

URL = "/api/reports/0123456789abcdef"
ASKED = Answer(f'{{"id": "0123456789abcdef", "url": "{URL}"}}'.encode(), 202)
MAKING = Answer(b'{"state": "queued"}', 202)
PAGE = Answer("<!doctype html>直播".encode())
OTHER = "other"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "POLL_S", 0.01)
    for name in ("ONAIR_TOKEN", "ONAIR_DATA", "ONAIR_CONFIG", "GATEWAY_HOST"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_it_is_saved_as_soon_as_it_is_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for once, looked for until it is there; the file's name is the result."""
    with serving(ASKED, MAKING, MAKING, PAGE) as gateway:
        assert fetch(Wanted("main", language="en", since="90m", server=gateway.url, token=OTHER)) == 0
    assert gateway.asked[0] == ("/api/rooms/main/reports", {"language": "en", "hours": 1.5}, "Bearer other")
    assert [path for path, *_ in gateway.asked[1:]] == [URL] * 3
    told = capsys.readouterr()
    assert (told.out, told.err) == ("report-main.html\n", "the report is being made\n")
    assert (folder / "report-main.html").read_text(encoding="utf-8") == "<!doctype html>直播"


def test_a_name_is_no_path(folder: Path) -> None:
    """A room's name leads neither the file nor the request elsewhere; `--out` names another file."""
    with serving(ASKED, PAGE, ASKED, PAGE) as gateway:
        fetch(Wanted("../x", server=gateway.url))
        fetch(Wanted("x", out=folder / "show.html", server=gateway.url))
    assert sorted(path.name for path in folder.iterdir()) == ["report----x.html", "show.html"]
    assert gateway.asked[0][0] == "/api/rooms/..%2Fx/reports"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([Answer(b'{"detail": "there is no room main"}', 404)], "there is no room main"),
        ([Answer(b"", 200)], "answered 200"),
        ([Answer(b"[]", 202)], "without saying where"),
        ([Answer(b'{"url": "http://elsewhere/"}', 202)], "without saying where"),
        ([ASKED, Answer(b'{"detail": "the report could not be made: because"}', 500)], "could not be made: because"),
    ],
)
def test_what_the_server_refuses(answers: list[Answer], said: str) -> None:
    """The server's reason is told; where it leads elsewhere nobody follows."""
    with serving(*answers) as gateway, pytest.raises(Failure, match=said):
        fetch(Wanted("main", server=gateway.url))


def test_nobody_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while the sentence says who should have."""
    monkeypatch.setattr(report, "LIMIT_S", 0.0)
    with serving(ASKED, MAKING) as gateway, pytest.raises(Failure, match="starts the process that does jobs") as caught:
        fetch(Wanted("main", server=gateway.url))
    assert caught.value.code is Code.EXPIRED


def test_wrong_use(folder: Path) -> None:
    """A time that is none, and a file that cannot be written."""
    with pytest.raises(Failure, match="--since 'often' is no duration"):
        fetch(Wanted("main", since="often"))
    with serving(ASKED, PAGE) as gateway, pytest.raises(Failure, match="name another file by --out"):
        fetch(Wanted("main", out=folder / "none" / "x.html", server=gateway.url))

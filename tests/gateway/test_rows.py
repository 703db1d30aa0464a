"""The English partner's rows in a real database: whose they are, in which order, from several processes at once."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateTable

from services.contract.failure import Code, Failure
from services.gateway.adapters import rows as adapter
from services.gateway.adapters.rows import FILE, META, SqlRows, engine, parsed
from services.gateway.core.english import NEW_IDS, Row
from services.gateway.core.ports import Rows

ROOT = Path(__file__).parents[2]
AUDIO = "0b0e7a52-3f0e-4a53-9d53-1d1f6e1f2a3b.wav"
NEWEST = 100
WRITER = """
import asyncio, sys
from pathlib import Path
from services.contract.failure import Failure
from services.gateway.adapters.rows import SqlRows
from services.gateway.core.english import Row

async def main(data: Path, me: int, count: int) -> None:
    rows = SqlRows("", data)
    sys.stdin.readline()
    won = 0
    for number in range(1, count + 1):
        try:
            await rows.claim(me, number, number)
            won += 1
        except Failure:
            pass
        await rows.add(Row(1000 + me, me, f"row {number}", number))
    await rows.close()
    print(won)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
"""


SERVER = os.environ.get("ONAIR_TEST_DATABASE_URL", "")
"""A server's database that may be emptied, with its driver installed: then the same is asked of it."""


@pytest.fixture(params=["the folder", "a URL", *(["a server"] if SERVER else [])])
async def rows(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Rows]:
    """A database with nothing in it: where none is named, and where one is."""
    urls = {"the folder": "", "a URL": f"sqlite:///{tmp_path / 'other' / 'named.db'}", "a server": SERVER}
    made = SqlRows(urls[str(request.param)], tmp_path)
    if request.param == "a server":
        beside = engine(parsed(SERVER, tmp_path))
        async with beside.begin() as db:
            await db.run_sync(META.drop_all)
        await beside.dispose()
    yield made
    await made.close()


def said(session: int, user: int, text: str, **more: Any) -> Row:
    return Row(session, user, text, 1_700_000_000_123, said=text, **more)


async def test_a_row_comes_back_as_it_was_written(rows: Rows) -> None:
    """Every field, whatever characters it holds; ids rise; the newest are told, by id."""
    await rows.claim(7, 9, 1)
    texts = ["你好 'quoted\"", "🙂 %s :x", "", "x" * 8_000]
    written = [await rows.add(said(9, number % 2 * 7, text, audio=AUDIO)) for number, text in enumerate(texts)]
    assert [row.id for row in written] == sorted({row.id for row in written})
    assert written[0].id > 0
    assert await rows.rows(7, 9, NEWEST) == written
    assert await rows.rows(7, 9, 2) == written[2:]


async def test_a_session_is_its_users_alone(rows: Rows) -> None:
    """An id that is nobody's is adopted; another user gets nothing of it, and nobody makes it his own."""
    assert await rows.claim(7, 9, 1) == await rows.claim(7, 9, 2) == 9
    row = await rows.add(said(9, 7, "mine", audio=AUDIO))
    with pytest.raises(Failure, match="another user's") as refused:
        await rows.claim(8, 9, 3)
    assert refused.value.code is Code.UNAUTHORIZED
    assert (await rows.owner(9), await rows.owner(10)) == (7, None)
    assert (await rows.rows(7, 9, NEWEST), await rows.rows(8, 9, NEWEST)) == ([row], [])
    assert (await rows.sessions(7, NEWEST), await rows.sessions(8, NEWEST)) == ([9], [])
    assert (await rows.heard_by(AUDIO), await rows.heard_by("x.wav")) == (7, None)


async def test_a_new_session_has_an_id_that_a_page_can_hold(rows: Rows) -> None:
    """Each its own; told by their beginning, the newest where there are too many; the largest id of 64 bits is one too."""
    made = [await rows.claim(7, 0, at) for at in range(5)]
    assert len(set(made)) == 5
    assert all(0 < session <= NEW_IDS for session in made)
    assert await rows.sessions(7, NEWEST) == made
    assert await rows.sessions(7, 2) == made[3:]
    assert await rows.claim(7, 2**63 - 1, 9) == 2**63 - 1
    assert await rows.sessions(7, NEWEST) == [*made, 2**63 - 1]


async def test_many_want_one_session_at_once(rows: Rows) -> None:
    """One gets it; the others are told whose it is not."""
    claims = (rows.claim(user, 5, user) for user in range(1, 9))
    got = await asyncio.gather(*claims, return_exceptions=True)
    assert [found for found in got if not isinstance(found, Failure)] == [5]
    assert {found.code for found in got if isinstance(found, Failure)} == {Code.UNAUTHORIZED}


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    """In a file of ONAIR_DATA."""
    first, second = SqlRows("", tmp_path), SqlRows("", tmp_path)
    await first.claim(7, 9, 1)
    row = await first.add(said(9, 7, "kept"))
    await first.close()
    assert (tmp_path / FILE).exists()
    assert await second.rows(7, 9, NEWEST) == [row]
    assert await second.check() == ""
    await second.close()


@pytest.mark.slow
async def test_two_gateways_write_into_one_file_at_once(tmp_path: Path) -> None:
    """Both make the tables, claim the same sessions and write: each session has one owner, every row is there, none twice."""
    count = 200
    argv = (sys.executable, "-c", WRITER, str(tmp_path))
    writers = [
        await asyncio.create_subprocess_exec(
            *argv, str(me), str(count), cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        for me in (1, 2)
    ]
    told = await asyncio.gather(*(writer.communicate(b"go\n") for writer in writers))
    assert [writer.returncode for writer in writers] == [0, 0]
    won = [int(out) for out, _ in told]
    rows = SqlRows("", tmp_path)
    owners = [await rows.owner(session) for session in range(1, count + 1)]
    assert [owners.count(1), owners.count(2)] == won
    assert sum(won) == count
    for me in (1, 2):
        await rows.claim(me, 1_000 + me, 0)
        assert [row.data for row in await rows.rows(me, 1_000 + me, 2 * count)] == [
            f"row {n}" for n in range(1, count + 1)
        ]
    await rows.close()


async def test_a_writer_waits_for_another_one(tmp_path: Path) -> None:
    """As long as the other holds the file; readers do not wait."""
    rows = SqlRows("", tmp_path)
    await rows.claim(7, 9, 1)
    other = engine(parsed("", tmp_path))
    async with other.begin() as db:
        waiting = asyncio.ensure_future(rows.add(said(9, 7, "later")))
        assert await rows.rows(7, 9, NEWEST) == []
        await db.execute(adapter.SESSIONS.insert().values(id=10, user_id=7, at_ms=2))
        assert not waiting.done()
    await waiting
    assert [row.data for row in await rows.rows(7, 9, NEWEST)] == ["later"]
    await rows.close()
    await other.dispose()


async def test_a_database_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    """The sentence names the variable and the place, never the password; it may pass."""
    folder = tmp_path / "file"
    folder.mkdir()
    rows = SqlRows(f"sqlite:///{folder}", tmp_path)
    with pytest.raises(Failure, match=r"cannot be reached .*ENGLISH_DATABASE_URL: sqlite\+aiosqlite://") as failed:
        await rows.rows(7, 9, NEWEST)
    assert (failed.value.code, failed.value.retryable) == (Code.ENGINE_MISSING, True)
    assert await rows.check() == failed.value.sentence
    await rows.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "is no database URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://onair:hunter2-canary@db/onair", "pip install asyncpg"),
        ("postgres://onair:hunter2-canary@db/onair", "pip install asyncpg"),
        ("mysql://onair:hunter2-canary@db/onair", "aiomysql"),
        ("oraculum://db/onair", "driver that is not installed"),
        ("sqlite+pysqlite:///x.db", "cannot be used here"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_the_start(
    url: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the remedy, without the password."""
    for driver in ("asyncpg", "aiomysql"):
        monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(Failure, match=said) as refused:
        SqlRows(url, tmp_path)
    assert refused.value.code is Code.BAD_CONFIG
    assert "ENGLISH_DATABASE_URL" in refused.value.sentence
    assert "hunter2" not in refused.value.sentence


def test_a_plain_url_gets_its_driver(tmp_path: Path) -> None:
    """As operators have it from their provider."""
    names = {
        url: parsed(f"{url}://u:p@h/d", tmp_path).drivername for url in ("postgresql", "postgres", "mysql", "mariadb")
    }
    assert names == {
        "postgresql": "postgresql+asyncpg",
        "postgres": "postgresql+asyncpg",
        "mysql": "mysql+aiomysql",
        "mariadb": "mariadb+aiomysql",
    }
    assert parsed("postgresql+psycopg://u:p@h/d", tmp_path).drivername == "postgresql+psycopg"


@pytest.mark.parametrize(("dialect", "counted"), [(postgresql, "BIGSERIAL"), (mysql, "BIGINT NOT NULL AUTO_INCREMENT")])
def test_servers_get_tables_of_64_bits(dialect: Any, counted: str) -> None:
    """Ids of users and sessions are the client's; a row's own is counted by the server."""
    made = {name: str(CreateTable(table).compile(dialect=dialect.dialect())) for name, table in META.tables.items()}
    assert f"id {counted}" in made["english_messages"]
    assert made["english_messages"].count("BIGINT NOT NULL") == 3 + (dialect is mysql)
    assert "id BIGINT NOT NULL" in made["english_sessions"]

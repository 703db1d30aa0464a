"""The English partner's rows by SQLAlchemy: SQLite in ONAIR_DATA, or any server's database that has an async driver."""

import asyncio
import fcntl
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Engine, Integer, MetaData, String, Table, Text, event, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, InvalidRequestError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.contract.failure import Code, Failure
from services.gateway.core.english import NEW_IDS, Row, not_his
from services.runtime import logs

FILE = "english.sqlite3"
DRIVERS = {
    "sqlite": "aiosqlite",
    "postgresql": "asyncpg",
    "postgres": "asyncpg",
    "mysql": "aiomysql",
    "mariadb": "aiomysql",
}
"""Dialect → the driver that is taken where the URL names none."""
VARIABLE = "ENGLISH_DATABASE_URL"
PATIENCE_S = 10
"""A write waits so long for another process's; a server has so long to answer."""
POOL = 4
READING = "onair_reading"
"""The execution option of a transaction that writes nothing."""
TRIES = 5
BUSY_MS = PATIENCE_S * 1_000

META = MetaData()
SESSIONS = Table(
    "english_sessions",
    META,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, nullable=False, index=True),
    Column("at_ms", BigInteger, nullable=False),
)
MESSAGES = Table(
    "english_messages",
    META,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("session_id", BigInteger, nullable=False, index=True),
    Column("user_id", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    Column("said", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("audio_key", String(64), nullable=False, index=True),
)


class SqlRows:
    """The rows of all gateways that share the database. Tables are made when they are first needed."""

    def __init__(self, url: str, data: Path) -> None:
        """'' is a file in `data`. Raises Failure BAD_CONFIG for a URL that no database here understands."""
        self._url = parsed(url, data)
        self._engine = engine(self._url)
        self._reader = self._engine.execution_options(**{READING: True})
        self._lock = asyncio.Lock()
        self._made = False

    async def claim(self, user: int, session: int, at_ms: int) -> int:
        """The session, which is this user's from now on; 0: a new one. Raises Failure UNAUTHORIZED if it is another's."""
        for _ in range(TRIES):
            wanted = session or 1 + secrets.randbelow(NEW_IDS)
            owner = await self.owner(wanted)
            if session and owner == user:
                return session
            if session and owner is not None:
                raise Failure(Code.UNAUTHORIZED, not_his(session))
            if owner is None and await self._new(wanted, user, at_ms):
                return wanted
        raise Failure(Code.BUSY, "the session is being made by somebody else; try again", retryable=True)

    async def _new(self, session: int, user: int, at_ms: int) -> bool:
        """Whether it was made, and not by another process meanwhile."""
        try:
            async with self._begin(write=True) as db:
                await db.execute(SESSIONS.insert().values(id=session, user_id=user, at_ms=at_ms))
        except IntegrityError:
            return False
        return True

    async def owner(self, session: int) -> int | None:
        """Whose session that is."""
        async with self._begin() as db:
            return await db.scalar(select(SESSIONS.c.user_id).where(SESSIONS.c.id == session))

    async def sessions(self, user: int, newest: int) -> list[int]:
        """His newest sessions, the oldest of them first."""
        latest = SESSIONS.c.at_ms.desc(), SESSIONS.c.id.desc()
        async with self._begin() as db:
            mine = select(SESSIONS.c.id).where(SESSIONS.c.user_id == user).order_by(*latest).limit(newest)
            return list(reversed((await db.scalars(mine)).all()))

    async def add(self, row: Row) -> Row:
        """Write a row down; the same with its id."""
        values = {
            "session_id": row.session,
            "user_id": row.user,
            "data": row.data,
            "said": row.said,
            "at_ms": row.at_ms,
            "audio_key": row.audio,
        }
        async with self._begin(write=True) as db:
            made = (await db.execute(MESSAGES.insert().values(values))).inserted_primary_key
        return Row(row.session, row.user, row.data, row.at_ms, row.audio, row.said, int(made[0]) if made else 0)

    async def rows(self, user: int, session: int, newest: int) -> list[Row]:
        """The newest rows of his session by id."""
        found = (
            select(MESSAGES)
            .join(SESSIONS, SESSIONS.c.id == MESSAGES.c.session_id)
            .where(SESSIONS.c.user_id == user, SESSIONS.c.id == session)
            .order_by(MESSAGES.c.id.desc())
            .limit(newest)
        )
        async with self._begin() as db:
            return [_row(each) for each in reversed((await db.execute(found)).mappings().all())]

    async def heard_by(self, audio: str) -> int | None:
        """Whose session has the recording of that name."""
        found = (
            select(SESSIONS.c.user_id)
            .join(MESSAGES, SESSIONS.c.id == MESSAGES.c.session_id)
            .where(MESSAGES.c.audio_key == audio)
            .limit(1)
        )
        async with self._begin() as db:
            return await db.scalar(found)

    async def check(self) -> str:
        """'' while the database answers, else what is wrong with it."""
        try:
            await self.owner(0)
        except Failure as failure:
            return failure.sentence
        return ""

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _begin(self, *, write: bool = False) -> AsyncGenerator[AsyncConnection]:
        """A transaction. What the database fails at is said in one sentence; a row that is there already is not."""
        try:
            async with asyncio.timeout(2 * PATIENCE_S):
                await self._make()
                async with (self._engine if write else self._reader).begin() as db:
                    yield db
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            why = getattr(error, "orig", None) or type(error).__name__
            where = self._url.render_as_string(hide_password=True)
            sentence = f"the rows of the English partner cannot be reached ({why}); see {VARIABLE}: {where}"
            raise Failure(Code.ENGINE_MISSING, sentence, retryable=True) from error

    async def _make(self) -> None:
        """The tables, made once, by one process at a time."""
        if self._made:
            return
        async with self._lock:
            if self._made:
                return
            lock = await asyncio.to_thread(_locked, self._url)
            try:
                await self._create()
            finally:
                if lock:
                    lock.close()
            self._made = True

    async def _create(self) -> None:
        """A server has no lock of ours: another process may make a table between our look and our making."""
        for left in reversed(range(TRIES)):
            try:
                async with self._engine.begin() as db:
                    await db.run_sync(META.create_all)
            except SQLAlchemyError:
                if not left:
                    raise
            else:
                return


def parsed(text: str, data: Path) -> URL:
    """The URL with its driver; raises Failure BAD_CONFIG. Its password appears in no log."""
    if not text:
        return URL.create("sqlite+aiosqlite", database=str(data.absolute() / FILE))
    try:
        url = make_url(text)
    except ArgumentError as error:
        example = "postgresql://onair:…@db/onair, mysql://… or sqlite:////srv/onair/english.sqlite3"
        raise Failure(
            Code.BAD_CONFIG, f"{VARIABLE} is no database URL; write it as {example}, or leave it out"
        ) from error
    logs.hide(text)
    logs.hide(url.password or "")
    if "+" not in url.drivername and (driver := DRIVERS.get(url.drivername)):
        url = url.set(drivername=f"{'postgresql' if driver == 'asyncpg' else url.drivername}+{driver}")
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise Failure(Code.BAD_CONFIG, f"{VARIABLE} names no file: write sqlite:////srv/onair/english.sqlite3")
    return url


def engine(url: URL) -> AsyncEngine:
    """Raises Failure BAD_CONFIG where the driver is not installed or cannot be used."""
    local = url.get_backend_name() == "sqlite"
    more: dict[str, Any] = {"connect_args": {"timeout": PATIENCE_S}} if local else {"pool_pre_ping": True}
    try:
        made = create_async_engine(
            url, pool_size=POOL, max_overflow=0, pool_timeout=PATIENCE_S, hide_parameters=True, **more
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise Failure(
            Code.BAD_CONFIG,
            f"{VARIABLE} needs a driver that is not installed ({error}): pip install asyncpg for PostgreSQL, aiomysql for "
            "MySQL, or leave it out for SQLite",
        ) from error
    except (ArgumentError, InvalidRequestError) as error:
        raise Failure(
            Code.BAD_CONFIG,
            f"{VARIABLE} names the driver {url.drivername}, which cannot be used here ({error}); name none, or an async one",
        ) from error
    if local:
        _prepare(made.sync_engine)
    return made


def _prepare(sync: Engine) -> None:
    """SQLite as several processes of one machine can share it: readers beside one writer, who is waited for."""

    @event.listens_for(sync, "connect")
    def connected(raw: Any, _: object) -> None:  # noqa: ANN401  the driver's own
        raw.isolation_level = None
        cursor = raw.cursor()
        for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(sync, "begin")
    def begun(db: Connection) -> None:
        db.exec_driver_sql("BEGIN" if db.get_execution_options().get(READING) else "BEGIN IMMEDIATE")

    del connected, begun


def _locked(url: URL) -> Any:  # noqa: ANN401  an open file, or nothing
    """The lock under which a file's tables are made; a server's have none."""
    if url.get_backend_name() != "sqlite":
        return None
    path = Path(url.database or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _row(found: Any) -> Row:  # noqa: ANN401  a mapping whose values are of the table's types
    return Row(
        session=found["session_id"],
        user=found["user_id"],
        data=found["data"],
        at_ms=found["at_ms"],
        audio=found["audio_key"],
        said=found["said"],
        id=found["id"],
    )

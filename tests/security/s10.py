"""S10: twelve secrets through a whole house whose engines betray them and whose parts are killed: told nowhere."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.upstream.server import serving
from services.contract import streams
from services.runtime.bus import connect
from tests.chaos.program import Outcome, Program, Setup
from tests.security.asker import Asker, asking, command
from tests.security.canaries import NAMES, Canary, Search
from tests.security.house import House, dressed, house
from tests.security.locked import Locked
from tests.security.traitor import MOODS, Traitor

SIGN = "/+@"
BACK_S = 30.0
CONFIG = """
personas: {{host: {{language: en, voice: plain}}}}
voices: {{plain: {{engines: [{{openai: {{voice: alloy}}}}, {{scripted: {{}}}}]}}}}
engines:
  llm: {{openai: {{model: m}}}}
  asr: {{openai: {{model: m, base_url: {asr}}}}}
  tts: {{openai: {{model: m, base_url: {tts}}}}}
network: {{proxies: {{openai: '{proxy}'}}}}
rooms: {{main: {{persona: host, sources: [{{api: {{}}}}]}}}}
gateway: {{persona: host}}
"""
COMMANDS = (("doctor", "--json"), ("ledger", "main"), ("doctor",), ("say", "main", "hello"))
MORE = (("services.tts",), ("onair", "doctor"), ("onair", "config", "check"))
UP = ("onair", "up", "--port", "0")
STARTED = {"a key that is no option", "two of them"}
"""Wrong configurations with which the whole house is started: it tells the end of a service's log, or does not begin."""
SOME, USAGE = 3, 2
KILLED = ("llm", "tts", "asr", "gateway", "ingest", "avatar", "jobs")


@dataclass
class Scene:
    """What runs, with which secrets."""

    setup: Setup
    canaries: dict[str, Canary]
    brokers: list[Locked]
    """work, and two for live."""
    traitor: Traitor
    url: str
    search: Search
    config: str = ""
    environ: dict[str, str] = field(default_factory=dict[str, str])
    landed: int = 0
    problems: list[str] = field(default_factory=list[str])

    def prepare(self) -> None:
        """Put each secret where an operator would."""
        make, base = self.canaries, self.url.partition("://")[2]
        files = {"ONAIR_TOKEN": make["ONAIR_TOKEN"], "TTS_OPENAI_API_KEY": make["TTS_OPENAI_API_KEY"]}
        for name, canary in files.items():
            (path := self.setup.folder / name).write_text(canary.value, encoding="utf-8")
            self.environ[f"{name}_FILE"] = str(path)
        work, *lives = (each.url for each in self.brokers)
        self.environ |= {name: make[name].value for name in ("OPENAI_API_KEY", "ASR_OPENAI_API_KEY")}
        self.environ |= {"WORK_REDIS_URL": work, "LIVE_REDIS_URLS": ",".join(lives), "OPENAI_BASE_URL": self.url}
        self.environ |= {
            "TTS_ENGINES": "openai,scripted",
            "LOG_LEVEL": "DEBUG",
            "ONAIR_DEBUG": "1",
            "OPENAI_LOG": "debug",
        }
        proxy = f"http://onair:{make['network.proxies'].quoted}@{base.removesuffix('/v1')}"
        own = f"http://onair:{make['base_url'].quoted}@{base}"
        self.config = CONFIG.format(asr=self.url, tts=own, proxy=proxy)

    @property
    def found(self) -> bool:
        """Whether a rule was broken on purpose and that is found: then there is no more to be shown."""
        return bool(self.setup.sabotage and self.search.leaks)

    async def look(self) -> None:
        """Look at both brokers, at all files of the data folder, and at every command line."""
        for broker in self.brokers:
            for key, part in await broker.dump():
                self.search.look(f"key {key.partition(':')[0]}", part)
            self.search.look("log of a broker", broker.log.read_bytes())
        self.search.folder(self.setup.folder / "data")
        self.search.look("standard error of onair up", (self.setup.folder / "up.err").read_bytes())
        self.search.processes()


async def betrayed(scene: Scene, asker: Asker) -> None:
    """The engines answer with what they were shown, in every way."""
    for mood in MOODS[:4] if scene.setup.short else MOODS:
        scene.traitor.mood = mood
        await asker.talk()
        await asker.health()
        if not scene.traitor.told[mood]:
            scene.problems.append(f"nobody asked the engines while they answered with {mood}")
        await scene.look()
    scene.landed += sum(scene.traitor.told.values())


async def killed(scene: Scene, home: House, asker: Asker) -> None:
    """Kill -9 of each service while the engines betray it; started again it asks them at once, and says what they said."""
    scene.traitor.mood = "500"
    before = {note["service"]: note["pid"] for note in home.notes()}
    for service in KILLED:
        os.kill(before[service], signal.SIGKILL)
        scene.landed += 1
    await asker.health()
    async with asyncio.timeout(BACK_S):
        while {note["service"] for note in home.notes() if note["pid"] not in before.values()} != set(KILLED):
            await asyncio.sleep(0.1)
    await asyncio.sleep(1.5)  # the checks are asked once a second
    await asker.talk()
    await asker.everything()
    await scene.look()


async def locked_out(scene: Scene, asker: Asker) -> None:
    """The brokers are killed, and come back with another password, then with their own."""
    scene.traitor.mood = ""
    for broker in scene.brokers:
        await broker.kill()
        scene.landed += 1
    await asker.talk()
    await asyncio.gather(*(broker.start("another") for broker in scene.brokers))
    await asyncio.gather(asker.health(), asker.talk())
    for broker in scene.brokers:
        await broker.kill()
        await broker.start()
    await asker.everything()
    await scene.look()


async def poisoned(scene: Scene, asker: Asker) -> None:
    """Messages that cannot be read end as dead letters, which the console shows."""
    work = connect(scene.brokers[0].url)
    try:
        for key in (streams.TURNS.key(), streams.LISTEN.key(), streams.CALLS.key()):
            await work.xadd(key, {"__data__": b"no message"})
        async with asyncio.timeout(BACK_S):
            while await work.xlen(streams.DEAD) < 3:
                await asyncio.sleep(0.1)
        scene.landed += 3
    finally:
        await work.aclose()
    await asker.everything()


def wrong(scene: Scene) -> dict[str, tuple[Mapping[str, str], str]]:
    """What an operator gets wrong with a secret in it: environment and configuration, by what it is."""
    stray, broken = scene.canaries["a key where none belongs"].value, scene.canaries["REDIS_URL"].value
    good, base = scene.config, scene.url.partition("://")[2]
    found: dict[str, tuple[Mapping[str, str], str]] = {
        "a password as it is in a URL": ({"WORK_REDIS_URL": f"redis://:{broken}@127.0.0.1:1/0"}, good),
        "two of them": ({"LIVE_REDIS_URLS": f"redis://127.0.0.1:1,redis://:{broken}@127.0.0.1:1/0"}, good),
        "a password for nobody": ({"REDIS_URL": f"http://:{broken}@127.0.0.1:1/0", "WORK_REDIS_URL": ""}, good),
        "the same in an engine's": ({"OPENAI_BASE_URL": f"http://me:{broken}@{base}"}, good),
        "a key that is no option": ({}, good.replace("{model: m}", f"{{model: m, api_key: {stray}}}")),
        "a key in place of a table": ({}, good.replace("{model: m}", f"'{stray}'")),
        "a proxy that is none": ({}, good.replace("openai: 'http://", f"openai: '{stray}://me:{broken}@")),
        "a proxy with a bare password": ({}, good.replace("openai: 'http://", f"openai: 'http://me:{broken}:")),
        "a line that is no YAML": ({}, good.replace("gateway:", f"key: {stray}: x\ngateway:")),
        "a file that is not there": ({"OPENAI_API_KEY_FILE": "/nowhere", "OPENAI_API_KEY": stray}, good),
        "a key with a line break": ({"OPENAI_API_KEY": f"{stray}\n{broken}"}, good),
    }
    return dict([*found.items()][:: 2 if scene.setup.short else 1])


async def misconfigured(scene: Scene) -> None:
    """Start things with it, some at once: each says what is wrong, and never what was written."""
    slots = asyncio.Semaphore(SOME)
    await asyncio.gather(*(refused(scene, what, *given, slots) for what, given in wrong(scene).items()))


async def refused(scene: Scene, what: str, environ: Mapping[str, str], config: str, slots: asyncio.Semaphore) -> None:
    """One of them: the service ends with 2 and a sentence."""
    folder = scene.setup.folder / f"wrong-{what.replace(' ', '-')}"
    folder.mkdir()
    (folder / "onair.yaml").write_text(config, encoding="utf-8")
    runs = [("services.llm",), *(() if scene.setup.short else MORE)]
    runs += [UP] if what in STARTED and not scene.setup.short else []
    given = commanded(scene, folder, environ)
    for words in runs:
        async with slots:
            code, said = await command(folder, given, *words)
        scene.search.look(f"{' '.join(words)} with {what}", said)
        if b"Traceback" in said:
            scene.problems.append(f"{' '.join(words)} with {what}: a traceback")
        if words == runs[0] and code != USAGE:
            scene.problems.append(f"nobody minded {what}: {said[-200:]!r}")
    scene.landed += 1


async def asked(scene: Scene) -> None:
    """The operator's commands look at a house whose engines refuse him."""
    for mood in ("500",) if scene.setup.short else ("401", "500"):
        scene.traitor.mood = mood
        environ = commanded(scene, scene.setup.folder, {})
        for words in COMMANDS[: 2 if scene.setup.short else None]:
            _, said = await command(scene.setup.folder, environ, "onair", *words)
            scene.search.look(f"onair {' '.join(words)}", said)


def commanded(scene: Scene, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command, with what the house has and with this."""
    made = dressed(folder, {**scene.environ, **environ}, scene.setup.sabotage)
    return {**made, "ONAIR_CONFIG": str(folder / "onair.yaml")}


def sighted(scene: Scene) -> list[str]:
    """That the search sees: each secret is found where it has to be, and the engines were shown those that are theirs."""
    there = [path.read_bytes() for path in scene.setup.folder.iterdir() if path.is_file()]
    there += [path.read_bytes() for path in scene.setup.folder.glob("wrong-*/onair.yaml")]
    there += [
        *(each.encode() for each in scene.environ.values()),
        *(value.encode() for given, _ in wrong(scene).values() for value in given.values()),
    ]
    known = {name for data in there for name, _, _ in scene.search.seen(data)}
    shown = {name for each in scene.traitor.shown for name, _, _ in scene.search.seen(each.encode())}
    blind = [f"the search does not find {name} where it stands" for name in set(NAMES) - known - {"ticket"}]
    used = {"OPENAI_API_KEY", "ASR_OPENAI_API_KEY", "network.proxies", "base_url"}
    return [*blind, *(f"no engine was ever shown {name}" for name in used - shown)]


async def run(setup: Setup) -> Outcome:
    """The whole evening, then one last look."""
    dice = random.Random(setup.seed)
    plain = {"ONAIR_TOKEN", "OPENAI_API_KEY", "ASR_OPENAI_API_KEY", "TTS_OPENAI_API_KEY", "a key where none belongs"}
    canaries = {name: Canary.made(name, dice, "" if name in plain else SIGN) for name in NAMES if name != "ticket"}
    names = (("work", "WORK_REDIS_URL"), ("live-1", "LIVE_REDIS_URLS (first)"), ("live-2", "LIVE_REDIS_URLS (second)"))
    async with contextlib.AsyncExitStack() as stack:
        brokers = [Locked(name, setup.folder, canaries[secret]) for name, secret in names]
        for broker in brokers:
            stack.push_async_callback(broker.kill)
            await broker.start()
        traitor = Traitor()
        url = await stack.enter_async_context(serving(traitor))
        scene = Scene(setup, canaries, brokers, traitor, url, Search([*canaries.values()]))
        scene.prepare()
        token = canaries["ONAIR_TOKEN"].value
        async with (
            house(setup.folder, scene.config, scene.environ, setup.sabotage) as home,
            asking(home, scene.search, token) as asker,
        ):
            await evening(scene, home, asker)
        await scene.look()
        if not scene.found:
            await misconfigured(scene)
    return told(scene, asker.answers)


async def evening(scene: Scene, home: House, asker: Asker) -> None:
    """All that happens while the house runs."""
    await asker.ticket()
    await asker.talk()
    await asker.everything()
    await betrayed(scene, asker)
    if scene.found:
        return
    await killed(scene, home, asker)
    await asked(scene)
    await poisoned(scene, asker)
    await locked_out(scene, asker)


def told(scene: Scene, answers: int) -> Outcome:
    """The figures."""
    search = scene.search
    leaks = [f"{name} in {where}: {what}" for (name, where), what in search.leaks.items()]
    problems = (*leaks, *sighted(scene), *scene.problems)
    figure = (
        f"{len(search.canaries)} secrets: {sum(scene.traitor.told.values())} answers of engines with one in them, {len(KILLED)} "
        f"services and {len(scene.brokers)} brokers killed, {len(wrong(scene))} wrong configurations; {answers} answers and "
        f"{search.size / 2**20:.1f} MiB in {len(search.places)} places looked through: {len(leaks)} leaks"
    )
    needed = len(KILLED) + len(scene.brokers) + len(wrong(scene)) + 4 * len(MOODS[:4])
    return Outcome(figure, scene.landed, needed, problems, {"leaks": len(leaks)})


PROGRAM = Program(
    "S10", "12 secrets through a whole run with crashes: 0 in logs, errors, brokers, API, OpenAPI, files, command lines",
    "engines that betray them, kill -9, locked brokers, wrong configurations", run, ("talkative", "noted", "shouted"),
)  # fmt: skip

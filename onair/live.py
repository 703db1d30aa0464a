"""The live show: reads the session as it comes, asks after everybody's health, and shows both until it is ended."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing

from rich.console import Console
from rich.live import Live

from onair import brokers, ready
from onair.processes import SERVICE, Family
from onair.screen import draw
from onair.told import plain, spoken_line
from onair.view import View
from services.runtime.clock import now_ms
from services.runtime.sessions import Sessions

DRAW_S = 0.2
HEALTH_S = 1.0


async def show(
    family: Family, sessions: Sessions, room: str, address: str, ports: Mapping[str, int], say: Callable[[str], None]
) -> None:
    """Show the room until cancelled, or until nobody can watch: the terminal or the pipe is closed.

    Drawn where standard output is a terminal, otherwise told line by line.

    `ports`: name → port of each broker that was started.
    """
    view, console = View(address, now_ms()), Console()

    def notice(text: str) -> None:
        view.trouble(now_ms(), text.strip())

    family.tell = notice
    drawn = console.is_terminal
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_ask_health(family, view, ports))
            group.create_task(_follow(view, sessions, room, (lambda _: None) if drawn else say))
            group.create_task(_draw(view, console) if drawn else _tell(view, say))
    except* OSError:  # _draw and say alone raise it: the others heal by themselves
        pass


async def _follow(view: View, sessions: Sessions, room: str, say: Callable[[str], None]) -> None:
    """Fold the session from its beginning, as it grows; say what can be said of an entry at once."""
    async with aclosing(sessions.read(room, "0-0")) as items:
        async for item in items:
            lines = view.feed(item.ms, item.message, item.blob)
            for text in plain(item.message, lines, view.layout):
                say(text)


async def _draw(view: View, console: Console) -> None:
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            width, height = console.size
            live.update(draw(view, now_ms(), width, height), refresh=True)
            await asyncio.sleep(DRAW_S)


async def _tell(view: View, say: Callable[[str], None]) -> None:
    """Say each sentence when its sound is heard, and each new trouble."""
    last, known = (-1, ("", -1)), set[str]()
    while True:
        for spoken in view.said(now_ms()):
            here = (spoken.begin, (spoken.turn, spoken.index))
            if here[0] > last[0]:
                last = here
                say(spoken_line(spoken))
        for sentence in set(view.wrong(now_ms())) - known:
            known.add(sentence)
            say(f"    ! {sentence}")
        await asyncio.sleep(DRAW_S)


async def _ask_health(family: Family, view: View, ports: Mapping[str, int]) -> None:
    while True:
        names = [name for name, child in family.children.items() if child.part.rank == SERVICE]
        answers = await asyncio.gather(*(ready.look(family, name) for name in names))
        alive = await asyncio.gather(*(brokers.ask(port, "PING") for port in ports.values()))
        services = {name.removesuffix("-1"): problem for name, (_, problem) in zip(names, answers, strict=True)}
        silent = {
            name: "" if answer == "+PONG" else "it does not answer" for name, answer in zip(ports, alive, strict=True)
        }
        view.health = services | silent
        await asyncio.sleep(HEALTH_S)

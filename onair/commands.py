"""The commands around the show: look, speak, talk, settings. Heavy modules are imported inside them."""
# ruff: noqa: PLC0415  for that reason

from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from services import __version__

ServerOption = Annotated[
    str,
    typer.Option(metavar="URL", help="http://host:port of the gateway. [default: that of the onair that runs here]"),
]
TokenOption = Annotated[
    str, typer.Option(metavar="TOKEN", help="The operators' token. [default: $ONAIR_TOKEN, which `ps` does not show]")
]
DataOption = Annotated[Path | None, typer.Option(metavar="DIR", help="The data folder. [default: $ONAIR_DATA or data]")]

config_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at the configuration, or take one over from another program.",
    epilog="Examples:  onair config check  ·  onair config import config.ini",
)

rooms_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look at rooms, and at conversations elsewhere."
)


def version(value: bool) -> None:  # noqa: FBT001  Typer calls it so
    """Print the version and end."""
    if value:
        typer.echo(f"onair {__version__}")
        raise typer.Exit


def doctor(
    config: Annotated[
        Path | None, typer.Option(help="The configuration. [default: $ONAIR_CONFIG or onair.yaml]")
    ] = None,
    data: DataOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print it for a program.")] = False,  # noqa: FBT002  an option
) -> None:
    """Look at everything OnAir needs and say what to do.

    Engines, keys, models, servers, brokers, ports, proxy, exposure, packages and disk: each is ok, missing (not set up,
    and the show goes on without it) or a problem (configured, and it cannot work). Takes five seconds at most and prints
    no secret. Exits 0 if all that is configured can work, 1 otherwise.
    """
    from onair.doctor import doctor as run

    raise typer.Exit(run(config, data, json=json))


def say(
    text: Annotated[str, typer.Argument(help="What is said, word for word.")],
    room: Annotated[str, typer.Option(metavar="NAME", help="The room. [default: the only one there is]")] = "",
    server: ServerOption = "",
    token: TokenOption = "",
    data: DataOption = None,
) -> None:
    """Let the persona say a line in a room, word for word.

    Prints the event's id when the gateway has taken it over; it comes before viewers' comments.
    """
    from onair.say import Wanted, say_it

    raise typer.Exit(say_it(Wanted(text, room=room, server=server, token=token, data=data)))


def report(
    room: Annotated[str, typer.Argument(help="The room's name.")],
    out: Annotated[Path | None, typer.Option(help="The file to write. [default: report-ROOM.html]")] = None,
    language: Annotated[str, typer.Option(metavar="CODE", help="zh or en. [default: that of the room's persona]")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Since when: 2h, 7d. [default: all that is kept]")] = "",
    server: ServerOption = "",
    token: TokenOption = "",
    data: DataOption = None,
) -> None:
    """Ask for the report of a show and save it: sums, what was said when, the paid ledger, in one HTML file.

    A job makes it; needs `onair up` on this machine, or a server with its jobs process.
    """
    from onair.report import Wanted, fetch

    raise typer.Exit(fetch(Wanted(room, out, language, since, server, token, data)))


def talk(
    *,
    server: ServerOption = "",
    token: TokenOption = "",
    system: Annotated[
        str, typer.Option(metavar="TEXT|@FILE", help="Who answers: a TEXT, or @FILE. [default: the server's persona]")
    ] = "",
    wav: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A clip instead of typed lines; may be repeated.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the sound of each sentence in this folder.")
    ] = None,
    lang: Annotated[
        str, typer.Option(metavar="CODE", help="Language of what is said: zh, en, … [default: the server finds out]")
    ] = "",
    mute: Annotated[bool, typer.Option("--mute", help="Do not play the answers.")] = False,
    mic: Annotated[bool, typer.Option("--mic", help="Speak: a live call, in which you may interrupt.")] = False,
    voice: Annotated[str, typer.Option(metavar="NAME", help="With --mic: the voice. [default: the persona's]")] = "",
    persona: Annotated[str, typer.Option(metavar="NAME", help="With --mic: who answers. [default: the server's]")] = "",
    data: DataOption = None,
) -> None:
    """Talk with the persona: type, give clips, or speak.

    Answers come sentence by sentence, are played where this machine has a player, and are kept by --save. Without a
    terminal each line of standard input is a turn. Needs onair[client] alone: no broker, no service on this machine.

    With --mic you speak and hear: needs onair[mic], a microphone and, as there is no echo cancellation, headphones.
    """
    from onair.talk import Wanted
    from onair.talk import talk as run

    wanted = Wanted(server, token, data, system, wav or (), save, lang, mute, mic, voice, persona)
    raise typer.Exit(run(wanted))


def listen(
    conversation: Annotated[
        str, typer.Argument(metavar="ID", help="A room's name, or the id of a conversation of Daily.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print each app-message as it came, a line each.")] = False,  # noqa: FBT002  an option
    server: ServerOption = "",
    token: TokenOption = "",
    data: DataOption = None,
) -> None:
    """Show what is said in a room or in a conversation of Daily (Tavus), until Ctrl-C.

    What grows while it is said is shown as one line: in a terminal as it grows, elsewhere once it is over. Daily's
    SDK is needed where ingest runs, not here.
    """
    found = listening()
    raise typer.Exit(found.listen(found.Wanted(conversation, server, token, data, json)))


@rooms_app.command("check", epilog="Examples:  onair rooms check main  ·  onair rooms check daily:c70ed8f4")
def check_room(
    name: Annotated[str, typer.Argument(metavar="ROOM|daily:ID", help="What is looked at.")],
    server: ServerOption = "",
    token: TokenOption = "",
    data: DataOption = None,
) -> None:
    """Say whether a room is there, or whether a conversation of Daily can be joined, which is tried; else what to do.

    Asks the running onair, or the one that --server names. Exits 0 if so, 1 or 2 if not.
    """
    found = listening()
    raise typer.Exit(found.check(found.Wanted(name, server, token, data)))


def listening() -> ModuleType:
    """Late, because its package is in none of the smaller extras; raises Failure(ENGINE_MISSING)."""
    from services.contract.failure import Code, Failure

    try:
        from onair import listen as found
    except ImportError as error:
        sentence = f"listening needs the package {error.name}; install it by `pip install {error.name}`"
        raise Failure(Code.ENGINE_MISSING, sentence) from error
    return found


@config_app.command(epilog="Examples:  onair config check  ·  onair config check my.yaml")
def check(
    file: Annotated[Path | None, typer.Argument(help="[default: $ONAIR_CONFIG or onair.yaml]")] = None,
) -> None:
    """Say what a configuration says, or what is wrong with it and in which line (exit code 2)."""
    from onair.configuration import check as run

    raise typer.Exit(run(file))


@config_app.command(
    "import", epilog="Examples:  onair config import config.ini  ·  onair config import config.yaml --out my.yaml"
)
def import_(
    file: Annotated[Path, typer.Argument(help="A GPT-vup config.ini or a MoeChat config.yaml.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("onair.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite it.")] = False,  # noqa: FBT002  an option
) -> None:
    """Make an onair.yaml of another program's configuration.

    Keys go to .env.imported, never into onair.yaml. What this version does not know is named with the reason and kept
    as a comment.
    """
    from onair.configuration import take_over

    raise typer.Exit(take_over(file, out, force=force))


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog='Examples:  onair say "Back in five minutes!"  ·  onair say "你们好" --room main')(say)
    app.command(epilog="Examples:  onair report main  ·  onair report main --since 12h --language en --out show.html")(
        report
    )
    app.command(
        epilog="Examples:  onair talk  ·  onair talk --system @teacher.txt --save answers  ·  "
        "onair talk --wav question.wav --server http://studio:8000  ·  echo 你好呀 | onair talk --mute  ·  "
        "onair talk --mic --lang en"
    )(talk)
    app.command(epilog="Examples:  onair doctor  ·  onair doctor --json  ·  onair doctor && onair up")(doctor)
    app.command(epilog="Examples:  onair listen main  ·  onair listen c70ed8f4 --server http://studio:8000")(listen)
    app.add_typer(config_app, name="config")
    app.add_typer(rooms_app, name="rooms")

"""The command `onair`. Heavy modules are imported inside the commands: `--help` answers at once."""
# ruff: noqa: PLC0415  for that reason

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

try:
    import typer
except ImportError:
    sys.stderr.write(
        "onair: the command line's packages are not installed; run `make setup`, or install onair[cli], "
        "or onair[client] to talk to a server elsewhere\n"
    )
    sys.exit(2)
from onair import commands, tavus_commands

EPILOG = (
    'Examples:  onair demo --once  ·  onair up --port 9000  ·  onair talk  ·  onair doctor  ·  onair try llm "Hello"\n\n'
    "New here?  `onair doctor` says what is missing, `onair up` goes on air, `onair talk` talks with the persona.\n\n"
    "Exit codes: 0 done, 1 it failed while running, 2 wrong use or configuration, 130 interrupted."
)
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Puts an AI persona on air: comments, gifts and voices go in, a spoken, captioned answer comes out.",
    epilog=EPILOG,
)


@app.callback()
def top(
    version: Annotated[  # noqa: FBT002  an option, whose callback does the work
        bool, typer.Option("--version", callback=commands.version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Puts an AI persona on air: comments, gifts and voices go in, a spoken, captioned answer comes out."""


tries = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run one service alone and ask it something.")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The configuration. [default: $ONAIR_CONFIG or onair.yaml]")
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Log each event, prompt, answer and engine call.")]


@app.command(
    epilog="Examples:  onair up  ·  onair up --port 9000 --scale tts=4  ·  onair up --config my.yaml --data /srv/onair"
)
def up(
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="The gateway's port, 0: any. [default: 8000]")
    ] = None,
    host: Annotated[str, typer.Option(help="The address it listens on. [default: 127.0.0.1]")] = "",
    data: Annotated[Path | None, typer.Option(help="Where everything is kept. [default: $ONAIR_DATA or data]")] = None,
    config: ConfigOption = None,
    scale: Annotated[list[str] | None, typer.Option(help="SERVICE=N processes of a service; may be repeated.")] = None,
    debug: DebugOption = False,  # noqa: FBT002  an option
) -> None:
    """Start everything on this machine.

    Prints `ready http://HOST:PORT` when brokers and services are ready, and keeps them running until Ctrl-C or SIGTERM.
    """
    from onair.drive import DONE, drive
    from onair.up import Wanted
    from onair.up import up as run

    wanted = Wanted(port=port, host=host, data=data, config=config, scale=scale or (), debug=debug)
    raise typer.Exit(drive(run(wanted), on_term=DONE))


@app.command(epilog="Examples:  onair demo  ·  onair demo --once --out show --speed 2")
def demo(
    once: Annotated[bool, typer.Option("--once", help="Play the room once, leave the recorded show.")] = False,  # noqa: FBT002  an option
    out: Annotated[Path, typer.Option(help="With --once: where the show is left.")] = Path("out"),
    recording: Annotated[Path, typer.Option(help="The room to play.")] = Path("recordings/demo.jsonl.gz"),
    data: Annotated[Path, typer.Option(help="The demo's own folder, cleared at each start.")] = Path("data/demo"),
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, help="The page's port, 0: any. [default: 8000 or the next free one; once: any]"
        ),
    ] = None,
    speed: Annotated[float, typer.Option(min=0.01, max=1_000, help="2 plays the room twice as fast.")] = 1.0,
    config: ConfigOption = None,
    debug: DebugOption = False,  # noqa: FBT002  an option
) -> None:
    """Play a recorded room in a loop and show what happens, until Ctrl-C.

    With --once: play it once and leave show.wav, show.srt, show.jsonl and summary.json. Exits 0 only if everything that
    was paid for was spoken or taken back by the platform.
    """
    from onair.demo import Wanted
    from onair.demo import demo as run
    from onair.drive import drive

    wanted = Wanted(
        out=out, recording=recording, data=data, port=port, once=once, speed=speed, config=config, debug=debug
    )
    raise typer.Exit(drive(run(wanted)))


@app.command(
    epilog="Examples:  onair ledger main  ·  onair ledger main --state failed --since 2h  ·  onair ledger main --json"
)
def ledger(
    room: Annotated[str, typer.Argument(help="The room's name.")],
    state: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Only rows in this state; may be repeated.")
    ] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="Only what came since: 30m, 2h, 7d.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print it for a program.")] = False,  # noqa: FBT002  an option
    data: Annotated[
        Path | None, typer.Option(help="Its folder. [default: the broker of $WORK_REDIS_URL, else $ONAIR_DATA or data]")
    ] = None,
) -> None:
    """Show what became of what was paid for: received, chosen, heard, failed or withdrawn, and why.

    The last line is the conservation law of the whole ledger, whatever is shown. Exits 1 if it is broken: if received is
    not spoken + withdrawn + failed + waiting.
    """
    from onair.drive import drive
    from onair.ledger import Wanted
    from onair.ledger import ledger as run

    raise typer.Exit(drive(run(room, data, Wanted(state or (), since, json))))


@tries.command(epilog="Example:  onair try asr examples/weather-en.wav")
def asr(
    file: Annotated[Path | None, typer.Argument(help="A WAV file. [default: an example]")] = None,
    config: ConfigOption = None,
    language: Annotated[str, typer.Option(help="zh, en, …; empty: the engine finds out.")] = "",
) -> None:
    """Print what is said in a WAV file."""
    from onair import tryout
    from onair.drive import drive

    raise typer.Exit(drive(tryout.asr(file, config, language)))


@tries.command(epilog='Example:  onair try llm "What shall I cook tonight?"')
def llm(
    text: Annotated[str, typer.Argument(help="What a viewer says.")] = "Hello! What are we talking about today?",
    config: ConfigOption = None,
    persona: Annotated[str, typer.Option(help="Who answers. [default: the gateway's persona]")] = "",
) -> None:
    """Print the sentences of an answer as they come."""
    from onair import tryout
    from onair.drive import drive

    raise typer.Exit(drive(tryout.llm(text, config, persona)))


@tries.command(epilog='Example:  onair try tts "Welcome to the stream!" --out hello.wav')
def tts(
    text: Annotated[str, typer.Argument(help="What is spoken. [default: an example]")] = "",
    config: ConfigOption = None,
    out: Annotated[Path, typer.Option(help="The WAV file.")] = Path("speech.wav"),
    voice: Annotated[str, typer.Option(help="A voice of the configuration. [default: the first]")] = "",
) -> None:
    """Speak a text into a WAV file."""
    from onair import tryout
    from onair.drive import drive

    raise typer.Exit(drive(tryout.tts(text, config, out, voice)))


@tries.command(epilog="Example:  onair try avatar examples/weather-en.wav")
def avatar(
    file: Annotated[Path | None, typer.Argument(help="A WAV file. [default: an example]")] = None,
    config: ConfigOption = None,
) -> None:
    """Let the puppet speak a WAV file; print its mouth as a curve."""
    from onair.drive import drive
    from onair.puppet import avatar as run

    raise typer.Exit(drive(run(file, config)))


@tries.command(epilog="Example:  onair try ingest recordings/demo.jsonl.gz --seconds 10")
def ingest(
    file: Annotated[Path | None, typer.Argument(help="A recorded room. [default: the demo's]")] = None,
    config: ConfigOption = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="For how long.")] = 6.0,
) -> None:
    """Print a recording's events and what the director decides."""
    from onair import tryout
    from onair.drive import drive

    raise typer.Exit(drive(tryout.ingest(file, config, seconds)))


commands.register(app)
app.add_typer(tries, name="try")
app.add_typer(tavus_commands.app, name="tavus")


def _end(sentence: str, code: int = 2) -> NoReturn:
    sys.stderr.write(f"onair: {' '.join(sentence.split())}\n")
    sys.exit(code)


def main() -> None:
    """Run the command line: a failure is one sentence and an exit code, never a traceback."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from onair.drive import code_of
        from services.contract.failure import Failure

        if isinstance(error, Failure):
            _end(error.sentence, code_of(error))
        if os.environ.get("ONAIR_DEBUG", "") not in {"", "0"}:
            raise
        _end(f"{type(error).__name__}: {error}; this should not happen: ONAIR_DEBUG=1 shows where it comes from", 1)


if __name__ == "__main__":
    main()

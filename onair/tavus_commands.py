"""The commands `onair tavus …`. What they do is imported inside them: `--help` answers at once."""
# ruff: noqa: PLC0415  for that reason

from pathlib import Path
from typing import Annotated

import typer

from onair.commands import DataOption, ServerOption, TokenOption

JsonOption = Annotated[bool, typer.Option("--json", help="Print it for a program.")]
ReplicaOption = Annotated[str, typer.Option(metavar="ID", help="Who is seen: a replica of Tavus.")]
app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Personas and conversations at Tavus. The gateway has the key (TAVUS_API_KEY) and ends what it created.",
    epilog="Examples:  onair tavus persona create --from teacher --replica r90bbd427f71  ·  "
    "onair tavus conversation create --persona pcb7a34da5fe --hold  ·  onair tavus conversation end --all",
)
persona_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who speaks at Tavus.")
conversation_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Calls with a replica. One costs from its creation to its end."
)


@conversation_app.command(
    "create",
    epilog="Examples:  onair tavus conversation create --persona pcb7a34da5fe  ·  "
    "onair tavus conversation create --persona pcb7a34da5fe --max-duration 10m --language en --hold",
)
def create_conversation(
    *,
    persona: Annotated[str, typer.Option(metavar="ID", help="Who speaks: a persona of Tavus.")] = "",
    replica: ReplicaOption = "",
    name: Annotated[str, typer.Option(help="Its name; OnAir's mark is put behind it.")] = "",
    context: Annotated[str, typer.Option(metavar="TEXT", help="What the persona knows besides its prompt.")] = "",
    greeting: Annotated[str, typer.Option(metavar="TEXT", help="What is said when somebody joins.")] = "",
    language: Annotated[str, typer.Option(metavar="CODE", help="en, zh, …, or Tavus's word, as multilingual.")] = "",
    max_duration: Annotated[
        str, typer.Option(metavar="TIME", help="It ends after so long at the latest: 10m, 90s. [default: 1h]")
    ] = "",
    record: Annotated[bool, typer.Option("--record", help="Let people record it.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Tavus's test mode: nobody joins, nothing is paid.")] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Stay until Ctrl-C, then end it.")] = False,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
    data: DataOption = None,
) -> None:
    """Create a conversation and print the address where people join it.

    It costs until it ends: by `end`, by --hold, by itself after --max-duration, or when the last gateway of OnAir stops.
    """
    from onair import tavus
    from onair.drive import drive

    where = tavus.Where(server, token, data, json)
    wanted = tavus.NewConversation(persona, replica, name, context, greeting, language, max_duration, record, test)
    raise typer.Exit(drive(tavus.hold(where, wanted)) if hold else tavus.create(where, wanted))


@conversation_app.command("list", epilog="Example:  onair tavus conversation list --status active")
def list_conversations(
    *,
    status: Annotated[str, typer.Option(metavar="WORD", help="Only those: active or ended.")] = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
    data: DataOption = None,
) -> None:
    """List the account's conversations, and which of them OnAir will end."""
    from onair import tavus

    raise typer.Exit(tavus.conversations(tavus.Where(server, token, data, json), status))


@conversation_app.command("end", epilog="Examples:  onair tavus conversation end c70ed8f4  ·  … end --all")
def end_conversation(
    id_: Annotated[str, typer.Argument(metavar="[ID]", help="Its id.")] = "",
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that OnAir created.")] = False,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
    data: DataOption = None,
) -> None:
    """End a conversation of the account, or all that OnAir created. Exits 1 if one goes on."""
    from onair import tavus

    raise typer.Exit(tavus.end(tavus.Where(server, token, data, json), id_, everything=everything))


@persona_app.command(
    "create",
    epilog="Examples:  onair tavus persona create --from teacher  ·  "
    "onair tavus persona create --name Guide --prompt-file guide.txt --layers layers.yaml --perception raven-1",
)
def create_persona(
    *,
    name: Annotated[str, typer.Option(help="Its name. [default: that of --from]")] = "",
    replica: ReplicaOption = "",
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="The prompt that it answers by.")] = "",
    prompt_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The same in a file.")] = None,
    of: Annotated[
        str, typer.Option("--from", metavar="PERSONA", help="The prompt of this persona of the gateway's onair.yaml.")
    ] = "",
    context: Annotated[str, typer.Option(metavar="TEXT", help="What it knows besides.")] = "",
    layers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Tavus's layers (llm, tts, stt, perception, …), JSON or YAML.")
    ] = None,
    perception: Annotated[
        str, typer.Option(metavar="MODEL", help="It sees, by this model: raven-1, raven-0; off: it does not.")
    ] = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
    data: DataOption = None,
) -> None:
    """Create a persona and print its id."""
    from onair import tavus

    wanted = tavus.NewPersona(name, replica, prompt, prompt_file, of, context, layers, perception)
    raise typer.Exit(tavus.create_persona(tavus.Where(server, token, data, json), wanted))


@persona_app.command("list", epilog="Example:  onair tavus persona list --json")
def list_personas(
    *, json: JsonOption = False, server: ServerOption = "", token: TokenOption = "", data: DataOption = None
) -> None:
    """List the personas that the account may use."""
    from onair import tavus

    raise typer.Exit(tavus.personas(tavus.Where(server, token, data, json)))


app.add_typer(persona_app, name="persona")
app.add_typer(conversation_app, name="conversation")

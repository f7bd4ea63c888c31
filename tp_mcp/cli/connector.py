"""`tp-mcp connector`: checks a connector manifest, and calls its tools."""

import json
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tp_mcp.connectors.runner import ConnectorRunner

app = typer.Typer(help="Check and try connector manifests: YAML files that declare HTTP tools.", no_args_is_help=True)

Manifest = Annotated[Path, typer.Argument(help="The manifest, a YAML file.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="TOML file with the connector's settings.")]


@app.command()
def check(file: Manifest) -> None:
    """Report every error of a manifest with its line. The exit code is 1 if the manifest cannot be used."""
    from tp_mcp.cli.terminal import say
    from tp_mcp.connectors.loader import examine_file
    from tp_mcp.errors import ManifestError

    try:
        examination = examine_file(file)
    except ManifestError as error:
        say(str(error), err=True)
        raise typer.Exit(1) from None
    for warning in examination.warnings:
        say(f"warning: {warning.at(str(file))}")
    for problem in examination.problems:
        say(f"error: {problem.at(str(file))}")
    if examination.manifest is None:
        say(f"{file} cannot be used: {len(examination.problems)} errors.")
        raise typer.Exit(1)
    manifest = examination.manifest
    watched = sum(1 for tool in manifest.tools.values() if tool.async_block is not None)
    say(f"{file} can be used: {manifest.id} {manifest.version}, {len(manifest.tools)} tools, {watched} watched.")


@app.command("test")
def check_connection(file: Manifest, settings: SettingsFile = None) -> None:
    """Test a connector's settings with its test request."""
    _run(file, settings, lambda runner: runner.test())


@app.command()
def call(
    file: Manifest,
    tool: Annotated[str, typer.Argument(help="Name of the tool.")],
    args: Annotated[str, typer.Argument(help="The tool's arguments, a JSON object.")] = "{}",
    settings: SettingsFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation of a destructive tool.")] = False,
) -> None:
    """Call a tool of a connector, and print its result."""
    from tp_mcp.errors import InvalidArgumentError

    async def called(runner: "ConnectorRunner") -> str:
        try:
            given = json.loads(args)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise InvalidArgumentError("The arguments are not a JSON object.", remedy='Right: \'{"name": "value"}\'.')
        declared = runner.manifest.tools.get(tool)
        if declared is not None and declared.destructive and not yes:
            typer.confirm(f"{tool} is destructive. Call it?", abort=True)
        return (await runner.run(tool, given)).text()

    _run(file, settings, called)


def _run(file: Path, settings: Path | None, use: "Callable[[ConnectorRunner], Awaitable[str]]") -> None:
    import anyio

    from tp_mcp.cli.terminal import say
    from tp_mcp.clock import SystemClock
    from tp_mcp.connectors.loader import load_manifest
    from tp_mcp.connectors.runner import ConnectorRunner
    from tp_mcp.errors import TpMcpError

    async def used() -> str:
        manifest = load_manifest(file).manifest
        async with ConnectorRunner(manifest, _read(settings), clock=SystemClock()) as runner:
            return await use(runner)

    try:
        # What a server says must not steer the terminal.
        say(anyio.run(used))
    except TpMcpError as error:
        say(str(error), err=True)
        raise typer.Exit(1) from None


def _read(settings: Path | None) -> dict[str, Any]:
    from tp_mcp.errors import ConfigurationError

    if settings is None:
        return {}
    try:
        return tomllib.loads(settings.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # The library's message quotes no value of the file.
        raise ConfigurationError(f"The settings in {settings} cannot be read: {error}.") from None

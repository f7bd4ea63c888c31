"""`tp-mcp connector`: checking a connector manifest."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Work on connector manifests: YAML files that declare tools over HTTP.", no_args_is_help=True)


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The manifest, a YAML file.")]) -> None:
    """Say everything that is wrong with a manifest, each with its line; exits with 1 where it cannot be used."""
    from tp_mcp.connectors.loader import examine_file
    from tp_mcp.errors import ManifestError

    try:
        examination = examine_file(file)
    except ManifestError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    for warning in examination.warnings:
        typer.echo(f"warning: {warning.at(str(file))}")
    for problem in examination.problems:
        typer.echo(f"error: {problem.at(str(file))}")
    if examination.manifest is None:
        typer.echo(f"{file} cannot be used: {len(examination.problems)} to correct.")
        raise typer.Exit(1)
    manifest = examination.manifest
    watched = sum(1 for tool in manifest.tools.values() if tool.async_block is not None)
    typer.echo(f"{file} can be used: {manifest.id} {manifest.version}, {len(manifest.tools)} tools, {watched} watched.")

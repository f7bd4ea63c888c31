"""The commands for scripts: `upgrade`, `run`, `wait` and `report`."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from tp_mcp.cli.script_terms import MEANING, ReportFormat

Profile = Annotated[str | None, typer.Option(help="Which profile of the configuration file to use.")]
MaxWait = Annotated[
    float | None, typer.Option(min=0, help="Seconds to wait at most; then it goes on unwatched, and 2 is returned.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Confirm the plan, where one has to be confirmed.")]
Confirm = Annotated[str | None, typer.Option(help="The code of a plan that was shown before.")]
DETACHING = "^C stops the waiting, not the job, and prints the command that waits on."
"""For every command that follows a job."""


def upgrade(
    testbed: Annotated[str, typer.Argument(help="The testbed's (lab's) name.")],
    build: Annotated[str | None, typer.Option(help="Build number; leading zeros count.")] = None,
    ga: Annotated[str | None, typer.Option(help="Version whose newest GA build is taken, e.g. 7.6.5.")] = None,
    yes: Yes = False,
    confirm: Confirm = None,
    max_wait: MaxWait = None,
    profile: Profile = None,
) -> None:
    """Upgrade a testbed, and wait for the end."""
    from tp_mcp.cli.jobs import UPGRADE, Following, start

    if (build is None) == (ga is None):
        raise typer.BadParameter("give either --build or --ga")
    image: dict[str, JsonValue] = (
        {"mode": "build", "build_number": build} if ga is None else {"mode": "ga", "version": ga}
    )
    arguments: dict[str, JsonValue] = {"testbed": testbed, **image}
    raise typer.Exit(start(UPGRADE, arguments, Following(profile, max_wait), yes=yes, confirm=confirm))


def run(
    lab: Annotated[str, typer.Argument(help="The lab's name.")],
    testcase: Annotated[list[str], typer.Argument(help="Pytest ids: directories, files, file::Class::test.")],
    argument: Annotated[str, typer.Option(help="Pytest arguments, e.g. \"-k 'radius and not flaky'\".")] = "",
    yes: Yes = False,
    confirm: Confirm = None,
    max_wait: MaxWait = None,
    profile: Profile = None,
) -> None:
    """Run pytest on a lab, and wait for the end."""
    from tp_mcp.cli.jobs import RUN, Following, start

    arguments: dict[str, JsonValue] = {"lab": lab, "testcase": [*testcase], "argument": argument}
    raise typer.Exit(start(RUN, arguments, Following(profile, max_wait), yes=yes, confirm=confirm))


def wait(
    job: Annotated[str, typer.Argument(help="A watch's id (w_...) or an execution's number.")],
    max_wait: MaxWait = None,
    profile: Profile = None,
) -> None:
    """Wait for the end of a watch, or of an execution that anybody started."""
    from tp_mcp.cli.jobs import Following
    from tp_mcp.cli.jobs import wait as wait_for

    raise typer.Exit(wait_for(job, Following(profile, max_wait)))


def report(
    exec_id: Annotated[int, typer.Argument(min=1, help="The execution's number.")],
    form: Annotated[ReportFormat, typer.Option("--format", help="How the tests are written.")] = ReportFormat.TABLE,
    output: Annotated[Path | None, typer.Option(help="File to write to; standard output by default.")] = None,
    profile: Profile = None,
) -> None:
    """Write the single tests of an ended run."""
    from tp_mcp.cli.report import run_report

    raise typer.Exit(run_report(exec_id, form, output=output, profile=profile))


def add_to(app: typer.Typer) -> None:
    """Make them commands of an application."""
    for command in (upgrade, run, wait):
        app.command(epilog=f"{MEANING} {DETACHING}")(command)
    app.command(epilog=MEANING)(report)

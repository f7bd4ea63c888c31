"""`tp-mcp approve CODE`: a person says yes to a change of a protected testbed, at a terminal."""

import sys
from pathlib import Path

import anyio
import typer

from tp_mcp.access.audit_log import AuditEntry, Event, new_call_id
from tp_mcp.access.confirmations import Confirmations
from tp_mcp.clock import Clock, SystemClock
from tp_mcp.composition.environment import process_identity
from tp_mcp.errors import TpMcpError
from tp_mcp.redaction import clean
from tp_mcp.storage.opening import open_storage

COMMAND = "tp-mcp approve"


def run_approve(code: str, state_dir: Path) -> int:
    """Show the plan, ask, and return the exit code: 0 where it is approved, 1 where it is not."""
    if not sys.stdin.isatty():
        # An assistant that can run commands must not answer for its user.
        typer.echo("This is answered by a person at a terminal, and standard input is none.", err=True)
        return 1
    try:
        approved = anyio.run(_approve, code, state_dir)
    except TpMcpError as error:
        typer.echo(str(error), err=True)
        return 1
    typer.echo("Approved. The assistant can call again with the code." if approved else "Not approved.")
    return 0 if approved else 1


async def _approve(code: str, state_dir: Path) -> bool:
    async with await open_storage(state_dir) as storage:
        clock: Clock = SystemClock()
        confirmations = Confirmations(storage.confirmations, clock)
        question = await confirmations.waiting(code)
        typer.echo(f"{question.principal} asks, in {question.conversation}:")
        for line in question.plan:
            typer.echo(f"  {clean(line)}")
        if typer.prompt(f"To approve, type the testbed's name ({question.testbed})", default="") != question.testbed:
            return False
        await confirmations.approve(code)
        await storage.audit.append(
            AuditEntry(
                at=clock.now(),
                call=new_call_id(),
                principal=question.principal,
                conversation=question.conversation,
                tool=COMMAND,
                event=Event.CONFIRMED,
                testbed=question.testbed,
                detail=f"approved at a terminal by {process_identity().principal}",
            )
        )
    return True

"""The commands' exit to the terminal."""

import typer

from tp_mcp.redaction import Redactor
from tp_mcp.settings import Settings

PLAIN = Redactor()
"""Removes texts that look like secrets, without knowing any."""


def say(text: str, redactor: Redactor = PLAIN, *, err: bool = False) -> None:
    """Print a text, without secrets and without what a terminal would act on."""
    typer.echo(redactor.safe(text), err=err)


def redactor_of(settings: Settings) -> Redactor:
    """Return a redactor that knows the configured secrets."""
    configured = (settings.password, settings.token, settings.encryption_key)
    endpoints = (webhook.secret for webhook in settings.webhooks.values())
    return Redactor((*(secret for secret in configured if secret is not None), *endpoints))

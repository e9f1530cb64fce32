"""Commands about who may use the daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from aios.cli import flags


def token(
    url: Annotated[bool, typer.Option("--url", help="Print the URLs that clients are given.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Make another one, for its next start.")] = False,
    as_json: flags.Json = False,
) -> None:
    """Print the token with which clients of the daemon come in over HTTP.

    For example: OPENAI_API_KEY=$(aios token) OPENAI_BASE_URL=$(aios token --json | jq -r .url)/v1 my-script
    """
    import anyio

    from aios.cli.machine.token import listening, made_new
    from aios.link.place import Place
    from aios.server.tokens import home_token
    from aios.terminal.output import out, print_json, say

    place = Place.of_home()
    place.make()
    if new:
        made_new(place)
    secret = home_token(place.token)
    if not (url or as_json):
        out(secret)
        if new:
            say("the daemon takes the new token when it starts: aios restart")
        return
    base = anyio.run(listening, place)
    if as_json:
        print_json({"token": secret, "url": base})
        return
    for name, value in (
        ("OPENAI_BASE_URL", f"{base}/v1"),
        ("OPENAI_API_KEY", secret),
        ("ANTHROPIC_BASE_URL", base),
        ("ANTHROPIC_AUTH_TOKEN", secret),
    ):
        out(f"{name}={value}")
    out(f"# for a client that takes a URL alone: {base}/t/{secret}/v1")


COMMANDS = (token,)

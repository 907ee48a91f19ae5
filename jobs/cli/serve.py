"""The command that serves the gallery and the search API."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import click

from jobs.cli.output import answering, err
from jobs.settings import Settings, load

_LOCAL = ("127.0.0.1", "localhost", "[::1]")


@click.command("serve", short_help="Serve the gallery and the search API.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="Port; 0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 for all of this machine.")
@click.option("--name", "names", multiple=True, help="Name that the gallery may be called by from elsewhere; may be repeated.")
def serve_command(*, port: int, host: str, names: tuple[str, ...]) -> None:
    """Serve the gallery and the search API until Ctrl-C. Who can reach the port can see all images.

    Read only, unless IMAGESWEEP_GALLERY_KEY is set: whoever knows the key may try failures again and correct labels.

    \b
    Examples:
      imagesweep serve
      imagesweep serve --host 0.0.0.0 --name photos.example.com
    """  # noqa: D301
    with answering(as_json=False), suppress(KeyboardInterrupt):
        asyncio.run(_serve(load(), host, port, names))


async def _serve(settings: Settings, host: str, port: int, names: tuple[str, ...]) -> None:
    import uvicorn  # noqa: PLC0415  # a third of a second that other commands do not need

    from jobs.wiring.gallery import parts  # noqa: PLC0415
    from search.gallery import gallery  # noqa: PLC0415

    async with parts(settings, hosts=(*_LOCAL, host, *names)) as given:
        config = uvicorn.Config(gallery(given), host=host, port=port, log_level="warning", server_header=False, lifespan="off")
        server = uvicorn.Server(config)
        listener = config.bind_socket()
        err.print(f"The gallery is at http://{host}:{listener.getsockname()[1]}/ (Ctrl-C ends it)")
        await server.serve(sockets=[listener])

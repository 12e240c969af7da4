"""The page on a port: who reaches it, how it looks, what becomes of the files."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from aio_toolkit.errors import AioError
from aio_toolkit.hub.model import Model
from aio_toolkit.hub.page import build, gradio

# Bytes of a minute: two channels of 32-bit samples at 48 kHz.
BYTES_A_MINUTE = 60 * 2 * 4 * 48_000
FONT, FONT_MONO = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")
# Columns as wide as each other, as many as there is room for; one on a phone.
CSS = """
.gradio-container { max-width: 1240px !important; margin: auto !important; }
.answer {
  display: grid !important;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr));
}
.answer .card { gap: 0 !important; }
"""


def serve(model: Model, host: str, port: int, max_minutes: float) -> None:
    """Show the page until the process is told to end; then all that was uploaded is deleted.

    Args:
        model: a finished model.
        host: address to listen at.
        port: likewise.
        max_minutes: length of the longest recording that is answered.

    Raises:
        AioError: gradio is not installed, or nobody can listen there.
    """
    problem = f"cannot listen at {host}, port {port}: it is taken, or not of this machine"
    refusal = AioError(f"{problem}. Choose others: --host, --port.")
    if not 0 < port < 2**16:
        raise refusal
    with _own_folder(host):
        gr = gradio()
        page = build(model, max_minutes)
        try:
            page.launch(
                server_name=host,
                server_port=port,
                max_file_size=int(max_minutes * BYTES_A_MINUTE),
                # Fonts of the system: none is fetched from elsewhere.
                theme=gr.themes.Soft(font=FONT, font_mono=FONT_MONO),
                css=CSS,
                footer_links=[],
                prevent_thread_lock=True,
                quiet=True,
                # Environment variables would decide what is not said here.
                share=False,
                ssr_mode=False,
                mcp_server=False,
                run_history=False,
                enable_monitoring=False,
            )
        except OSError:
            raise refusal from None
        print(f"The page is at {page.local_url} until Ctrl-C ends it.", flush=True)
        page.block_thread()


@contextmanager
def _own_folder(host: str) -> Iterator[None]:
    """Have gradio keep files in a folder that goes when the page does, and call nobody."""
    # Otherwise a process that is told to end leaves the folder.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with TemporaryDirectory(prefix="aio_page_") as folder:
        # gradio asks itself whether it is there.
        direct = [os.environ.get("no_proxy", ""), "localhost", host]
        os.environ.update(
            GRADIO_TEMP_DIR=folder,
            GRADIO_EXAMPLES_CACHE=f"{folder}/examples",
            GRADIO_ALLOWED_PATHS="",
            GRADIO_ANALYTICS_ENABLED="False",
            HF_HUB_DISABLE_TELEMETRY="1",
            no_proxy=",".join(filter(None, direct)),
        )
        yield

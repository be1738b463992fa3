"""`python -m distill_tui.bundles.llama_server -m FILE …`: llama.cpp's server out of the package xllamacpp.

It takes the options of llama-server that `gguf` gives, and serves until it is ended.
"""

from __future__ import annotations

import argparse
import signal
import sys


def main(arguments: list[str]) -> int:
    """Serve. 4: the file does not load."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", dest="model", required=True)
    parser.add_argument("-c", dest="room", type=int, required=True)
    parser.add_argument("-np", dest="parallel", type=int, default=1)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args(arguments)
    import xllamacpp  # an extra

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    settings = xllamacpp.CommonParams()
    settings.model.path, settings.n_ctx, settings.n_parallel = given.model, given.room, given.parallel
    settings.hostnames, settings.port = [given.host], given.port
    try:
        server = xllamacpp.Server(settings)
    except Exception as error:
        sys.stderr.write(f"{error}\n")
        return 4
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

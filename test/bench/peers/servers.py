"""PostgreSQL and Milvus by way of startserver, which uses imago's test servers."""

import subprocess

from . import processes

PATIENCE = 120


def start(name, settings):
    """Starts a server on its core; returns the process and where it listens. It is
    not killed with this process: it has to remove its data first."""
    process = processes.start([settings.folder / "startserver", name], processes.SERVER_CORE, tied=False,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        return process, processes.line(process, PATIENCE)
    except Exception:
        processes.stop(process)
        raise


def stop(process):
    """The server ends with the input of the one that started it."""
    processes.stop(process, PATIENCE)

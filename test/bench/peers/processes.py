"""Programs that run beside: on given cores, gone when whoever started them is."""

import os
import pathlib
import selectors
import socket
import subprocess
import time

CORES = sorted(os.sched_getaffinity(0))
# The client of a server has a core of its own where there are two.
CLIENT_CORE, SERVER_CORE = CORES[0], CORES[-1]


def command(program, core, tied=True):
    """The command line that runs a program on one core, and no longer than this
    process unless it is not to be tied."""
    tie = ["setpriv", "--pdeathsig", "KILL"] if tied else []
    return [*tie, "taskset", "-c", str(core), *map(str, program)]


def start(program, core, tied=True, **options):
    return subprocess.Popen(command(program, core, tied), text=True, **options)


def stop(process, patience=60):
    """Ends a process: the end of its input first, then a signal."""
    if process.stdin:
        process.stdin.close()
    else:
        process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in process.stdout, process.stderr:
        if pipe:
            pipe.close()


def line(process, patience):
    """The next line that a process prints."""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(patience):
            raise TimeoutError(f"no answer within {patience} s")
    text = process.stdout.readline()
    if not text:
        raise RuntimeError(f"it ended with code {process.wait(10)}")
    return text.strip()


def until(ready, patience, process=None):
    """Waits until ready returns something true."""
    deadline = time.monotonic() + patience
    while True:
        answer = ready()
        if answer:
            return answer
        if process and process.poll() is not None:
            raise RuntimeError(f"it ended with code {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"not ready within {patience} s")
        time.sleep(0.01)


def resident(pid="self"):
    """Resident memory in bytes of a process and all below it."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            total += resident(child)
    for entry in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if entry.startswith("VmRSS:"):
            total += 1024 * int(entry.split()[1])
    return total


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

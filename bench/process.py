"""One command as a whole process, measured from outside."""

import json
import os
import resource
import subprocess
import time
from pathlib import Path

from studies import Command

# Seconds after which a command is ended and has failed.
PATIENCE = 3_600


def run(command: Command, said: Path) -> dict:
    """One run: seconds and peak memory as the operating system counts them for it. What it prints is in `said`.

    The peak is never below that of this program, which a new process inherits for a moment: about 20 MiB.
    """
    complained = said.with_suffix(".stderr")
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "DO_NOT_TRACK": "1"} | command.environment
    started = time.perf_counter()
    with said.open("wb") as stdout, complained.open("wb") as stderr:
        process = subprocess.Popen(command.words, stdout=stdout, stderr=stderr, env=environment)
        status, usage = waited(process.pid, started + PATIENCE)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in command.fine:
        # What it says may name folders of this machine, so it is shown and not kept.
        print(complained.read_text(errors="replace"), flush=True)
        return {"failed": f"exit code {process.returncode} after {wall:.0f} s"}
    measured = {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}
    return measured | ({"inside": answer(said)["seconds"]} if command.is_peer else {})


def waited(process: int, until: float) -> tuple[int, resource.struct_rusage]:
    """Waits for a process, and ends it when it takes too long."""
    while time.perf_counter() < until:
        ended, status, usage = os.wait4(process, os.WNOHANG)
        if ended:
            return status, usage
        time.sleep(0.002)
    os.kill(process, 9)
    return os.wait4(process, 0)[1:]


def answer(said: Path) -> dict:
    """What a peer prints last: its numbers, and its seconds without the start of Python and imports."""
    return json.loads(said.read_text().splitlines()[-1])

"""Run a module of the benchmark in a process of its own, so that its memory and its pauses are its own."""

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


class ProcessFailedError(Exception):
    """A process that measures ended with an error."""


async def run_module(module: str, *arguments: object, what: str) -> bytes:
    """Return what the module prints; the process is killed if this call is cancelled. `what` is for errors."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=pipe, stderr=pipe)
    try:
        out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        status = f"the process ended with status {process.returncode}: {errors.decode().strip()}"
        raise ProcessFailedError(f"{what}: {status}")
    return out

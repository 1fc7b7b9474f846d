"""`pipelines dev`: Dagster's UI (webserver and daemon) with the sandbox beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from rich.console import Console

import pipelines
from pipelines.commands.homes import demo_home
from pipelines.home import Home
from pipelines.instance import environment, prepare_instance
from pipelines.sandbox.server import SandboxServer

_STOP_S = 30


def run_dev(*, port: int, sandbox_port: int, demo_home_wanted: bool) -> int:
    """Serve until interrupted; returns Dagster's exit status."""
    console = Console(stderr=True)
    home = demo_home() if demo_home_wanted else Home.of()
    prepare_instance(home, {} if demo_home_wanted else None)
    with SandboxServer.start(home, port=sandbox_port) as sandbox:
        console.print(f"sandbox      {sandbox.url}", highlight=False)
        console.print(f"Dagster's UI http://127.0.0.1:{port} (in a few seconds)", highlight=False)
        console.print(f"home         {home.path}", highlight=False)
        workspace = _workspace(home)
        command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]
        # A shell lets what it starts in the background ignore SIGINT, Dagster would inherit that and never end.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(  # noqa: S603 - our own modules
            command, cwd=Path(pipelines.__file__).parents[1], env=environment(home), start_new_session=True
        )
        return _wait(process)


def _workspace(home: Home) -> Path:
    """The project's workspace.yaml for this home: the same location's name, so that schedules keep their state."""
    folder = Path(pipelines.__file__).parents[1]
    file = home.dagster / "workspace.yaml"
    file.write_text(
        "load_from:\n"
        "  - python_module:\n"
        "      module_name: pipelines.definitions\n"
        "      location_name: pipelines\n"
        f"      working_directory: {folder.as_posix()!r}\n",
        encoding="utf-8",
    )
    return file


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for Dagster; on Ctrl-C or SIGTERM let it end its children first."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        return 130

"""Run a page's blocks as one session: in an empty folder, with a home of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.pages import Block, Command, commands_of, missing_from

COMMAND_SECONDS = 60
READY_SECONDS = 30

# The python blocks of a page run in one interpreter: it reads a block's length, then the block, and
# answers with one line. Output goes where the session's output goes.
INTERPRETER = """
import sys, traceback
names = {"__name__": "__main__"}
while size := sys.stdin.buffer.readline():
    text = sys.stdin.buffer.read(int(size)).decode()
    try:
        exec(compile(text, "block", "exec"), names)
    except BaseException:
        answer = traceback.format_exc()
    else:
        answer = ""
    sys.stdout.flush()
    sys.stderr.write(repr(answer) + "\\n")
    sys.stderr.flush()
"""


class Session:
    """A page's folder, environment and processes. Leaving it ends what the page has started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self._environment = folder.with_name(folder.name + ".env")
        self._home = folder.with_name(folder.name + ".home")
        self._running: list[subprocess.Popen[bytes]] = []
        self._interpreter: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir()
        self._home.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._interpreter is not None:
            self._running.append(self._interpreter)
        for process in reversed(self._running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()

    def run(self, block: Block) -> None:
        """Run one block and hold its output to what the page says."""
        text = block.text.replace("7878", str(self.port))
        if block.language == "python":
            self._python(text)
            return
        for command in commands_of(Block(block.language, text, block.line)):
            if command.background:
                self._start(command)
            else:
                self._console(command)

    def _console(self, command: Command) -> None:
        # The state of the shell (variables, folder) is kept in a file between commands.
        state = self._environment
        script = f'[ ! -e "{state}" ] || . "{state}"\n{command.text}\n'
        keep = f'trap \'{{ declare -px; printf "cd %q\\n" "$PWD"; }} >"{state}"\' EXIT\n'
        done = subprocess.run(
            ["bash", "-c", keep + script],
            cwd=self.folder,
            env=self._variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        output = done.stdout.decode()
        said = f"$ {command.text}\n{output}[exit {done.returncode}]"
        assert done.returncode == command.status, said
        missing = missing_from(output, command.expected)
        assert missing is None, f"{said}\nnot seen, or not in order: {missing}"

    def _start(self, command: Command) -> None:
        log = self.folder.with_name(f"{self.folder.name}.{len(self._running)}.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command.text}"],
                cwd=self.folder,
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append(process)
        deadline = time.monotonic() + READY_SECONDS
        while missing := missing_from(log.read_text("utf-8"), command.expected):
            said = f"$ {command.text} &\n{log.read_text('utf-8')}"
            assert process.poll() is None, f"{said}\nended with status {process.returncode}"
            assert time.monotonic() < deadline, f"{said}\nnot seen: {missing}"
            time.sleep(0.05)

    def _python(self, text: str) -> None:
        if self._interpreter is None:
            self._interpreter = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", INTERPRETER],
                cwd=self.folder,
                env=self._variables(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        stdin, stderr = self._interpreter.stdin, self._interpreter.stderr
        assert stdin is not None
        assert stderr is not None
        source = text.encode()
        stdin.write(b"%d\n%b" % (len(source), source))
        stdin.flush()
        answer = stderr.readline().decode()
        assert answer == "''\n", answer.replace("\\n", "\n")

    def _variables(self) -> dict[str, str]:
        programs = Path(sys.executable).parent
        return {
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "PATH": f"{programs}:{os.environ['PATH']}",
        }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port

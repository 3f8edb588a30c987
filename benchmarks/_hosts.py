"""What the benchmarks between hosts share: a federation as processes of this machine."""

import json
import os
import signal
import subprocess
import sys


class Hosts:
    """The label holder's server and organizations, as processes of this machine.

    Parameters
    ----------
    folder : Path
        Folder for their settings, tables, kits and logs. The files that an organization
        reads, a table ``{name}.parquet`` with the ids in the column `id` and an optional
        estimator in ``{name}.py``, must be there.
    organizations : list of str
        Names of the organizations.
    port : int
        Port of the server.
    """

    def __init__(self, folder, organizations, port):
        self.folder, self.organizations = folder, organizations
        self.kit = folder / "kits" / "label_holder"
        self.processes = {}
        (folder / "federation.toml").write_text(
            f'host = "localhost"\nlisten = "127.0.0.1"\nport = {port}\n'
            f"organizations = {json.dumps(organizations)}\n"
        )
        for name in organizations:
            has_estimator = (folder / f"{name}.py").exists()
            estimator = f'estimator = "{name}.py:estimator"\n' if has_estimator else ""
            (folder / f"{name}.toml").write_text(
                f'name = "{name}"\nkit = "kits/{name}"\nkey = "id"\n'
                f'models = "models/{name}"\nsecret_file = "kits/{name}/secret"\n'
                f'{estimator}[table]\nparquet = "{name}.parquet"\n'
            )
        provision = ["provision", "--config", "federation.toml", "--out", "kits"]
        if self._command(*provision).wait():
            raise RuntimeError(f"The kits were not made: {self.errors()}")

    def __enter__(self):
        for name in ("server", *self.organizations):
            self.start(name)
        return self

    def __exit__(self, *exception):
        for name in self.processes:
            self.kill(name)

    def start(self, name):
        """Start the server or an organization."""
        if name == "server":
            self.processes[name] = self._command("label-holder", "--kit", str(self.kit))
        else:
            self.processes[name] = self._command("organization", "--config", f"{name}.toml")

    def _command(self, *arguments):
        """Start a command of the package."""
        return self.open("-m", "sklearn_gal.federated", *arguments)

    def open(self, *arguments):
        """Start Python as the leader of a new session."""
        with open(self.folder / "errors.log", "a") as errors:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )

    def kill(self, name):
        """Kill a process that was started, and all that it has started."""
        process = self.processes[name]
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def errors(self):
        """Return the end of what the processes have written to stderr."""
        return (self.folder / "errors.log").read_text()[-2000:]

    def memory(self, name, field="VmRSS"):
        """Return the memory of a process that was started."""
        return memory(self.processes[name].pid, field)


def memory(pid, field="VmRSS"):
    """Return the resident memory in MB of a process, or with ``"VmHWM"`` its peak."""
    with open(f"/proc/{pid}/status") as file:
        (line,) = (each for each in file if each.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024

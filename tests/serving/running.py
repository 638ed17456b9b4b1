"""A real server on loopback, and clients that behave and that do not."""

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from tests.pipeline.running import command
from tests.scoring.making import NAMES, applicants, frozen
from workbench.params import ROOT
from workbench.rollout.deployment import BUNDLES, DEPLOYMENT, Deployed, Deployment
from workbench.scoring.bundle import pack, unpack


def people(count):
    """Requests of made-up applicants, by their id."""
    rows = applicants().head(count).select("applicant_id", *NAMES).to_dicts()
    return [{"applicant_id": str(row.pop("applicant_id")), "features": row} for row in rows]


def deployed(folder, *, canary="", share=0.5, shadows=()):
    """Write a deployment of a champion and others, each of another calibration; return their hashes."""
    (folder / BUNDLES).mkdir()

    def put(calibration):
        content = pack(frozen(calibration), seed=1)
        sha256 = unpack(content)[1]
        (folder / BUNDLES / f"{sha256}.zip").write_bytes(content)
        return Deployed(1, sha256)

    others = put(canary) if canary else None
    about = Deployment("credit", put("platt"), others, share, "s", tuple(map(put, shadows)))
    (folder / DEPLOYMENT).write_text(json.dumps(about.as_dict()))
    return {"champion": about.champion.sha256, "canary": others and others.sha256, "shadows": about.shadows}


class Server:
    """`workbench serve` in a process of its own; `log` is its decision log."""

    def __init__(self, place, log, *options, environment=None, limit=None):
        words = command("serve", place, "--log", log, "--port", 0, *options)
        self.log, self.told = log, []
        self.process = subprocess.Popen(
            words,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
            preexec_fn=limit,
        )
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.address = json.loads(line)["at"]
        self.port = int(self.address.rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *details):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.out, self.err = self.process.communicate(timeout=30)

    def event(self, name):
        """Wait for the next line that tells this event."""
        while line := self.process.stdout.readline():
            self.told.append(line)
            if (event := json.loads(line))["event"] == name:
                return event
        raise AssertionError(f"no event {name}")

    def send(self, signum):
        self.process.send_signal(signum)

    def get(self, path, **headers):
        return self._open(urllib.request.Request(self.address + path, headers=headers))

    def decide(self, request, **headers):
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        headers = {"content-type": "application/json"} | headers
        return self._open(urllib.request.Request(self.address + "/v1/decisions", body, headers))

    def raw(self, content, *, seconds=5.0):
        """Send bytes as they are and return everything that comes back until the connection ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(content)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def _open(self, request):
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

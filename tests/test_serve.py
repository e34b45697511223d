"""The example of a server: it answers, refuses what is too much, and leaves nobody waiting."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import allmlp
from allmlp.deploy import export_run

SERVER = Path(__file__).parents[1] / "examples" / "70_serve.py"
# as on a machine that has neither
START = """
import runpy, sys
sys.modules["torch"] = sys.modules["allmlp"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# a run is trained and exported, which the hook cannot trace
pytestmark = pytest.mark.unhooked


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("runs") / "small"
    sizes = {"depth": 1, "width": 8, "channel_hidden": 16, "token_hidden": 8}
    # a file answers in float32 wherever it runs
    quick = {"device": "cpu", "precision": "fp32"}
    config = {"model": {"overrides": sizes}, "train": {"warmup": 0.5}, "run": quick}
    run = allmlp.train(config, epochs=2, run=str(path), progress=False)
    export_run(run)
    return run


class Server:
    def __init__(self, model: Path):
        command = [sys.executable, "-c", START, str(SERVER), str(model), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--slots", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        address = self.process.stdout.readline()
        assert address.startswith("http://127.0.0.1:"), self.process.communicate()[1]
        self.port = int(address.split(":")[2].split("/")[0])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, body: bytes, path: str = "/predict", method: str = "POST") -> tuple[int, Any]:
        connection = self.connect()
        connection.request(method, path, body)
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read())
        connection.close()
        return found

    def begin(self, body: bytes) -> http.client.HTTPConnection:
        """Send all of a request but its last byte: it takes a slot and keeps it."""
        connection = self.connect()
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body[:-1])
        return connection


@pytest.fixture
def server(run: Any) -> Iterator[Server]:
    started = Server(run.path / "model.onnx")
    yield started
    started.process.kill()
    started.process.communicate()


def wait_for(met: Any) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_answers_limits_a_full_house_and_a_drain(server: Server, run: Any) -> None:
    sample = run.path / "eval" / "samples" / "3.png"
    content = sample.read_bytes()

    # the same as the run
    status, found = server.ask(content, "/predict?top=3")
    assert status == 200
    for answer, (name, share) in zip(found, run.predict(sample).top(3)[0], strict=True):
        assert answer["class"] == name
        assert answer["probability"] == pytest.approx(share, abs=1e-5)
    assert server.ask(b"", "/about", "GET")[1]["classes"] == list(run.classes)

    # what is no image, damaged, or too long
    assert server.ask(b"GIF89a")[0] == 415
    assert server.ask(content[:60])[0] == 400
    connection = server.connect()
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", "20000000")
    connection.endheaders()
    assert connection.getresponse().status == 413  # before a byte of it was sent
    connection.close()

    # one slot, which is taken
    slow = server.begin(content)
    wait_for(lambda: server.ask(content)[0] == 503)
    assert server.ask(b"", "/about", "GET")[0] == 200
    slow.send(content[-1:])
    assert slow.getresponse().status == 200
    slow.close()
    assert server.ask(content)[0] == 200  # and is free again

    # no new connections, and an answer for whoever is inside
    slow = server.begin(content)
    wait_for(lambda: server.ask(content)[0] == 503)
    os.kill(server.process.pid, signal.SIGTERM)
    wait_for(lambda: refused(server.port))
    assert server.process.poll() is None
    slow.send(content[-1:])
    answer = slow.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())[0]["class"] == found[0]["class"]
    slow.close()
    assert server.process.wait(timeout=60) in (0, -signal.SIGTERM)
    assert server.process.stderr
    assert "Traceback" not in server.process.stderr.read()


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionError:
        return True
    return False

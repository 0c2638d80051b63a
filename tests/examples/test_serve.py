"""examples/serve_fastapi.py, as a process that answers requests."""

import http.client
import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

import vidrec
from tests.paths import ROOT

pytestmark = pytest.mark.slow
BOUNDARY = "a-line-that-no-video-has"


@pytest.fixture(scope="module")
def url(tiny_run):
    """The address of the running service, which accepts 0.5 MB."""
    for name in ("fastapi", "uvicorn", "python-multipart"):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip("pip install -e .[serve]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "serve_fastapi.py"), str(tiny_run),
         "--port", str(port), "--max-mb", "0.5"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, "the service has ended"
            try:
                urllib.request.urlopen(address, timeout=10)
            except urllib.error.URLError:
                time.sleep(0.2)
            else:
                break
        yield address
    finally:
        process.terminate()
        process.wait(60)


def upload(url, name, content):
    """The status and the JSON that comes back for a form with one file."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="clip"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, kind), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_answer_is_the_prediction_for_the_file(url, tiny_run):
    video = next((tiny_run.parent / "data").rglob("val_*.mp4"))
    net = vidrec.load_model(tiny_run)
    expected = json.loads(net.predict(video, topk=2).to_json())
    status, answer = upload(f"{url}/predict?topk=2", "mine.mp4", video.read_bytes())
    assert status == 200
    assert answer["video"] == "mine.mp4"
    same = set(expected) - {"video", "topk"}
    assert {name: answer[name] for name in same} == {name: expected[name] for name in same}
    assert [one["name"] for one in answer["topk"]] == [one["name"] for one in expected["topk"]]
    for got, wanted in zip(answer["topk"], expected["topk"], strict=True):
        assert got["score"] == pytest.approx(wanted["score"], rel=1e-5)
    about = json.load(urllib.request.urlopen(url, timeout=10))
    assert about == {"task": "recognition", "class_names": net.class_names}


def test_what_is_no_video_is_refused_in_a_sentence(url):
    status, answer = upload(f"{url}/predict", "notes.mp4", b"no video at all")
    assert status == 422
    assert answer["detail"].startswith("notes.mp4: ")
    # Without its body, which need not be read to refuse it.
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", "600000")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    detail = json.load(answer)["detail"]
    assert detail == "600,000 bytes are more than the 500,000 that are accepted"
    connection.close()
    status, _ = upload(f"{url}/predict?topk=0", "notes.mp4", b"")
    assert status == 422

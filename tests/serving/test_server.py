"""The service as its clients meet it: a real process, good clients and bad ones, and machines that fail."""

import asyncio
import contextlib
import datetime
import json
import resource
import signal
import socket
import ssl
import threading
import time
import urllib.request

import pytest

from benchmarks.load import steady
from tests.pipeline.running import call_here, command, refused
from tests.scoring.making import applicants, frozen
from tests.serving.running import Server, deployed, people
from workbench.scoring.bundle import pack, unpack
from workbench.scoring.tables import decision_table
from workbench.serving.decision_log import read_log
from workbench.serving.exporting import request_rows
from workbench.serving.server import REQUEST_SECONDS

TOKEN = "a token for the tests"
HEAD = b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def server(bundle, tmp_path_factory):
    """One server for all tests that leave it as it was."""
    with Server(bundle, tmp_path_factory.mktemp("log") / "log.sqlite") as running:
        yield running


def test_decisions_are_those_of_the_scorer(server):
    right = decision_table(frozen(), applicants().head(40)).to_dicts()
    for request, row in zip(people(40), right, strict=True):
        status, text = server.decide(request)
        told = json.loads(text)
        assert status == 200
        assert told["prob_default"] == pytest.approx(row["prob_default"], abs=1e-6)
        assert (told["decision"], told["review"]) == (row["decision"], row["review"])
        assert " ".join(told["flags"]) == row["flags"]
        given = [reason["code"] for reason in told["reasons"]]
        assert given == [row[f"reason_{rank}"] for rank in (1, 2, 3) if row[f"reason_{rank}"]]
        assert all(reason["text"] == reason["code"].upper() for reason in told["reasons"])


def test_what_is_told_is_in_the_log(server):
    status, text = server.decide(people(7)[6])
    told = json.loads(text)
    logged = {row["seq"]: row for row in read_log(server.log)}[told["log_number"]]
    assert status == 200
    for name in ("applicant_id", "decision", "prob_default", "score", "bundle_sha256"):
        assert logged[name] == told[name]
    assert logged["at"] == told["decided_at"]


def test_health_readiness_metrics_and_description(server):
    assert server.get("/health") == (200, '{"status":"alive"}')
    status, text = server.get("/ready")
    assert (status, json.loads(text)["status"]) == (200, "ready")
    server.decide(people(1)[0])
    metrics = server.get("/metrics")[1]
    assert 'workbench_requests_total{status="200"}' in metrics
    assert "workbench_request_seconds_bucket" in metrics
    assert "workbench_log_writable 1.0" in metrics
    api = json.loads(server.get("/openapi.json")[1])
    asked = api["paths"]["/v1/decisions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    limit = asked["properties"]["features"]["properties"]["limit"]
    assert limit["description"] == "applicants, in KES; at least 1; at most 1e+06; may not be null"
    assert {"401", "413", "422", "503"} <= set(api["paths"]["/v1/decisions"]["post"]["responses"])


def test_a_request_that_breaks_the_contract_is_told_every_fault(server):
    request = people(1)[0]
    request["features"] |= {"limit": 0.5, "late": 1.0}
    status, text = server.decide(request)
    assert status == 422
    assert json.loads(text)["faults"] == ["limit: below the contract's minimum of 1 KES"]
    request["features"] |= {"limit": "much"}
    assert server.decide(request)[0] == 422
    assert server.decide(b'{"a": NaN}')[0] == 422
    huge = people(1)[0]
    huge["features"]["late"] = 1e39
    assert json.loads(server.decide(huge)[1])["faults"] == ["a value is too large for a float32 number"]


@pytest.mark.parametrize(
    "content", [b"[" * 60_000, b'{"x":' * 10_000, b"\xff" * 1000, b"", b"1e999", b'"\\ud800"']
)
def test_hostile_bodies_are_refused_and_the_server_lives(server, content):
    assert server.decide(content)[0] == 422
    assert server.decide(people(1)[0])[0] == 200


def test_a_body_that_is_too_large_is_refused(server):
    assert b" 413 " in server.raw(HEAD + b"content-length: 70000\r\n\r\n" + b"x" * 70_000)
    chunk = b"%x\r\n" % 30_000 + b"x" * 30_000 + b"\r\n"
    assert b" 413 " in server.raw(HEAD + b"transfer-encoding: chunked\r\n\r\n" + 3 * chunk + b"0\r\n\r\n")
    assert server.decide(people(1)[0])[0] == 200


def test_another_type_path_or_method_is_refused(server):
    assert server.decide(people(1)[0], **{"content-type": "text/plain"})[0] == 415
    assert server.get("/v1/decisions")[0] == 405
    assert server.get("/docs")[0] == 404
    assert b" 400 " in server.raw(b"NONSENSE\r\n\r\n")


def test_endless_headers_are_cut_off(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        sent = 0
        with contextlib.suppress(OSError):  # reset or broken pipe, as the system has it
            while sent < 100:
                connection.sendall(b"x: " + b"y" * 8_000 + b"\r\n")
                sent += 1
                time.sleep(0.005)
        assert sent < 60
    assert server.get("/health")[0] == 200


def test_clients_that_only_pretend_to_speak_are_hung_up_on_and_hold_up_nobody(bundle, tmp_path):
    with Server(bundle, tmp_path / "log.sqlite", "--in-flight", 4) as server:
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
        for connection in slow[:20]:
            connection.sendall(b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\n")
        began = time.monotonic()
        for request in people(20):
            assert server.decide(request)[0] == 200
        assert time.monotonic() - began < REQUEST_SECONDS  # none of them waited for the pretenders
        for connection in slow:
            connection.settimeout(4 * REQUEST_SECONDS)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b""
            connection.close()
        assert time.monotonic() - began < 4 * REQUEST_SECONDS


def test_a_slow_body_is_told_and_too_many_at_once_are_sent_away(bundle, tmp_path):
    head = HEAD + b"content-length: 50\r\n\r\n"
    with Server(bundle, tmp_path / "log.sqlite", "--in-flight", 2) as server:
        answers = []
        waiting = [
            threading.Thread(target=lambda: answers.append(server.raw(head + b"{", seconds=12)))
            for _ in range(2)
        ]
        for thread in waiting:
            thread.start()
        deadline = time.monotonic() + 5
        while "workbench_in_flight 2.0" not in server.get("/metrics")[1]:
            assert time.monotonic() < deadline
        status, text = server.decide(people(1)[0])
        assert (status, json.loads(text)["error"]) == (503, "too many requests at once")
        for thread in waiting:
            thread.join()
        assert all(b" 408 " in answer for answer in answers)
        assert server.decide(people(1)[0])[0] == 200
    assert sorted(request_rows(tmp_path / "log.sqlite")["status"]) == [408, 408, 503]


def test_without_the_token_nothing_is_told(bundle, tmp_path):
    known = {"TEST_TOKEN": TOKEN}
    with Server(
        bundle, tmp_path / "log.sqlite", "--token-variable", "TEST_TOKEN", environment=known
    ) as server:
        assert server.decide(people(1)[0])[0] == 401
        assert server.decide(people(1)[0], authorization="Bearer another token..")[0] == 401
        assert server.decide(people(1)[0], authorization="Bearer tökén")[0] == 401
        assert server.get("/metrics")[0] == 401
        assert server.get("/health")[0] == 200
        assert server.decide(people(1)[0], authorization=f"Bearer {TOKEN}")[0] == 200
        assert server.get("/metrics", authorization=f"Bearer {TOKEN}")[0] == 200
    assert request_rows(tmp_path / "log.sqlite").height == 0  # strangers write nothing


def test_what_would_leave_the_door_open_is_refused(bundle, tmp_path, monkeypatch):
    log = tmp_path / "log.sqlite"
    refused(call_here(command("serve", bundle, "--log", log, "--host", "0.0.0.0")), "TLS and a token")
    refused(
        call_here(command("serve", bundle, "--log", log, "--token-variable", "NO_SUCH")), "not set or empty"
    )
    monkeypatch.setenv("SHORT", "short")
    words = ("--token-variable", "SHORT", "--certificate", tmp_path / "no.pem")
    done = call_here(command("serve", bundle, "--log", log, *words))
    refused(done, "no such file", "both", "fewer than 16")
    refused(call_here(command("serve", tmp_path / "none", "--log", log)), "no run here")
    assert not log.exists()


def certificates(folder):
    """An authority, and certificates of it for the server and for a client."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    plain, pem = serialization.NoEncryption(), serialization.Encoding.PEM

    def made(name, issuer=None):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(None, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        host = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        builder = builder.add_extension(host, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
        signer = key
        if issuer:
            builder, signer = builder.issuer_name(issuer[0].subject), issuer[1]
        else:
            builder = builder.issuer_name(subject)
        certificate = builder.sign(signer, hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
        (folder / f"{name}.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        return certificate, key

    authority = made("authority")
    made("localhost", authority)
    made("client", authority)


def test_tls_and_client_certificates(bundle, tmp_path):
    certificates(tmp_path)
    files = {
        name: tmp_path / name for name in ("localhost.pem", "localhost.key", "authority.pem", "client.pem")
    }
    options = ("--certificate", files["localhost.pem"], "--key", files["localhost.key"])
    options += ("--client-authority", files["authority.pem"])
    with Server(bundle, tmp_path / "log.sqlite", *options) as server:
        context = ssl.create_default_context(cafile=files["authority.pem"])
        address = f"https://localhost:{server.port}/health"
        with pytest.raises((OSError, ssl.SSLError)):
            urllib.request.urlopen(address, context=context, timeout=5)
        context.load_cert_chain(files["client.pem"], tmp_path / "client.key")
        with urllib.request.urlopen(address, context=context, timeout=5) as answer:
            assert answer.status == 200


def bodies(count=200):
    return [json.dumps(request).encode() for request in people(count)]


def test_a_reload_under_load_fails_no_request(tmp_path):
    place, other = tmp_path / "bundle.zip", pack(frozen("beta"), seed=1)
    place.write_bytes(pack(frozen(), seed=1))
    with Server(place, tmp_path / "log.sqlite") as server:

        async def load():
            asking = asyncio.create_task(steady(server.port, bodies(), rate=120, seconds=5, keep=True))
            await asyncio.sleep(1.5)
            place.write_bytes(other)
            server.send(signal.SIGHUP)
            return await asking

        found = asyncio.run(load())
        assert (found.failed, found.statuses) == (0, {200: 600})
        assert server.event("reloaded")["champion"] == unpack(other)[1]
        by = [answer["bundle_sha256"] for answer in sorted(found.answers, key=lambda one: one["log_number"])]
        assert len(set(by)) == 2
        assert by[-1] == unpack(other)[1]
        assert by == sorted(by, key=lambda sha256: sha256 == by[-1])  # one change, at one moment


def test_a_bundle_that_is_damaged_is_not_taken(tmp_path):
    place = tmp_path / "bundle.zip"
    place.write_bytes(pack(frozen(), seed=1))
    with Server(place, tmp_path / "log.sqlite") as server:
        content = bytearray(place.read_bytes())
        content[len(content) // 2] ^= 1
        place.write_bytes(content)
        server.send(signal.SIGHUP)
        assert "bundle" in server.event("reload refused")["why"]
        assert server.decide(people(1)[0])[0] == 200
        assert 'workbench_reloads_total{result="refused"} 1.0' in server.get("/metrics")[1]


def test_after_kill_9_under_load_everything_that_was_told_is_in_the_log(bundle, tmp_path):
    log = tmp_path / "log.sqlite"
    with Server(bundle, log) as server:

        async def load():
            asking = asyncio.create_task(steady(server.port, bodies(), rate=300, seconds=3, keep=True))
            await asyncio.sleep(1.5)
            server.send(signal.SIGKILL)
            return await asking

        found = asyncio.run(load())
    assert found.failed > 100
    logged = {row["seq"]: row for row in read_log(log)}
    assert len(found.answers) > 50
    for answer in found.answers:
        row = logged[answer["log_number"]]
        assert (row["applicant_id"], row["decision"]) == (answer["applicant_id"], answer["decision"])
    with Server(bundle, log) as again:
        number = json.loads(again.decide(people(1)[0])[1])["log_number"]
    assert number == max(logged) + 1
    assert len(list(read_log(log))) == number


def full_disk():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200 * 1024, 200 * 1024))


def test_when_the_disk_is_full_no_decision_is_told(bundle, tmp_path):
    log, told = tmp_path / "log.sqlite", 0
    with Server(bundle, log, limit=full_disk) as server:
        for request in 40 * people(50):
            status, text = server.decide(request)
            if status != 200:
                break
            told += 1
        assert (status, json.loads(text)["error"]) == (
            503,
            "the decision log takes nothing, so that no decision is told",
        )
        assert server.get("/ready")[0] == 503
        assert server.get("/health")[0] == 200
        assert "workbench_log_writable 0.0" in server.get("/metrics")[1]
        assert server.event("decision log not writable")
    assert len(list(read_log(log))) == told


def test_the_operator_s_lines_name_nobody(bundle, tmp_path):
    secret = people(1)[0] | {"applicant_id": "Jane-Doe-1970"}
    with Server(bundle, tmp_path / "log.sqlite") as server:
        assert server.decide(secret)[0] == 200
        secret["features"] |= {"limit": 123_456_789.25}
        assert server.decide(secret)[0] == 422
        server.send(signal.SIGHUP)
        server.event("reloaded")
        metrics = server.get("/metrics")[1]
    assert any("not decided" in line for line in server.told)
    for text in ("".join(server.told), server.out, server.err, metrics):
        assert "Jane" not in text
        assert "123456789" not in text


def test_canary_and_shadow_decide_as_deployed(tmp_path):
    about = deployed(tmp_path, canary="beta", shadows=["isotonic"])
    with Server(tmp_path, tmp_path / "log.sqlite") as server:
        answers = {request["applicant_id"]: json.loads(server.decide(request)[1]) for request in people(60)}
    rows = list(read_log(tmp_path / "log.sqlite"))
    roles = {
        role: {row["applicant_id"] for row in rows if row["role"] == role} for role in ("champion", "canary")
    }
    assert 15 < len(roles["canary"]) < 45
    assert not roles["canary"] & roles["champion"]
    assert roles["canary"] | roles["champion"] == set(answers)
    for role, of in roles.items():
        assert {answers[identity]["bundle_sha256"] for identity in of} == {about[role]}
    shadowed = [row for row in rows if row["role"] == "shadow"]
    assert {row["applicant_id"] for row in shadowed} == set(answers)
    assert {row["bundle_sha256"] for row in shadowed} == {about["shadows"][0].sha256}


def test_sigterm_lets_what_was_begun_end(bundle, tmp_path):
    body = bodies(1)[0]
    head = HEAD + f"content-length: {len(body)}\r\n\r\n".encode()
    with (
        Server(bundle, tmp_path / "log.sqlite") as server,
        socket.create_connection(("127.0.0.1", server.port)) as one,
    ):
        one.sendall(head + body[:-1])
        time.sleep(0.3)
        server.send(signal.SIGTERM)
        time.sleep(0.3)
        one.sendall(body[-1:])
        assert b" 200 " in one.recv(65536)
    assert server.process.returncode in (0, -signal.SIGTERM)  # uvicorn hands the signal on when all is done
    assert len(list(read_log(tmp_path / "log.sqlite"))) == 1


def test_a_log_is_checked_and_exported(bundle, tmp_path):
    log = tmp_path / "log.sqlite"
    with Server(bundle, log) as server:
        for request in people(5):
            server.decide(request)
        server.decide(b"{}")
    words = ("-o", tmp_path / "d.parquet", "--requests", tmp_path / "r.parquet")
    done = call_here(command("decisions", log, *words))
    assert "5 decisions, none edited or missing" in done.stdout
    assert (tmp_path / "d.parquet").is_file()
    assert (tmp_path / "r.parquet").is_file()
    refused(call_here(command("decisions", tmp_path / "none")), "no such decision log")

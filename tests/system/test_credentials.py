"""Wrong credentials of every kind: a clear error, the model serves on, the agent keeps trying."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.link import link_to
from demo.cloud_process import CloudProcess
from provisioning.pki import KeyPair, create_ca, issue_device
from tests.support.background import in_background
from tests.support.waiting import PATIENCE
from tests.system.conftest import Bench

pytestmark = pytest.mark.system

GIVE_UP_SOON = {"handshake_seconds": 2}


def wrong_psk(bench: Bench) -> dict[str, object]:
    enrolled = bench.fleet.enroll(f"{bench.folder.name}-psk")
    return {"psk_id": enrolled.identity, "psk": "something else"}


def unknown_identity(_bench: Bench) -> dict[str, object]:
    return {"psk_id": "nobody@demo", "psk": "whatever"}


def foreign_certificate(bench: Bench) -> dict[str, object]:
    return bench.certificate(bench.folder / "foreign", trusted=False)


def unknown_server(bench: Bench) -> dict[str, object]:
    found = bench.certificate(bench.folder / "own", trusted=True)
    other = KeyPair.in_folder(bench.folder / "other", "ca")
    create_ca(other, "somebody else's CA")
    return {**found, "server_ca": str(other.certificate)}


WRONG = [
    (wrong_psk, "PSK-ID/PSK wrong", "handshake-timed-out"),
    (unknown_identity, "identity", "handshake-refused"),
    (foreign_certificate, "certificate", "device-certificate-refused/unknown-ca"),
    (unknown_server, "CA", "server-untrusted/unknown-ca"),
]


def serve(bench: Bench) -> None:
    """A device whose model serves."""
    bench.device.start("worker")
    bench.device.start("run")
    bench.deploy("1")
    bench.await_served("1")


def restart_with(bench: Bench, **golioth: object) -> None:
    bench.device.agent.stop()
    bench.configure(**golioth, **GIVE_UP_SOON)
    bench.device.start("run")


def test_wrong_credentials_are_explained_while_the_model_serves_on(bench: Bench) -> None:
    serve(bench)
    for wrong, said, code in WRONG:
        warned = warnings(bench)
        restart_with(bench, **wrong(bench))
        assert_explained(bench, said, code)
        assert warnings(bench) - warned <= 2, "one line per outage, not per try"


def assert_explained(bench: Bench, said: str, code: str) -> None:
    """In the status, while the worker serves on."""
    first = bench.device.await_status(code, lambda s: s["link_error_code"] == code, PATIENCE)
    assert said in first["link_error"]
    assert not first["connected"]
    assert first["running"]
    wanted = first["worker"]["classified"] + 20
    later = bench.device.await_status(
        "it serves on", lambda s: s["worker"]["classified"] > wanted, PATIENCE
    )
    assert later["worker"]["state"] == "serving"


def warnings(bench: Bench) -> int:
    """How often the agent has warned of its link until now."""
    return bench.device.agent.log_tail(1_000_000).count("WARNING protocol.session")


def test_a_wrong_host_name_is_named(bench: Bench) -> None:
    found = bench.certificate(bench.folder / "own", trusted=True)
    gateway = bench.cloud.address.gateway
    with in_background(lambda: link_to(gateway, host="127.0.0.2", own_process=False)) as link:
        serve(bench)
        restart_with(bench, **found, uri=f"coaps://127.0.0.2:{link.it.address[1]}")
        status = bench.device.await_status(
            "the error is known", lambda s: "host name" in (s["link_error"] or ""), PATIENCE
        )
    assert status["worker"]["state"] == "serving"


def test_an_agent_without_a_cloud_keeps_trying_until_it_is_there(
    bench: Bench, tmp_path: Path
) -> None:
    cloud = CloudProcess(tmp_path / "own-cloud", rate_limit=0)
    cloud.start()
    bench.configure(psk_id="late@demo", psk="secret", uri=cloud.address.coap, **GIVE_UP_SOON)
    cloud.process.kill()
    bench.device.start("run")
    bench.device.await_status("no link", lambda s: s["link_error"], PATIENCE)
    cloud.start()
    try:
        bench.device.await_status(
            "the cloud is heard", lambda s: "identity" in (s["link_error"] or ""), PATIENCE
        )
    finally:
        cloud.process.stop()


def test_a_certificate_replaced_during_a_download_costs_neither_restart_nor_download(
    bench: Bench,
) -> None:
    found = bench.certificate(bench.folder / "own", trusted=True)
    bench.configure(**found, requests_per_second=40)
    bench.device.start("worker")
    bench.device.start("run")
    bench.fleet.adopt("own", PATIENCE)
    bench.deploy("71", bench.large_model("71", 400_000))
    before = bench.device.await_status(
        "it downloads", lambda s: s["target"] and s["target"]["bytes_done"] >= 65536, PATIENCE
    )

    ca, renewed = KeyPair.in_folder(bench.folder / "own", "ca"), bench.folder / "renewed"
    new = KeyPair.in_folder(renewed, "client")
    issue_device(ca, new, bench.cloud.address.project, "own")
    shutil.copy(new.key, str(found["private_key"]))
    shutil.copy(new.certificate, str(found["certificate"]))

    after = bench.await_served("71")
    assert after["certificate"]["expires"] > before["certificate"]["expires"]
    assert bench.device.agent.log_tail(100_000).count("the credential was replaced") == 1
    (update,) = bench.device.inspect(lambda inspector: inspector.updates(10))
    assert update["fetched_bytes"] < 400_000 + 2 * 65536, "a checkpoint is fetched again at most"

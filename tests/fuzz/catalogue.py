"""Everything that decodes bytes from outside: the targets of the fuzzer."""

from __future__ import annotations

from tests.fuzz.target import Target

_DOCUMENTS = ("protocol.formats", "protocol.fields")
_COAP = ("aiocoap.message", "aiocoap.options", "aiocoap.optiontypes")

TARGETS = (
    Target(
        "manifests",
        "what is to be deployed, from the cloud to the agent",
        (*_DOCUMENTS, "protocol.manifest", "protocol.delta", "agent.cloud.manifests", "states"),
        document=1,
    ),
    Target(
        "cloud_orders",
        "settings, remote calls and desired state, from the cloud to the agent",
        (*_DOCUMENTS, "protocol.device_settings", "protocol.rpc", "agent.remote", "agent.config"),
        document=1,
    ),
    Target(
        "device_reports",
        "reports, state, log lines and verdicts, from devices to the cloud",
        (*_DOCUMENTS, "protocol.report", "protocol.values", "protocol.rpc", "protocol"),
        document=1,
    ),
    Target(
        "coap_messages",
        "decrypted messages, to server and client, up to the resource",
        (*_COAP, "aiocoap", "protocol"),
        most_bytes=2048,
    ),
    Target(
        "dtls_datagrams",
        "datagrams to server and client: before, in and after the handshake",
        ("protocol",),
        most_bytes=8192,
    ),
    Target(
        "gateway",
        "messages of one device to the local cloud; another's data stays as it is",
        (*_COAP, "localcloud", "protocol"),
        most_bytes=4096,
    ),
    Target(
        "certificates",
        "renewed certificates to the agent, CA certificates to the local cloud",
        ("agent.credentials", "localcloud.storage.credentials"),
    ),
    Target(
        "control_lines",
        "lines at the control sockets of agent and worker",
        ("agent.control", "agent.operations", "agent.worker.methods", "agent.worker.onlookers"),
        document=1,
    ),
    Target(
        "worker_answers",
        "what the worker and the agent answer at their sockets",
        ("agent.worker_port", "agent.commands.orders_client"),
        document=1,
        most_bytes=8192,
    ),
    Target(
        "model_settings",
        "model.json of a release",
        ("agent.worker.model.settings", "agent.faults"),
        document=0,
    ),
    Target("labels", "labels.txt of a release", ("agent.worker.model.labels",)),
    Target(
        "golden_sets",
        "the archive of labelled pictures of a release",
        ("agent.trial.golden_set", "zipfile"),
        most_bytes=8192,
    ),
    Target("patches", "patches from one model to the next", ("protocol.delta",)),
    Target(
        "signed_statements",
        "the signature of a release, lists of keys",
        (*_DOCUMENTS, "protocol.signing", "protocol.statements"),
        document=1,
        most_bytes=8192,
    ),
    Target(
        "configuration",
        "agent.toml",
        ("agent.config", "agent.faults", "tomllib"),
    ),
    Target(
        "management_api",
        "requests to every route of the local cloud's management API",
        ("localcloud",),
        document=0,
    ),
    Target(
        "management_answers",
        "what the management API answers to the operator's commands",
        ("provisioning",),
        document=0,
    ),
    Target(
        "streamed_documents",
        "metrics, samples and state of devices, to the operator's commands and the console",
        ("provisioning", "localcloud.console"),
        document=1,
    ),
)


def target_named(name: str) -> Target:
    """The target of that name. Raises KeyError."""
    return {target.name: target for target in TARGETS}[name]

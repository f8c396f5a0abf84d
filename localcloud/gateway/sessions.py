"""Which device each DTLS session speaks for, and who is online."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from localcloud.changes import Changes, Topic
from localcloud.errors import CloudError
from localcloud.identifiers import format_timestamp, timestamp
from localcloud.model import Device
from localcloud.regularly import Regularly
from localcloud.storage.store import Store
from protocol.server import DtlsRemote, Peer, Server
from protocol.trouble import Trouble
from protocol.x509_reading import is_issued_by, only_attribute

_log = logging.getLogger(__name__)

_SAVE_EVERY = 1.0  # seconds; what a killed cloud forgets of "last seen"


@dataclass
class Session:
    """A live session of a device. ``saved`` is the ``last_received`` that is in the database."""

    project_id: str
    device_id: str
    device_name: str
    remote: DtlsRemote
    saved: float


class Sessions:
    """Live sessions. One per device: the newest wins (Golioth does not say)."""

    def __init__(self, store: Store, changes: Changes) -> None:
        self._store = store
        self._by_remote: dict[DtlsRemote, Session] = {}
        self._by_device: dict[str, Session] = {}
        self._server: Server | None = None
        self._saver: Regularly | None = None
        self._trouble = Trouble(_log, "noting that devices came or went")
        changes.listen(Topic.ACCESS, self._drop_device)
        changes.listen(Topic.ROOTS, self._trust_anew)

    def attach(self, server: Server) -> None:
        """Use this server to end sessions, and begin saving when devices were last heard."""
        self._server = server
        self._saver = Regularly(_SAVE_EVERY, self.save_all, "saving when devices were heard")

    def of(self, remote: DtlsRemote) -> Session | None:
        """The session of a remote, or None if no device of ours is behind it."""
        return self._by_remote.get(remote)

    def is_online(self, device_id: str) -> bool:
        """Whether the device has a live session."""
        return device_id in self._by_device

    def established(self, remote: DtlsRemote) -> None:
        """A handshake is done: find or make its device, and end an older session of it."""
        device = self._device_of(remote.peer)
        if device is None:
            _log.warning("%s: no enabled device for it; session ended", _describe(remote.peer))
            self._drop(remote)
            return
        project_id, record = device
        session = Session(project_id, record.id, record.name, remote, remote.last_received)
        if older := self._by_device.get(record.id):
            self._forget(older)
            self._drop(older.remote)
        self._by_remote[remote] = self._by_device[record.id] = session
        with self._noting():
            self._save(session)
        _log.info("device %s connected", record.name)

    def ended(self, remote: DtlsRemote, reason: Exception) -> None:
        """A session is over."""
        session = self._by_remote.get(remote)
        if session is None:
            return
        self._forget(session)
        with self._noting():
            self._save(session)
            self._store.devices.record_offline(session.device_id, timestamp())
        _log.info("device %s disconnected: %s", session.device_name, reason)

    def save_all(self) -> None:
        """Write down when each device was last heard."""
        heard = [s for s in self._by_remote.values() if s.remote.last_received != s.saved]
        if heard:
            with self._store.atomic():
                for session in heard:
                    self._save(session)

    def close(self) -> None:
        """Stop saving."""
        if self._saver is not None:
            self._saver.close()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """What is only noted ends no session when the disk is full."""
        try:
            yield
        except sqlite3.Error as error:
            self._trouble.failed(error)
        else:
            self._trouble.recovered()

    def _device_of(self, peer: Peer) -> tuple[str, Device] | None:
        try:
            found = self._by_psk(peer) if peer.kind == "psk" else self._by_certificate(peer)
        except (CloudError, sqlite3.Error) as error:
            _log.warning("%s: %s", _describe(peer), error)
            return None
        return found if found and found[1].enabled else None

    def _by_psk(self, peer: Peer) -> tuple[str, Device] | None:
        owner = self._store.credentials.owner_of(peer.identity or "")
        if owner is None:
            return None
        return owner.project_id, self._store.devices.get(owner.project_id, owner.device_id)

    def _by_certificate(self, peer: Peer) -> tuple[str, Device] | None:
        # Golioth: O is the project, CN the certificate id. The handshake verified the chain against
        # the CAs of all projects; it counts only if one of that very project's vouches for it.
        if peer.certificate is None:
            return None
        subject = peer.certificate.subject
        project_id = only_attribute(subject, NameOID.ORGANIZATION_NAME)
        certificate_id = only_attribute(subject, NameOID.COMMON_NAME)
        if not project_id or not certificate_id:
            return None
        if not _vouched_for(peer.chain, self._store.certificates.trusted(project_id)):
            return None
        return project_id, self._store.devices.for_certificate(project_id, certificate_id)

    def _drop_device(self, device_id: str) -> None:
        if session := self._by_device.get(device_id):
            self._drop(session.remote)

    def _trust_anew(self, project_id: str) -> None:
        if self._server is not None:
            self._server.refresh()
        authorities = self._store.certificates.trusted(project_id)
        for session in list(self._by_remote.values()):
            chain = session.remote.peer.chain
            if session.project_id == project_id and chain and not _vouched_for(chain, authorities):
                self._drop(session.remote)

    def _drop(self, remote: DtlsRemote) -> None:
        # Later, because this may run inside the very session's own callback.
        if self._server is not None:
            asyncio.get_running_loop().call_soon(self._server.drop, remote)

    def _forget(self, session: Session) -> None:
        self._by_remote.pop(session.remote, None)
        if self._by_device.get(session.device_id) is session:
            del self._by_device[session.device_id]

    def _save(self, session: Session) -> None:
        session.saved = session.remote.last_received
        age = asyncio.get_running_loop().time() - session.saved
        heard = format_timestamp(time.time_ns() - int(age * 1e9))
        self._store.devices.record_contact(session.device_id, heard)


def _vouched_for(
    chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]
) -> bool:
    """Whether one of the authorities issued a certificate of the verified chain."""
    return any(is_issued_by(member, authority) for member in chain for authority in authorities)


def _describe(peer: Peer) -> str:
    if peer.certificate is None:
        return f"PSK identity {peer.identity!r}"
    return f"certificate {peer.certificate.subject.rfc4514_string()!r}"

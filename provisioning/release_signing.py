"""Signing what is deployed: the exact packages of a release, under a number that only grows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.signing import encode_document, sign
from protocol.statements import ReleaseStatement, SignedPackage, key_text
from provisioning.deploying import Plan
from provisioning.errors import WrongUsage
from provisioning.management import Management
from provisioning.operator_secrets import signing_passphrase
from provisioning.operator_settings import OperatorSettings
from provisioning.publish_record import PublishRecord, Recorded
from provisioning.resources import Artifact
from provisioning.signing_keys import KeyLists, load_key


@dataclass(frozen=True)
class ReleaseSigner:
    """Signs plans with ``keys``; what they hold is taken from the record, never from the cloud."""

    keys: Sequence[Ed25519PrivateKey]
    key_lists: KeyLists
    record: PublishRecord
    release_packages: tuple[str, ...]
    signature_package: str

    @property
    def names(self) -> list[str]:
        """The public keys, as devices know them."""
        return sorted(key_text(key.public_key()) for key in self.keys)

    def packages_of(self, project: str, plan: Plan) -> tuple[SignedPackage, ...]:
        """What a signature of that plan covers: the release; patches make nothing else.

        Raises WrongUsage for what was not published from here, or differs from that in the cloud.
        """
        covered = (a for a in plan.artifacts if a.package in self.release_packages)
        return tuple(self._known(project, artifact) for artifact in covered)

    def _known(self, project: str, artifact: Artifact) -> SignedPackage:
        sha256, name = artifact.sha256 or "", f"{artifact.package} {artifact.version}"
        said = Recorded(project, artifact.package, artifact.version, sha256, artifact.size)
        known = self.record.find(said)
        if known is None:
            raise WrongUsage(
                f"{name} is not in {self.record.path}, so nobody here knows what it should be: "
                "publish it again from its files (the same content is not uploaded twice)"
            )
        if known.size != said.size or sha256 not in {"", known.sha256}:
            raise WrongUsage(
                f"{name} has other content in the cloud than was published from here: "
                f"{said.sha256} in place of {known.sha256}; find out who changed it, and give it a "
                "new version"
            )
        return SignedPackage(known.package, known.version, known.sha256, known.size)

    def signed(self, management: Management, plan: Plan) -> Plan:
        """The plan with a signature of its own, which is published. Raises ProvisioningError."""
        packages = self.packages_of(management.project, plan)
        number = self._next_number(management)
        envelope = sign(ReleaseStatement(number, packages), self.keys)
        try:
            content = encode_document(envelope, self.key_lists.envelopes)
        except ValueError as error:
            raise WrongUsage(f"{error}; pin newer keys and begin a new list of keys") from error
        made = management.publish(self.signature_package, str(number), content)
        return replace(plan, signature=made)

    def _next_number(self, management: Management) -> int:
        """Seconds since 1970, and above all numbers so far though a clock may have been wrong."""
        published = (a.version for a in management.artifacts(package=self.signature_package))
        newest = max((int(v) for v in published if v.isascii() and v.isdecimal()), default=0)
        return max(int(time.time()), newest + 1)


def signer_for(
    settings: OperatorSettings, plan: Plan, *, unsigned: bool = False, needed: bool = False
) -> ReleaseSigner | None:
    """Who signs a plan: whose keys are configured; None where nothing is to be signed.

    Asks for the passphrase. Raises WrongUsage where devices would refuse what comes of it.
    """
    if unsigned:
        return None
    if not settings.signing_keys:
        if needed:
            raise WrongUsage("who signs? give --signing-key, or signing_keys in operator.toml")
        if plan.was_signed:
            raise WrongUsage(
                f"what cohort {plan.cohort.name} has is signed, and no signing key is configured: "
                "give --signing-key, or --unsigned if none of its devices has pinned a key"
            )
        return None
    folder = settings.signing_folder
    passphrase = settings.signing_passphrase_file
    keys = [load_key(path, signing_passphrase(passphrase)) for path in settings.signing_keys]
    signer = ReleaseSigner(
        keys,
        KeyLists.read(folder),
        PublishRecord(folder),
        settings.release_packages,
        settings.signature_package,
    )
    newest = signer.key_lists.newest
    if newest and not set(signer.names) & set(newest.statement.release_keys):
        raise WrongUsage(
            f"key list {newest.statement.number} lets none of these keys sign releases: "
            f"{', '.join(signer.names)}; use one of {', '.join(newest.statement.release_keys)}"
        )
    signer.packages_of(settings.this_project, plan)
    return signer

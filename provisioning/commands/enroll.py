"""``edgeferry provision enroll``: devices become members of the project."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioning.commands.device import open_issuer
from provisioning.commands.options import (
    CLOUD,
    PACKS,
    SIGNING,
    JsonOption,
    NamesArgument,
    TableOption,
    configured,
    management_of,
    packs_of,
)

if TYPE_CHECKING:
    from provisioning.commands.output import Report
    from provisioning.device_list import WantedDevice
    from provisioning.enrolling import Enrolled, Enroller
    from provisioning.issuing import Entering, Issued
    from provisioning.management import Management
    from provisioning.operator_settings import OperatorSettings
    from provisioning.packs import Packs


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(enroll)


@configured(CLOUD, SIGNING, PACKS)
def enroll(
    settings: OperatorSettings,
    names: NamesArgument = None,
    table: TableOption = None,
    cohort: Annotated[
        str | None,
        typer.Option(help="Cohort of devices whose line names none; made if it is missing."),
    ] = None,
    psk: Annotated[
        bool, typer.Option("--psk", help="Pre-shared keys, for development; no CA needed.")
    ] = False,
    zero_touch: Annotated[
        bool,
        typer.Option("--zero-touch", help="Make no devices: each appears when it first connects."),
    ] = False,
    no_certificate: Annotated[
        bool,
        typer.Option("--no-certificate", help="Certificates come from elsewhere; make no packs."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Enroll devices: certificate and pack, the device in the project, and its cohort.

    A certificate that was issued or signed before is kept. With --zero-touch the cloud makes the
    device when it first connects; run the command again afterwards to put it into its cohort. What
    is done stays done: after Ctrl-C or a failure, run the same command again.
    """
    from provisioning.device_list import wanted_devices
    from provisioning.errors import WrongUsage

    if psk + zero_touch + no_certificate > 1:
        raise WrongUsage("--psk, --zero-touch and --no-certificate exclude each other")
    wanted = wanted_devices(names or (), table, cohort)
    with management_of(settings) as management:
        run = _Run(settings, management, wanted)
        if no_certificate:
            report = run.without_packs()
        else:
            packs = packs_of(settings)
            way = run.with_psk if psk else run.awaiting if zero_touch else run.with_certificates
            report = way(packs)
            report.next_steps.append(packs.how_to_install)
    report.show(as_json=as_json)


class _Run:
    """One run over the devices that are wanted."""

    def __init__(
        self,
        settings: OperatorSettings,
        management: Management,
        wanted: list[WantedDevice],
    ) -> None:
        self._settings = settings
        self._management = management
        self._wanted = wanted

    def without_packs(self) -> Report:
        enroller = self._enroller()
        return self._each(lambda wanted: (enroller.enroll(wanted), None))

    def with_psk(self, packs: Packs) -> Report:
        enroller = self._enroller()
        return self._each(lambda wanted: (enroller.enroll_with_psk(wanted, packs), None))

    def with_certificates(self, packs: Packs) -> Report:
        """The certificate first: a device in the cloud without one would just wait."""
        enroller = self._enroller()
        return self._certified(packs, enroller.enroll)

    def awaiting(self, packs: Packs) -> Report:
        """Zero touch: devices that have not connected yet are left to do that."""
        enroller = self._enroller()
        report = self._certified(packs, enroller.adopt)
        if any(device["outcome"] == "awaited" for device in report.devices):
            report.next_steps.append("when they have connected, run this again for their cohort")
        return report

    def _certified(self, packs: Packs, step: Callable[[WantedDevice], Enrolled | None]) -> Report:
        with open_issuer(self._settings, packs) as (issuer, entering):

            def work(wanted: WantedDevice) -> tuple[Enrolled | None, Issued | None]:
                issued = issuer.issue(wanted.name)
                return step(wanted), issued

            report = self._each(work, entering)
        if report.stopped is None:
            report.next_steps += self._what_the_ca_lacks()
        return report

    def _enroller(self) -> Enroller:
        from provisioning.enrolling import Enroller, cohorts_for

        return Enroller(self._management, cohorts_for(self._management, self._wanted))

    def _each(self, work: _Work, entering: Entering | None = None) -> Report:
        from provisioning.commands.output import Report, for_each_shown

        def note(result: tuple[Enrolled | None, Issued | None]) -> None:
            _, issued = result
            if issued is not None and entering is not None:
                entering.note(issued)

        report = Report()
        batch = for_each_shown("Enrolling", self._wanted, work, note)
        for enrolled, issued in batch.done:
            _tell(report, enrolled, issued)
        failed = [(wanted.name, error) for wanted, error in batch.failed]
        report.add_failures(failed, batch.stopped)
        return report

    def _what_the_ca_lacks(self) -> list[str]:
        from provisioning.ca_folder import CaFolder

        root = CaFolder(self._settings.ca).certificates()[0]
        known = self._management.ca_certificates()
        if any(certificate.has_serial(root.serial_number) for certificate in known):
            return []
        return ["let the project accept the CA: edgeferry provision ca upload"]


_Work = Callable[["WantedDevice"], "tuple[Enrolled | None, Issued | None]"]


def _tell(report: Report, enrolled: Enrolled | None, issued: Issued | None) -> None:
    more: dict[str, Any] = {} if issued is None else issued.summary()
    details = [] if issued is None else [f"certificate {issued.outcome}"]
    if enrolled is None:
        assert issued is not None
        report.add(issued.name, "awaited", "; ".join(details), device_id=None, **more)
        return
    details += [] if enrolled.enabled else ["disabled in the cloud"]
    if enrolled.pack is not None:
        more["pack"] = str(enrolled.pack)
        details.append(f"pre-shared key in {enrolled.pack}")
    outcome = "enrolled" if enrolled.created else "already there"
    more |= {"device_id": enrolled.device_id, "cohort": enrolled.cohort_id}
    report.add(enrolled.name, outcome, "; ".join(details), **more)

"""The clock: set by a time server, and not behind what is known."""

from __future__ import annotations

from agent.doctor.finding import Finding, Patient, ok, warning


async def examine_clock(patient: Patient) -> list[Finding]:
    """A clock that is wrong delays nothing but may make certificates look invalid."""
    known, synchronized = patient.known_time, patient.known_time.synchronized
    if known.is_behind:
        return [
            warning(
                f"the clock is behind; certificates are judged by {known.newest:%Y-%m-%d %H:%M}"
                " UTC, the newest time this device knows",
                "have a time server set it: timedatectl set-ntp true",
            )
        ]
    if synchronized is False:
        return [
            warning(
                f"no time server has set the clock; it shows {known.now():%Y-%m-%d %H:%M} UTC",
                "check it, and enable a time service: timedatectl set-ntp true",
            )
        ]
    vouched = "set by a time server" if synchronized else "nothing contradicts it"
    return [ok(f"{known.now():%Y-%m-%d %H:%M} UTC, {vouched}")]

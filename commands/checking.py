"""A release is tried on the operator's machine in the way that devices try it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agent.trial.limits import TrialLimits
from agent.trial.trial import TrialFiles, try_model
from agent.trial.verdict import TrialReport
from provisioning.errors import ProvisioningError
from states.ports import Rejected
from states.proof import Findings, ProofLimits, judge


class ReleaseUnfit(ProvisioningError):  # noqa: N818 - reads as what it is
    """Devices would refuse this release."""


def try_release(contents: Mapping[str, bytes]) -> TrialReport:
    """Load the model in a sandbox, check it against its labels, and classify its golden set.

    ``contents`` has "model" and "labels", and may have "settings" and "golden_set" (a ZIP). How
    fast the model is counts for nothing here: devices are not this machine.

    Raises:
        ReleaseUnfit: devices would refuse it; says what for.
        Postponed: this machine can't try models, for want of a runtime for example.
    """
    with tempfile.TemporaryDirectory(prefix="edgeferry-") as folder:
        # Copies: what is tried is what is published, whatever happens to the files meanwhile.
        paths = {name: Path(folder) / name for name in contents}
        for name, content in contents.items():
            paths[name].write_bytes(content)
        try:
            report = asyncio.run(try_model(TrialFiles(**paths), TrialLimits()))
        except Rejected as refusal:
            raise _unfit(refusal) from refusal
    fault = judge(Findings(0.0, golden=report.golden), None, ProofLimits())
    if fault is not None:
        raise _unfit(fault)
    return report


def describe(report: TrialReport) -> str:
    """What the trial found, in one line for people."""
    shape = "x".join(str(side) for side in report.input_shape)
    text = f"{report.input_type} {shape}, {report.labels} labels, {report.latency_ms:.1f} ms here"
    golden = report.golden
    if golden is None:
        return text
    return f"{text}, {golden.right} of {golden.pictures} golden pictures right"


def _unfit(refusal: Rejected) -> ReleaseUnfit:
    return ReleaseUnfit(
        f"devices would refuse this release: {refusal}; nothing was published: mend the files"
    )

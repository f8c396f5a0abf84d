"""The operator's commands. What they need is imported when they run."""

from __future__ import annotations

import typer

from provisioning.commands import ca, compare, deploy, device, enroll, fleet, promote, signing_key

_HELP = (
    "Make devices trusted members of a fleet: certificates, packs, enrollment."
    "\n\n"
    "The way for a fleet: `ca init` once, `ca upload` once per project, then `enroll` the devices"
    " and put each one's pack on it. For a bench: `enroll NAME --psk`."
    "\n\n"
    "Project, address, gateway and folders come from options, else from EDGEFERRY_PROJECT,"
    " EDGEFERRY_URL and EDGEFERRY_CA, else from ~/.config/edgeferry/operator.toml or the file named"
    " by --operator or EDGEFERRY_OPERATOR; a local cloud writes one as operator.toml into its data"
    " folder. The API key comes from GOLIOTH_API_KEY, from a file, or from the keyring; the CA's"
    " passphrase from EDGEFERRY_CA_PASSPHRASE, from a file, or is asked for."
    "\n\n"
    "Everything may be repeated: what is there already is left as it is."
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``edgeferry``."""
    provision = typer.Typer(help=_HELP, no_args_is_help=True)
    ca.register(provision)
    device.register(provision)
    enroll.register(provision)
    app.add_typer(provision, name="provision")
    deploy.register(app)
    fleet.register(app)
    compare.register(app)
    promote.register(app)
    signing_key.register(app)

"""``edgeferry signing-key``: keys that releases are signed with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioning.commands.options import RELEASE_SIGNING, JsonOption, configured

if TYPE_CHECKING:
    from provisioning.operator_settings import OperatorSettings

_HELP = (
    "Keys that releases are signed with: make one, look at it, replace it."
    "\n\n"
    "`create` one, pin it on the devices (trust.public_keys), name it in operator.toml "
    "(signing_keys); from then on `publish` and `deploy` do the rest (docs/signing.md)."
)
_FIRST = "release"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=_HELP, no_args_is_help=True)
    for command in (create, show, endorse):
        group.command()(command)
    app.add_typer(group, name="signing-key")


@configured(RELEASE_SIGNING)
def create(
    settings: OperatorSettings,
    name: Annotated[str, typer.Argument(help="Name of its files in the signing folder.")] = _FIRST,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Leave the key unencrypted.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an Ed25519 key: NAME.key.pem, encrypted, readable by you alone, and NAME.pub.pem.

    Whoever has the key can make devices run any model. Keep a second one offline and pin it as
    well: it takes the first one's place if that is lost or stolen. A key is never overwritten.
    """
    from provisioning.device_list import check_name
    from provisioning.operator_secrets import signing_passphrase
    from provisioning.signing_keys import KEY_SUFFIX, create_key, public_file

    key = settings.signing_folder / f"{check_name(name, 'NAME')}{KEY_SUFFIX}"
    secret = signing_passphrase(settings.signing_passphrase_file)
    text = create_key(key, None if no_passphrase else secret.choose(key))
    document = {"public_key": text, "key": str(key), "public": str(public_file(key))}
    _say(
        document,
        [f'in operator.toml: signing_keys = ["{key}"]', *_pin([text])],
        as_json=as_json,
    )


@configured(RELEASE_SIGNING)
def show(
    settings: OperatorSettings,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Key files; those of operator.toml, else of the signing folder, without any."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show public keys in the form for devices, and the key list that counts."""
    from provisioning.errors import WrongUsage
    from provisioning.signing_keys import PUBLIC_SUFFIX, KeyLists, read_public

    folder = settings.signing_folder
    paths = files or settings.signing_keys or sorted(folder.glob(f"*{PUBLIC_SUFFIX}"))
    newest = KeyLists.read(folder).newest
    if not paths and newest is None:
        raise WrongUsage(
            f"there is no key in {folder}; make one with: edgeferry signing-key create, or give "
            "its file"
        )
    keys = {str(path): read_public(path) for path in paths}
    listed = newest and {
        "number": newest.statement.number,
        "root_keys": list(newest.statement.root_keys),
        "release_keys": list(newest.statement.release_keys),
    }
    facts = {**keys, **{f"list {name}": value for name, value in (listed or {}).items()}}
    _say(
        facts,
        _pin(keys.values()) if keys else [],
        as_json=as_json,
        document={"keys": keys, "key_list": listed},
    )


@configured(RELEASE_SIGNING)
def endorse(
    settings: OperatorSettings,
    release_key: Annotated[
        list[Path], typer.Option(help="Public key that signs releases from now on; repeat it.")
    ],
    root_key: Annotated[
        list[Path] | None,
        typer.Option(help="Public key that signs key lists; as before when not given."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Replace keys without touching devices: write the next key list, signed by a root key.

    The list is complete: a key that it does not name counts no more. At first the pinned keys are
    root keys, so the first list is signed by one of them (--signing-key). Devices hear of it with
    the next signature: `edgeferry deploy --resign`, for every cohort.
    """
    from provisioning.errors import WrongUsage
    from provisioning.operator_secrets import signing_passphrase
    from provisioning.signing_keys import KEY_LISTS_FILE, KeyLists, load_key, read_public

    if not settings.signing_keys:
        raise WrongUsage("who signs the list? give --signing-key, the private key of a root key")
    folder, file = settings.signing_folder, settings.signing_passphrase_file
    keys = [load_key(path, signing_passphrase(file)) for path in settings.signing_keys]
    lists = KeyLists.read(folder).followed_by(
        keys, map(read_public, release_key), map(read_public, root_key or ())
    )
    lists.write(folder)
    newest = lists.newest
    assert newest is not None, "one was just added"
    document = {
        "number": newest.statement.number,
        "release_keys": list(newest.statement.release_keys),
        "root_keys": list(newest.statement.root_keys),
        "file": str(folder / KEY_LISTS_FILE),
    }
    steps = ["in operator.toml: signing_keys must name the private part of a release key"]
    _say(document, [*steps, "edgeferry deploy --cohort COHORT --resign"], as_json=as_json)


def _pin(keys: Any) -> list[str]:
    listed = ", ".join(f'"{key}"' for key in keys)
    return [f"in every device's agent.toml, below [trust]: public_keys = [{listed}]"]


def _say(
    facts: dict[str, Any],
    next_steps: list[str],
    *,
    as_json: bool,
    document: dict[str, Any] | None = None,
) -> None:
    from provisioning.commands.output import print_facts, print_json, print_steps

    if as_json:
        print_json(document or facts)
        return
    print_facts({name: ", ".join(v) if isinstance(v, list) else v for name, v in facts.items()})
    print_steps(next_steps)

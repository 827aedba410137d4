"""`python -m models.sign_catalogue`: maintainers sign a folder of cards; decision 0034 says who and when.

    python -m models.sign_catalogue --new-key FILE                   a new pair: private to FILE, public shown
    python -m models.sign_catalogue --key FILE --version N FOLDER    write the list and its signature

Not a part of the command `sandyq`: a school has nothing to sign. The private key is read from a file that
nobody else can read, never from an argument, which every account of a machine may see.
"""

import os
import secrets
import stat
from datetime import UTC, datetime
from pathlib import Path

import click

from models.card_index import index_of
from models.catalogue import INDEX, SIGNATURE, Bundle, read_cards
from models.errors import SigningKeyUnusable
from models.signature import public_half, sign

KEY_BYTES = 32  # of Ed25519, kept as hexadecimal digits and a line end
OWNER_ONLY = 0o600


def read_key(path: Path) -> bytes:
    try:
        if stat.S_IMODE(path.stat().st_mode) & ~OWNER_ONLY:
            raise SigningKeyUnusable(path=path, detail="others may read it")
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise SigningKeyUnusable(path=path, detail=str(error)) from error
    if len(key) != KEY_BYTES:
        raise SigningKeyUnusable(path=path, detail=f"it is not {KEY_BYTES} bytes long")
    return key


def write_new_key(path: Path) -> bytes:
    """Write a private key to a new file; return the public one."""
    private = secrets.token_bytes(KEY_BYTES)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as file:
            file.write(private.hex() + "\n")
    except OSError as error:
        raise SigningKeyUnusable(path=path, detail=error.strerror or str(error)) from error
    return public_half(private)


def sign_folder(folder: Path, private_key: bytes, version: int, date: str) -> Bundle:
    """Write list and signature beside the cards, once every card was read and found good."""
    cards = read_cards(folder)
    index = index_of(version, date, cards).to_bytes()
    bundle = Bundle(folder, index, sign(index, private_key), cards)
    for fault in bundle.open(public_half(private_key)).refused:
        raise fault
    (folder / INDEX).write_bytes(bundle.index)
    (folder / SIGNATURE).write_text(bundle.signature.hex() + "\n", encoding="ascii")
    return bundle


@click.command()
@click.option(
    "--new-key", type=click.Path(path_type=Path), help="Make a pair of keys; the private one goes here."
)
@click.option(
    "--key", type=click.Path(path_type=Path), help="File with the private key, readable by its owner only."
)
@click.option("--version", type=click.IntRange(1), help="Higher than any catalogue that was published.")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(new_key: Path | None, key: Path | None, version: int | None, folder: Path | None) -> None:
    """Sign the model cards in FOLDER."""
    if new_key is not None:
        click.echo(f'ed25519_public = "{write_new_key(new_key).hex()}"')
    elif key is None or version is None or folder is None:
        raise click.UsageError("--key, --version and FOLDER are needed, or --new-key")
    else:
        bundle = sign_folder(folder, read_key(key), version, datetime.now(UTC).date().isoformat())
        click.echo(f"signed {len(bundle.cards)} cards as version {version}")


if __name__ == "__main__":
    main()

"""Pulling over real TLS: continued from any byte, and never from a stranger."""

import ipaddress
import random
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from models.errors import DownloadFailed
from models.fetch import BLOCK_BYTES, Address
from models.store import Store
from tests.models.test_fetch_address import Mirror


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "School mirror")])
    now = datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "mirror.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + built.public_bytes(Encoding.PEM))
    return path


class SecureMirror(Mirror):
    def __init__(self, content: bytes, certificate: Path) -> None:
        super().__init__(content)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake belongs to the handler's thread: a stranger who breaks it off must not end the server.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return super().url.replace("http://", "https://")


@pytest.fixture
def mirror(tiny_bytes: bytes, certificate: Path) -> Iterator[SecureMirror]:
    server = SecureMirror(tiny_bytes, certificate)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def trusted(certificate: Path, monkeypatch) -> None:
    """As when the school has put its mirror's certificate into the system's store."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.fixture
def store(home, tiny_catalogue) -> Store:
    return Store(home, tiny_catalogue)


@pytest.mark.parametrize("offset", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, -1])
def test_a_pull_goes_on_from_any_byte(offset, store, mirror, trusted, tiny_card, tiny_bytes):
    offset %= len(tiny_bytes)
    part = store.path_of(tiny_card).with_suffix(".gguf.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(tiny_bytes[:offset])
    store.receive(tiny_card, Address(mirror.url))
    assert mirror.ranges == [f"bytes={offset}-" if offset else None]
    store.verify(tiny_card)


def test_a_link_that_breaks_inside_tls_goes_on_where_it_was(store, mirror, trusted, tiny_card):
    mirror.break_first = 2
    store.receive(tiny_card, Address(mirror.url, pause_seconds=0))
    assert len(mirror.ranges) == 3
    store.verify(tiny_card)


def test_a_part_torn_anywhere_still_ends_in_the_right_file(store, mirror, trusted, tiny_card, tiny_bytes):
    dice = random.Random(7)
    part = store.path_of(tiny_card).with_suffix(".gguf.part")
    for _ in range(8):
        store.path_of(tiny_card).unlink(missing_ok=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        # A power cut leaves zeros at the end; every other time there were none.
        torn = tiny_bytes[: dice.randrange(len(tiny_bytes))] + bytes(dice.choice((0, 512)))
        part.write_bytes(torn[: len(tiny_bytes)])
        store.receive(tiny_card, Address(mirror.url))
        store.verify(tiny_card)


def test_a_stranger_with_the_right_file_is_refused(store, mirror, tiny_card):
    with pytest.raises(DownloadFailed, match="--from PATH"):
        store.receive(tiny_card, Address(mirror.url, pause_seconds=0))
    assert not store.holds(tiny_card)

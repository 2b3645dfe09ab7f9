"""A self-signed certificate for this machine, new for each start.

boto3 sends an API key (AWS_BEARER_TOKEN_BEDROCK) by HTTPS only, so such a client needs TLS.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAYS = 397  # the longest that Apple's systems accept


def self_signed(host: str, path: Path) -> ssl.SSLContext:
    """Return a TLS context for a host name or address; write its certificate to `path`, as PEM.

    The certificate is valid for localhost and 127.0.0.1, too. The private key is kept nowhere.
    Raises OSError if the file cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local Bedrock")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = list(dict.fromkeys(_name_of(each) for each in ("localhost", "127.0.0.1", "::1", host)))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(pem)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2", "http/1.1"])
    # Python reads a key from a file only. A temporary file can be read by its owner only.
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(secret + pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _name_of(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

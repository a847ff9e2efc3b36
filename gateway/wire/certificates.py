"""Certificates of one's own, for a machine or a trial federation.

A hub makes an authority and a certificate under it when none is given, so that
TLS is on from the first minute. A city makes a self-signed one: the hub checks
its endpoint under the certificates that the enrolment statement names
(``tls_ca_pem``), so that it is as bound to the member as any other. A deployment
brings its own certificates.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

AUTHORITY_DAYS: Final = 3650
"""Ten years: replacing the root of a trial means touching every participant."""

CERTIFICATE_DAYS: Final = 397
"""What browsers and most TLS stacks accept at most (CA/Browser Forum BR 6.3.2)."""

_BACKDATED: Final = timedelta(minutes=5)
"""Clocks of one machine room differ; a certificate must not start in the future."""

_AN_AUTHORITY: Final = x509.BasicConstraints(ca=True, path_length=0)
_SERVES: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, both PEM.

    Attributes:
        certificate_pem: the certificate.
        key_pem: the private key, unencrypted PKCS #8.
    """

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


def make_authority(name: str, *, now: datetime) -> Issued:
    """Make a self-signed certificate authority.

    Args:
        name: common name, at most 64 characters.
        now: the clock.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _begin(key, _name(name), _name(name), now=now, days=AUTHORITY_DAYS)
        .add_extension(_AN_AUTHORITY, critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _issue(builder, key, signer=key)


def issue_certificate(authority: Issued, names: Sequence[str], *, now: datetime) -> Issued:
    """Issue a server certificate.

    Args:
        authority: from :func:`make_authority`.
        names: host names and IP addresses, the first one also as common name.
        now: the clock.

    Raises:
        ValueError: a name cannot stand in a certificate.
    """
    ca_key = serialization.load_pem_private_key(authority.key_pem, password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic-curve key")
    ca = x509.load_pem_x509_certificate(authority.certificate_pem)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _begin(key, _name(names[0]), ca.subject, now=now, days=CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(_SERVES, critical=False)
        .add_extension(_alternative_names(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
    )
    return _issue(builder, key, signer=ca_key)


def self_signed(names: Sequence[str], *, now: datetime) -> Issued:
    """Make a server certificate that is its own authority.

    Args:
        names: host names and IP addresses, at least one; the first 64 characters
            of the first one are also the common name.
        now: the clock.

    Raises:
        ValueError: a name cannot stand in a certificate.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(names[0][:64])
    builder = (
        _begin(key, name, name, now=now, days=CERTIFICATE_DAYS)
        .add_extension(_alternative_names(names), critical=False)
        .add_extension(_AN_AUTHORITY, critical=True)
        .add_extension(_SERVES, critical=False)
    )
    return _issue(builder, key, signer=key)


def _begin(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    issuer: x509.Name,
    *,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _issue(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    *,
    signer: ec.EllipticCurvePrivateKey,
) -> Issued:
    return Issued(
        builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )

"""Who a client is, from the address of its connection."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from ingest.sources.smtp.listener import client_address


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        (IPv6Address("::ffff:192.0.2.7"), "192.0.2.7"),
        (IPv4Address("192.0.2.7"), "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        (None, ""),
        (b"/run/socket", ""),
    ],
)
def test_a_client_has_one_address_however_its_socket_writes_it(host: object, client: str) -> None:
    assert client_address(host) == client

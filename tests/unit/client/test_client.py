"""The client's way to its server: addresses, proxies and certificates as an environment may have them."""

import pytest

from pitboss.client.client import Client
from pitboss.core.errors import InvalidInput, StorageUnavailable

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "localhost",
        "",
        "ftp://server",
        "http://",
        "http://[::1",
        "http://h:1?x=1",
        "http://h:1#f",
    ],
)
def test_an_address_that_is_none_says_what_to_write(url):
    with pytest.raises(InvalidInput) as refused:
        Client(url)
    assert "no address of a server" in str(refused.value)
    assert "http://127.0.0.1:8000" in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_no_proxy_stands_between_a_machine_and_itself(monkeypatch, host, variable):
    monkeypatch.setenv(variable, "http://192.0.2.1:3128")
    with Client(f"http://{host}:9") as client, pytest.raises(StorageUnavailable) as refused:
        client.runs()
    assert f"http://{host}:9" in str(refused.value)
    assert "refused" in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HTTP_PROXY", "bogus://x"), ("HTTPS_PROXY", "::::"), ("ALL_PROXY", "socks5://x"), ("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_FILE", "/etc/passwd")],
)  # fmt: skip
def test_variables_that_cannot_be_used_are_named(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput) as refused:
        Client("https://pitboss.example.com")
    assert variable in str(refused.value)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSLKEYLOGFILE"])
def test_without_tls_no_certificate_is_in_the_way(monkeypatch, variable):
    monkeypatch.setenv(variable, "/nowhere/at/all")
    Client("http://127.0.0.1:9").close()

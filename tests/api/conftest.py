"""A TP that answers what a test tells it to, a clock that a test moves, and clients of both."""

import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
import stamina
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from tests.support.clock import FakeClock, step_clock
from tp_mcp.api.auth import Credentials, IssuedToken, PasswordLogin
from tp_mcp.api.client import TpClient

BASE_URL = "http://tp.example:8000"
PASSWORD = "correct-horse-battery"

Answer = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]


def encoded(payload: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()


def jwt(**claims: Any) -> str:
    return f"{encoded({'alg': 'HS256'})}.{encoded(claims)}.c2lnbmF0dXJl"


def page(
    text: str = "<html><title>Log in</title><form><input type='password'></form></html>", status: int = 200
) -> httpx2.Response:
    return httpx2.Response(status, html=text)


@dataclass
class Tp:
    """Answers each path with what was laid out for it, the last answer again and again; mints tokens by itself."""

    clock: FakeClock
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[httpx2.Request] = field(default_factory=list)
    minted: int = 0

    def on(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)

    def sent(self, path: str) -> list[httpx2.Request]:
        return [request for request in self.requests if request.url.path == path]

    def bodies(self, path: str) -> list[Any]:
        return [json.loads(request.content) for request in self.sent(path)]

    def token(self, expires_at: float | None = None) -> str:
        self.minted += 1
        return jwt(username="demo", exp=expires_at or self.clock.time + 12 * 3600, n=self.minted)

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        laid_out = self.answers.get(request.url.path)
        if laid_out is None and request.url.path == "/token-auth/":
            return httpx2.Response(200, json={"token": self.token()})
        if laid_out is None:
            return httpx2.Response(404, html="<h1>Not found</h1>")
        answer = laid_out.pop(0) if len(laid_out) > 1 else laid_out[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx2.Response):
            # A response can be read once; the same answer may be given again.
            return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return answer(request)


@pytest.fixture
def clock() -> FakeClock:
    return step_clock()


@pytest.fixture
def tp(clock: FakeClock) -> Tp:
    return Tp(clock)


@pytest.fixture
def login() -> PasswordLogin:
    return PasswordLogin("demo", SecretStr(PASSWORD))


@pytest.fixture
def make_client(tp: Tp, clock: FakeClock) -> Callable[[Credentials], TpClient]:
    def make(credentials: Credentials) -> TpClient:
        return TpClient.at(
            base_url=BASE_URL, credentials=credentials, clock=clock, transport=httpx2.MockTransport(tp.handle)
        )

    return make


@pytest.fixture
async def client(make_client: Callable[[Credentials], TpClient], login: PasswordLogin) -> AsyncIterator[TpClient]:
    async with make_client(login) as entered:
        yield entered


@pytest.fixture
def make_token() -> Callable[..., IssuedToken]:
    return lambda **claims: IssuedToken(SecretStr(jwt(**claims)))


@pytest.fixture
def login_page() -> httpx2.Response:
    return page()


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries keep their number but do not wait."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that no authority signed, and its key."""
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "tp.crt").write_bytes(signed.public_bytes(pem))
    (directory / "tp.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory / "tp.crt", directory / "tp.key"


@pytest.fixture
def self_signed(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate[0])

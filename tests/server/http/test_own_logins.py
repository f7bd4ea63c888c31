"""Over HTTP each user acts on TP with a login of their own: passed in with a request, or kept for them."""

import base64
import logging
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import JsonValue, SecretStr

from tests.server.conftest import Chat
from tests.server.http.conftest import Served, served_over_http
from tests.support.process import LAB, hosted
from tests.support.world import World, open_world
from tp_mcp.access.access_tokens import Tokens
from tp_mcp.api.auth import Credentials, NoLogin, PasswordLogin
from tp_mcp.server.auth.authentication import Authentication, Verifier, authenticated
from tp_mcp.server.identity import HttpIdentity
from tp_mcp.watch.model.watch import Owner

pytestmark = pytest.mark.slow


KEY = base64.b64encode(os.urandom(32)).decode()
NOBODY = NoLogin("No service account is configured.", "None is needed.")
SERVICE = PasswordLogin("demo", SecretStr("demo-password"))
HERS, HIS = "AT33_New_NAC", "AT40_Rival_NAC"
TEST = "Tests_CLI/test_poe.py"


@dataclass
class Team:
    """A server that alice and bob share; on TP they are demo and rival."""

    served: Served
    tokens: dict[str, str]

    @property
    def world(self) -> World:
        return self.served.world

    @asynccontextmanager
    async def chat(self, user: str, tp_token: str | None = None) -> AsyncIterator[Chat]:
        headers = {"Authorization": f"Bearer {self.tokens[user]}"} | ({"X-TP-Token": tp_token} if tp_token else {})
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(self.served.url, http_client=http)) as client,
        ):
            yield Chat(self.world, client)

    async def keep(self, user: str, tp_user: str, password: str | None = None) -> None:
        login = PasswordLogin(tp_user, SecretStr(password or f"{tp_user}-password"))
        await self.world.vault.put(f"token:{user}", login)

    async def tp_token(self, tp_user: str) -> str:
        transport = httpx2.ASGITransport(app=self.world.simulator.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://tp.example:8000") as client:
            login = {"username": tp_user, "password": f"{tp_user}-password"}
            answer = await client.post("/token-auth/", json=login)
        return str(answer.json()["token"])

    @property
    def asked_by(self) -> list[tuple[str, str]]:
        """Return who asked for what change of which lab, as TP recorded it."""
        return [(each.user, each.lab) for each in self.world.simulator.state.record.accepted]


Opens = Callable[..., AbstractAsyncContextManager[Team]]


@pytest.fixture
def opens(tmp_path: Path, tree: JsonValue) -> Opens:
    @asynccontextmanager
    async def opened(service_account: Credentials = NOBODY, key: str = KEY, **settings: object) -> AsyncIterator[Team]:
        given = {"tree": tree, "credentials": service_account, "encryption_key": SecretStr(key), **settings}
        async with hosted(open_world(tmp_path, own_logins=True, **given)) as world:  # type: ignore[arg-type] # any
            access = world.services.access.tokens

            async def tokens() -> Tokens:
                return access

            handed = {
                user: (await access.add(os.urandom(4).hex(), user, days=None)).get_secret_value()
                for user in ("alice", "bob")
            }
            authentication = Authentication(Verifier(tokens=tokens), "https://tp-mcp.example/mcp")
            identity = HttpIdentity(principal_of=authenticated)
            async with served_over_http(world, identity, authentication=authentication) as served:
                yield Team(served, handed)

    return opened


@pytest.fixture
async def team(opens: Opens) -> AsyncIterator[Team]:
    async with hosted(opens()) as opened:
        yield opened


async def test_tp_sees_who_asked_and_the_labs_are_their_own(team: Team) -> None:
    await team.keep("alice", "demo")
    await team.keep("bob", "rival")
    async with team.chat("alice") as hers, team.chat("bob") as his:
        assert HERS in (labs := await hers.call("list_labs"))
        assert HIS not in labs
        assert HIS in (labs := await his.call("list_labs"))
        assert HERS not in labs
        await hers.call("run_pytest", lab=LAB, testcase=[TEST])
        await his.call("run_pytest", lab=HIS, testcase=[TEST])
        assert team.asked_by == [("demo", LAB), ("rival", HIS)]
        assert "not a lab you may use" in await his.refused("run_pytest", lab=HERS, testcase=[TEST])
        assert "not a lab you may use" in await hers.refused(
            "start_upgrade", testbed=HIS, mode="build", build_number="6957"
        )
    assert len(team.asked_by) == 2


async def test_a_token_in_the_header_serves_its_request_alone(opens: Opens) -> None:
    async with opens(SERVICE) as team:
        token = await team.tp_token("rival")
        async with team.chat("bob", token) as passing, team.chat("bob") as without:
            assert HIS in await passing.call("list_labs")
            refused = await without.refused("list_labs")
            assert "not known how to log in to TP as token:bob" in refused
            assert "X-TP-Token" in refused
            assert "tp-mcp credentials set --user token:bob" in refused
            await passing.call("run_pytest", lab=HIS, testcase=[TEST])
        assert team.asked_by == [("rival", HIS)]


async def test_the_header_outranks_what_is_kept(team: Team) -> None:
    await team.keep("bob", "rival")
    async with team.chat("bob", await team.tp_token("demo")) as chat:
        assert HERS in await chat.call("list_labs")


@pytest.mark.parametrize("token", ["two words", "opaque", "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VybmFtZSI6ImRlbW8ifQ.forged"])
async def test_a_header_that_is_no_good_says_so_and_nothing_of_itself(team: Team, token: str) -> None:
    await team.keep("alice", "demo")
    async with team.chat("alice", token) as chat:
        refused = await chat.refused("list_labs")
    assert "X-TP-Token" in refused
    assert token not in refused
    assert "TP_MCP_TOKEN" not in refused


async def test_without_a_login_what_asks_tp_nothing_works_all_the_same(team: Team) -> None:
    async with team.chat("alice") as chat:
        assert "no watch" in (await chat.call("list_watches")).lower()
    assert team.world.asked == []


async def test_without_a_service_account_a_passed_token_starts_nothing_that_is_watched(team: Team) -> None:
    async with team.chat("alice", await team.tp_token("demo")) as chat:
        for refused in (
            await chat.refused("run_pytest", lab=LAB, testcase=[TEST]),
            await chat.refused("start_upgrade", testbed=LAB, mode="build", build_number="6957"),
            await chat.refused("start_watch", tool="get_upgrade", args={"testbed": LAB}),
        ):
            assert "your TP token came with this request alone and is not kept. Nothing was sent." in refused
            assert "tp-mcp credentials set --user token:alice" in refused
    assert team.world.asked == []


async def test_with_one_it_starts_but_nothing_may_follow_and_no_list_of_labs_is_polled(opens: Opens) -> None:
    async with opens(SERVICE) as team, team.chat("bob", await team.tp_token("rival")) as chat:
        follow = {"tool": "run_pytest", "args": {"lab": HIS, "testcase": [TEST]}}
        refused = await chat.refused("start_upgrade", testbed=HIS, mode="build", build_number="6957", on_done=follow)
        assert "Nobody could start what is to follow" in refused
        condition = {"path": "[0].status", "equals": "Available"}
        refused = await chat.refused("start_watch", tool="list_labs", done_match=condition)
        assert "list_labs answers for one user" in refused
        assert team.world.asked == []
        await chat.call("start_upgrade", testbed=HIS, mode="build", build_number="6957", on_done={"message": "done"})
        assert team.asked_by == [("rival", HIS)]


async def test_what_follows_is_started_with_the_kept_login_of_its_principal(opens: Opens) -> None:
    async with opens(SERVICE) as team:
        await team.keep("bob", "rival")
        follow = {"tool": "run_pytest", "args": {"lab": LAB, "testcase": [TEST]}}
        async with team.chat("bob", await team.tp_token("rival")) as chat:
            await chat.call("start_upgrade", testbed=LAB, mode="build", build_number="6957", on_done=follow)
            await team.world.advance(4000)
        assert team.asked_by == [("rival", LAB), ("rival", LAB)]


async def test_one_poll_serves_all_with_a_service_account_and_else_each_polls_as_themselves(opens: Opens) -> None:
    for service_account, polls in ((SERVICE, 1), (NOBODY, 2)):
        async with opens(service_account) as team:
            await team.keep("alice", "demo")
            await team.keep("bob", "rival")
            async with team.chat("alice") as hers, team.chat("bob") as his:
                for chat in (hers, his):
                    await chat.call("start_watch", tool="get_upgrade", args={"testbed": LAB})
                await team.world.advance(40)
                before = team.world.asked.count("get_upgrade")
                await team.world.advance(60)
                watch, *_ = await team.world.services.watches.registry.list(ALICE, all_conversations=True)
                rounds = 60 / watch.spec.interval_seconds
                assert team.world.asked.count("get_upgrade") - before == pytest.approx(polls * rounds, abs=polls)
                for chat in (hers, his):
                    watch_id = re.findall(r"w_\w{8}", await chat.call("list_watches"))[0]
                    await chat.call("cancel_watch", watch_id=watch_id)


async def test_one_principals_wrong_login_leaves_the_others_watches_alone(team: Team) -> None:
    await team.keep("alice", "demo")
    await team.keep("bob", "rival")
    async with team.chat("alice") as hers, team.chat("bob") as his:
        started = await hers.call("run_pytest", lab=LAB, testcase=[TEST])
        await his.call("run_pytest", lab=HIS, testcase=[TEST])
        await team.keep("bob", "rival", "changed-meanwhile")
        for each in team.world.simulator.state.record.accepted:
            assert each.exec_id is not None
            await team.world.run_to_its_end(each.exec_id)
        ended = await hers.call("wait_for_watch", watch_id=started[1:11], max_wait_seconds=0)
        assert "Done" in ended or "passed" in ended
        stands = await his.call("list_watches")
        assert "rejected the user name and password" in await his.refused("list_labs")
        assert re.search(r"w_\w{8}", stands)
        await team.keep("bob", "rival")
        await team.world.advance(600)
        (his_watch,) = await team.world.services.watches.registry.list(BOB, all_conversations=True)
        assert his_watch.state.ended
        assert his_watch.outcome is not None


async def test_after_a_restart_polls_go_on_with_the_kept_login(opens: Opens) -> None:
    async with opens() as team:
        await team.keep("bob", "rival")
        async with team.chat("bob") as chat:
            await chat.call("start_watch", tool="get_upgrade", args={"testbed": HIS})
    async with opens() as team:
        await team.world.advance(60)
        assert "get_upgrade" in team.world.asked
        (watch,) = await team.world.services.watches.registry.list(BOB, all_conversations=True)
        assert watch.polls > 0


async def test_another_key_is_said_and_the_watch_waits_for_the_right_one(opens: Opens) -> None:
    async with opens() as team:
        await team.keep("bob", "rival")
        async with team.chat("bob") as chat:
            await chat.call("start_watch", tool="get_upgrade", args={"testbed": HIS})
    other = base64.b64encode(os.urandom(32)).decode()
    async with opens(key=other) as team:
        await team.world.advance(60)
        assert team.world.asked == []
        async with team.chat("bob") as chat:
            refused = await chat.refused("list_labs")
        assert "cannot be decrypted" in refused
        (watch,) = await team.world.services.watches.registry.list(BOB, all_conversations=True)
        assert not watch.state.ended
    async with opens(key=f"{other},{KEY}") as team:
        await team.world.advance(60)
        assert "get_upgrade" in team.world.asked


async def test_what_is_removed_serves_no_longer(team: Team) -> None:
    await team.keep("alice", "demo")
    async with team.chat("alice") as chat:
        await chat.call("list_labs")
        await team.world.vault.remove("token:alice")
        assert "not known how to log in" in await chat.refused("list_labs")


async def test_the_service_account_changes_nothing(opens: Opens) -> None:
    async with opens(SERVICE) as team:
        said = await team.world.refused("lock_lab", owner=ALICE, lab=LAB)
    assert "may only read" in said
    assert team.world.written == []


@pytest.mark.parametrize("service_account", [NOBODY, SERVICE], ids=["none", "service account"])
async def test_it_is_ready_with_and_without_a_service_account(opens: Opens, service_account: Credentials) -> None:
    async with opens(service_account) as team, httpx2.AsyncClient() as client:
        ready = await client.get(team.served.url.replace("/mcp", "/readyz"))
    assert ready.status_code == 200
    assert ready.json()["tp"].startswith("answers" if service_account is SERVICE else "not asked")


async def test_the_password_of_a_command_is_known_after_its_call_and_to_every_principal(opens: Opens) -> None:
    password = "Hunter2Secret"
    command = f"execute restore image scp /builds/fsw/6957/image.out 10.1.1.1 builder {password}"
    async with opens(SERVICE) as team:
        await team.keep("bob", "rival")
        async with team.chat("alice", await team.tp_token("demo")) as hers, team.chat("bob") as his:
            await hers.call("start_upgrade", testbed=LAB, mode="command", command=command)
            for _ in range(6):
                await team.world.advance(16)
                assert password not in await his.call("get_upgrade", testbed=LAB)
                assert password not in await hers.call("get_upgrade", testbed=LAB)
        shown = await team.world.services.tp.client.get_upgrade(LAB)
        assert password in shown.per_device[0].log_tail
        assert password in [each.get_secret_value() for each in team.world.services.tp.client.secrets]


async def test_no_secret_is_in_any_file_log_or_answer(
    opens: Opens, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    async with opens(SERVICE) as team:
        passed = await team.tp_token("demo")
        await team.keep("bob", "rival")
        async with team.chat("alice", passed) as hers, team.chat("bob") as his:
            said.append(await hers.call("run_pytest", lab=LAB, testcase=[TEST]))
            said.append(await his.call("run_pytest", lab=HIS, testcase=[TEST]))
            said.append(await his.refused("run_pytest", lab=HERS, testcase=[TEST]))
            await team.world.advance(60)
            said.append(await hers.call("list_watches"))
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for secret in (passed, "rival-password", KEY):
        assert not any(secret.encode() in content for content in files)
        assert secret not in caplog.text
        assert secret not in "".join(said)


ALICE, BOB = (Owner(f"token:{user}", "http", exact=False) for user in ("alice", "bob"))

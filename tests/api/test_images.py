import pytest
from pydantic import SecretStr

from tp_mcp.api.guard import RestoreCommand, guard_image
from tp_mcp.errors import UnsafeArgumentError


def command(path: str = "/builds/6957/image.out", host: str = "Images.example") -> RestoreCommand:
    return RestoreCommand(path, host, "builder", SecretStr("secret-word"))


def test_without_a_host_configured_no_command_is_let_through_and_the_way_is_said() -> None:
    with pytest.raises(UnsafeArgumentError, match="no image hosts are configured") as refused:
        guard_image(command(), hosts=(), paths=("/builds",))
    assert "TP_MCP_IMAGE_HOSTS" in refused.value.remedy


def test_an_allowed_host_may_be_written_in_any_case_and_any_directory_will_do() -> None:
    guard_image(command(), hosts=("10.1.1.1", "images.EXAMPLE"), paths=())


@pytest.mark.parametrize("host", ["images.example.evil", "evil", "10.1.1.10"])
def test_another_host_is_refused_with_those_that_are_allowed(host: str) -> None:
    with pytest.raises(UnsafeArgumentError, match=host) as refused:
        guard_image(command(host=host), hosts=("images.example", "10.1.1.1"), paths=())
    assert "images.example, 10.1.1.1" in refused.value.remedy
    assert "secret-word" not in str(refused.value)


@pytest.mark.parametrize("prefix", ["/builds", "/builds/", "/builds/6957"])
def test_a_directory_allows_what_is_below_it(prefix: str) -> None:
    guard_image(command(), hosts=("images.example",), paths=("/other", prefix))


@pytest.mark.parametrize("path", ["/builds-evil/image.out", "/builds", "/tmp/builds/image.out"])
def test_what_only_begins_like_a_directory_is_not_in_it(path: str) -> None:
    with pytest.raises(UnsafeArgumentError, match="not in an allowed directory") as refused:
        guard_image(command(path), hosts=("images.example",), paths=("/builds",))
    assert "/builds (TP_MCP_IMAGE_PATHS)" in refused.value.remedy

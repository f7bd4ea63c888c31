"""Signatures that a receiver can verify with any library of the scheme."""

from pydantic import SecretStr

from tp_mcp.webhooks.courier import signed_headers


def test_a_signature_is_the_one_that_the_schemes_own_example_gives() -> None:
    # From https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md and its libraries.
    headers = signed_headers(
        SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        '{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_secret_that_only_looks_encoded_is_taken_as_it_is() -> None:
    looks = signed_headers(SecretStr("whsec_this is not base64"), "evt_1", 1, "{}")
    assert looks != signed_headers(SecretStr("this is not base64"), "evt_1", 1, "{}")


def test_what_is_signed_is_id_timestamp_and_body() -> None:
    secret = SecretStr("a-secret-of-enough-letters")
    signatures = {
        signed_headers(secret, *signed)["webhook-signature"]
        for signed in [("evt_1", 1, "{}"), ("evt_2", 1, "{}"), ("evt_1", 2, "{}"), ("evt_1", 1, "{ }")]
    }
    assert len(signatures) == 4

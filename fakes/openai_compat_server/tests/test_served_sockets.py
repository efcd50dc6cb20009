"""Goal: a fake for the length of a block is what the fixture is, and held to its script as well.

Method: blocks on real ports, and httpx as the client.
"""

import httpx
import pytest

from fakes.openai_compat_server import Behaviour, Tls, serving
from fakes.openai_compat_server.tests.plugin_suites import ASK


def test_servers_side_by_side_do_not_meet() -> None:
    # As the processes of one run have them: ports are the system's, and nobody has to agree.
    with serving(Behaviour()) as one, serving(Behaviour()) as other:
        assert one.base_url != other.base_url
        one.play("status-429", strict=False)
        statuses = [httpx.get(it.base_url + "/models").status_code for it in (one, other)]
        assert statuses == [200, 200]
        assert httpx.post(other.base_url + "/chat/completions", json=ASK).status_code == 200
        assert httpx.post(one.base_url + "/chat/completions", json=ASK).status_code == 429
        assert [len(it.requests) for it in (one, other)] == [2, 2]


def test_a_block_that_serves_is_held_to_its_script() -> None:
    with (
        pytest.raises(AssertionError, match="never asked for: rule 1: ok"),
        serving(Behaviour()) as fake,
    ):
        fake.play("ok")
    with pytest.raises(KeyError), serving(Behaviour()) as fake:
        fake.play("ok")
        raise KeyError
    with serving(Behaviour()) as fake:
        fake.play("ok")
        assert httpx.post(fake.base_url + "/chat/completions", json=ASK).status_code == 200


def test_a_block_serves_tls_and_what_befalls_connections() -> None:
    tls = Tls()
    with (
        serving(Behaviour(scenario="tls-wrong-host"), tls) as fake,
        pytest.raises(httpx.ConnectError, match="certificate is not valid for"),
    ):
        httpx.get(fake.base_url + "/models", verify=fake.trust())
    with serving(Behaviour(scenario="refused")) as fake, pytest.raises(httpx.ConnectError):
        httpx.get(fake.base_url + "/models")

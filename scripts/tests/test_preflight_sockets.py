"""Preflight against ports that are really taken."""

import socket

from scripts.preflight import listen_problems


def test_port_in_use_is_named_with_its_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (line,) = listen_problems("BFF_PORT", "BFF_HOST", "127.0.0.1", port)
    assert line == (
        f"port {port} (BFF_PORT) is in use: stop what listens there, "
        "or set BFF_PORT in the environment or in .env.local"
    )
    assert listen_problems("BFF_PORT", "BFF_HOST", "127.0.0.1", port) == []


def test_host_that_is_not_here_is_named() -> None:
    (line,) = listen_problems("BFF_PORT", "BFF_HOST", "192.0.2.1", 8088)
    assert line.startswith("cannot listen on 192.0.2.1:8088 (BFF_HOST, BFF_PORT): ")

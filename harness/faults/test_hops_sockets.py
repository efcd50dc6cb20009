"""Goal: whatever befalls a connection between two programs, the client gets its row's code.

Method: every row of `harness.hop_faults`, in both modes, performed by a relay before QS and before
LLMGW: RST by each hop, a cut, silence, a port on which nobody listens, a queue of connections that
is full, and strangers on the port. Then the same chain must serve without the fault. A name that
does not resolve needs no relay.
"""

from typing import Final

import pytest
import trio

from harness.faults.chain import GRACE_S, make_whole, otherwise, serves, words
from harness.faults.relay import Relays, open_relays
from harness.hop_faults import FAULTS, HopFault, Lost, Refused
from harness.stack import Stack

# The client's own limit for these calls, so that silence is soon over.
WITHIN_MS: Final = 3_000
# A name of 304 characters: the resolver refuses it without asking anybody.
NO_NAME: Final = "http://" + ".".join(["x" * 60] * 5) + ":80"


@pytest.mark.parametrize("host", ["qs", "llmgw"])
@pytest.mark.parametrize("row", FAULTS.values(), ids=lambda row: row.name)
async def test_fault_of_a_connection_ends_as_its_row_demands(
    row: HopFault, host: str, relayed: Stack, relays: Relays
) -> None:
    async with open_relays(relayed, relays, {host: row.what}) as opened:
        with trio.fail_after(WITHIN_MS / 1000 + GRACE_S):
            found = await words(relayed["bff"].port, within_ms=WITHIN_MS)
    assert found == (row.ends.of(True), row.ends.of(False))
    assert opened[host].befell or isinstance(row.what, Refused | Lost)
    async with open_relays(relayed, relays):
        await serves(relayed)


@pytest.mark.parametrize(
    ("program", "url", "code"),
    [
        ("bff", "BFF_QS_URL", "HOP_UNREACHABLE"),
        ("qs", "QS_LLM_URL", "HOP_UNREACHABLE"),
        ("llmgw", "LLM_BASE_URL", "PROVIDER_UNREACHABLE"),
    ],
)
async def test_name_that_does_not_resolve_is_an_address_that_is_not_reached(
    program: str, url: str, code: str, stack: Stack
) -> None:
    with otherwise(stack, program, {url: NO_NAME}):
        assert await words(stack["bff"].port) == (code, code)
    make_whole(stack)
    await serves(stack)

"""Our own connections' packets say what python-socketio's packets say."""

import json
from typing import Any

import pytest
from socketio import packet

from rasa_handoff.guard.text_packets import TextPacket

VALUES: list[Any] = [
    ["message", {"text": "Molo, uë 😀", "at": 1764262800.25, "agent": None, "ok": True, "slots": {"a": [1, 2.5, "x"]}}],
    ["message", {"text": "half \ud83d", "\udc00": 1}],
    ["message", {None: 1, 2: "two", True: 3}],
    ["message", ("a", "tuple"), [], {}, ""],
    ["message", 2**70, -1, 1e300],
    ["message", json.loads("[" * 90 + "]" * 90)],
]


def both(value: Any, kind: int = packet.EVENT) -> tuple[str, str]:
    theirs, ours = (made(kind, value, "/relay", 7).encode() for made in (packet.Packet, TextPacket))
    return theirs, ours


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("kind", [packet.EVENT, packet.ACK])
def test_what_is_sent_is_read_by_the_library_as_its_own(value: Any, kind: int) -> None:
    theirs, ours = both(value, kind)
    read = [packet.Packet(encoded_packet=one) for one in (theirs, ours)]
    assert read[0].data == read[1].data
    assert (read[0].packet_type, read[0].namespace, read[0].id) == (read[1].packet_type, read[1].namespace, read[1].id)


@pytest.mark.parametrize("value", VALUES)
def test_what_the_library_sends_is_read_as_the_library_reads_it(value: Any) -> None:
    theirs, _ = both(value)
    assert TextPacket(encoded_packet=theirs).data == packet.Packet(encoded_packet=theirs).data


@pytest.mark.parametrize("text", ["2{", '2["a",', "2[1,]", "2" + "[" * 100_000])
def test_what_is_no_json_is_refused_as_by_the_library(text: str) -> None:
    for made in (packet.Packet, TextPacket):
        with pytest.raises((ValueError, RecursionError)):
            made(encoded_packet=text)


def test_what_json_has_not_is_an_error_and_nothing_is_binary() -> None:
    with pytest.raises(TypeError):
        TextPacket(packet.EVENT, ["message", object()]).encode()
    assert TextPacket(packet.EVENT, ["message", "text"]).packet_type == packet.EVENT

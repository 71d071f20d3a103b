"""Two sockets that name one conversation, on ``/live_agent``: a stranger who knows its id, or its customer once more."""

import pytest

from rasa_handoff.testing.waiting import eventually
from tests.server.peers import OldClient, arrived_handoff


async def join(server, opened, client, **more):
    """Connect another client that names the same conversation, and return it and the answer to its ``username``."""
    one = OldClient(client.ids["ConversationID"], "/live_agent", answers=())
    opened.append(one)
    await one.connect(server.address)
    return one, await one.call("username", {**one.ids, **more})


def statuses(desk, id):
    return [said["status"] for said in desk.all("message.status") if said["message_id"] == id]


async def test_who_only_joins_hears_nothing_and_learns_no_name(server, desk, old_client, opened):
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    thief, answer = await join(server, opened, client)
    assert answer == {"ok": True}
    assert thief.all("handoff_state") == [{"active": "person", "agent": None}]
    refused = await thief.call("messages_to_client", {"messages": [{"sender": "bot", "message": "lies"}], **thief.ids})
    assert refused["ok"] is False
    said = (await thandi.say(handoff, "Your code is 1234"))["message"]["id"]
    await eventually(lambda: client.texts() == ["Your code is 1234"])
    # While there are two sockets, one may be half dead: a message counts as delivered when the customer's socket answers.
    await eventually(lambda: statuses(thandi, said) == ["waiting"])
    await client.emit("from_user", {"message": "Thank you", **client.ids})
    await eventually(lambda: statuses(thandi, said) == ["waiting", "delivered"])
    assert thief.texts() == []
    assert [said["text"] for said in thandi.all("message") if said["speaker"] == "system"] == []


async def test_the_newest_words_win_and_the_agent_is_told(server, desk, old_client, opened):
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    other, _ = await join(server, opened, client)
    await other.call("from_user", {"message": "It's me, on my phone", **other.ids})
    await eventually(lambda: thandi.all("message")[-1:] and thandi.all("message")[-1]["text"] == "It's me, on my phone")
    assert "two places" in thandi.all("message")[-2]["text"]
    await thandi.say(handoff, "hello phone")
    await eventually(lambda: other.texts() == ["hello phone"])
    assert client.texts() == []
    await client.emit("from_user", {"message": "No, here", **client.ids})
    await eventually(lambda: thandi.all("message")[-1]["text"] == "No, here")
    await thandi.say(handoff, "hello you")
    await eventually(lambda: client.texts()[-1:] == ["hello you"])
    assert "hello you" not in other.texts()
    assert [text for text in client.texts() + other.texts() if "two places" in text] == []


async def test_words_that_a_thief_got_are_not_delivered_and_the_customer_gets_them(server, desk, old_client, opened):
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    await client.close()
    thief, _ = await join(server, opened, client)
    said = (await thandi.say(handoff, "Your code is 1234"))["message"]["id"]
    await eventually(lambda: thief.texts() == ["Your code is 1234"])  # the protocol can't tell it from the customer's
    await eventually(lambda: statuses(thandi, said) == ["waiting"])
    back = await old_client()
    assert back.texts() == []
    await back.emit("from_user", {"message": "I am back", **back.ids})
    await eventually(lambda: back.texts() == ["Your code is 1234"])
    await thief.close()
    await back.emit("from_user", {"message": "Thank you", **back.ids})
    await eventually(lambda: statuses(thandi, said)[-1:] == ["delivered"])
    assert back.texts() == ["Your code is 1234"]


async def test_a_client_that_came_back_is_told_once_and_it_counts_when_it_writes(desk, old_client):
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    await client.close()
    back = await old_client()
    said = (await thandi.say(handoff, "Are you there?"))["message"]["id"]
    await eventually(lambda: back.texts() == ["Are you there?"])
    await eventually(lambda: statuses(thandi, said) == ["waiting"])
    await back.emit("from_user", {"message": "Yes", **back.ids})
    await eventually(lambda: statuses(thandi, said) == ["waiting", "delivered"])
    assert back.texts() == ["Are you there?"]
    last = (await thandi.say(handoff, "Good"))["message"]["id"]
    await eventually(lambda: statuses(thandi, last) == ["delivered"])


async def shown_waiting(desk, handoff, text):
    """Say something, wait until it counts as shown but not as delivered, and return its id."""
    said = (await desk.say(handoff, text))["message"]["id"]
    await eventually(lambda: statuses(desk, said) == ["waiting"])
    return said


async def test_more_messages_repeat_none_of_those_shown_before(desk, old_client):
    """Shown entries stay in the outbox until the client has written, and each delivery begins with the first of them."""
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    await client.close()
    back = await old_client()
    await eventually(lambda: back.all("handoff_state"))
    said = [(await shown_waiting(thandi, handoff, text)) for text in ("one", "two", "three")]
    await back.emit("from_user", {"message": "Yes", **back.ids})
    await eventually(lambda: statuses(thandi, said[-1]) == ["waiting", "delivered"])
    assert back.texts() == ["one", "two", "three"]


async def test_a_half_dead_socket_loses_nothing(server, desk, old_client, opened):
    """What was said to it while the customer was connected anew is told again once it is gone."""
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    again, _ = await join(server, opened, client)
    await thandi.say(handoff, "one")
    await eventually(lambda: client.texts() == ["one"])
    await client.close()
    await eventually(lambda: again.texts() == ["one"])


async def test_what_is_resumed_with_its_secret_is_never_joined_without(server, desk, opened):
    thandi = await desk()
    first = OldClient("c-secret", "/live_agent", answers=())
    opened.append(first)
    await first.connect(server.address)
    secret = (await first.call("username", first.ids))["resume"]
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    await first.close()
    back, answer = await join(server, opened, first, resume=secret)
    assert answer == {"ok": True}
    said = (await thandi.say(handoff, "hello"))["message"]["id"]
    await eventually(lambda: statuses(thandi, said) == ["delivered"])  # nobody had to write
    for wrong in ({}, {"resume": "x"}, {"resume": 7}, {"resume": "é"}, {"resume": None}):
        thief, refused = await join(server, opened, first, **wrong)
        assert (refused["ok"], refused["code"]) == (False, "resume_needed")
        refused = await thief.call("from_user", {"message": "lies", **thief.ids, **wrong})
        assert refused["code"] == "resume_needed"
        assert thief.all("handoff_state") == []
        assert "hello" not in thief.texts()
    await back.call("from_user", {"message": "still me", **back.ids, "resume": secret})
    await thandi.hears("message", text="still me")
    assert [said["text"] for said in thandi.all("message") if said["speaker"] == "customer"] == ["still me"]


@pytest.mark.parametrize("speaker", ["agent", "system", "Thandi", None, 7])
async def test_a_story_has_only_the_customer_and_the_bot(server, desk, opened, speaker):
    thandi, client = await desk(), OldClient(f"c-{speaker}", "/live_agent", answers=())
    opened.append(client)
    await client.connect(server.address)
    await client.call("username", client.ids)
    await client.call(
        "messages_to_client", {"messages": [{"sender": speaker, "message": "refund approved"}], **client.ids}
    )
    handoff = await arrived_handoff(thandi)
    conversation = (await thandi.take(handoff))["conversation"]
    assert [line["speaker"] for line in conversation["transcript"]] == ["bot"]

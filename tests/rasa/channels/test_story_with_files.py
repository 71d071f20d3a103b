"""One story on each of Rasa's channels, and on one of a project's own: a photo to the agent, a file and buttons to the customer,
a restart of Rasa in the middle, and back to the bot."""

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels import channel_customers as on
from tests.rasa.channels.conftest import all_channels
from tests.rasa.channels.talking import resolve, take
from tests.rasa.channels.test_customer_media import PDF, added, from_desk, said_by_customer, uploaded
from tests.rasa.channels.test_vendor_messages import request_of
from tests.rasa.channels.vendor_samples import SAMPLES, Sample
from tests.rasa.channels.vendors import Vendors
from tests.support.photos import photo

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(180)]

PUBLIC = "https://bot.example.org/rasa"
OWN = "tests.rasa.channels.own_channels.CounterInput"
ADDRESS = re.compile(r"/webhooks/\w+/handoff/media/[\w-]+\?expires=\d+&signature=[\w-]+")
PHOTO = photo((64, 48), orientation=6)
VENDORS_PHOTOS = [
    "telegram photo",
    "slack file",
    "facebook picture",
    "twilio picture with words",
    "botframework picture",
    "mattermost file with words",
    "rocketchat file",
    "webexteams file",
    "hangouts file",
]
"""The samples of vendors' requests that bring a photo."""


class OnCounter(on.OnRest):
    """A customer of a channel by dotted path."""

    channel = "counter"


class OnPage(on.Customer):
    """A customer with a page on socketio."""

    channel = "socketio"
    page: ScriptedCustomer

    async def open(self, rasa: RasaServer) -> None:
        """Open the page, again after a restart."""
        self.page = ScriptedCustomer(rasa.url, self.id, acks=True)
        await self.page.__aenter__()

    async def send(self, text: str) -> None:
        await self.page.say_with_id(text)

    def raw(self) -> str:
        return str(self.page.messages)


class Person:
    """A customer in the story. ``sample``: the vendor's request that brings a photo. ``adds``: their page adds it itself."""

    def __init__(self, customer: on.Customer, sample: Sample | None, adds: bool) -> None:
        self.customer, self._sample, self._adds = customer, sample, adds
        self.handoff = ""

    @property
    def has_a_camera(self) -> bool:
        """Whether a photo can be had from this channel. Google Chat's are only for people who are signed in there."""
        return self._adds or (self._sample is not None and not isinstance(self.customer, on.OnHangouts))

    async def send_photo(self, rasa: RasaServer) -> None:
        """Send the photo as the vendor or the page does."""
        if self._sample is not None:
            await self.customer.call(request_of(self._sample, self.customer))
        elif self._adds:
            _, answer = await added(rasa, self.customer.id, PHOTO, "dent.jpg", channel=self.customer.channel)
            await self._name(rasa, answer["media"]["id"])

    async def _name(self, rasa: RasaServer, id: str) -> None:
        said = {"message": "Look", "metadata": {"handoff_media": [id]}}
        if isinstance(self.customer, OnPage):
            body = {**said, "session_id": self.customer.id, "id": uuid.uuid4().hex}
            assert await self.customer.page.call("user_uttered", body) == {"ok": True}
            return
        address = f"{rasa.url}/webhooks/{self.customer.channel}/webhook"
        async with rasa.http.post(address, json={**said, "sender": self.customer.id}) as answer:
            assert answer.status == 200

    async def looks(self) -> None:
        """Fetch what waits, on a channel that can't push."""
        if isinstance(self.customer, on.Fetching):
            await self.customer.say("and?")


ADD_THEMSELVES = (on.OnCallback, on.OnRest, OnCounter, OnPage)
WORDS_ALONE = (on.OnRasa, on.OnTwilioVoice)
"""Rasa's own chat and a telephone have no pictures."""


@pytest.fixture
def people(rasa: RasaServer, vendors: Vendors) -> list[Person]:
    """A customer on each channel."""
    by_name = {sample.name: sample for sample in SAMPLES}

    def person(kind: type[on.Customer], sample: Sample | None = None) -> Person:
        number = uuid.uuid4().int % 10**9
        return Person(kind(rasa, vendors, str(number), f"{kind.channel}-{number}"), sample, kind in ADD_THEMSELVES)

    by_vendors = [person(by_name[name].kind, by_name[name]) for name in VENDORS_PHOTOS]
    return by_vendors + [person(kind) for kind in (*ADD_THEMSELVES, *WORDS_ALONE)]


def test_the_story_is_told_on_every_channel(people: list[Person], vendors: Vendors) -> None:
    assert {one.customer.channel for one in people} == {*all_channels(vendors), "counter"}


async def test_photo_file_and_buttons_on_every_channel_with_a_restart_in_the_middle(
    serve: Callable[..., RasaServer],
    vendors: Vendors,
    desk: DeskServer,
    thandi: ScriptedAgent,
    people: list[Person],
    tmp_path: Path,
) -> None:
    channels = {**all_channels(vendors), OWN: None}

    def server() -> RasaServer:
        made = serve(channels, folder=tmp_path, bot_id="story")
        made.credentials["rasa_handoff.HandoffChannel"]["public_url"] = PUBLIC
        return made

    async with server() as rasa:
        await begin(rasa, people)
        await hold_files_back(rasa)
        for one in people:
            await one.customer.say("Good day") if not isinstance(one.customer, on.Fetching) else None
            one.handoff = await hand_over(rasa, thandi, one)
        for one in people:
            await one.send_photo(rasa)
            await offer_file_and_choice(desk, thandi, one)
        await leave(people)
    async with server() as rasa:
        await begin(rasa, people)
        for one in people:
            if one.has_a_camera:
                await sees_photo(desk, thandi, one)
            await gets_file_and_choice(rasa, one)
            await one.customer.say("Blue")
            await eventually(lambda: any("Blue" in said["text"] for said in said_by_customer(thandi, one.handoff)[-1:]))  # noqa: B023
            await resolve(thandi, one.handoff)
            await eventually(lambda: not rasa.channel.relay.silences_bot(one.customer.conversation_id))  # noqa: B023
            await is_with_the_bot(one)
        await leave(people)


async def begin(rasa: RasaServer, people: list[Person]) -> None:
    await eventually(lambda: rasa.channel.desk.connected)
    for one in people:
        one.customer.rasa = rasa
        if isinstance(one.customer, OnPage):
            await one.customer.open(rasa)


async def leave(people: list[Person]) -> None:
    for one in people:
        if isinstance(one.customer, OnPage):
            await one.customer.page.__aexit__()


async def hold_files_back(rasa: RasaServer) -> None:
    """Let no file reach the other side before the restart: all of them are under way then."""

    async def away(*_: Any) -> Any:
        raise Unreachable("Not before the restart.")

    rasa.channel.relay.media.of_customer = rasa.channel.relay.media.of_agent = away


async def hand_over(rasa: RasaServer, agent: ScriptedAgent, one: Person) -> str:
    await one.customer.say("I give up completely")
    return await take(rasa, agent, one.customer)


async def offer_file_and_choice(desk: DeskServer, agent: ScriptedAgent, one: Person) -> None:
    media = await uploaded(desk, agent, one.handoff, PDF, "invoice.pdf")
    choice = {"type": "buttons", "buttons": [{"title": "Red"}, {"title": "Blue"}]}
    for parts in ([{"type": "file", "media": media}], [{"type": "text", "text": "Which colour?"}, choice]):
        answer = await agent.ask("message", handoff_id=one.handoff, id=uuid.uuid4().hex, text="", parts=parts)
        assert answer["ok"], answer


async def sees_photo(desk: DeskServer, agent: ScriptedAgent, one: Person) -> None:
    def shown() -> str | None:
        parts = [part for said in said_by_customer(agent, one.handoff) for part in said["parts"]]
        return next((part["media"]["id"] for part in parts if part["type"] == "image" and "id" in part["media"]), None)

    id = await eventually(shown, seconds=30, what=f"the photo on {one.customer.channel}")
    content = await eventually(lambda: from_desk(desk, agent, one.handoff, id))
    assert content.startswith(b"\xff\xd8\xff"), one.customer.channel


async def gets_file_and_choice(rasa: RasaServer, one: Person) -> None:
    async def arrived() -> str | None:
        await one.looks()
        raw = one.customer.raw()
        file = "/handoff/media/" in raw or "invoice.pdf" in raw
        return raw if file and all(word in raw for word in ("Which colour?", "Red", "Blue")) else None

    raw = await eventually(arrived, seconds=30, what=f"file and choice on {one.customer.channel}")
    if isinstance(one.customer, on.OnTwilioVoice):  # nobody can write an address down from a voice
        assert "/handoff/media/" not in raw
        return
    found = ADDRESS.search(raw.replace("\\/", "/").replace("&amp;", "&"))
    assert found, (one.customer.channel, raw)
    async with rasa.http.get(rasa.url + found[0]) as answer:
        assert await answer.read() == PDF, (one.customer.channel, found[0])


async def is_with_the_bot(one: Person) -> None:
    async def answered() -> bool:
        await one.customer.say("hello")
        return "Hello." in one.customer.raw()

    await eventually(answered, what=f"the bot on {one.customer.channel}")

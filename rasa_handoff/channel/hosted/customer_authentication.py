"""Authentication of customers on the channels where no vendor does it: socketio, rest, callback.

1. With ``customer_tokens: off``, whoever knows a conversation's id may use it. Nothing is looked up or stored.
2. A token that is sent must fit. A conversation that was used with a token needs one from then on, also with ``optional``.
3. A page that asks for a token gets one, once, with a new conversation under a random id; never for an existing conversation.
4. A token of the project's backend outranks one of ours: a conversation begun with ours needs the backend's from then on.
5. With ``required``, nothing is accepted without a token.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.core.channels.rasa_chat import RasaChatInput
from rasa.core.channels.rest import RestInput
from rasa.core.channels.socketio import SocketIOInput
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from rasa_handoff.channel.compat.rasa_channels import sender_of
from rasa_handoff.channel.message_ids import message_facts
from rasa_handoff.guard.compat.http_requests import SanicRequest
from rasa_handoff.guard.guard import Guard
from rasa_handoff.protocol.channel_settings import Settings
from rasa_handoff.protocol.errors import HandoffError, Refused, StoreUnavailable, Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.text import valid
from rasa_handoff.protocol.tokens import (
    HEADER,
    REFUSED,
    TOKEN_KEY,
    Issuer,
    can_be_issued,
    check_token,
    make_token,
)
from rasa_handoff.protocol.values import Value
from rasa_handoff.relay.customer_ids import ProofLevel, StoredProof, StoredProofs
from rasa_handoff.relay.repository import RelayStore

log = get_log(__name__)

NEEDED: Final = "This conversation needs its customer token."
LEVELS: Final = {Issuer.BACKEND: ProofLevel.BACKEND, Issuer.CHANNEL: ProofLevel.CHANNEL}


class Proof(Value, frozen=True, kw_only=True):
    """The proof that a request carries.

    ``wants_token``: the request has no token, and its front end will keep the token that it gets. ``subject``: the ``sub`` of
    the JSON web token that the request's socket connected with.
    """

    token: str | None = None
    wants_token: bool = False
    subject: str | None = None


class CustomerAuthentication:
    """Decides who may use which conversation of one HandoffChannel.

    ``knows`` returns whether a conversation has a tracker; it is set before the first request.
    """

    knows: Callable[[str], Awaitable[bool]]

    def __init__(self, settings: Settings, store: RelayStore, guard: Guard) -> None:
        self._settings, self._proofs, self._guard = settings, StoredProofs(store), guard
        self.on_more_proof_needed: list[Callable[[str], Awaitable[None]]] = []
        """Called with a conversation's id when its requests need a stronger proof than before."""

    @property
    def off(self) -> bool:
        """Whether everybody may use every conversation."""
        return self._settings.customer_tokens == "off"

    def check(self, conversation_id: str, proof: Proof) -> Issuer | None:
        """Return the issuer of the proof's token, None without a token. Needs no lookup.

        Raises:
            Refused: the token doesn't fit.
        """
        if self.off or proof.token is None:
            return None
        secrets = self._settings.customer_token_secrets
        return check_token(secrets, proof.token, self._settings.bot_id, conversation_id)

    async def admit(self, conversation_id: str, proof: Proof) -> str | None:
        """Admit a request to this conversation; return the token that its page gets, or None.

        Raises:
            Refused: it may not use the conversation.
            StoreUnavailable: that can't be decided now.
        """
        if self.off:
            return None
        issuer = self.check(conversation_id, proof)
        if issuer is not None:
            await self._note(conversation_id, StoredProof(proof=LEVELS[issuer]))
            return None
        known = await self._proofs.find(conversation_id)
        if await self._has_subject(conversation_id, proof, known):
            await self._note(conversation_id, StoredProof(proof=ProofLevel.BACKEND, subject=proof.subject))
        elif await self._gets_token(conversation_id, proof, known):
            if await self._note(conversation_id, StoredProof(proof=ProofLevel.CHANNEL)) is not None:
                raise Refused(REFUSED, NEEDED)  # another request got the token first
            secret, bot_id = self._settings.customer_token_secrets[0], self._settings.bot_id
            return make_token(secret, bot_id, conversation_id, issuer=Issuer.CHANNEL)
        elif self._settings.customer_tokens == "required":
            raise Refused(REFUSED, NEEDED)
        else:
            await self._note(conversation_id, StoredProof(proof=ProofLevel.NONE))
        return None

    async def admit_reader(self, conversation_id: str, token: str | None) -> Proof:
        """Admit a request that waits for a conversation's messages, and return its proof; it needs a token whatever the setting.

        Raises:
            Refused: it may not read the conversation.
            StoreUnavailable: that can't be decided now.
        """
        if self.off or not token:
            raise Refused(REFUSED, NEEDED)
        proof = Proof(token=token)
        await self.admit(conversation_id, proof)
        return proof

    async def admit_again(self, conversation_id: str, proof: Proof) -> None:
        """Admit a request once more, after it has waited: its token may have expired, or a better one is needed by now.

        Raises:
            Refused: it may not use the conversation any more.
            StoreUnavailable: that can't be decided now.
        """
        if self.check(conversation_id, proof) is not Issuer.BACKEND:  # the backend's is the highest proof
            await self.admit(conversation_id, proof)

    async def _has_subject(self, conversation_id: str, proof: Proof, known: StoredProof | None) -> bool:
        """Return whether a web token belongs to this conversation.

        The token's subject is the conversation's id, or is who began the conversation, or who begins it now.
        """
        if proof.subject is None:
            return False
        if proof.subject == conversation_id or (known is not None and proof.subject == known.subject):
            return True
        return known is None and can_be_issued(conversation_id) and await self._is_new(conversation_id)

    async def _gets_token(self, conversation_id: str, proof: Proof, known: StoredProof | None) -> bool:
        """Return whether this request gets a token: it asks for one, and the conversation is new."""
        asked = proof.wants_token and known is None and can_be_issued(conversation_id)
        return asked and await self._is_new(conversation_id)

    async def _is_new(self, conversation_id: str) -> bool:
        try:
            return not await self.knows(conversation_id)
        except Unreachable as problem:
            raise StoreUnavailable(f"Whether a conversation is new can't be looked up now: {problem}") from problem

    async def _note(self, conversation_id: str, proven: StoredProof) -> StoredProof | None:
        """Store the proof and return what was known before, read in the same transaction.

        Raises:
            Refused: this conversation needs a stronger proof.
        """
        known = await self._proofs.note(conversation_id, proven)
        before = known.proof if known is not None else ProofLevel.NONE
        belongs_to_another = (
            proven.subject not in (None, conversation_id) and known is not None and known.subject != proven.subject
        )
        if before.outranks(proven.proof) or belongs_to_another:
            raise Refused(REFUSED, NEEDED)
        if proven.proof.outranks(before):
            for tell in self.on_more_proof_needed:
                await tell(conversation_id)
        return known

    # Requests by HTTP

    def check_requests(self, blueprint: Blueprint, channel: InputChannel) -> None:
        """Check the requests of this channel's blueprint before the channel reads them."""
        if not isinstance(channel, RestInput) or isinstance(channel, RasaChatInput):
            return

        async def check_request(request: Request) -> HTTPResponse | None:
            if self.off or request.method != "POST":
                return None
            try:
                sender = await sender_of(channel, request)
            except Exception:  # of a project's own channel, which reads the request next and raises it there
                return None
            return await self._check_request(request, valid(UserMessage("", sender_id=sender).sender_id))

        blueprint.middleware("request")(check_request)

    async def _check_request(self, request: Request, conversation_id: str) -> HTTPResponse | None:
        facts = message_facts()
        try:
            facts.issued = await self.admit(conversation_id, proof_of(request))
        except (Refused, StoreUnavailable) as no:
            return self.refusal(request, no)
        facts.admitted = conversation_id
        return None

    def refusal(self, request: Request, no: HandoffError) -> HTTPResponse:
        """Return the answer to a request that may not use its conversation, or of which that can't be decided now."""
        if not isinstance(no, Refused):
            log.error("A customer's request was refused: %s", no)
            return response.json({"code": "unavailable", "error": "Try again in a moment."}, status=503)
        address = self._guard.address_of(SanicRequest(request).head)
        self._guard.refusals.note(address, "customer", f"a request for a customer's conversation: {no}")
        return response.json({"code": no.code, "error": str(no)}, status=403)

    async def receive(self, channel: InputChannel, message: UserMessage) -> None:
        """Take the token out of a message's metadata, check the message again, and send its front end the token issued for it.

        Raises:
            Refused: this conversation was not admitted for the request.
        """
        if isinstance(message.metadata, dict) and TOKEN_KEY in message.metadata:
            message.metadata = {key: value for key, value in message.metadata.items() if key != TOKEN_KEY}
        if self.off or not authenticates(channel):
            return
        facts = message_facts()
        if facts.admitted != message.sender_id:
            log.warning("A message was refused: its conversation is not the one that its request was admitted to.")
            raise Refused(REFUSED, NEEDED)
        if facts.issued is not None:
            await message.output_channel.send_custom_json(message.sender_id, {TOKEN_KEY: facts.issued})


def authenticates(channel: InputChannel) -> bool:
    """Return whether this channel's customers are authenticated here, not by their vendor or by Rasa's web token."""
    return isinstance(channel, RestInput | SocketIOInput) and not isinstance(channel, RasaChatInput)


def proof_of(request: Request) -> Proof:
    """Return the proof in a request's header or metadata."""
    try:
        body = request.json
    except Exception:  # the body isn't JSON, which the channel answers for
        body = None
    metadata = body.get("metadata") if isinstance(body, dict) else None
    inside = metadata.get(TOKEN_KEY) if isinstance(metadata, dict) else None
    token = request.headers.get(HEADER) or inside
    wants = isinstance(metadata, dict) and TOKEN_KEY in metadata and inside is None
    return Proof(token=str(token) if token is not None else None, wants_token=wants)

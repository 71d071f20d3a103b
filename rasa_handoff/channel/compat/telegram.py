"""Rasa's telegram channel, corrected; imported only when it is hosted, since it loads Telegram's SDK.

Rasa makes its output, aiohttp session included, in an event loop that is closed at once, so that each webhook is answered with
"Event loop is closed". Here one output serves the channel's life, and the webhook is set once the server runs.

Telegram refuses a message one of whose buttons has a payload of more than 64 bytes. Here such a payload is kept, and the button
carries its key.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from rasa.core.channels.telegram import TelegramInput, TelegramOutput

from rasa_handoff.channel.compat.rasa_channels import Shorten, WithLifetime, WithShortPayloads
from rasa_handoff.protocol.channel_capabilities import BY_NAME
from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)

LONGEST: Final = BY_NAME["telegram"].longest_payload
"""What Telegram takes as a button's ``callback_data``."""


class HandoffTelegram(WithLifetime, WithShortPayloads, TelegramInput):
    """The telegram channel as HandoffChannel hosts it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._shorten: Shorten | None = None
        # Made here, so that an impossible token is reported as an error of the settings. It opens its session when first used.
        self._output = TelegramOutput(self.access_token)
        # On the instance: custom actions and NLG servers may look at its class, which stays Rasa's.
        self._output.send_text_with_buttons = self._with_fitting_buttons(self._output.send_text_with_buttons)

    def shorten_payloads(self, shorten: Shorten) -> None:
        """Have payloads that are too long kept by ``shorten``."""
        self._shorten = shorten

    def _with_fitting_buttons(self, send: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def send_text_with_buttons(
            recipient_id: str, text: str, buttons: list[dict[str, Any]], *arguments: Any, **more: Any
        ) -> None:
            fitting = [await self._fitting(str(recipient_id), button) for button in buttons]
            await send(recipient_id, text, fitting, *arguments, **more)

        return send_text_with_buttons

    async def _fitting(self, recipient_id: str, button: dict[str, Any]) -> dict[str, Any]:
        payload = button.get("payload") if isinstance(button, dict) else None
        if self._shorten is None or LONGEST is None or not isinstance(payload, str) or LONGEST.fits(payload):
            return button
        return {**button, "payload": await self._shorten(recipient_id, str(button.get("title")), payload)}

    def get_output_channel(self) -> TelegramOutput:
        """Return the one output of this channel."""
        return self._output

    async def announce(self) -> None:
        """Set the webhook at Telegram. A failure is logged only, so that the other channels go on."""
        try:
            await self._output.set_webhook(url=self.webhook_url)
        except Exception as problem:  # the network or Telegram's answer; aiogram has a class for each
            log.error(
                "The webhook could not be set at Telegram (%s). It calls the previous one; to set it again, open "
                "/webhooks/telegram/set_webhook or restart.",
                problem,
            )

    async def retire(self) -> None:
        """Close the connections to Telegram."""
        await self._output.session.close()

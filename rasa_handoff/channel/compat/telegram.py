"""Rasa's telegram channel, corrected; imported only when it is hosted, since it loads Telegram's SDK.

Rasa makes its output, aiohttp session included, in an event loop that is closed at once, so that each webhook is answered with
"Event loop is closed". Here one output serves the channel's life, and the webhook is set once the server runs.
"""

from typing import Any

from rasa.core.channels.telegram import TelegramInput, TelegramOutput

from rasa_handoff.channel.compat.rasa_channels import WithLifetime
from rasa_handoff.protocol.logs import get_log

log = get_log(__name__)


class HandoffTelegram(WithLifetime, TelegramInput):
    """The telegram channel as HandoffChannel hosts it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        # Made here, so that an impossible token is reported as an error of the settings. It opens its session when first used.
        self._output = TelegramOutput(self.access_token)

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

"""Rasa's telegram channel, mended.

Rasa makes its output, aiohttp session and all, in a loop that is closed at once, so that each webhook is answered with "Event
loop is closed". Here one output serves the channel's life, and the webhook is set once the server runs.
"""

from typing import Any

from rasa.core.channels.telegram import TelegramInput, TelegramOutput

from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)


class HandoffTelegram(TelegramInput):
    """The telegram channel as HandoffChannel hosts it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        # Now, so that a token that can't be one is told as a mistake in the settings. It opens its session when first used.
        self._output = TelegramOutput(self.access_token)

    def get_output_channel(self) -> TelegramOutput:
        """The one output of this channel."""
        return self._output

    async def announce(self) -> None:
        """Tell Telegram where to call. A failure is for the log: the other channels go on."""
        try:
            await self._output.set_webhook(url=self.webhook_url)
        except Exception as problem:  # the network or Telegram's answer; aiogram has a class for each
            log.error(
                "Telegram could not be told where to call (%s). It calls as before; to tell it again, open "
                "/webhooks/telegram/set_webhook or restart.",
                problem,
            )

    async def retire(self) -> None:
        """Close the connections to Telegram."""
        await self._output.session.close()

"""Rasa's slack channel, corrected; imported only when it is hosted, since it loads Slack's SDK.

Rasa passes most of Slack's markup on. Here bot and agents get a message as the customer sees it.
"""

from rasa.core.channels.slack import SlackInput

from rasa_handoff.channel.slack_markup import as_shown, shown_links


class HandoffSlack(SlackInput):
    """The slack channel as HandoffChannel hosts it."""

    @staticmethod
    def _sanitize_user_message(text: str, uids_to_remove: list[str] | None) -> str:
        """Return a message as the customer sees it, without mentions of the bot."""
        named: str = SlackInput._sanitize_user_message(shown_links(text), uids_to_remove)
        return as_shown(named)

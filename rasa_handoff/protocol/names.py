"""Names used in protocols, domains and trackers. Changing one breaks a protocol or somebody's project."""

from typing import Final

RELAY_NAMESPACE: Final = "/relay"
DESK_NAMESPACE: Final = "/desk"
BOTLHALE_NAMESPACES: Final = ("/live_agent", "/live_server", "/")
RELAY_TOKEN_PATH: Final = "/relay-token"
"""Where the server says over HTTP whether it would let a relay with this token in."""

# Intents of the preset; the settings under ``intents`` may rename the first three.
OPTIONS_INTENT: Final = "provide_handoff_options"
EXECUTE_INTENT: Final = "execute_handoff"
ENDED_INTENT: Final = "handoff_ended"
CARRY_ON_INTENT: Final = "handoff_carry_on"
"""The intent of the carry-on button; the bot answers it and goes on."""
PRESET_INTENTS: Final = (OPTIONS_INTENT, EXECUTE_INTENT, ENDED_INTENT, CARRY_ON_INTENT)

DEPARTMENT_ENTITY: Final = "department"

# Slots that are set when the conversation returns to the bot.
OUTCOME_SLOT: Final = "handoff_outcome"
NOTE_SLOT: Final = "handoff_note"

RASAS_SLOTS: Final = ("requested_slot", "session_started_metadata")
"""Slots that Rasa adds to every domain."""

CONTACT_FORM: Final = "handoff_contact_form"
CONTACT_NAME_SLOT: Final = "handoff_contact_name"
CONTACT_EMAIL_SLOT: Final = "handoff_contact_email"

OPTIONS_ACTION: Final = "action_provide_handoff_options"
EXECUTE_ACTION: Final = "action_execute_handoff"
TEMPLATE_ACTION: Final = "action_human_handoff"
"""The action's name in Rasa's own bot templates."""

HANDOFF_MARKER: Final = "handoff"
"""Key in a response's ``custom`` that asks for a handoff: ``custom: {handoff: {...}}``."""
OPTIONS_MARKER: Final = "handoff_options"
"""Key in a response's ``custom`` that is replaced by the options: ``custom: {handoff_options: {}}``."""
CLOSE_DIRECTIVE: Final = "handoff_close"
"""Key in a response's ``custom`` by which the bot ends the conversation: ``custom: {handoff_close: {}}``."""
STATE_KEY: Final = "handoff_state"
"""Key in a ``custom`` message, and the event of a socketio page, that tell a front end who is active."""
SPEAKER_KEY: Final = "handoff_speaker"
"""Key in a message to a socketio page, beside Rasa's own, that tells who speaks: an agent, by name, or a notice."""
ASSIGN_DIRECTIVE: Final = "handoff_assign"
"""Key in a response's ``custom`` that gives a platform's conversation to one of its agents or bots, by name or id."""
PRIORITY_DIRECTIVE: Final = "handoff_priority"
TRANSFER_DIRECTIVE: Final = "handoff_transfer"
"""Keys in a response's ``custom`` that ask something of the channel without a handoff (``markers.py``)."""
BOTLHALE_MARKER: Final = "department"
"""Botlhale's marker: ``custom: {department: "..."}`` and no other key."""

METADATA_KEY: Final = "handoff"
"""Key in a message's metadata under which HandoffChannel gives actions the availability (``MetadataForActions``)."""

UTTER_DEFAULT: Final = "utter_default"
"""Rasa's response at the end of the two-stage fallback."""

# Responses of the preset: the notices to the customer.
UTTER_OPTIONS: Final = "utter_handoff_options"
UTTER_ANYBODY: Final = "utter_handoff_anybody"
"""Title of the only option where the desk has no departments."""
UTTER_NOBODY: Final = "utter_handoff_nobody"
UTTER_NOBODY_TO_ASK: Final = "utter_handoff_nobody_to_ask"
"""In place of ``utter_default``, when the two-stage fallback ends and nobody is there."""
UTTER_INSTEAD: Final = "utter_handoff_instead"
"""In place of ``utter_handoff_options``, when the department that was asked for can't be had."""
UTTER_ELSEWHERE: Final = "utter_handoff_elsewhere"
UTTER_REQUESTED: Final = "utter_handoff_requested"
UTTER_ASSIGNED: Final = "utter_handoff_assigned"
"""Used by platform channels, where there is no queue to report and no way back."""
UTTER_MOMENT: Final = "utter_handoff_moment"
"""Used while the transcript can't be read yet."""
UTTER_QUEUED: Final = "utter_handoff_queued"
UTTER_WAIT_MINUTE: Final = "utter_handoff_wait_minute"
UTTER_WAIT_MINUTES: Final = "utter_handoff_wait_minutes"
UTTER_POSITION: Final = "utter_handoff_position"
UTTER_JOINED: Final = "utter_handoff_joined"
UTTER_TRANSFERRED: Final = "utter_handoff_transferred"
UTTER_PASSED_ON: Final = "utter_handoff_passed_on"
UTTER_ALREADY_WAITING: Final = "utter_handoff_already_waiting"
UTTER_ALREADY_ASKED: Final = "utter_handoff_already_asked"
UTTER_ALREADY_LIVE: Final = "utter_handoff_already_live"
UTTER_CONFIRM_LEAVE: Final = "utter_handoff_confirm_leave"
UTTER_LEFT: Final = "utter_handoff_left"
UTTER_LEFT_QUEUE: Final = "utter_handoff_left_queue"
UTTER_RESOLVED: Final = "utter_handoff_resolved"
UTTER_ENDED: Final = "utter_handoff_ended"
UTTER_FAILED: Final = "utter_handoff_failed"
UTTER_REFUSED: Final = "utter_handoff_refused"
UTTER_UNREACHABLE: Final = "utter_handoff_unreachable"
UTTER_NOBODY_YET: Final = "utter_handoff_nobody_yet"
UTTER_GO_ON_WAITING: Final = "utter_handoff_go_on_waiting"
UTTER_WAITING_ON: Final = "utter_handoff_waiting_on"
"""The answer to a customer who chose to go on waiting."""
UTTER_LEAVE_MESSAGE: Final = "utter_handoff_leave_message"
UTTER_WRITE_MESSAGE: Final = "utter_handoff_write_message"
UTTER_NO_MESSAGE: Final = "utter_handoff_no_message"
UTTER_ASK_CONTACT: Final = "utter_handoff_ask_contact"
UTTER_ASK_CONTACT_AGAIN: Final = "utter_handoff_ask_contact_again"
UTTER_WITHOUT_CONTACT: Final = "utter_handoff_without_contact"
UTTER_MESSAGE_LEFT: Final = "utter_handoff_message_left"
UTTER_BACK_TO_BOT: Final = "utter_handoff_back_to_bot"
UTTER_REPLY: Final = "utter_handoff_reply"
UTTER_STILL_THERE: Final = "utter_handoff_still_there"
UTTER_FELL_SILENT: Final = "utter_handoff_fell_silent"
UTTER_NOT_TAKEN: Final = "utter_handoff_not_taken"
UTTER_NOT_DELIVERED: Final = "utter_handoff_not_delivered"
UTTER_TOO_LONG: Final = "utter_handoff_too_long"
UTTER_TOO_MANY: Final = "utter_handoff_too_many"
UTTER_DESK_AWAY: Final = "utter_handoff_desk_away"
UTTER_DESK_BACK: Final = "utter_handoff_desk_back"
UTTER_CARRY_ON: Final = "utter_handoff_carry_on"
"""Title of the carry-on button; the bot answers it with ``utter_handoff_carried_on``."""
CARRY_ON_PAYLOAD: Final = "/handoff_carry_on"
"""Payload of the carry-on button: its intent."""
WAIT_PAYLOAD: Final = "/handoff_wait"
MESSAGE_PAYLOAD: Final = "/handoff_leave_message"
BACK_PAYLOAD: Final = "/handoff_back"
WITHOUT_CONTACT_PAYLOAD: Final = "/handoff_without_contact"
"""Payloads of the relay's choices. Unlike ``CARRY_ON_PAYLOAD`` they are no intents; only the relay reads them."""
LEAVE_PAYLOAD: Final = "/handoff_leave"
"""Sent by a front end whose customer leaves the handoff, and has already been asked whether they want to."""
UTTER_WELCOME_BACK: Final = "utter_handoff_welcome_back"

PARTS_KEY: Final = "handoff_parts"
"""The key of a message's parts in the metadata of its event in the tracker."""

PLATFORM_CHANNELS: Final = ("rasa_handoff.KommunicateChannel", "rasa_handoff.LivePersonChannel")
"""Channels of this package for platforms with a desk of their own: separate entries of ``credentials.yml``, not hosted."""

STOCK_CHANNELS: Final = (
    "botframework", "callback", "facebook", "hangouts", "mattermost", "rasa", "rest", "rocketchat", "slack", "socketio",
    "telegram", "twilio", "twilio_voice", "webexteams",
)  # fmt: skip
"""Rasa 3.6's channels that can be hosted: all but ``cmdline``, which collides with ``rest``."""

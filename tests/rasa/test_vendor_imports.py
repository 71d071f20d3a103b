"""Vendors' SDKs are loaded with the channel that is hosted, and by nothing else of this package.

Rasa 3.6 loads them all by itself with ``rasa.core.channels``. A Rasa whose package leaves them out is made here by putting a bare
package in its place and forbidding the SDKs.
"""

import json
import subprocess
import sys

SDKS = ("aiogram", "fbmessenger", "rocketchat_API", "slack_sdk", "twilio", "webexteamssdk")
VENDORS = (
    "telegram",
    "facebook",
    "rocketchat",
    "slack",
    "twilio",
    "twilio_voice",
    "webexteams",
    "mattermost",
    "botframework",
)

LOADED = f"""
def loaded():
    found = set()
    for name in sys.modules:
        parts = name.split(".")
        if parts[0] in {SDKS} or (parts[:3] == ["rasa", "core", "channels"] and parts[3:4] and parts[3] in {VENDORS}):
            found.add(name)
    return found
"""
BARE = f"""
import importlib.util, sys, types
{LOADED}
rasa_core = importlib.util.find_spec("rasa.core").submodule_search_locations[0]
bare = types.ModuleType("rasa.core.channels")
bare.__path__ = [rasa_core + "/channels"]
bare.BUILTIN_CHANNELS = {{}}
sys.modules["rasa.core.channels"] = bare

class Forbidden:
    def find_spec(self, name, *_):
        if name.split(".")[0] in {SDKS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Forbidden())
from rasa.core.channels.channel import InputChannel, OutputChannel, UserMessage, CollectingOutputChannel
for part in (InputChannel, OutputChannel, UserMessage, CollectingOutputChannel):
    setattr(bare, part.__name__, part)
from rasa.core.channels.rest import RestInput
from rasa.core.channels.socketio import SocketIOInput
bare.BUILTIN_CHANNELS.update(rest=RestInput, socketio=SocketIOInput)
"""
HOST = """
from rasa_handoff.channel.inbound.hosting import make_channels
from rasa_handoff.channel.outbound.delivery_methods import delivery_method_of
methods = {name: type(delivery_method_of(one)).__name__ for name, one in make_channels(SETTINGS).items()}
"""


def run(script: str) -> dict[str, object]:
    """Run a script in a fresh process, and return what it says in its last line, as JSON."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_where_rasa_loads_no_vendor_neither_does_the_channel_nor_the_hosting_of_socketio_and_rest() -> None:
    script = HOST.replace("SETTINGS", '{"socketio": {"session_persistence": True}, "rest": None}')
    said = run(f"""
import json
{BARE}
import rasa_handoff.channel.handoff_channel, rasa_handoff.platforms.base
imported = sorted(loaded())
{script}
print(json.dumps({{"imported": imported, "hosted": sorted(loaded()), "methods": methods}}))
""")
    assert said == {"imported": [], "hosted": [], "methods": {"socketio": "ConnectedSocket", "rest": "Fetch"}}


def test_beside_rasas_own_channels_only_what_is_hosted_is_added() -> None:
    twilio = {"account_sid": "AC1", "auth_token": "a", "twilio_number": "+1"}
    said = run(f"""
import json, sys
{LOADED}
def ours():
    return [name for name in ("telegram", "twilio") if f"rasa_handoff.channel.compat.{{name}}" in sys.modules]
import rasa.core.channels
before = loaded()
{HOST.replace("SETTINGS", '{"socketio": None, "rest": None}')}
import rasa_handoff.channel.handoff_channel, rasa_handoff.platforms.kommunicate.channel, rasa_handoff.platforms.liveperson.channel
added, ours_before = sorted(loaded() - before), ours()
{HOST.replace("SETTINGS", str({"twilio": twilio}))}
print(json.dumps({{"before": len(before), "added": added, "ours": [ours_before, ours()], "methods": methods}}))
""")
    before = said.pop("before")
    assert isinstance(before, int)
    assert before > len(VENDORS)
    assert said == {"added": [], "ours": [[], ["twilio"]], "methods": {"twilio": "ThreadedPush"}}

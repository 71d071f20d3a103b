"""LivePerson's two Function runtimes, on real Node: each has function.js as its index file, and a toolbelt to import."""

import asyncio
import json
import os
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from rasa_handoff.testing.waiting import within

FUNCTION = files("rasa_handoff") / "platforms" / "liveperson" / "function.js"
NODE = shutil.which("node")

SECRETS: Final = """
const SecretClient = () => ({
  async readSecret(key) {
    const value = JSON.parse(process.env.SECRETS)[key];
    if (value === undefined) throw new Error(`There is no secret ${key}.`);
    return { key, value };
  },
});
"""
V1_TOOLBELT: Final = (
    SECRETS
    + """
// The shape of request-promise: the body comes back parsed, anything but 2xx is thrown with all that was sent.
const HTTPClient = () => async (url, { method, headers, body, json, timeout }) => {
  const response = await fetch(url, { method, headers, body: JSON.stringify(body), signal: AbortSignal.timeout(timeout) });
  const text = await response.text();
  if (!response.ok) {
    const error = new Error(`${response.status} - ${text} to ${JSON.stringify(headers)}`);
    throw Object.assign(error, { name: "StatusCodeError", statusCode: response.status });
  }
  return json ? JSON.parse(text) : text;
};
module.exports = { Toolbelt: { SecretClient, HTTPClient } };
"""
)
V2_TOOLBELT: Final = SECRETS + "export const Toolbelt = { SecretClient };\n"
V1_CALL: Final = """
lambda(JSON.parse(process.env.INPUT), (error, result) => {
  process.stdout.write(JSON.stringify(error ? { error: error.message } : { result }));
});
"""
V2_CALL: Final = """
const told = await lambda(JSON.parse(process.env.INPUT)).then((result) => ({ result }), (error) => ({ error: error.message }));
process.stdout.write(JSON.stringify(told));
"""


class Runtime:
    """``version`` 1 calls ``lambda(input, callback)`` in a CommonJS module, 2 awaits ``lambda(input)`` in an ES module."""

    def __init__(self, folder: Path, version: int, url: str, secret: str, **environment: str) -> None:
        name = "lp-faas-toolbelt" if version == 1 else "core-functions-toolbelt"
        toolbelt = folder / "node_modules" / name
        toolbelt.mkdir(parents=True)
        kind = "commonjs" if version == 1 else "module"
        (toolbelt / "package.json").write_text(json.dumps({"name": name, "main": "index.js", "type": kind}))
        (toolbelt / "index.js").write_text(V1_TOOLBELT if version == 1 else V2_TOOLBELT)
        self.index = folder / ("index.cjs" if version == 1 else "index.mjs")
        self.index.write_text(FUNCTION.read_text() + (V1_CALL if version == 1 else V2_CALL))
        self.environment = {"HANDOFF_URL": url, "SECRETS": json.dumps({"rasa_handoff": secret}), **environment}

    async def invoke(self, payload: Any) -> dict[str, Any]:
        """``{"result": ...}`` or ``{"error": sentence}``. ``payload`` None: invoked without one."""
        given = {"headers": [], **({} if payload is None else {"payload": payload})}
        environment = {"PATH": os.environ["PATH"], "INPUT": json.dumps(given), **self.environment}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            str(NODE), str(self.index), env=environment, stdout=pipe, stderr=pipe
        )
        out, problem = await within(process.communicate(), 30)
        assert process.returncode == 0, problem.decode()
        return dict(json.loads(out))

// A LivePerson Function for rasa_handoff.LivePersonChannel: it passes the call on to the Rasa bot and returns the answer.
// https://developers.liveperson.com/third-party-bots-custom-integration.html; set up as docs/adapters/liveperson.md says.
//
// It fits both runtimes: V1 calls lambda(input, callback) and has lp-faas-toolbelt, whose HTTP client reaches the internet;
// V2 awaits lambda(input) and has fetch. An error makes LivePerson pass the conversation to people.
//
// Environment variables: HANDOFF_URL, the webhook's address; HANDOFF_HEADER and HANDOFF_SECRET_NAME if yours have other
// names: the header is X-Handoff-Key, and its value stands in LivePerson's Secret Storage under rasa_handoff.

const SECONDS = 25; // a Function has 30, and the bot answers after 20

async function lambda(input, callback) {
  try {
    const answer = await ask((input && input.payload) || {}, Boolean(callback));
    return callback ? callback(null, answer) : answer;
  } catch (problem) {
    const error = new Error(`The Rasa bot didn't answer: ${problem.message}`);
    if (!callback) throw error;
    return callback(error, null);
  }
}

async function ask(payload, isV1) {
  const { HANDOFF_URL: url, HANDOFF_HEADER: header = "X-Handoff-Key" } = process.env;
  if (!url) throw new Error("set the environment variable HANDOFF_URL");
  const { Toolbelt } = isV1 ? require("lp-faas-toolbelt") : await import("core-functions-toolbelt");
  const name = process.env.HANDOFF_SECRET_NAME || "rasa_handoff";
  const secret = await Toolbelt.SecretClient().readSecret(name);
  const headers = { "Content-Type": "application/json", [header]: secret.value };
  const answer = await (isV1 ? postV1(Toolbelt, url, headers, payload) : postV2(url, headers, payload));
  if (!answer || !Array.isArray(answer.messages)) throw new Error("that isn't the answer of rasa_handoff");
  return answer;
}

async function postV1(Toolbelt, url, headers, body) {
  try {
    return await Toolbelt.HTTPClient()(url, { method: "POST", headers, body, json: true, timeout: SECONDS * 1000 });
  } catch (problem) {
    // The client's own message repeats what it sent and got; the status is enough.
    throw new Error(problem.statusCode ? `status ${problem.statusCode}` : problem.name);
  }
}

async function postV2(url, headers, payload) {
  const signal = AbortSignal.timeout(SECONDS * 1000);
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(payload), signal });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}

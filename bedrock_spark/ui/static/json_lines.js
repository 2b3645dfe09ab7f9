// Requests to the server of this page: JSON, and answers that come as lines of JSON.

/** Return the decoded reply. Throws an Error with the server's sentence. */
export async function getJson(path, values) {
  const reply = await fetch(`${path}?${new URLSearchParams(values)}`, { headers: accept });
  return read(reply);
}

/** Post a value as JSON and return the decoded reply. Throws an Error with the server's sentence. */
export async function postJson(path, value) {
  return read(await post(path, value));
}

/** Post the bytes of a file and return the decoded reply. Throws an Error with the server's sentence. */
export async function postFile(path, file) {
  const address = `${path}?${new URLSearchParams({ name: file.name })}`;
  return read(await fetch(address, { method: "POST", headers: accept, body: file }));
}

/** Post a value as JSON and yield each line of the reply as it comes. */
export async function* postForLines(path, value, signal) {
  const reply = await post(path, value, signal);
  if (!reply.ok) await read(reply);
  const reader = reply.body.getReader();
  const decoder = new TextDecoder();
  let held = "";
  for (;;) {
    const { done, value: bytes } = await reader.read();
    held += decoder.decode(bytes ?? new Uint8Array(), { stream: !done });
    const lines = held.split("\n");
    held = lines.pop();
    for (const line of lines) yield JSON.parse(line);
    if (done) return;
  }
}

const accept = { Accept: "application/json" };

/** End what was asked with an id, also if the page is being left. */
export function postStop(id) {
  const body = new URLSearchParams({ id });
  fetch("/playground/stop", { method: "POST", headers: accept, body, keepalive: true }).catch(() => {});
}

function post(path, value, signal) {
  const headers = { ...accept, "Content-Type": "application/json" };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(value), signal });
}

async function read(reply) {
  const decoded = await reply.json().catch(() => null);
  if (reply.ok && decoded !== null) return decoded;
  throw new Error(decoded?.error?.message ?? `the page's server answered ${reply.status}`);
}

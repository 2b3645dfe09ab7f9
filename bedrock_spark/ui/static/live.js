// Asks which parts of a page have changed, and replaces these (ui/live.py).
const root = document.getElementById("live");
const said = document.getElementById("live-said");
const state = document.getElementById("live-state");
const HIDDEN_SECONDS = 60;
const SCROLLED = "[tabindex='0']";
let seconds = Number(root.dataset.seconds);
let failures = 0;
let timer = 0;

const parts = () => [...root.querySelectorAll(":scope > [data-part]")];

// What identifies an element before and after its part was replaced.
const nameOf = (element) =>
  element.id || element.getAttribute("href") || `${element.tagName} ${element.textContent}`;

// Whether the user has marked text in a part: it would be lost.
function isMarked(part) {
  const selection = document.getSelection();
  return !selection.isCollapsed && part.contains(selection.anchorNode);
}

function replace(part, fresh) {
  if (isMarked(part)) return;
  const { body } = new DOMParser().parseFromString(fresh.html, "text/html");
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const same = focused && [...body.querySelectorAll(focused.tagName)].find(
    (each) => nameOf(each) === nameOf(focused));
  if (focused && !same) return; // the keyboard is there: replace it later
  const opened = [...part.querySelectorAll("details")].map((each) => each.open);
  const places = [...part.querySelectorAll(SCROLLED)].map((each) => [each.scrollLeft, each.scrollTop]);
  part.replaceChildren(...body.childNodes);
  part.dataset.digest = fresh.digest;
  [...part.querySelectorAll("details")].forEach((each, place) => {
    if (place in opened) each.open = opened[place];
  });
  [...part.querySelectorAll(SCROLLED)].forEach((each, place) => {
    if (place in places) [each.scrollLeft, each.scrollTop] = places[place];
  });
  if (same) same.focus({ preventScroll: true });
}

async function look() {
  const address = new URL(root.dataset.live, document.baseURI);
  const have = parts().map((part) => `${part.dataset.part}:${part.dataset.digest}`);
  address.searchParams.set("have", have.join(","));
  const reply = await fetch(address, { headers: { Accept: "application/json" } });
  const news = await reply.json();
  if (!reply.ok) throw new Error(news.error.message);
  for (const part of parts()) {
    const fresh = news.parts[part.dataset.part];
    if (fresh) replace(part, fresh);
  }
  if (news.title !== said.textContent && said.textContent) document.title = `${news.title} · bedrock-spark`;
  said.textContent = news.title;
  seconds = news.seconds;
  return news.read_at;
}

function pause() {
  return document.hidden ? Math.max(seconds, HIDDEN_SECONDS) : seconds;
}

async function again() {
  clearTimeout(timer);
  try {
    const readAt = await look();
    failures = 0;
    state.textContent = `Read at ${readAt}. It is read again by itself.`;
  } catch (error) {
    failures += 1;
    const why = error instanceof TypeError ? "bedrock-spark ui does not answer" : error.message;
    state.textContent = `This page is not up to date: ${why}.`;
  }
  timer = setTimeout(again, 1000 * pause() * Math.min(1 + failures, 12));
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) again();
});
timer = setTimeout(again, 1000 * pause());

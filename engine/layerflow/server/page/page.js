// The page of the server: who is signed in, whether the server can be heard, and what is chosen.

import { Detail, VERBS } from "./detail.js";
import { List, say } from "./list.js";
import { GROUPS, Queue } from "./queue.js";
import { Lost, Refused, Server } from "./server.js";
import { Sight } from "./sight.js";

const TOKEN = "layerflow-token"; // in this tab's memory alone
const PAUSES_MS = [250, 1000, 2000, 5000]; // before the server is asked again
const DEVICES_MS = 10_000; // before a server that was still looking for its devices is asked again
const EMPTY = "The queue is empty. Jobs come from Nuke, Blender, the desktop app and the command line.";
const GONE = "The server does not answer; trying again. If it was started anew, layerflow jobs page opens its page.";
const STRANGER = "That is not this server's token; layerflow jobs page prints it.";
const ANEW = "The server takes another token now; layerflow jobs page prints it.";

const parts = Object.fromEntries([...document.querySelectorAll("[id]")].map((node) => [node.id, node]));
const queue = new Queue();
const sight = new Sight();
const list = new List(parts.grid, { onSelect: select, onOpen: open });
const detail = new Detail(parts.detail, { onVerb: act, onClose: close });
let server = null;
let isConnected = false;
let devicesTimer = 0;
let group = "All";
let selected = location.hash.slice(1);

/** Shows everything as it is now. */
function draw() {
  const counts = queue.counts();
  const jobs = queue.shown(group, parts.search.value);
  list.show(jobs, selected);
  detail.show(server, queue.jobs.get(selected) ?? null, queue, isConnected);
  parts.desk.classList.toggle("split", queue.jobs.has(selected));
  for (const label of parts.groups.querySelectorAll("label"))
    say(label.querySelector(".count"), String(counts[label.querySelector("input").value]));
  parts.nothing.hidden = jobs.length > 0;
  say(parts.nothing, queue.jobs.size ? "No job is like that." : EMPTY);
  document.title = counts.Running + counts.Waiting && !sight.isResting
    ? `${counts.Running} running, ${counts.Waiting} waiting – LayerFlow` : "LayerFlow";
}

/** Follows what the server tells for as long as it is the one that is signed in to. */
async function follow(which) {
  let failures = 0;
  while (which === server) {
    try {
      await sight.awake();
      const after = await load(which);
      if (which !== server) return;
      if (sight.isResting) continue;
      for await (const events of which.events(after)) {
        if (which !== server) return;
        hear(true);
        failures = events.length ? 0 : failures;
        events.forEach((event) => queue.apply(event));
      }
    } catch (error) {
      if (which !== server) return;
      if (error instanceof Refused && error.status === 401) return leave(ANEW);
      if (!(error instanceof Refused || error instanceof Lost)) reportError(error);
      if (!sight.isResting) hear(false, error instanceof Refused ? error.message : GONE);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)]));
    failures += 1;
  }
}

/** Lets go of the server until the tab is looked at again. */
function rest() {
  server?.rest();
  draw(); // for the title, which would not be true for long
}

/** Loads the queue, and returns the number of the last event that it knows of. */
async function load(which) {
  const pages = [];
  for await (const page of which.pages()) pages.push(page);
  if (which !== server) return null;
  queue.replace(pages.flatMap((page) => page.jobs));
  showDevices(which);
  return pages[0].event;
}

/** Says what makes the jobs, or why nothing does yet. */
async function showDevices(which) {
  clearTimeout(devicesTimer);
  const told = await which.get("/v1/devices").catch((error) => error);
  if (which !== server || told instanceof Lost) return;
  if (told instanceof Refused) devicesTimer = setTimeout(() => showDevices(which), DEVICES_MS);
  const names = told.devices?.map(({ name, product }) => `${name}: ${product}`) ?? [told.message];
  say(parts.devices, names.join(", "));
}

/** Says whether the server can be heard. */
function hear(now, why = "") {
  parts.lost.hidden = now;
  say(parts.lost, why);
  say(parts.connection, now ? "connected" : "no answer");
  parts.connection.dataset.state = now ? "done" : "failed";
  document.body.classList.toggle("stale", !now);
  if (now === isConnected) return;
  isConnected = now;
  draw();
}

function enter(token) {
  sessionStorage.setItem(TOKEN, token);
  server = new Server(token);
  show(parts.desk);
  follow(server);
}

function leave(why = "") {
  sessionStorage.removeItem(TOKEN);
  server?.close();
  server = null;
  isConnected = false;
  queue.replace([]);
  draw();
  show(parts.door);
  say(parts.refusal, why);
  parts.token.focus();
}

function show(main) {
  for (const each of [parts.door, parts.desk]) each.hidden = each !== main;
  parts.leave.hidden = main === parts.door;
  if (main === parts.desk) return;
  parts.lost.hidden = true;
  for (const each of [parts.connection, parts.devices]) say(each, "");
}

async function signIn(event) {
  event.preventDefault();
  const token = parts.token.value.trim();
  try {
    if (!/^[\x21-\x7e]+$/.test(token)) throw new Refused(401, STRANGER);
    await new Server(token).get("/v1/jobs?limit=1");
  } catch (error) {
    const isStranger = error instanceof Refused && error.status === 401;
    say(parts.refusal, isStranger ? STRANGER : error instanceof Refused ? error.message : GONE);
    parts.token.select();
    return;
  }
  parts.token.value = "";
  say(parts.refusal, "");
  enter(token);
  parts.grid.focus();
}

/** Does what a button says, where what was asked before has left that possible. Rejects with the server's sentence. */
async function act(job, verb) {
  if (!VERBS[verb].includes(queue.jobs.get(job.id)?.state)) return;
  const before = queue.before(job);
  const target = { up: before.at(-1), first: before[0] }[verb];
  const isMove = verb === "up" || verb === "first";
  if (isMove && !target) return;
  const path = `/v1/jobs/${job.id}/${isMove ? "move" : verb}`;
  try {
    queue.put(await server.post(path, isMove ? { before: target.id } : {}));
  } catch (error) {
    throw error instanceof Lost ? new Lost("The server did not answer; look whether that happened.") : error;
  }
}

function select(id) {
  selected = id;
  history.replaceState(null, "", id ? `#${id}` : location.pathname);
  draw();
}

function open() {
  if (matchMedia("(max-width: 760px)").matches) detail.focus();
}

function close() {
  select("");
  parts.grid.focus();
}

function makeGroups() {
  for (const name of Object.keys(GROUPS)) {
    const label = document.getElementById("group").content.firstElementChild.cloneNode(true);
    const input = label.querySelector("input");
    input.value = name;
    input.checked = name === group;
    say(label.children[1], name);
    parts.groups.append(label);
  }
  parts.groups.addEventListener("change", (event) => {
    group = event.target.value;
    parts.grid.scrollTop = 0;
    draw();
  });
}

function key(event) {
  const job = queue.jobs.get(selected);
  if (event.key === "Escape" && job && event.target !== parts.search) close();
  else if (event.altKey && event.key === "ArrowUp" && job) parts.detail.querySelector('[data-verb="up"]').click();
  else return;
  event.preventDefault();
}

makeGroups();
queue.addEventListener("change", draw);
sight.addEventListener("rest", rest);
parts.search.addEventListener("input", draw);
document.getElementById("sign-in").addEventListener("submit", signIn);
parts.leave.addEventListener("click", () => leave());
document.addEventListener("keydown", key);
setInterval(() => list.draw(), 1000); // running jobs' time
const remembered = sessionStorage.getItem(TOKEN);
if (remembered) enter(remembered);
else leave();

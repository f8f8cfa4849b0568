// Everything about one job, and what may be done with it.

import { say } from "./list.js";
import { Previews } from "./previews.js";
import { duration, framesOf, nameOf, stageOf, subtitleOf, whole } from "./words.js";

// In which states each verb may be asked for, as docs/wire.md has it.
export const VERBS = {
  pause: ["queued", "running"],
  resume: ["paused"],
  retry: ["failed", "cancelled"],
  up: ["queued", "paused"],
  first: ["queued", "paused"],
  cancel: ["queued", "running", "paused"],
};

const LOG_EVERY_MS = 2000;
const LOG_CHARACTERS = 200_000; // the end of a log that is longer

export class Detail {
  #root;
  #parts;
  #previews;
  #server = null;
  #job = null;
  #facts = "";
  #logAt = 0;
  #asked = Promise.resolve(); // one thing after the other, as the keys were pressed

  /** `onVerb(job, verb)` resolves when it is done and rejects with what the server refused; `onClose` closes. */
  constructor(root, { onVerb, onClose }) {
    this.#root = root;
    this.#parts = partsOf(root);
    this.#previews = new Previews(this.#parts.previews);
    for (const button of root.querySelectorAll("[data-close]")) button.addEventListener("click", onClose);
    this.#parts.verbs.addEventListener("click", (event) => {
      const verb = event.target.dataset.verb;
      if (verb) this.#ask(verb, onVerb);
    });
    this.#parts.log.addEventListener("toggle", () => this.#readLog(true));
  }

  /** Puts the keyboard there. */
  focus() {
    this.#parts.name.focus();
  }

  /** Shows a job as it is now; nothing with null. `queue` knows what is before it, and how long it will take. */
  show(server, job, queue, isConnected) {
    const isOther = job?.id !== this.#job?.id;
    [this.#server, this.#job] = [server, job];
    this.#root.hidden = !job;
    this.#previews.watch(server, job);
    if (isOther) this.#open();
    if (!job) return;
    this.#head(job, queue, isConnected);
    say(this.#parts.previewsTitle, job.state === "running" ? "Layers so far" : "Layers, as last seen");
    this.#progress(job, queue.left(job));
    this.#list(job);
    this.#readLog(false);
  }

  #open() {
    say(this.#parts.refusal, "");
    say(this.#parts.logText, "");
    this.#parts.log.open = false;
    this.#root.scrollTop = 0;
  }

  #head(job, queue, isConnected) {
    const { name, state, subtitle, message, verbs } = this.#parts;
    this.#root.dataset.state = job.state;
    say(name, nameOf(job));
    say(state, job.state);
    say(subtitle, subtitleOf(job));
    say(message, job.message);
    message.hidden = !job.message;
    const held = document.activeElement;
    for (const button of verbs.children) {
      const { verb } = button.dataset;
      const isMove = verb === "up" || verb === "first";
      button.hidden = !VERBS[verb].includes(job.state) || (isMove && !queue.before(job).length);
      button.disabled = !isConnected;
    }
    verbs.hidden = ![...verbs.children].some((button) => !button.hidden);
    if (held.parentElement === verbs && held.hidden) verbs.querySelector("button:not([hidden])")?.focus();
  }

  #progress(job, left_s) {
    const { meters, stage, left, bar, framesLine, frames, framesBar } = this.#parts;
    const { done, total, frames_done: framesDone, frames_total: framesTotal } = job.progress;
    const isRunning = job.state === "running";
    for (const each of [stage.parentElement, bar]) each.hidden = !isRunning;
    for (const each of [framesLine, framesBar]) each.hidden = !framesTotal;
    meters.hidden = !isRunning && !framesTotal;
    say(stage, isRunning ? stageOf(job) : "");
    say(left, left_s === null ? "" : `about ${duration(left_s)} left`);
    setBar(bar, done, total);
    say(frames, framesOf(job));
    setBar(framesBar, framesDone, framesTotal);
  }

  #list(job) {
    const { warnings, result, resultFacts, facts } = this.#parts;
    const { progress: _, ...rest } = job;
    const now = JSON.stringify(rest);
    if (now === this.#facts) return; // so that a path being selected stays selected
    this.#facts = now;
    warnings.replaceChildren(...job.warnings.map((text) => element("li", text)));
    result.hidden = !job.result;
    resultFacts.replaceChildren(...pairs(resultOf(job.result ?? {})));
    facts.replaceChildren(...pairs(requestOf(job)));
  }

  #ask(verb, onVerb) {
    const job = this.#job;
    this.#asked = this.#asked.then(() => this.#do(job, verb, onVerb));
  }

  async #do(job, verb, onVerb) {
    const tell = (text) => job.id === this.#job?.id && say(this.#parts.refusal, text);
    tell("");
    await onVerb(job, verb).catch((error) => tell(error.message));
  }

  async #readLog(atOnce) {
    const { log, logText } = this.#parts;
    const isDue = this.#job?.state === "running" && Date.now() > this.#logAt + LOG_EVERY_MS;
    if (!log.open || !(atOnce || isDue)) return;
    this.#logAt = Date.now();
    const { id } = this.#job;
    const text = await this.#server.log(id).catch((error) => error.message);
    if (id !== this.#job?.id) return;
    const wasAtEnd = logText.scrollTop + logText.clientHeight >= logText.scrollHeight - 4;
    say(logText, text.slice(-LOG_CHARACTERS) || "Nothing is written yet.");
    if (wasAtEnd) logText.scrollTop = logText.scrollHeight;
  }
}

function partsOf(root) {
  const parts = {};
  for (const node of root.querySelectorAll("*"))
    for (const name of Object.keys(node.dataset)) if (!node.dataset[name]) parts[name] = node;
  return parts;
}

function setBar(bar, done, total) {
  if (!total) return bar.removeAttribute("value");
  bar.max = total;
  bar.value = done;
}

/** What came out, as terms and lines; those in `code` are paths. */
function resultOf({ files = [], preview_movie: movie, contact_sheet: sheet, ...rest }) {
  return [
    ...files.map(({ name, count, ends }) => [`${count} ${name}`, ends, "code"]),
    ["Preview", movie, "code"],
    ["Contact sheet", sheet, "code"],
    ["Made in", rest.seconds === undefined ? null : duration(rest.seconds)],
    ["Backend", rest.backend],
  ];
}

/** What was asked for, and what became of it. */
function requestOf({ request, ...job }) {
  const { first_frame: first, last_frame: last } = request;
  return [
    ["Plate", request.plate, "code"],
    ["Frames", first === null && last === null ? request.num_frames : `${first ?? "first"}-${last ?? "last"}`],
    ["Foreground", request.foreground],
    ["Background", request.background],
    ["Blended", request.blended],
    ["Model", request.model],
    ["Seed", request.seed],
    ["Steps", request.steps],
    ["Quality", request.quality],
    ["Output", request.output, "code"],
    ["Submitted", whole(job.created_at)],
    ["Started", whole(job.started_at)],
    ["Ended", whole(job.finished_at)],
    ["Attempts", job.attempts],
    ["Device", job.device],
    ["Id", job.id, "code"],
  ];
}

function pairs(facts) {
  return facts.flatMap(([term, value, kind = "span"]) => {
    const lines = [value ?? []].flat().filter((line) => line !== "");
    if (!lines.length) return [];
    const said = element("dd", "");
    said.append(...lines.map((line) => element(kind, String(line))));
    return [element("dt", term), said];
  });
}

function element(kind, text) {
  const node = document.createElement(kind);
  node.dir = "auto";
  node.textContent = text;
  return node;
}

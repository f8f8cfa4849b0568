// The API of docs/wire.md from inside the page. The token goes into the Authorization header and nowhere else.

const ANSWER_MS = 20_000;
const SILENCE_MS = 30_000; // three heartbeats; a stream that is silent for longer is broken
const PAGE = 500; // jobs

/** The server answered no. `status` is the answer's, the message one sentence that says what to do. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** No answer came, or none that makes sense. */
export class Lost extends Error {}

export class Server {
  #token;
  #end = new AbortController();
  #stream = new AbortController();

  constructor(token) {
    this.#token = token;
  }

  /** Breaks off whatever is still being asked. */
  close() {
    this.#end.abort();
  }

  /** Ends the stream of events. */
  rest() {
    this.#stream.abort();
  }

  /** The JSON of an answer. Throws Refused, and Lost. */
  async get(path) {
    return (await this.#ask(path)).json().catch(lose);
  }

  /** The job after a verb. Throws like `get`. */
  async post(path, body = {}) {
    const headers = { "Content-Type": "application/json" };
    return (await this.#ask(path, { method: "POST", headers, body: JSON.stringify(body) })).json().catch(lose);
  }

  /** What the engine wrote down while it made a job. Throws like `get`. */
  async log(job) {
    return (await this.#ask(`/v1/jobs/${job}/log`)).text().catch(lose);
  }

  /** A layer's picture so far: {image, etag}; null when there is nothing newer than `etag`. Throws like `get`. */
  async preview(job, layer, etag) {
    const headers = etag ? { "If-None-Match": etag } : {};
    const answer = await this.#ask(`/v1/jobs/${job}/preview/${layer}`, { headers });
    if (answer.status === 304) return null;
    return { image: await answer.blob().catch(lose), etag: answer.headers.get("ETag") };
  }

  /** Pages of the whole queue as they come: {jobs, event}, the latter the last event that the page knows of. */
  async *pages() {
    for (let after = null; ;) {
      const page = await this.get(`/v1/jobs?limit=${PAGE}${after ? `&after=${after}` : ""}`);
      yield page;
      if (!page.next || page.next === after) return;
      after = page.next;
    }
  }

  /** What happens after the event with this number, in batches as it happens; an empty one when the stream is open. */
  async *events(after) {
    const stream = new AbortController();
    const giveUp = () => setTimeout(() => stream.abort(), SILENCE_MS);
    let timer = giveUp();
    this.#stream = stream;
    try {
      const headers = { "Last-Event-ID": String(after) };
      const answer = await this.#ask("/v1/events", { headers, signal: stream.signal });
      yield [];
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new Parser();
      for (;;) {
        const { value, done } = await reader.read().catch(lose);
        if (done) return;
        clearTimeout(timer);
        timer = giveUp();
        yield parser.feed(value);
      }
    } finally {
      clearTimeout(timer);
      stream.abort();
    }
  }

  async #ask(path, { headers = {}, signal = AbortSignal.timeout(ANSWER_MS), ...options } = {}) {
    const answer = await fetch(path, {
      ...options,
      headers: { ...headers, Authorization: `Bearer ${this.#token}` },
      signal: AbortSignal.any([signal, this.#end.signal]),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    }).catch(lose);
    if (answer.ok || answer.status === 304) return answer;
    const told = await answer.json().catch(() => null);
    throw new Refused(answer.status, told?.error?.message ?? `the server refused that (${answer.status})`);
  }
}

function lose(error) {
  throw new Lost(error.message, { cause: error });
}

/** Server-sent events out of pieces of text of any size. Lines end as our server ends them: with \n or \r\n. */
export class Parser {
  #rest = []; // of a line that has not ended
  #data = [];

  /** The values of the events that this piece completes. */
  feed(piece) {
    this.#rest.push(piece);
    if (!piece.includes("\n")) return []; // of the end of a very long shot, with all its paths, megabytes
    const lines = this.#rest.join("").split(/\r?\n/);
    this.#rest = [lines.pop()];
    const found = [];
    for (const line of lines) {
      if (line.startsWith("data:")) this.#data.push(line.slice(5));
      if (line !== "" || !this.#data.length) continue;
      found.push(JSON.parse(this.#data.join("\n")));
      this.#data = [];
    }
    return found;
  }
}

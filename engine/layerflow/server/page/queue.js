// The queue as the server told it last, and what the page asks of it.

export const FINAL = ["done", "failed", "cancelled"];
const WAITING = ["queued", "paused"];

/** Which jobs each choice above the list shows. */
export const GROUPS = {
  All: () => true,
  Running: (job) => job.state === "running",
  Waiting: (job) => WAITING.includes(job.state),
  Done: (job) => job.state === "done" || job.state === "cancelled",
  Failed: (job) => job.state === "failed",
};

const RANKS = { running: 0, queued: 1, paused: 1, failed: 2, done: 2, cancelled: 2 };

/** Tells of a "change" at most once a frame's time, however much comes. */
export class Queue extends EventTarget {
  jobs = new Map();
  #starts = new Map(); // job -> the first progress that was heard of its stage, to tell how fast it goes
  #told = false;

  /** Takes a whole new list. */
  replace(jobs) {
    this.jobs = new Map(jobs.map((job) => [job.id, slim(job)]));
    this.#tell();
  }

  /** Takes one job as it is now. */
  put(job) {
    this.jobs.set(job.id, slim(job));
    this.#tell();
  }

  /** Takes one event of the server's stream; kinds that only a newer page knows change nothing. */
  apply(event) {
    const job = this.jobs.get(event.job);
    if (event.kind === "state") {
      this.#starts.delete(event.job);
      this.put(event.data);
    } else if (job && event.kind === "progress") {
      this.#start(event);
      this.put({ ...job, progress: event.data });
    } else if (job && event.kind === "frame") {
      const progress = { ...job.progress, frames_done: event.data.done, frames_total: event.data.total };
      this.put({ ...job, progress });
    } else if (job && event.kind === "warning" && !job.warnings.includes(event.data.message)) {
      this.put({ ...job, warnings: [...job.warnings, event.data.message] });
    }
  }

  /** Those that `group` and the words of `search` leave, running first, then in their order, then by their end. */
  shown(group, search) {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [...this.jobs.values()].filter(
      (job) => GROUPS[group](job) && (!words.length || words.every((word) => textOf(job).includes(word))));
    return found.sort(inOrder);
  }

  /** How many jobs each group has. */
  counts() {
    const counts = Object.fromEntries(Object.keys(GROUPS).map((name) => [name, 0]));
    for (const job of this.jobs.values())
      for (const name in GROUPS) counts[name] += GROUPS[name](job);
    return counts;
  }

  /** The waiting jobs before this one, first to last. */
  before(job) {
    const waiting = this.shown("Waiting", "");
    return waiting.slice(0, Math.max(waiting.findIndex((each) => each.id === job.id), 0));
  }

  /** Seconds that the stage at hand will still take, as fast as it went so far; null when that is not known yet. */
  left(job) {
    const { done, total } = job.progress;
    const start = this.#starts.get(job.id);
    if (job.state !== "running" || !start || done - start.done < 2 || start.last - start.at < 2) return null;
    return (total - done) * (start.last - start.at) / (done - start.done);
  }

  #start({ job, at, data }) {
    const start = this.#starts.get(job);
    const same = start?.stage === data.stage && start.total === data.total && start.done <= data.done;
    this.#starts.set(job, same ? { ...start, last: at } : { ...data, at, last: at });
  }

  #tell() {
    if (this.#told) return;
    this.#told = true;
    setTimeout(() => {
      this.#told = false;
      this.dispatchEvent(new Event("change"));
    }, 16);
  }
}

/** The job with no more of its result than is shown: of the paths of frames the first, the last and their number. */
function slim(job) {
  if (!Array.isArray(job.result?.frames)) return job;
  const { frames, per_layer: layers, ...rest } = job.result;
  const files = [["frames", frames], ...Object.entries(layers ?? {})].map(
    ([name, paths]) => ({ name, count: paths.length, ends: paths.length > 1 ? [paths[0], paths.at(-1)] : paths }));
  return { ...job, result: { ...rest, files } };
}

function textOf({ id, state, label, request }) {
  const { task, plate, foreground, background, blended, model, output } = request;
  return [id, state, label, task, plate, foreground, background, blended, model, output].join(" ").toLowerCase();
}

function inOrder(one, other) {
  const rank = RANKS[one.state] - RANKS[other.state];
  if (rank) return rank;
  return RANKS[one.state] < 2 ? one.position - other.position : (other.finished_at ?? 0) - (one.finished_at ?? 0);
}

// Values in words, for people.

const DAY_MS = 86_400_000;
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const both = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** What a job is called: its label, or what it makes. */
export function nameOf(job) {
  return job.label || lastPart(job.request.plate ?? job.request.output) || job.request.task;
}

/** What tells it from others of its name. */
export function subtitleOf(job) {
  return `${job.request.task} · ${job.id.slice(0, 8)}`;
}

/** What a job is at, and how far: "sampling 3/12"; of one that is not running, why or how long. */
export function stageOf(job) {
  const { stage, done, total } = job.progress;
  if (job.state === "done" && job.result?.seconds !== undefined) return `made in ${duration(job.result.seconds)}`;
  if (job.state !== "running") return job.message;
  return total ? `${stage} ${done}/${total}` : stage || "starting";
}

/** "3/16", or nothing where no frames are known yet. */
export function framesOf(job) {
  const { frames_done: done, frames_total: total } = job.progress;
  return total ? `${done}/${total}` : "";
}

/** How far a job is, 0 to 1; null when it is at something that cannot be counted. */
export function shareOf(job) {
  const { done, total, frames_done: framesDone, frames_total: framesTotal } = job.progress;
  if (job.state === "done") return 1;
  if (job.state === "running") return total ? done / total : null;
  return framesTotal ? framesDone / framesTotal : 0;
}

/** How long a running job has run, when another one ended or came. */
export function timeOf(job, now_s) {
  if (job.state === "running" && job.started_at) return duration(now_s - job.started_at);
  return moment(job.finished_at ?? job.created_at, now_s);
}

/** 75 as "1 m 15 s". */
export function duration(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (h) return `${h} h ${m} m`;
  return m ? `${m} m ${s} s` : `${s} s`;
}

/** The hour of a time within the last day, else its date. */
export function moment(at_s, now_s) {
  if (!at_s) return "";
  return ((now_s - at_s) * 1000 < DAY_MS ? time : date).format(at_s * 1000);
}

/** Date and hour. */
export function whole(at_s) {
  return at_s ? both.format(at_s * 1000) : "";
}

function lastPart(path) {
  return path?.split(/[\\/]/).filter(Boolean).at(-1);
}

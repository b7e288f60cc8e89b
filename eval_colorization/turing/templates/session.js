/* A participant's trials and answers: in a local file, or on a server. What is known of the test, from the JSON block
   #test of the page:

   test_id, form     names of the test and of this set of trials
   display_seconds   how long a pair is shown
   server            path of this participant on the server, or null: then this page is a local file, keeps the answers
                     in localStorage, and offers them as a file at the end
   shuffle           whether order and sides are still to be drawn
   answered          how many trials the server has answers of
   trials            practice first: {trial, images: [left or upper, right or lower], practice, fake}, the fake only
                     in the practice of a local file */
"use strict";

const RETRY_MS = [500, 1000, 2000, 4000, 8000];

const test = JSON.parse(document.getElementById("test").textContent);
const numPractice = test.trials.filter((trial) => trial.practice).length;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function randomBelow(limit) {
  return Math.floor((crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32) * limit);
}

function shuffled(items) {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last--) {
    const other = randomBelow(last + 1);
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

function randomHex(digits) {
  return Array.from({ length: digits }, () => randomBelow(16).toString(16)).join("");
}

/* A local file: plan and answers live in localStorage, so that a reload resumes at the same trial. */
class LocalSession {
  #place = `turing ${test.test_id} ${test.form}`;

  constructor() {
    const anew = { participant: randomHex(16), started: null, finished: null, plan: plan(), answers: [] };
    this.remembers = true;
    this.state = this.#stored() ?? anew;
    this.#store();
    const known = new Map(test.trials.map((trial) => [trial.trial, trial]));
    this.trials = this.state.plan.map(([trial, ...images]) => ({ ...known.get(trial), images }));
  }

  get answered() {
    return this.state.answers.length;
  }

  start() {
    this.state.started ??= new Date().toISOString();
    this.#store();
  }

  /* Keep an answer; resolves with the name of the fake where the trial gives feedback. */
  async keep(trial, answer) {
    this.state.answers.push(answer);
    if (this.answered === test.trials.length) this.state.finished = new Date().toISOString();
    this.#store();
    return trial.fake;
  }

  get file() {
    return `turing-${test.test_id}-${test.form}-${this.state.participant}.json`;
  }

  get result() {
    const { participant, started, finished, answers } = this.state;
    return {
      format: 1,
      test_id: test.test_id,
      form: test.form,
      participant,
      started,
      finished: finished ?? new Date().toISOString(),
      complete: this.answered === test.trials.length,
      num_trials: test.trials.length,
      answers,
    };
  }

  forget() {
    if (this.remembers) localStorage.removeItem(this.#place);
  }

  #stored() {
    try {
      return JSON.parse(localStorage.getItem(this.#place));
    } catch {
      this.remembers = false;  // storage switched off for local files, or altogether
      return null;
    }
  }

  #store() {
    try {
      localStorage.setItem(this.#place, JSON.stringify(this.state));
    } catch {
      this.remembers = false;
    }
  }
}

/* [trial, left, right] of every trial: practice first, each group and the sides in random order. */
function plan() {
  const groups = [test.trials.slice(0, numPractice), test.trials.slice(numPractice)];
  const draw = test.shuffle ? shuffled : (items) => items;
  return groups.flatMap(draw).map(({ trial, images }) => [trial, ...draw(images)]);
}

/* A server: it has drawn the plan, and an answer counts as given when the server has acknowledged it. */
class ServedSession {
  remembers = true;
  trials = test.trials;
  answered = test.answered;

  #tell;

  /* `tell` shows a line to the participant. */
  constructor(tell) {
    this.#tell = tell;
  }

  start() {}

  async keep(trial, { position, chosen, seconds }) {
    const body = JSON.stringify({ trial: trial.trial, position, chosen, seconds });
    for (let attempt = 0; ; attempt++) {
      const reply = await this.#post(body);
      if (reply?.status === 200) {
        this.answered++;
        return reply.fake;
      }
      if (reply && reply.status < 500) {
        const refusal = `The server did not take the answer (status ${reply.status}).`;
        throw new Error(`${refusal} Your earlier answers are stored.`);
      }
      this.#tell("Your answer is not sent yet, trying again …");
      await pause(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]);
    }
  }

  /* Resolves with the status and, where the server tells it, the fake; with null where the network fails. */
  async #post(body) {
    const headers = { "Content-Type": "application/json" };
    const signal = AbortSignal.timeout(15000);
    try {
      const response = await fetch(`${test.server}/answers`, { method: "POST", headers, body, signal });
      return { status: response.status, fake: response.ok ? (await response.json()).fake : undefined };
    } catch {
      return null;
    }
  }
}

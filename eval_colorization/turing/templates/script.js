/* The visual Turing test as a participant takes it: the screens one after the other, and the clock of each trial.
   Trials and answers are session.js's. */
"use strict";

const CROSS_MS = 500;
const STOP = Symbol("stop early");

const byId = (id) => document.getElementById(id);
const places = [byId("first"), byId("second")];
const stacked = () => getComputedStyle(byId("stage")).flexDirection === "column";
const frame = () => new Promise(requestAnimationFrame);

/* Screens --------------------------------------------------------------------------------------------------------- */

function show(id) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
  byId(id).querySelector("[tabindex='-1']").focus();
}

function say(text) {
  byId("prompt").textContent = text;
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/* Resolves with the value of the button that is pressed first; the focus goes to `focused`. */
function pressed(choices, focused) {
  focused?.focus();
  const over = new AbortController();
  return new Promise((resolve) => {
    for (const [button, value] of choices) button.addEventListener("click", () => resolve(value), over);
  }).finally(() => over.abort());
}

/* Load and decode all images: the clock of a trial must never wait for them. */
async function load(trials) {
  const names = trials.flatMap((trial) => trial.images);
  let numLoaded = 0;
  byId("loaded").max = names.length;
  byId("loading").textContent = `Loading ${names.length} images …`;
  const images = await Promise.all(names.map(async (name) => {
    const image = new Image();
    image.alt = "";  // the button around it has a name
    image.src = `${test.server ? `${test.server}/` : ""}images/${name}`;
    await image.decode().catch(() => {
      throw new Error(`The image ${name} could not be loaded. ` + (test.server
        ? "Please check your connection to the network."
        : "Please unpack the whole folder: the images must lie beside this page, in the folder images."));
    });
    byId("loaded").value = ++numLoaded;
    return [name, image];
  }));
  byId("loading").textContent = "";
  byId("loaded").hidden = true;
  return new Map(images);
}

/* A trial --------------------------------------------------------------------------------------------------------- */

/* Which place a key means. Arrows mean the places as they lie at this moment. */
function placeOf({ key, repeat, altKey, ctrlKey, metaKey }) {
  if (repeat || altKey || ctrlKey || metaKey) return -1;
  const arrows = stacked() ? ["ArrowUp", "ArrowDown"] : ["ArrowLeft", "ArrowRight"];
  return Math.max(arrows.indexOf(key), ["1", "2"].indexOf(key));
}

/* Cross, then images for the display time, then empty places; answers count as soon as there are images.
   Resolves with {place, seconds since the images' first frame}, or with STOP. */
function ask(images) {
  const over = new AbortController();
  let firstFrame = Infinity;
  return new Promise((resolve, reject) => {
    const finish = (result) => {
      over.abort();
      resolve(result);
    };
    const answer = (place, event) => {
      if (place < 0 || byId("stage").dataset.phase === "cross") return;
      finish({ place, seconds: Math.max(0, event.timeStamp - firstFrame) / 1000 });
    };
    byId("stop").addEventListener("click", () => finish(STOP), over);
    document.addEventListener("keydown", (event) => answer(placeOf(event), event), over);
    places.forEach((button, place) => button.addEventListener("click", (event) => answer(place, event), over));
    present(images, over.signal, (time) => { firstFrame = time; }).catch(reject);
  });
}

async function present(images, signal, noteFirstFrame) {
  places.forEach((button, place) => button.querySelector(".place").append(images[place]));
  enter("cross", "Look at the cross.");
  // They were decoded when they were loaded, but browsers may have dropped the pixels since.
  await Promise.all([pause(CROSS_MS), ...images.map((image) => image.decode())]);
  await frame();
  if (signal.aborted) return;
  enter("images", "Which one is the fake?");
  // What one frame's callback changes is painted after it: the next callback is the first that comes when the images
  // are on the screen.
  const firstFrame = await frame();
  noteFirstFrame(firstFrame);
  while (!signal.aborted && (await frame()) - firstFrame < 1000 * test.display_seconds);
  if (!signal.aborted) enter("places", "The images are gone. Which one was the fake?");
}

function enter(phase, prompt) {
  byId("stage").dataset.phase = phase;
  for (const button of places) button.disabled = phase === "cross" || phase === "feedback";
  say(prompt);
}

/* Both images again with what they are, until the participant continues. Resolves with STOP or nothing. */
async function feedback(images, chosen, fake) {
  places.forEach((button, place) => {
    const isFake = images[place] === fake;
    button.classList.toggle("fake", isFake);
    button.querySelector(".mark").textContent = isFake ? "coloured by the computer" : "real photograph";
  });
  const side = (stacked() ? ["upper", "lower"] : ["left", "right"])[images.indexOf(fake)];
  enter("feedback", `${chosen === fake ? "Right" : "Wrong"}: the ${side} image is the fake.`);
  byId("next").hidden = false;
  const result = await pressed([[byId("next")], [byId("stop"), STOP]], byId("next"));
  byId("next").hidden = true;
  return result;
}

function announce(trials, position) {
  byId("count").textContent = trials[position].practice
    ? `Practice ${position + 1} of ${numPractice}`
    : `Trial ${position + 1 - numPractice} of ${trials.length - numPractice}`;
  byId("progress").max = trials.length;
  byId("progress").value = position;
}

/* The test -------------------------------------------------------------------------------------------------------- */

async function run(session) {
  const { trials } = session;
  if (session.answered < trials.length) {
    const images = await welcome(session);
    while (session.answered < trials.length) {
      const position = session.answered;
      if (position > 0 && position === numPractice) {
        show("break");
        await pressed([[byId("go")]], byId("go"));
      }
      if ((await take(session, position, images)) === STOP) await farewell(session);
    }
  }
  await farewell(session);
}

/* Say what is coming, load the images meanwhile, and wait for the start. Resolves with the images by name. */
async function welcome(session) {
  const { trials, answered } = session;
  fill("display", test.display_seconds === 1 ? "one second" : `${test.display_seconds} seconds`);
  fill("practice", count(numPractice, "practice trial"));
  fill("counted", count(trials.length - numPractice, "trial"));
  fill("answered", `${answered} of ${count(trials.length, "trial")}`);
  byId("fresh").hidden = answered > 0;
  byId("practice").hidden = numPractice === 0;
  byId("returning").hidden = answered === 0;
  byId("unremembered").hidden = session.remembers;
  byId("start").textContent = answered ? "Resume" : "Start";
  show("welcome");
  const images = await load(trials.slice(answered));
  byId("start").disabled = false;
  await pressed([[byId("start")]], byId("start"));
  session.start();
  return images;
}

function fill(name, text) {
  for (const element of document.querySelectorAll(`[data-fill=${name}]`)) element.textContent = text;
}

async function take(session, position, images) {
  const trial = session.trials[position];
  const [left, right] = trial.images;
  places.forEach((button) => button.querySelector("img")?.remove());
  announce(session.trials, position);
  show("trial");
  const answer = await ask([images.get(left), images.get(right)]);
  if (answer === STOP) return STOP;
  const chosen = trial.images[answer.place];
  const seconds = Number(answer.seconds.toFixed(3));
  enter("cross", "");
  const fake = await session.keep(trial, { trial: trial.trial, position, left, right, chosen, seconds });
  return trial.practice ? feedback(trial.images, chosen, fake) : null;
}

/* The end, or a stop before it. Resolves when the participant resumes after all. */
async function farewell(session) {
  const complete = session.answered === test.trials.length;
  byId("end-title").textContent = complete ? "Thank you" : "Stopped early";
  byId("complete").hidden = !complete;
  byId("incomplete").hidden = complete;
  byId("stored").hidden = !test.server;
  byId("result").hidden = Boolean(test.server);
  fill("answered", `${session.answered} of ${count(test.trials.length, "trial")}`);
  fill("file", session.file);
  byId("save").onclick = () => {
    save(session);
    byId("another").hidden = false;
  };
  byId("another").onclick = () => {
    session.forget();
    location.reload();
  };
  show("end");
  await pressed([[byId("resume")]]);
}

function save(session) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(session.result, null, 1)], { type: "application/json" }));
  link.download = session.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

byId("reload").addEventListener("click", () => location.reload());
run(test.server ? new ServedSession(say) : new LocalSession()).catch((error) => {
  byId("complaint").textContent = error.message;
  show("trouble");
});

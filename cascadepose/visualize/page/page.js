// The page as a whole: time, keys, what lies under the pointer.

const get = (id) => document.getElementById(id);
const panes = { picture: get("picture"), space: get("space") };
const slider = get("time"), speed = get("speed"), tip = get("tip");
const ICONS = { play: "M3 1.5v13l11-6.5z", pause: "M3 2h3.5v12H3zM9.5 2H13v12H9.5z" };

const sightings = people.filter(({ observed }) => observed.includes(1)).map((p) => p.first + p.observed.indexOf(1));
let frame = sightings.length ? Math.min(...sightings) : 0;
let playing = null; // {clock, time}: where playing began
let asked = false;
let spots = { picture: [], space: [] };
let marked = null;

function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(draw);
}

function draw(now) {
  asked = false;
  if (playing) advance(now);
  if (!panes.picture.hidden) spots.picture = drawPicture(panes.picture.firstElementChild, frame, marked, redraw);
  if (!panes.space.hidden) spots.space = drawSpace(panes.space.firstElementChild, frame, marked);
  drawLanes(frame);
  followLanes(get("lanes"), frame);
  slider.value = frame;
  slider.setAttribute("aria-valuetext", `${times[frame]?.toFixed(2)} s`);
  get("clock").textContent = numFrames ? `${times[frame].toFixed(2)} s · frame ${frame} / ${numFrames - 1}` : "";
  document.documentElement.dataset.frame = frame;
  if (playing) redraw();
}

// The frame of this moment; after the last one, from the start again.
function advance(now) {
  playing.clock ??= now;
  const rest = numFrames > 1 ? times[numFrames - 1] - times[numFrames - 2] : 0; // the last frame has its time, too
  const passed = playing.time + ((now - playing.clock) / 1000) * Number(speed.value);
  if (passed > times[numFrames - 1] + rest) playing = { clock: now, time: 0 };
  frame = lastUpTo(times, Math.min(passed, playing.clock === now ? 0 : passed));
}

function play(on) {
  playing = on && numFrames > 1 ? { clock: null, time: frame === numFrames - 1 ? 0 : times[frame] } : null;
  get("play").querySelector("path").setAttribute("d", playing ? ICONS.pause : ICONS.play);
  get("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  redraw();
}

function seek(to) {
  play(false);
  frame = Math.min(Math.max(to, 0), numFrames - 1);
  redraw();
}

function faster(by) {
  speed.selectedIndex = Math.min(Math.max(speed.selectedIndex + by, 0), speed.options.length - 1);
  if (playing) play(true);
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target === speed) return;
  const step = event.shiftKey ? 10 : 1;
  const keys = {
    " ": () => play(!playing),
    ArrowLeft: () => seek(frame - step),
    ArrowRight: () => seek(frame + step),
    Home: () => seek(0),
    End: () => seek(numFrames - 1),
    "[": () => faster(-1),
    "]": () => faster(1),
    r: resetView,
  };
  const person = people[Number(event.key) - 1];
  if (event.key === " " && event.target.closest("button, summary")) return; // their own key
  if (keys[event.key]) keys[event.key]();
  else if (person) toggle(person, person.button), redraw();
  else return;
  event.preventDefault();
}

function resetView() {
  if (panes.space.hidden) return;
  camera.home();
  redraw();
}

// Name, person and trust of the joint under the pointer.
function explain(name, event) {
  const box = panes[name].getBoundingClientRect();
  const spot = event.buttons ? null : nearest(spots[name], event.clientX - box.left, event.clientY - box.top, 16);
  tip.hidden = !spot;
  if (spot) {
    const { person, row, joint } = spot;
    const lines = [`${(spot.flat ? person.skeleton : person.body).names[joint]} · person ${person.id}`];
    if (spot.flat) lines.push(`score ${spot.score.toFixed(2)}`);
    else if (!person.observed[row]) lines.push("not seen here: interpolated");
    else if (!person.measured[joint]) lines.push("put together from other joints");
    tip.textContent = lines.join("\n");
    const wide = tip.offsetWidth, high = tip.offsetHeight;
    tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - wide - 6)}px`;
    tip.style.top = `${Math.max(event.clientY - high - 12, 6)}px`;
  }
  if (spot?.person !== marked?.person || spot?.joint !== marked?.joint) {
    marked = spot && { person: spot.person, joint: spot.joint };
    redraw();
  }
}

function describe() {
  const parts = [people.length === 1 ? "1 person" : `${people.length || "no"} people`];
  parts.push(numFrames === 1 ? "1 frame" : `${numFrames} frames`);
  if (content.rate) parts.push(`${Number(content.rate.toFixed(2))} a second`);
  parts.push(`${content.size[0]} × ${content.size[1]}`);
  get("facts").textContent = parts.join(" · ");
  get("notes").hidden = !content.notes.length;
  get("notes").open = window.innerWidth > 760 && window.innerHeight > 560;
  get("notes").lastElementChild.textContent = content.notes.join(" · ");
  for (const side of ["left", "right"]) document.querySelector(`#legend .${side}`).style.background = theme[side];
}

function start() {
  readTheme();
  describe();
  panes.space.hidden = !content.scene;
  panes.picture.hidden = !!content.scene && !content.pictures;
  const aspect = content.size[0] / content.size[1];
  panes.picture.style.setProperty("--aspect", aspect);
  panes.picture.style.flexGrow = Math.min(Math.max(aspect, 0.7), 1.4);
  panes.space.style.flexGrow = Math.min(Math.max(0.8 + 0.2 * (content.scene?.radius ?? 0), 1), 1.6);
  get("transport").hidden = numFrames < 2;
  slider.max = Math.max(numFrames - 1, 0);
  addLanes(get("lanes"), seek, redraw);
  listenToGestures(panes.space, redraw);
  slider.addEventListener("input", () => seek(Number(slider.value)));
  speed.addEventListener("change", () => playing && play(true));
  get("play").addEventListener("click", () => play(!playing));
  get("reset").addEventListener("click", resetView);
  window.addEventListener("keydown", press);
  for (const name of ["picture", "space"]) {
    const canvas = panes[name].firstElementChild;
    canvas.addEventListener("pointermove", (event) => explain(name, event));
    canvas.addEventListener("pointerdown", ({ clientX, clientY }) => explain(name, { clientX, clientY, buttons: 0 }));
    canvas.addEventListener("pointerleave", () => explain(name, { buttons: 1 }));
  }
  new ResizeObserver(redraw).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readTheme();
    redraw();
  });
  play(false);
}

start();

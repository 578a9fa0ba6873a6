// Below the slider: who is there when, and a switch for each person.

const THUMB = 14; // px of the slider's knob, whose middle stays this half inside

function addLanes(parent, seek, redraw) {
  people.forEach((person, number) => {
    const lane = document.createElement("div");
    lane.className = "lane";
    const button = document.createElement("button");
    button.textContent = person.id;
    button.style.setProperty("--person", person.color);
    button.title = `Show or hide person ${person.id}` + (number < 9 ? ` (${number + 1})` : "");
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      toggle(person, button);
      redraw();
    });
    const canvas = document.createElement("canvas");
    const seen = person.observed.reduce((sum, value) => sum + value, 0);
    const text = document.createElement("output");
    text.textContent = seen === 1 ? "seen in 1 frame" : `seen in ${seen} frames`;
    lane.append(button, canvas, text, document.createElement("span"));
    parent.append(lane);
    Object.assign(person, { button, canvas });
    listenToLane(canvas, seek);
  });
}

function toggle(person, button) {
  person.on = !person.on;
  button.setAttribute("aria-pressed", String(person.on));
}

function listenToLane(canvas, seek) {
  const go = (event) => {
    if (!(event.buttons & 1)) return;
    const box = canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - THUMB / 2) / Math.max(box.width - THUMB, 1);
    seek(Math.round(Math.min(Math.max(share, 0), 1) * (numFrames - 1)));
  };
  canvas.addEventListener("pointerdown", go);
  canvas.addEventListener("pointermove", go);
}

// Whoever comes in has a lane that can be seen, however many there are.
function followLanes(parent, frame) {
  const here = present(frame).map(({ person }) => person);
  const ids = here.map(({ id }) => id).join();
  if (ids === parent.dataset.ids) return;
  parent.dataset.ids = ids;
  const places = here.map(({ button }) => button.parentElement.offsetTop - parent.offsetTop);
  if (!places.length || parent.scrollHeight <= parent.clientHeight) return;
  const [first, last] = [Math.min(...places), Math.max(...places) + 26];
  if (first < parent.scrollTop || last > parent.scrollTop + parent.clientHeight) parent.scrollTop = first;
}

// Full colour where the person was seen, pale where the pose is interpolated.
function drawLanes(frame) {
  for (const person of people) {
    const { context, width, height } = prepare(person.canvas);
    const unit = (width - THUMB) / Math.max(numFrames - 1, 1);
    const x = (index) => THUMB / 2 + Math.min(Math.max(index, 0), numFrames - 1) * unit;
    context.fillStyle = theme.track;
    context.beginPath();
    context.roundRect(0, height / 2 - 3, width, 6, 3);
    context.fill();
    context.fillStyle = person.color;
    for (let row = 0; row < person.count; ) {
      let end = row;
      while (end + 1 < person.count && person.observed[end + 1] === person.observed[row]) end++;
      context.globalAlpha = person.observed[row] ? 1 : 0.35;
      const from = numFrames > 1 ? x(person.first + row - 0.5) : 0;
      const to = numFrames > 1 ? x(person.first + end + 0.5) : width;
      context.fillRect(from, height / 2 - 3, Math.max(to - from, 2), 6);
      row = end + 1;
    }
    context.globalAlpha = 1;
    if (numFrames > 1) line(context, x(frame), 1, x(frame), height - 1, theme.ink, 1.5);
  }
}

// The 3D view: a camera that goes around a point, its gestures, and the ground.

const FIELD = (32 * Math.PI) / 180; // vertical angle of view
const HOME = { yaw: 0.42, pitch: 0.2 };

const camera = {
  ...HOME,
  distance: 5,
  target: [0, 0.9, 0],
  width: 1,
  height: 1,

  aim() {
    const [sy, cy, sp, cp] = [Math.sin(this.yaw), Math.cos(this.yaw), Math.sin(this.pitch), Math.cos(this.pitch)];
    this.right = [cy, 0, -sy];
    this.up = [-sy * sp, cp, -cy * sp];
    this.back = [sy * cp, sp, cy * cp];
    this.focal = this.height / 2 / Math.tan(FIELD / 2);
  },

  // A point in metres -> x, y in CSS px, depth in m, and px a metre there (0 behind the eye).
  project(x, y, z) {
    const p = [x - this.target[0], y - this.target[1], z - this.target[2]];
    const along = (axis) => p[0] * axis[0] + p[1] * axis[1] + p[2] * axis[2];
    const depth = this.distance - along(this.back);
    const scale = depth > 0.05 ? this.focal / depth : 0;
    return { x: this.width / 2 + along(this.right) * scale, y: this.height / 2 - along(this.up) * scale, depth, scale };
  },

  // Everybody in view, from the front.
  home() {
    const { radius, height } = content.scene;
    const tall = Math.max(height, 1.6) + 0.45;
    const aspect = Math.max(this.width, 1) / Math.max(this.height, 1);
    const wide = (Math.max(radius, 0.7) + 0.25) / aspect;
    Object.assign(this, HOME, { target: [0, (tall - 0.45) / 2, 0] });
    this.distance = Math.max(tall / 2, wide) / Math.tan(FIELD / 2) + Math.min(radius, 2) * 0.6;
  },

  turn(dx, dy) {
    this.yaw -= dx * 0.008;
    this.pitch = Math.min(Math.max(this.pitch + dy * 0.008, -0.25), 1.55);
  },

  zoom(factor) {
    this.distance = Math.min(Math.max(this.distance * factor, 0.6), 200);
  },

  move(dx, dy) {
    const metres = this.distance / this.focal;
    this.target = this.target.map((value, i) => value - dx * metres * this.right[i] + dy * metres * this.up[i]);
  },
};

function drawSpace(canvas, frame, marked) {
  const { context, width, height } = prepare(canvas);
  Object.assign(camera, { width, height });
  if (!camera.placed && width > 1) {
    camera.home();
    camera.placed = true;
  }
  camera.aim();
  drawGrid(context);
  const here = present(frame).filter(({ person }) => person.joints);
  const poses = here.map(({ person, row }) => ({ person, row, spots: pose(camera, person, row) }));
  if (content.scene.layout === "in space") {
    people.filter((person) => person.on && person.joints).forEach((person) => drawPath(context, camera, person));
  }
  for (const { person, row, spots } of poses) drawGround(context, camera, person, spots, person.observed[row]);
  drawBodies(context, camera, poses);
  drawTags(context, poses, width);
  const spots = poses.flatMap((one) => one.spots).filter((spot) => spot.scale > 0);
  const mark = marked && spots.find((spot) => spot.person === marked.person && spot.joint === marked.joint);
  if (mark) ring(context, mark.x, mark.y, theme.ink, Math.max(mark.scale * RADIUS * 2, 6), 1.5);
  return spots;
}

// Lines every half metre (further apart where the scene is large) that fade out around the scene.
function drawGrid(context) {
  const reach = Math.max(content.scene.radius, 1.5) + 1.2;
  const cell = reach < 6 ? 0.5 : reach < 25 ? 1 : 5;
  const half = Math.ceil(reach / cell), levels = 6;
  const paths = Array.from({ length: levels }, () => new Path2D());
  const corner = (i, k) => camera.project(i * cell, 0, k * cell);
  for (let i = -half; i <= half; i++) {
    for (let k = -half; k < half; k++) {
      const fade = 1 - (Math.hypot(i, k + 0.5) * cell) / reach;
      if (fade <= 0) continue;
      const path = paths[Math.min(Math.floor(fade * levels * 1.6), levels - 1)];
      for (const [a, b] of [[corner(i, k), corner(i, k + 1)], [corner(k, i), corner(k + 1, i)]]) {
        if (!(a.scale > 0 && b.scale > 0)) continue;
        path.moveTo(a.x, a.y);
        path.lineTo(b.x, b.y);
      }
    }
  }
  context.lineWidth = 1;
  paths.forEach((path, level) => {
    context.strokeStyle = `rgb(${theme.grid} / ${(0.42 * (level + 1)) / levels})`;
    context.stroke(path);
  });
}

// One finger or the left button turns; two fingers, the right button or shift move; wheel and pinch zoom.
function listenToGestures(pane, redraw) {
  const canvas = pane.querySelector("canvas");
  const pointers = new Map();
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, gap: Math.hypot(a.x - b.x, a.y - b.y) };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    pane.classList.add("turning");
  });
  canvas.addEventListener("pointermove", (event) => {
    const old = pointers.get(event.pointerId);
    if (!old) return;
    const before = pointers.size === 2 ? spread() : old;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const now = pointers.size === 2 ? spread() : pointers.get(event.pointerId);
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    if (pointers.size === 2) camera.zoom(before.gap / Math.max(now.gap, 1));
    if (pointers.size === 2 || event.buttons & 6 || event.shiftKey) camera.move(dx, dy);
    else camera.turn(dx, dy);
    redraw();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      pointers.delete(event.pointerId);
      if (!pointers.size) pane.classList.remove("turning");
    });
  }
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    camera.zoom(Math.exp(Math.min(Math.max(event.deltaY, -150), 150) * 0.0015));
    redraw();
  }, { passive: false });
  canvas.addEventListener("dblclick", () => {
    camera.home();
    redraw();
  });
}

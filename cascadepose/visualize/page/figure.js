// People in the 3D view: limbs as round rods, sorted so that near ones cover far ones, over shadows on the ground.

const RADIUS = 0.02; // m of a limb

// The joints of a person in one frame, projected.
function pose(camera, person, row) {
  const count = person.body.names.length;
  const spots = [];
  for (let j = 0; j < count; j++) {
    const at = 3 * (row * count + j);
    const point = [person.joints[at], person.joints[at + 1], person.joints[at + 2]];
    spots.push({ ...camera.project(...point), point, person, row, joint: j });
  }
  return spots;
}

// A ring of the person's colour, and soft shadows: a wide one of the body, one under each joint that is low.
function drawGround(context, camera, person, spots, seen) {
  const middle = spots[person.root].point;
  shadow(context, camera, middle[0], middle[2], 0.55, 0.16);
  for (const { point } of spots) {
    if (point[1] < 0.4) shadow(context, camera, point[0], point[2], 0.2, 0.3 * (1 - Math.max(point[1], 0) / 0.4));
  }
  context.globalAlpha = seen ? 0.8 : 0.3;
  loop(context, camera, middle[0], middle[2], 0.27, person.color, 1.75);
  context.globalAlpha = 1;
}

// A disc on the ground that fades out.
function shadow(context, camera, x, z, radius, alpha) {
  const spot = camera.project(x, 0, z);
  if (!(spot.scale > 0)) return;
  const gradient = context.createRadialGradient(0, 0, 0, 0, 0, 1);
  gradient.addColorStop(0, `rgb(${theme.shade} / ${alpha})`);
  gradient.addColorStop(0.5, `rgb(${theme.shade} / ${alpha * 0.4})`);
  gradient.addColorStop(1, `rgb(${theme.shade} / 0)`);
  context.save();
  context.translate(spot.x, spot.y);
  context.scale(radius * spot.scale, radius * spot.scale * Math.max(Math.abs(Math.sin(camera.pitch)), 0.06));
  dot(context, 0, 0, gradient, 1);
  context.restore();
}

// A circle on the ground.
function loop(context, camera, x, z, radius, color, width) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.beginPath();
  for (let i = 0; i <= 48; i++) {
    const turn = (2 * Math.PI * i) / 48;
    const spot = camera.project(x + radius * Math.cos(turn), 0, z + radius * Math.sin(turn));
    if (!(spot.scale > 0)) return;
    if (i) context.lineTo(spot.x, spot.y);
    else context.moveTo(spot.x, spot.y);
  }
  context.stroke();
}

// Where the person goes, as a line on the ground.
function drawPath(context, camera, person) {
  const count = person.body.names.length;
  context.strokeStyle = person.color;
  context.globalAlpha = 0.35;
  context.lineWidth = 1.5;
  context.beginPath();
  let drawing = false;
  for (let row = 0; row < person.count; row++) {
    const at = 3 * (row * count + person.root);
    const spot = camera.project(person.joints[at], 0, person.joints[at + 2]);
    if (!(spot.scale > 0)) drawing = false;
    else if (drawing) context.lineTo(spot.x, spot.y);
    else context.moveTo(spot.x, spot.y), (drawing = true);
  }
  context.stroke();
  context.globalAlpha = 1;
}

// Rods and joints of everybody, far ones first.
function drawBodies(context, camera, poses) {
  const parts = [];
  for (const { person, row, spots } of poses) {
    const seen = person.observed[row];
    for (const [a, b, side] of person.body.lines) {
      if (spots[a].scale > 0 && spots[b].scale > 0) {
        const color = seen ? theme[side] : theme.unseen;
        parts.push({ depth: (spots[a].depth + spots[b].depth) / 2, a: spots[a], b: spots[b], color });
      }
    }
  }
  parts.sort((one, other) => other.depth - one.depth);
  for (const { a, b, depth, color } of parts) {
    const width = Math.max(((a.scale + b.scale) / 2) * RADIUS * 2, 1.5);
    const haze = Math.min(Math.max((depth - camera.distance) / (3 * camera.distance) + 0.04, 0), 0.45);
    const base = mix(color, theme.bottom, haze);
    line(context, a.x, a.y, b.x, b.y, theme.halo, width + 2.5);
    line(context, a.x, a.y, b.x, b.y, base, width);
    const lift = width * 0.16;
    line(context, a.x - lift, a.y - lift, b.x - lift, b.y - lift, mix(color, "#ffffff", 0.38), width * 0.28);
    for (const end of [a, b]) {
      const radius = Math.max(end.scale * RADIUS * 1.12, 1.2);
      dot(context, end.x, end.y, theme.halo, radius + 0.8);
      dot(context, end.x, end.y, mix(seen(end) ? theme.limb : theme.unseen, theme.bottom, haze), radius);
      dot(context, end.x - radius * 0.25, end.y - radius * 0.25, "rgb(255 255 255 / 0.28)", radius * 0.42);
    }
  }
}

function seen(spot) {
  return spot.person.observed[spot.row];
}

function drawTags(context, poses, width) {
  for (const { person, spots } of poses) {
    const drawn = spots.filter((spot) => spot.scale > 0);
    if (!drawn.length) continue;
    const top = drawn.reduce((best, spot) => (spot.y < best.y ? spot : best));
    tag(context, String(person.id), top.x, top.y - 12, person.color, 13, width);
  }
}

// The picture with its 2D skeletons, as the overlay has them. A skeleton is always that of the picture shown.

const MIN_SCORE = 0.3 * 255;
const OUTLINE = "#14161a";
const images = new Map();

// Of frames without a picture of their own, the last one before has it.
function pictureSlot(frame) {
  return lastUpTo(content.pictures.frames, frame);
}

function image(slot, redraw) {
  if (!images.has(slot)) {
    const element = new Image();
    element.src = `data:image/jpeg;base64,${content.pictures.files[slot]}`;
    images.set(slot, element);
    element.decode().then(redraw, () => {});
  }
  return images.get(slot);
}

function drawPicture(canvas, frame, marked, redraw) {
  const { context, width, height } = prepare(canvas);
  const [w, h] = content.size;
  const scale = Math.min(width / w, height / h);
  const [left, top] = [(width - w * scale) / 2, (height - h * scale) / 2];
  let shown = frame;
  if (content.pictures) {
    const slot = pictureSlot(frame);
    shown = content.pictures.frames[slot];
    const picture = image(slot, redraw);
    for (let next = slot + 1; next < Math.min(slot + 4, content.pictures.files.length); next++) image(next, () => {});
    if (picture.complete && picture.naturalWidth) {
      context.imageSmoothingQuality = "high";
      context.drawImage(picture, left, top, w * scale, h * scale);
    } else if (canvas.last) {
      context.drawImage(canvas.last, left, top, w * scale, h * scale); // rather the last one than a flash of nothing
    }
    if (picture.complete && picture.naturalWidth) canvas.last = picture;
  } else {
    context.fillStyle = theme.track;
    context.fillRect(left, top, w * scale, h * scale);
  }
  const here = present(shown).filter(({ person, row }) => person.observed[row]);
  const spots = here.flatMap(({ person, row }) => flatPose(person, row, scale, left, top));
  for (const { person } of here) drawFlat(context, person, spots.filter((spot) => spot.person === person), scale);
  for (const { person, row } of here) {
    const own = spots.filter((spot) => spot.person === person && spot.shown);
    if (!own.length) continue;
    const x = own.reduce((sum, spot) => sum + spot.x, 0) / own.length;
    tag(context, String(person.id), x, Math.max(person.top[row] * scale + top - 3, top + 20), person.color, 13, width);
  }
  if (!people.length && !content.pictures) message(context, "nobody was found", width, height);
  const visible = spots.filter((spot) => spot.shown);
  const mark = marked && visible.find((spot) => spot.person === marked.person && spot.joint === marked.joint);
  if (mark) ring(context, mark.x, mark.y, "#ffffff", 7, 2);
  return visible;
}

function flatPose(person, row, scale, left, top) {
  return person.skeleton.names.map((_, joint) => {
    const at = row * person.skeleton.names.length + joint;
    return {
      x: left + person.keypoints[2 * at] * scale,
      y: top + person.keypoints[2 * at + 1] * scale,
      shown: person.scores[at] >= MIN_SCORE,
      score: person.scores[at] / 255,
      person, row, joint, flat: true,
    };
  });
}

function drawFlat(context, person, spots, scale) {
  const shown = spots.filter((spot) => spot.shown);
  if (!shown.length) return;
  const extent = (axis) => Math.max(...shown.map((spot) => spot[axis])) - Math.min(...shown.map((spot) => spot[axis]));
  const largest = Math.max((Math.min(...content.size) / 140) * scale, 2);
  const width = Math.min(Math.max(Math.max(extent("x"), extent("y")) / 75, 1.2), largest);
  const lines = person.skeleton.flat.filter(([a, b, c]) => spots[a].shown && spots[b].shown && spots[c].shown);
  for (const [color, wide] of [[() => OUTLINE, 1.9], [(side) => (side === "middle" ? "#f0f0f0" : theme[side]), 1]]) {
    for (const [a, b, c, side] of lines) {
      const [x, y] = [(spots[b].x + spots[c].x) / 2, (spots[b].y + spots[c].y) / 2];
      line(context, spots[a].x, spots[a].y, x, y, color(side), width * wide);
    }
  }
  for (const spot of shown) {
    const radius = width * (/(nose|eye|ear)$/.test(person.skeleton.names[spot.joint]) ? 0.75 : 1.05);
    dot(context, spot.x, spot.y, OUTLINE, radius);
    dot(context, spot.x, spot.y, "#f0f0f0", radius * 0.67);
  }
}

// What both views draw with. Colours come from the style sheet, so that light and dark have one home.

const theme = {};

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["top", "bottom", "ink", "soft", "grid", "limb", "halo", "unseen", "shade", "accent", "track"]) {
    theme[name] = style.getPropertyValue(`--${name}`).trim();
  }
  theme.left = content.colors.left;
  theme.right = content.colors.right;
  theme.middle = theme.limb;
}

// A canvas as sharp as the screen, drawn in CSS pixels.
function prepare(canvas) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  const full = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== full[0] || canvas.height !== full[1]) [canvas.width, canvas.height] = full;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.lineCap = context.lineJoin = "round";
  return { context, width, height };
}

function line(context, ax, ay, bx, by, color, width) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(ax, ay);
  context.lineTo(bx, by);
  context.stroke();
}

function dot(context, x, y, color, radius) {
  context.fillStyle = color;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function ring(context, x, y, color, radius, width) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
}

// Dark letters on a plate of the person's colour, its middle at x and its lower edge at y, kept inside.
function tag(context, text, x, y, color, size, width) {
  context.font = `600 ${size}px system-ui, sans-serif`;
  const wide = context.measureText(text).width + size * 0.7, high = size * 1.35;
  const left = Math.min(Math.max(x - wide / 2, 2), Math.max(width - wide - 2, 2));
  const top = Math.max(y - high, 2);
  context.fillStyle = color;
  context.beginPath();
  context.roundRect(left, top, wide, high, size * 0.3);
  context.fill();
  context.fillStyle = "#14161a";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, left + wide / 2, top + high / 2 + size * 0.05);
}

function message(context, text, width, height) {
  context.fillStyle = theme.soft;
  context.font = "14px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, width / 2, height / 2);
}

// "#rrggbb" towards another colour by a share of 0..1
function mix(from, to, share) {
  const channel = (color, i) => parseInt(color.slice(2 * i + 1, 2 * i + 3), 16);
  const mixed = [0, 1, 2].map((i) => Math.round(channel(from, i) * (1 - share) + channel(to, i) * share));
  return `rgb(${mixed.join(" ")})`;
}

// The joint drawn nearest to a point of the view, within reach of a pointer.
function nearest(spots, x, y, reach) {
  let best = null, closest = reach;
  for (const spot of spots) {
    const away = Math.hypot(spot.x - x, spot.y - y);
    if (away <= closest) [best, closest] = [spot, away];
  }
  return best;
}

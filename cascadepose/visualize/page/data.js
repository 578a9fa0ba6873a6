// The result, out of the JSON in the page. Numbers are base64 of little-endian arrays; see html.py.

const content = JSON.parse(document.getElementById("content").textContent);

function bytes(text) {
  const raw = atob(text);
  const array = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) array[i] = raw.charCodeAt(i);
  return array;
}

// int16 and the unit that they count -> numbers
function unpack(packed) {
  return Float32Array.from(new Int16Array(bytes(packed.data).buffer), (value) => value * packed.unit);
}

const times = new Float32Array(bytes(content.times).buffer);
const numFrames = times.length;

const people = content.people.map((person) => ({
  ...person,
  on: true,
  observed: bytes(person.observed),
  keypoints: unpack(person.keypoints), // [count, joints, 2] px of the frame
  scores: bytes(person.scores), // [count, joints] of 255
  top: unpack(person.top), // [count] px
  joints: person.joints && unpack(person.joints), // [count, joints, 3] m, y up
  skeleton: content.skeletons[person.skeleton],
  body: person.body && content.skeletons[person.body],
}));

// The people who are switched on and reach this frame, with their row there.
function present(frame) {
  return people
    .map((person) => ({ person, row: frame - person.first }))
    .filter(({ person, row }) => person.on && row >= 0 && row < person.count);
}

// The last of ascending numbers that is not above `value`; 0 where all are.
function lastUpTo(numbers, value) {
  let low = 0, high = numbers.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (numbers[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

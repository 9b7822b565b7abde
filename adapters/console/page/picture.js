// The picture: where it comes from, and the faces drawn on it.
import { $, make, say, size } from './dom.js';
import { call, Refused, sentence } from './api.js';

const limit = Number(document.body.dataset.imageBytes);
const unreadable = 'The picture cannot be read. Is it still there?';
const svg = 'http://www.w3.org/2000/svg';

let current = null; // { base64: Promise<string> } of the picture that is shown
let looking = new AbortController();
let camera = null;
let mayDetect = () => true;
let hasChanged = () => {};

/**
 * Sets up the picture. detects says whether the key may look for faces; changed
 * is called when the picture is another one, or none any more.
 */
export function setUpPicture(detects, changed) {
  mayDetect = detects;
  hasChanged = changed;
  $('picture-limit').textContent = size(limit);
  const stage = $('stage');
  $('file').addEventListener('change', (event) => choose(event.target.files, event.target));
  for (const type of ['dragenter', 'dragover']) {
    stage.addEventListener(type, (event) => {
      event.preventDefault();
      stage.classList.add('over');
    });
  }
  stage.addEventListener('dragleave', () => stage.classList.remove('over'));
  stage.addEventListener('drop', (event) => {
    event.preventDefault();
    stage.classList.remove('over');
    choose(event.dataTransfer.files);
  });
  document.addEventListener('paste', (event) => {
    if (event.clipboardData.files.length > 0 && !$('app').hidden) choose(event.clipboardData.files);
  });
  // A picture that misses the stage must not replace the page.
  for (const type of ['dragover', 'drop']) window.addEventListener(type, (event) => event.preventDefault());
  $('preview').addEventListener('error', () => { $('preview').hidden = true; });
  $('camera').addEventListener('click', startCamera);
  $('shoot').addEventListener('click', takePicture);
  $('camera-off').addEventListener('click', () => { stopCamera(); $('camera').focus(); });
  window.addEventListener('pagehide', stopCamera);
}

/** The picture in base64, as the API takes it. It throws a Refused without one. */
export async function face() {
  if (current === null) throw new Refused(0, 'Choose a picture first.');
  return current.base64;
}

function choose(files, input) {
  const [file, ...others] = files;
  if (input) input.value = ''; // the same file may be chosen again
  if (!file) return;
  stopCamera();
  show(file, others.length > 0 ? `One picture at a time: ${file.name} was taken.\n` : '');
}

/** What the API would say against a file by its first bytes, '' for a JPEG or a PNG. */
async function problemOf(blob) {
  const { emptyReason, formatReason } = document.body.dataset;
  if (blob.size === 0) return sentence(emptyReason);
  try {
    const head = String.fromCharCode(...new Uint8Array(await blob.slice(0, 4).arrayBuffer()));
    return head.startsWith('\xff\xd8') || head === '\x89PNG' ? '' : sentence(formatReason);
  } catch {
    return unreadable;
  }
}

/** Shows a picture and has imago look for faces. What is no picture is refused unseen. */
async function show(blob, remark = '') {
  clear();
  if (blob.size > limit) {
    say('picture-message', `This picture has ${size(blob.size)}; imago takes at most ${size(limit)}.`, 'bad');
    return;
  }
  const { signal } = looking;
  current = { base64: encode(blob) }; // whoever searches or enrols at once is told what imago says
  const problem = await problemOf(blob);
  if (signal.aborted) return;
  if (problem !== '') {
    current = null;
    say('picture-message', remark + problem, 'bad');
    return;
  }
  const preview = $('preview');
  preview.src = URL.createObjectURL(blob);
  preview.alt = blob.name ? `The chosen picture, ${blob.name}` : 'The picture from the camera';
  preview.hidden = false;
  $('empty').hidden = true;
  $('stage').classList.add('full');
  look(remark);
}

function clear() {
  looking.abort();
  looking = new AbortController();
  current = null;
  URL.revokeObjectURL($('preview').src);
  $('preview').removeAttribute('src');
  $('preview').hidden = true;
  $('overlay').replaceChildren();
  $('empty').hidden = camera !== null;
  $('stage').classList.remove('full');
  say('picture-message', '');
  hasChanged();
}

function encode(blob) {
  const done = new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
    reader.onerror = () => reject(new Refused(0, unreadable));
    reader.readAsDataURL(blob);
  });
  done.catch(() => {}); // whoever asks for the picture is told
  return done;
}

/** Asks for the faces, draws them and says what there is to say. */
async function look(remark) {
  if (!mayDetect()) {
    say('picture-message', `${remark}This key may not look for faces; an enrolment checks the picture all the same.`);
    return;
  }
  const { signal } = looking;
  say('picture-message', `${remark}Looking for faces…`);
  try {
    const found = await call('POST', 'faces/detect', { face: await current.base64 }, signal);
    if (signal.aborted) return;
    draw(found);
    const bad = found.quality.length > 0;
    say('picture-message', remark + describe(found), bad ? 'bad' : 'good');
  } catch (error) {
    if (!signal.aborted) say('picture-message', remark + error.message, 'bad');
  }
}

function describe({ faces, quality }) {
  if (faces.length === 0) return 'No face was found in this picture.';
  const { box, turn } = faces[0];
  const width = Math.round(turn % 180 ? box.height : box.width);
  const size = faces.length === 1 ? `One face, ${width} pixels wide.` : `${faces.length} faces; the largest, ${width} pixels wide, is used.`;
  const found = turn ? `${size} It is used turned by ${turn}° clockwise.` : size;
  if (quality.length === 0) return `${found} It can be enrolled.`;
  return [found, 'It can be searched, but not enrolled:', ...quality.map((reason) => `– ${reason}`)].join('\n');
}

/** Draws boxes, and the landmarks of the face that counts, over the picture. */
function draw({ width, height, faces }) {
  const overlay = $('overlay');
  overlay.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const shape = (name, attributes) => {
    const element = document.createElementNS(svg, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    overlay.append(element);
  };
  faces.forEach(({ box, landmarks }, i) => {
    const rect = { x: box.x, y: box.y, width: box.width, height: box.height, rx: box.width / 20 };
    shape('rect', { ...rect, class: 'halo' });
    shape('rect', { ...rect, class: i === 0 ? 'box chosen' : 'box' });
    if (i > 0) return;
    for (const { x, y } of landmarks) shape('circle', { cx: x, cy: y, r: box.width / 45, class: 'mark' });
  });
}

async function startCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    say('picture-message', 'Browsers give the camera to pages over HTTPS and to localhost only. Choose a picture instead.', 'bad');
    return;
  }
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'user', width: { ideal: 1280 } } });
  } catch (error) {
    const denied = error.name === 'NotAllowedError';
    say('picture-message', denied ? 'The browser was not allowed to use the camera.' : 'There is no camera that can be used.', 'bad');
    return;
  }
  clear();
  const video = $('video');
  video.srcObject = camera;
  switchCamera(true);
  $('shoot').focus();
  await video.play().catch(() => {});
  say('picture-message', 'The camera is on. Look into it and take the picture.');
}

function switchCamera(on) {
  for (const id of ['video', 'shoot', 'camera-off']) $(id).hidden = !on;
  for (const id of ['camera', 'empty']) $(id).hidden = on;
}

/** Switches the camera off. What it showed is gone. */
export function stopCamera() {
  if (camera === null) return;
  for (const track of camera.getTracks()) track.stop();
  camera = null;
  $('video').srcObject = null;
  switchCamera(false);
  say('picture-message', '');
}

async function takePicture() {
  const video = $('video');
  if (video.videoWidth === 0) return; // the first frame has not come yet
  const canvas = make('canvas', { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext('2d').drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => { canvas.toBlob(resolve, 'image/jpeg', 0.95); });
  stopCamera();
  show(blob);
  $('camera').focus();
}

/** Forgets the picture. */
export function forgetPicture() {
  stopCamera();
  clear();
}

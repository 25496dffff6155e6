// One utterance's transport plan at one layer, under the spectrogram on the same time axis.

const PLAN = { widest: 1000, labels: 130, narrow: 84, sound: 130, gap: 8, row: 20, axis: 34 };
const DARK = window.matchMedia("(prefers-color-scheme: dark)");

function bytes(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

function raster(matrix, color) {
  const canvas = make("canvas", { width: matrix.columns, height: matrix.rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(matrix.columns, matrix.rows);
  bytes(matrix.data).forEach((value, index) => image.data.set([...color(value / 255), 255], 4 * index));
  context.putImageData(image, 0, 0);
  return canvas;
}

const between = (from, to) => (share) => from.map((value, index) => value + (to[index] - value) * share);
const blues = () => (DARK.matches ? between([20, 23, 27], [120, 190, 255]) : between([255, 255, 255], [8, 48, 107]));
const heat = (level) => [30 + 225 * level ** 1.2, 20 + 210 * level ** 2.2, 70 + 90 * Math.sin(3 * level)];

// Where a plan lies on the page, in pixels.
function planFrame(host) {
  const width = Math.max(280, Math.min(PLAN.widest, host.clientWidth || PLAN.widest));
  const labels = width < 600 ? PLAN.narrow : PLAN.labels;
  return { width, labels, span: width - labels };
}

function drawPlan(canvas, plan, layer, sound, frame) {
  const { width, labels, span } = frame;
  const matrix = plan.layers[layer];
  const top = sound ? PLAN.sound + PLAN.gap : 0;
  const height = top + PLAN.row * plan.tokens.length + PLAN.axis;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const [ink, paper] = DARK.matches ? ["#e6e9ed", "#14171b"] : ["#1f2328", "#ffffff"];
  context.fillStyle = paper;
  context.fillRect(0, 0, width, height);
  if (sound) context.drawImage(raster(sound, heat), labels, 0, span, PLAN.sound);
  context.imageSmoothingEnabled = false;
  context.drawImage(raster(matrix, blues()), labels, top, span, PLAN.row * plan.tokens.length);
  context.fillStyle = ink;
  context.font = "13px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "right";
  plan.tokens.forEach((token, index) => {
    context.fillText(token, labels - 8, top + PLAN.row * (index + 0.5), labels - 12);
  });
  if (sound) context.fillText("spectrogram", labels - 8, PLAN.sound / 2, labels - 12);
  const seconds = plan.seconds ? plan.seconds * matrix.columns : 0;
  const end = seconds || matrix.columns;
  context.textAlign = "center";
  for (const value of ticks(0, end, Math.min(10, span / 60))) {
    const x = labels + (span * value) / end;
    context.fillRect(x - 0.5, height - PLAN.axis, 1, 5);
    context.fillText(`${short(value)}${seconds ? " s" : ""}`, Math.min(x, width - 14), height - PLAN.axis + 14);
  }
}

function readPlan(event, canvas, plan, layer, hasSound, frame) {
  const box = canvas.getBoundingClientRect();
  const x = event.clientX - box.left - frame.labels;
  const y = event.clientY - box.top - (hasSound ? PLAN.sound + PLAN.gap : 0);
  const matrix = plan.layers[layer];
  const column = Math.floor((x / frame.span) * matrix.columns);
  const row = Math.floor(y / PLAN.row);
  if (x < 0 || y < 0 || row < 0 || row >= matrix.rows || column >= matrix.columns) return "";
  const share = (bytes(matrix.data)[row * matrix.columns + column] / 255) * matrix.largest;
  return `position ${column}, token ${plan.tokens[row]}: ${(100 * share).toFixed(0)} % of the position's mass`;
}

// A line over spectrogram and plan that goes with the sound; a click on them moves the sound there.
function follow(audio, canvas, line, where) {
  const total = () => where().seconds || audio.duration;
  const move = () => {
    const { labels, span } = where().frame;
    line.style.left = `${labels + span * Math.min(1, audio.currentTime / total() || 0)}px`;
    line.hidden = audio.currentTime === 0;
    if (!audio.paused) requestAnimationFrame(move);
  };
  for (const name of ["play", "seeked", "pause"]) audio.addEventListener(name, move);
  canvas.onclick = (event) => {
    const { labels, span } = where().frame;
    const share = (event.clientX - canvas.getBoundingClientRect().left - labels) / span;
    const seek = () => { audio.currentTime = share * total(); };
    if (share < 0) return;
    if (audio.readyState) seek();
    else { audio.addEventListener("loadedmetadata", seek, { once: true }); audio.load(); }
  };
}

function showPlans(host, data, runs) {
  const canvas = make("canvas", { id: "plan", role: "img" });
  const line = make("div", { id: "playhead", hidden: true });
  const box = make("div", { class: "plan-box" }, canvas, line);
  const note = make("p", { class: "readout" });
  const caption = make("p", { id: "plan-caption" });
  const player = make("div", {});
  const controls = make("div", { class: "controls" });
  const ids = [...new Set(data.plans.map((plan) => plan.id))];
  const state = { id: ids[0], run: null, layer: null };
  const now = { frame: planFrame(host), seconds: 0 };
  let sounding = "";
  const refresh = () => {
    const offered = data.plans.filter((plan) => plan.id === state.id);
    const plan = offered.find((item) => item.run === state.run) || offered[offered.length - 1];
    const layers = Object.keys(plan.layers);
    state.run = plan.run;
    if (!layers.includes(state.layer)) state.layer = String(plan.shown in plan.layers ? plan.shown : layers[0]);
    const pick = (name, convert) => (value) => { state[name] = convert(value); refresh(); };
    const focus = document.activeElement && document.activeElement.id;
    controls.replaceChildren(
      select("plan-utterance", "Utterance", ids.map((id) => [id, id]), state.id, pick("id", String)),
      select("plan-run", "Run", offered.map((item) => [String(item.run), runs[item.run]]), String(state.run), pick("run", Number)),
      select("plan-layer", "Layer", layers.map((layer) => [layer, `layer ${layer}`]), state.layer, pick("layer", String)),
    );
    if (focus && focus.startsWith("plan-")) document.getElementById(focus).focus();
    const sound = data.spectrograms[state.id];
    caption.textContent = `${runs[state.run]}, layer ${state.layer}, utterance ${state.id}`;
    canvas.setAttribute("aria-label", `Transport plan of ${caption.textContent}`);
    now.frame = planFrame(host);
    now.seconds = plan.seconds ? plan.seconds * plan.layers[state.layer].columns : 0;
    drawPlan(canvas, plan, state.layer, sound, now.frame);
    canvas.onmousemove = (event) => {
      note.textContent = readPlan(event, canvas, plan, state.layer, Boolean(sound), now.frame);
    };
    if (sounding !== state.id) play(data.clips[state.id]);
    sounding = state.id;
  };
  const play = (clip) => {
    line.hidden = true;
    canvas.onclick = null;
    const audio = make("audio", { controls: true, preload: "none", src: clip || null });
    player.replaceChildren(...(clip ? [audio] : []));
    if (clip) follow(audio, canvas, line, () => now);
  };
  host.append(controls, caption, player, box, note);
  refresh();
  DARK.addEventListener("change", refresh);
  new ResizeObserver(() => { if (planFrame(host).width !== now.frame.width) refresh(); }).observe(host);
}
